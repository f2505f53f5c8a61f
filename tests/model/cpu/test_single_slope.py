from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet3d.model.cpu.norm_activation import SingleSlopePReLU
from napari_unet3d.model.cpu.optimize import swap_layers


def activation(slope: float = 0.25) -> torch.nn.PReLU:
    layer = torch.nn.PReLU(init=slope)
    swap_layers(torch.nn.Sequential(layer), SingleSlopePReLU)
    assert type(layer) is SingleSlopePReLU
    return layer


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    slope=st.sampled_from([-0.5, 0.0, 0.25, 1.0, 2.0]),
    layouts=st.tuples(*[st.sampled_from([torch.contiguous_format, torch.channels_last_3d])] * 2),
)
def test_values_and_gradients_are_those_of_torch(
    shape: tuple[int, ...], slope: float, layouts: tuple[torch.memory_format, torch.memory_format]
) -> None:
    draws = torch.Generator().manual_seed(0)
    numbers, weights = torch.randn(2, *shape, generator=draws, dtype=torch.float64)
    numbers.flatten()[::5] = 0  # where the slope is not decided
    volume = numbers.contiguous(memory_format=layouts[0]).requires_grad_()
    gradient = weights.contiguous(memory_format=layouts[1])
    plain, layer = torch.nn.PReLU(init=slope).double(), activation(slope).double()

    answers = layer(volume), plain(volume)
    ours, theirs = (
        torch.autograd.grad(answer, [volume, each.weight], gradient)
        for answer, each in zip(answers, (layer, plain), strict=True)
    )

    torch.testing.assert_close(*answers)
    torch.testing.assert_close(ours, theirs)


def test_the_layout_is_kept_both_ways() -> None:
    volume = torch.randn(2, 4, 3, 5, 6).contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    answer = activation()(volume)
    (gradient,) = torch.autograd.grad(answer, volume, torch.ones(answer.shape))
    assert answer.is_contiguous(memory_format=torch.channels_last_3d)
    assert gradient.is_contiguous(memory_format=torch.channels_last_3d)


def test_no_volume_is_kept_beside_the_input() -> None:
    volume = torch.randn(2, 4, 3, 5, 6).requires_grad_()
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda _: None):
        activation()(volume)
    assert [tensor.data_ptr() for tensor in kept if tensor.numel() > 1] == [volume.data_ptr()]


def test_a_slope_for_each_channel_is_left_as_it_is() -> None:
    layer = torch.nn.PReLU(num_parameters=4)
    swap_layers(torch.nn.Sequential(layer), SingleSlopePReLU)
    assert type(layer) is torch.nn.PReLU


def test_half_precision_loses_no_more_than_with_torch() -> None:
    layer, volume = activation(), torch.randn(2, 4, 3, 5, 6).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        answer = layer(volume.requires_grad_())
    answer.float().sum().backward()
    expected = volume.detach().clamp(max=0).float().sum()
    torch.testing.assert_close(layer.weight.grad, expected[None], rtol=1e-2, atol=0.1)
    plain = torch.nn.PReLU()
    with torch.autocast("cpu", torch.bfloat16):
        plain(volume).float().sum().backward()
    assert torch.equal(layer.weight.grad, plain.weight.grad)
