from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from monai.networks.blocks.convolutions import Convolution

from napari_unet3d.configs import Device, TrainingConfig
from napari_unet3d.model.cpu.convolutions import SingleOutputConvTranspose3d
from napari_unet3d.model.cpu.optimize import swap_layers
from napari_unet3d.model.devices import choose_device
from napari_unet3d.model.network import build_network, to_device


def up_convolution(kernel: int, strides: tuple[int, int, int], *, bias: bool = True) -> torch.nn.ConvTranspose3d:
    """Make the layer that MONAI's U-Net has at each step up."""
    torch.manual_seed(0)
    block = Convolution(3, 5, 1, strides, kernel, conv_only=True, is_transposed=True, bias=bias)
    layer = next(layer for layer in block.modules() if isinstance(layer, torch.nn.ConvTranspose3d))
    return layer.double()


@settings(max_examples=40)
@given(
    kernel=st.sampled_from([1, 3, 5, 7]),
    strides=st.tuples(*[st.integers(1, 3)] * 3),
    sides=st.tuples(*[st.integers(1, 6)] * 3),
    n_volumes=st.integers(1, 3),
    bias=st.booleans(),
)
@example(kernel=7, strides=(1, 1, 1), sides=(1, 1, 2), n_volumes=1, bias=False)  # weights reach past the volume
def test_it_computes_what_torch_computes(kernel, strides, sides, n_volumes, bias) -> None:
    layer = up_convolution(kernel, strides, bias=bias)
    volumes = torch.randn(n_volumes, 5, *sides, dtype=torch.float64)
    with torch.inference_mode():
        expected = layer(volumes)
        swap_layers(torch.nn.Sequential(layer), SingleOutputConvTranspose3d)
        result = layer(volumes)
    if kernel >= max(strides):  # else some outputs lie between the voxels, and MONAI's shapes are others
        assert type(layer) is SingleOutputConvTranspose3d
    torch.testing.assert_close(result, expected)


def test_gradients_are_those_of_torch() -> None:
    layer, same = up_convolution(3, (2, 2, 2)), up_convolution(3, (2, 2, 2))
    swap_layers(torch.nn.Sequential(layer), SingleOutputConvTranspose3d)
    volume = torch.randn(1, 5, 3, 4, 2, dtype=torch.float64)
    layer(volume).sum().backward()
    same(volume).sum().backward()
    assert torch.equal(layer.weight.grad, same.weight.grad)


def test_several_outputs_stay_with_torch() -> None:
    layer = torch.nn.ConvTranspose3d(4, 2, 3, 2, 1, 1)
    swap_layers(torch.nn.Sequential(layer), SingleOutputConvTranspose3d)
    assert type(layer) is torch.nn.ConvTranspose3d


@pytest.mark.parametrize("preset", ["xxsmall", "small"])
def test_a_placed_network_answers_as_before(preset: str) -> None:
    config = TrainingConfig(preset=preset)
    grey = torch.randn(2, 1, 8, 16, 20, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = build_network(config).eval()(grey)
        network = to_device(build_network(config).eval(), choose_device(Device.CPU))
        assert any(type(layer) is SingleOutputConvTranspose3d for layer in network.modules())
        torch.testing.assert_close(network(grey), expected, atol=1e-5, rtol=1e-5)
