"""The receptive field is the one that gradients of the whole network have, and, for the U-Net, that of a formula."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from napari_unet3d.configs import Preset, TrainingConfig
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.model.architectures import get_architecture
from napari_unet3d.model.network import build_network, default_plan
from napari_unet3d.model.plan import Plan
from napari_unet3d.model.receptive_field import receptive_field, separating_gap


def plan_for(config: TrainingConfig, voxel_size_um: tuple[float, float, float]) -> Plan:
    return Plan(strides=get_architecture(config.architecture).strides(config, voxel_size_um))


def field_of_unet(strides: Sequence[int], config: TrainingConfig) -> int:
    """Follow the layers of MONAI's U-Net with two residual units from the output back to the image along one axis."""
    fields = [range_of_unet(voxel, voxel, strides, config) for voxel in range(math.prod(strides))]
    return max(last - first + 1 for first, last in fields)


def range_of_unet(first: int, last: int, strides: Sequence[int], config: TrainingConfig) -> tuple[int, int]:
    stride, deeper = strides[0], strides[1:]
    reach, up_reach = config.kernel_size // 2, config.up_kernel_size // 2
    first, last = first - reach, last + reach  # the residual unit of the decoder
    first, last = math.ceil((first - up_reach) / stride), (last + up_reach) // stride  # the up-convolution
    first, last = range_of_unet(first, last, deeper, config) if deeper else (first - 2 * reach, last + 2 * reach)
    first, last = first - reach, last + reach  # the second convolution of the encoder
    return first * stride - reach, last * stride + reach  # and the first one


def field_of_gradients(config: TrainingConfig, plan: Plan, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the largest extent along each axis of the gradient of a voxel, over all positions on the coarsest grid."""
    network = build_network(config, plan).double().eval()
    for block in list(network.modules()):
        for name, layer in block.named_children():
            if isinstance(layer, torch.nn.InstanceNorm3d | torch.nn.PReLU | torch.nn.LeakyReLU):
                setattr(block, name, torch.nn.Identity())
    for weights in network.parameters():
        torch.nn.init.constant_(weights, 0.01)
    volume = torch.ones(1, 1, *shape, dtype=torch.float64, requires_grad=True)
    output = network(volume)[0, 0]
    field = [0] * len(shape)
    for axis, stride in enumerate(plan.total_stride):
        for offset in range(stride):
            voxel = [side // 2 for side in shape]
            voxel[axis] += offset
            (gradient,) = torch.autograd.grad(output[tuple(voxel)], volume, retain_graph=True)
            seen = gradient[0, 0].nonzero()[:, axis]
            assert seen.min() > 0  # nothing is cut off by the edge of the volume
            assert seen.max() < shape[axis] - 1
            field[axis] = max(field[axis], int(seen.max() - seen.min()) + 1)
    return tuple(field)


@pytest.mark.parametrize(("preset", "field"), [("xxsmall", 19), ("xsmall", 19), ("small", 47), ("large", 203)])
def test_known_fields(preset: str, field: int) -> None:
    config = TrainingConfig(preset=preset)
    assert receptive_field(config, default_plan(config)) == (field, field, field)


def test_the_field_of_a_small_dynunet_by_hand() -> None:
    # From the output back, in voxels of the full, half and quarter resolution: two convolutions 1 + 4 = 5, up 3, two
    # convolutions 7, up 4, convolution 6, strided convolution 2 * 5 + 3 = 13, convolution 15, strided convolution
    # 2 * 14 + 3 = 31, two convolutions 35.
    config = TrainingConfig(architecture="dynunet", preset="xxsmall")
    assert receptive_field(config, default_plan(config)) == (35, 35, 35)
    # Along an axis that is never downsampled, only the two convolutions of the coarsest level and the two after it have
    # kernels of size 3.
    assert receptive_field(config, plan_for(config, (4.0, 1.0, 1.0))) == (9, 35, 35)


@pytest.mark.parametrize(("kernel", "up_kernel"), [(3, 3), (5, 3), (1, 7), (1, 3)])
@pytest.mark.parametrize(
    "strides",
    [(2,), (1,), (2, 2), (1, 2), (2, 1), (1, 2, 2), (2, 2, 2, 2), (1, 1, 2, 2, 2)],
    ids=lambda strides: "".join(map(str, strides)),
)
def test_the_unet_agrees_with_the_formula(strides: tuple[int, ...], kernel: int, up_kernel: int) -> None:
    config = TrainingConfig(kernel_size=kernel, up_kernel_size=up_kernel, activation="sigmoid")
    plan = Plan(strides=tuple((stride, 1, 2) for stride in strides))

    expected = tuple(
        field_of_unet(along_axis, config) for along_axis in (strides, [1] * len(strides), [2] * len(strides))
    )

    assert receptive_field(config, plan) == expected


@pytest.mark.parametrize("preset", list(Preset))
@pytest.mark.parametrize("voxel_size_um", [(1.0, 1.0, 1.0), (5.0, 1.0, 2.0)])
def test_all_presets_of_the_unet_agree_with_the_formula(preset: Preset, voxel_size_um: tuple[float, ...]) -> None:
    config = TrainingConfig(preset=preset)
    plan = plan_for(config, voxel_size_um)
    expected = tuple(field_of_unet([stride[axis] for stride in plan.strides], config) for axis in range(3))
    assert receptive_field(config, plan) == expected


@pytest.mark.parametrize(
    ("architecture", "voxel_size_um"),
    [("unet", (1.0, 1.0, 1.0)), ("unet", (4.0, 1.0, 2.0)), ("dynunet", (4.0, 2.0, 1.0))],
)
def test_gradients_of_the_whole_network_reach_as_far(
    architecture: str, voxel_size_um: tuple[float, float, float]
) -> None:
    config = TrainingConfig(architecture=architecture, preset=Preset.XXSMALL)
    plan = plan_for(config, voxel_size_um)
    field = receptive_field(config, plan)
    z, y, x = (2 * stride * (extent // stride + 2) for extent, stride in zip(field, plan.total_stride, strict=True))
    assert field == field_of_gradients(config, plan, (z, y, x))


def test_measuring_leaves_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    config = TrainingConfig(kernel_size=7)
    receptive_field(config, default_plan(config))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_gap_is_counted_in_voxels_of_the_volume() -> None:
    own, coarser = TrainingConfig(preset=Preset.XXSMALL), TrainingConfig(preset=Preset.XXSMALL, spacing=1)

    assert separating_gap(own, Geometry((1, 0.9, 0.8))) == (19, 19, 19)
    assert separating_gap(coarser, Geometry((2, 0.5, 0.3))) == (10, 38, 64)  # 9.5, 38 and 63.33 rounded up
    assert separating_gap(own, Geometry((2, 0.5, 0.6))) == (
        13,
        19,
        19,
    )  # z is not downsampled: 13 voxels of six convolutions
