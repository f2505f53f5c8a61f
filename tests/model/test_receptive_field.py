"""The receptive field that is computed is the one through which gradients flow."""

from __future__ import annotations

import math

import pytest
import torch
from monai.networks.nets import UNet

from napari_unet3d.configs import Preset, TrainingConfig
from napari_unet3d.model.network import build_unet
from napari_unet3d.model.plan import Plan, default_plan, strides_for
from napari_unet3d.model.receptive_field import receptive_field, separating_gap


def without_norm(network: UNet) -> UNet:
    """Only sums with positive weights are left, so that nothing cancels or is cut off."""
    for module in network.modules():
        for name in ("N", "A"):
            if hasattr(module, name):
                setattr(module, name, torch.nn.Identity())
    for weights in network.parameters():
        torch.nn.init.constant_(weights, 0.01)
    return network.double()


def measured(network: UNet, shape: tuple[int, ...], total_stride: tuple[int, ...]) -> list[int]:
    """Widest extent along each axis of the gradient of one voxel in the middle, over all places on the coarse grid."""
    volume = torch.ones(1, 1, *shape, dtype=torch.float64, requires_grad=True)
    answer = network(volume)[0, 0]
    widest = [0] * len(shape)
    for axis, stride in enumerate(total_stride):
        for offset in range(stride):
            at = [side // 2 for side in shape]
            at[axis] += offset
            (gradient,) = torch.autograd.grad(answer[tuple(at)], volume, retain_graph=True)
            seen = gradient[0, 0].nonzero()[:, axis]
            assert seen.min() > 0  # nothing was cut off by the edge of the volume
            assert seen.max() < shape[axis] - 1
            widest[axis] = max(widest[axis], int(seen.max() - seen.min()) + 1)
    return widest


@pytest.mark.parametrize(("preset", "field"), [("xxsmall", 19), ("xsmall", 19), ("small", 47), ("large", 203)])
def test_known_fields(preset: str, field: int) -> None:
    config = TrainingConfig(preset=preset)
    assert receptive_field(config, default_plan(config)) == (field, field, field)


@pytest.mark.parametrize(("kernel", "up_kernel"), [(3, 3), (5, 3), (1, 7)])
@pytest.mark.parametrize(
    "strides",
    [(2,), (1,), (2, 2), (1, 2), (2, 1), (1, 2, 2), (2, 2, 2, 2)],
    ids=lambda strides: "".join(map(str, strides)),
)
def test_one_axis_is_as_wide_as_its_gradient(strides: tuple[int, ...], kernel: int, up_kernel: int) -> None:
    channels = tuple(range(1, len(strides) + 2))  # fields do not depend on them
    network = UNet(1, 1, 1, channels, strides, kernel_size=kernel, up_kernel_size=up_kernel, num_res_units=2)
    config = TrainingConfig(kernel_size=kernel, up_kernel_size=up_kernel)
    computed = receptive_field(config, Plan(strides=tuple((stride, 1, 1) for stride in strides)))[0]
    total = math.prod(strides)
    side = 2 * total * (computed // total + 2)

    assert [computed] == measured(without_norm(network), (side,), (total,))


@pytest.mark.parametrize("voxel_size_um", [(1, 1, 1), (4, 1, 2)])
def test_our_network_with_unequal_voxels(voxel_size_um: tuple[float, ...]) -> None:
    config = TrainingConfig(preset=Preset.XXSMALL)
    plan = Plan(strides=strides_for(config.preset, voxel_size_um))

    found = measured(without_norm(build_unet(config, plan)), (28, 30, 32), plan.total_stride)

    assert list(receptive_field(config, plan)) == found


def test_a_gap_is_counted_in_voxels_of_the_volume() -> None:
    own, coarser = TrainingConfig(preset=Preset.XXSMALL), TrainingConfig(preset=Preset.XXSMALL, spacing=1)

    assert separating_gap(own, (1, 0.9, 0.8)) == (19, 19, 19)
    assert separating_gap(coarser, (2, 0.5, 0.3)) == (10, 38, 64)  # 9.5, 38 and 63.33 rounded up
    assert separating_gap(own, (2, 0.5, 0.6)) == (13, 19, 19)  # z is not halved: 13 convolutions of 3 voxels
