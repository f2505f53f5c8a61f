from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet3d.configs import Device, TrainingConfig
from napari_unet3d.model.cpu.convolutions import HalvedConv3d
from napari_unet3d.model.cpu.optimize import swap_layers
from napari_unet3d.model.cpu.winograd import WinogradConv3d
from napari_unet3d.model.devices import choose_device
from napari_unet3d.model.network import build_network, to_device


def convolution(n_in: int = 64, n_out: int = 65, *, is_fast: bool = True, **settings_: object) -> torch.nn.Conv3d:
    torch.manual_seed(0)
    layer = torch.nn.Conv3d(n_in, n_out, **{"kernel_size": 3, "padding": 1, **settings_})
    swap_layers(torch.nn.Sequential(layer), HalvedConv3d)
    if is_fast:
        swap_layers(torch.nn.Sequential(layer), WinogradConv3d)
    return layer


def volumes(*shape: int) -> torch.Tensor:
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return noise.contiguous(memory_format=torch.channels_last_3d)


@settings(max_examples=25)
@given(
    n_volumes=st.integers(1, 2),
    sides=st.tuples(st.integers(1, 13), st.integers(1, 5), st.integers(1, 6)),
    bias=st.booleans(),
)
def test_it_computes_what_torch_computes(n_volumes: int, sides: tuple[int, int, int], bias: bool) -> None:
    layer, same = convolution(bias=bias).double(), convolution(bias=bias, is_fast=False).double()
    assert type(layer) is WinogradConv3d
    given_volumes = volumes(n_volumes, 64, *sides).double()
    with torch.inference_mode():
        torch.testing.assert_close(layer(given_volumes), same(given_volumes), atol=1e-11, rtol=1e-11)


def test_single_precision_loses_no_more_than_a_few_last_digits() -> None:
    layer, given_volumes = convolution(), volumes(1, 64, 8, 9, 10)
    with torch.inference_mode():
        result, expected = layer(given_volumes), layer.double()(given_volumes.double())
    torch.testing.assert_close(result.double(), expected, atol=3e-5, rtol=0)


def test_the_answer_is_channels_last() -> None:
    with torch.inference_mode():
        answer = convolution()(volumes(2, 64, 4, 5, 6))
    assert answer.is_contiguous(memory_format=torch.channels_last_3d)


def test_training_is_left_as_it_is() -> None:
    layer, same = convolution(), convolution(is_fast=False)
    given_volumes = volumes(2, 64, 4, 5, 6)
    answer, expected = layer(given_volumes), same(given_volumes)
    answer.square().sum().backward()
    expected.square().sum().backward()
    assert torch.equal(answer, expected)
    assert torch.equal(layer.weight.grad, same.weight.grad)


@pytest.mark.parametrize(
    "settings_",
    [
        {"n_in": 63},
        {"n_out": 63},
        {"kernel_size": 5, "padding": 2},
        {"kernel_size": 1, "padding": 0},
        {"stride": 2},
        {"dilation": 2, "padding": 2},
        {"padding": 0},
        {"groups": 64, "n_out": 64},
        {"padding_mode": "replicate"},
    ],
)
def test_other_layers_stay_as_they_are(settings_: dict[str, object]) -> None:
    assert type(convolution(**settings_)) is HalvedConv3d


def test_a_placed_network_answers_as_before() -> None:
    config = TrainingConfig(preset="small")
    image = volumes(1, 1, 32, 24, 40)
    placed = to_device(build_network(config).eval(), choose_device(Device.CPU))
    assert any(type(layer) is WinogradConv3d for layer in placed.modules())
    with torch.inference_mode():
        probability = placed(image).sigmoid()
        expected = build_network(config).eval().double()(image.double()).sigmoid()
    torch.testing.assert_close(probability.double(), expected, atol=1e-5, rtol=0)
