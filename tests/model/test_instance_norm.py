from __future__ import annotations

import pytest
import torch

from napari_unet3d.configs import Device, TrainingConfig
from napari_unet3d.model.devices import choose_hardware
from napari_unet3d.model.instance_norm import LayoutKeepingInstanceNorm3d, keep_layout_of_norms
from napari_unet3d.model.network import build_unet, place_network


def volumes(n_volumes: int = 2, n_channels: int = 5, mean: float = 3.0) -> torch.Tensor:
    noise = torch.randn(n_volumes, n_channels, 4, 6, 9, generator=torch.Generator().manual_seed(0))
    return (noise * 2 + mean).contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("mean", [0.0, 3.0, -1000.0])
@pytest.mark.parametrize(("n_volumes", "n_channels"), [(1, 1), (1, 5), (3, 4)])
def test_it_computes_what_torch_computes(n_volumes: int, n_channels: int, mean: float) -> None:
    given = volumes(n_volumes, n_channels, mean)
    expected = torch.nn.functional.instance_norm(given.double(), eps=1e-5)
    with torch.inference_mode():
        result = LayoutKeepingInstanceNorm3d(n_channels)(given)
    torch.testing.assert_close(result.double(), expected, atol=1e-6 * max(1, abs(mean)), rtol=0)


def test_the_layout_is_kept_and_the_input_too() -> None:
    given = volumes()
    before = given.clone()
    with torch.no_grad():
        result = LayoutKeepingInstanceNorm3d(5)(given)
    assert result.stride() == given.stride()
    assert torch.equal(given, before)


def test_gradients_are_those_of_torch() -> None:
    given, again = volumes().requires_grad_(), volumes().requires_grad_()
    weights = torch.arange(9.0)
    (LayoutKeepingInstanceNorm3d(5)(given) * weights).sum().backward()
    (torch.nn.InstanceNorm3d(5)(again) * weights).sum().backward()
    assert torch.equal(given.grad, again.grad)


def test_norms_with_weights_or_statistics_stay() -> None:
    plain, affine, tracking = (
        torch.nn.InstanceNorm3d(3),
        torch.nn.InstanceNorm3d(3, affine=True),
        torch.nn.InstanceNorm3d(3, track_running_stats=True),
    )
    keep_layout_of_norms(torch.nn.Sequential(plain, affine, tracking))
    kept = [type(layer) is LayoutKeepingInstanceNorm3d for layer in (plain, affine, tracking)]
    assert kept == [True, False, False]


def test_a_placed_network_answers_as_before() -> None:
    config = TrainingConfig(preset="small")
    grey = torch.randn(2, 1, 8, 16, 20, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = build_unet(config).eval()(grey)
        result = place_network(build_unet(config).eval(), choose_hardware(Device.CPU))(grey)
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)
