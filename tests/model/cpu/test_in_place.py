from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.networks.blocks.acti_norm import ADN

from napari_unet3d.configs import Activation, Device, TrainingConfig
from napari_unet3d.model.cpu.norm_activation import InPlaceADN, InPlaceResidualUnit
from napari_unet3d.model.cpu.optimize import swap_layers
from napari_unet3d.model.devices import choose_device
from napari_unet3d.model.network import build_network, to_device

N_CHANNELS = 5


def volumes(n_volumes: int = 2, mean: float = 3.0, sides: tuple[int, int, int] = (4, 6, 9)) -> torch.Tensor:
    noise = torch.randn(n_volumes, N_CHANNELS, *sides, generator=torch.Generator().manual_seed(0))
    return (noise * 2 + mean).contiguous(memory_format=torch.channels_last_3d)


def block(order: str = "NDA", act: str = "prelu") -> ADN:
    return ADN(order, N_CHANNELS, act, "instance", 3, dropout=0.5).eval()


def in_place_block(order: str = "NDA", act: str = "prelu") -> ADN:
    layers = block(order, act)
    swap_layers(torch.nn.Sequential(layers), InPlaceADN)
    assert type(layers) is InPlaceADN
    return layers


@pytest.mark.parametrize("act", [each.monai_name for each in Activation])
@pytest.mark.parametrize("order", ["NDA", "ADN", "AN", "N"])
@pytest.mark.parametrize("mean", [0.0, 3.0, -1000.0])
def test_it_computes_what_monai_computes(order: str, act: str, mean: float) -> None:
    with torch.inference_mode():
        expected = block(order, act).double()(volumes(mean=mean).double())
        result = in_place_block(order, act)(volumes(mean=mean))
    torch.testing.assert_close(result.double(), expected, atol=1e-6 * max(1, abs(mean)), rtol=1e-6)


@settings(max_examples=30)
@given(st.integers(1, 3), st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(2, 7)))
def test_each_channel_of_each_volume_is_normalised_by_itself(n_volumes: int, sides: tuple[int, int, int]) -> None:
    given_volumes = volumes(n_volumes, sides=sides)
    voxels = given_volumes.double().flatten(2)
    expected = (voxels - voxels.mean(2, keepdim=True)) / (voxels.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
    with torch.inference_mode():
        result = in_place_block("N")(given_volumes)
    torch.testing.assert_close(result.flatten(2).double(), expected, atol=1e-5, rtol=0)


def test_the_layout_is_kept_and_no_memory_taken() -> None:
    given_volumes = volumes()
    with torch.no_grad():
        result = in_place_block()(given_volumes)
    assert result.data_ptr() == given_volumes.data_ptr()
    assert result.stride() == given_volumes.stride()


def test_gradients_are_those_of_monai() -> None:
    given_volumes, again = volumes().requires_grad_(), volumes().requires_grad_()
    weights = torch.arange(9.0)
    (in_place_block()(given_volumes) * weights).sum().backward()
    (block()(again) * weights).sum().backward()
    assert torch.equal(given_volumes.grad, again.grad)


@pytest.mark.parametrize("preset", ["xxsmall", "small"])
@pytest.mark.parametrize("options", [{}, {"adn_order": "AND"}, {"activation": "elu"}, {"dropout": 0.2}])
def test_a_placed_network_answers_as_before(preset: str, options: dict[str, object]) -> None:
    config = TrainingConfig(preset=preset, **options)
    grey = torch.randn(2, 1, 8, 16, 20, generator=torch.Generator().manual_seed(1))
    before = grey.clone()
    with torch.inference_mode():
        expected = build_network(config).eval()(grey)
        network = to_device(build_network(config).eval(), choose_device(Device.CPU))
        assert any(type(layer) is InPlaceResidualUnit for layer in network.modules())
        result = network(grey)
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)
    assert torch.equal(grey, before)
