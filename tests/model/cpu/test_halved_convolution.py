from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile

from napari_unet3d.model.cpu.convolutions import HalvedConv3d
from napari_unet3d.model.cpu.optimize import swap_layers


def convolution(n_in: int = 3, n_out: int = 4, **settings_: object) -> torch.nn.Conv3d:
    torch.manual_seed(0)
    layer = torch.nn.Conv3d(n_in, n_out, **{"kernel_size": 3, "padding": 1, **settings_})
    swap_layers(torch.nn.Sequential(layer), HalvedConv3d)
    assert type(layer) is HalvedConv3d
    return layer


def volumes(*shape: int) -> torch.Tensor:
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return noise.contiguous(memory_format=torch.channels_last_3d).requires_grad_()


@settings(max_examples=60)
@given(
    sides=st.tuples(st.integers(12, 17), st.integers(11, 13), st.integers(11, 13)),  # smaller ones stay whole
    kernel_size=st.sampled_from([1, 2, 3, (5, 3, 1)]),
    stride=st.sampled_from([1, 2, 3, (1, 2, 2)]),
    padding=st.integers(0, 3),
    dilation=st.sampled_from([1, (2, 1, 1)]),
    bias=st.booleans(),
)
def test_values_and_gradients_of_a_single_volume_are_those_of_torch(
    sides: tuple[int, int, int], kernel_size: object, stride: object, padding: int, dilation: object, bias: bool
) -> None:
    layer = convolution(kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, bias=bias).double()
    volume = volumes(1, 3, *sides).detach().double().requires_grad_()
    plain = torch.nn.functional.conv3d(
        volume, layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups
    )
    weights = torch.rand(plain.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    inputs = [volume, *layer.parameters()]

    answer = layer(volume)

    torch.testing.assert_close(answer, plain)
    gradients = torch.autograd.grad((answer * weights).sum(), inputs)
    torch.testing.assert_close(gradients, torch.autograd.grad((plain * weights).sum(), inputs))


@pytest.mark.parametrize("options", [{"padding": "same"}, {"padding_mode": "reflect"}, {"groups": 3, "n_out": 6}])
def test_unusual_layers_compute_what_torch_computes(options: dict[str, object]) -> None:
    layer, same = convolution(**options), convolution(**options)
    same.__class__ = torch.nn.Conv3d
    volume = volumes(1, 3, 11, 12, 13)
    torch.testing.assert_close(layer(volume), same(volume))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN here")
@pytest.mark.parametrize(("n_channels", "side"), [(1, 64), (1, 16), (8, 32), (64, 8)])
def test_one_dnn_computes_small_single_volumes_forward_and_backward(n_channels: int, side: int) -> None:
    layer, volume = convolution(n_channels, n_channels), volumes(1, n_channels, side, side, side)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        layer(volume).sum().backward()
    names = {event.name for event in profiled.events()}
    assert "aten::mkldnn_convolution" in names
    assert "aten::slow_conv3d_forward" not in names


def test_the_answer_is_channels_last() -> None:
    assert convolution()(volumes(1, 3, 11, 12, 13)).is_contiguous(memory_format=torch.channels_last_3d)
