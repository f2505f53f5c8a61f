from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet3d.model.cpu.norm_activation import ChannelsLastInstanceNorm3d
from napari_unet3d.model.cpu.optimize import swap_layers


def plain_norm(n_channels: int, *, affine: bool) -> torch.nn.InstanceNorm3d:
    layer = torch.nn.InstanceNorm3d(n_channels, affine=affine).double()
    for weights in layer.parameters():
        torch.nn.init.uniform_(weights, 0.5, 1.5, generator=torch.Generator().manual_seed(2))
    return layer


def norm(n_channels: int = 16, *, affine: bool = False) -> torch.nn.Module:
    layer = plain_norm(n_channels, affine=affine)
    swap_layers(torch.nn.Sequential(layer), ChannelsLastInstanceNorm3d)
    assert type(layer) is ChannelsLastInstanceNorm3d
    return layer


def volumes(*shape: int, mean: float = 3.0) -> torch.Tensor:
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (noise * torch.arange(1, shape[1] + 1)[:, None, None, None] + mean).contiguous(
        memory_format=torch.channels_last_3d
    )


@settings(max_examples=30)
@given(
    n_volumes=st.integers(1, 3),
    n_channels=st.sampled_from([1, 5, 15, 16, 17, 32]),
    sides=st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(2, 7)),
    affine=st.booleans(),
)
def test_values_and_gradients_are_those_of_torch(
    n_volumes: int, n_channels: int, sides: tuple[int, int, int], affine: bool
) -> None:
    given_volumes = volumes(n_volumes, n_channels, *sides).requires_grad_()
    again = given_volumes.detach().clone().requires_grad_()
    weights = torch.rand(given_volumes.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    fast, plain = norm(n_channels, affine=affine), plain_norm(n_channels, affine=affine)
    result, expected = fast(given_volumes), plain(again)
    (result * weights).sum().backward()
    (expected * weights).sum().backward()

    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(given_volumes.grad, again.grad)
    for ours, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("n_volumes", [1, 2])
def test_many_channels_stay_last(n_volumes: int) -> None:
    result = norm()(volumes(n_volumes, 16, 3, 4, 5))
    assert result.is_contiguous(memory_format=torch.channels_last_3d)


def test_a_large_mean_costs_no_digits() -> None:
    given_volumes = volumes(2, 16, 5, 6, 7, mean=1000.0)
    expected = torch.nn.InstanceNorm3d(16)(given_volumes)
    torch.testing.assert_close(norm()(given_volumes.float()).double(), expected, atol=1e-3, rtol=0)


def test_norms_with_running_statistics_stay_as_they_are() -> None:
    layer = torch.nn.InstanceNorm3d(16, track_running_stats=True)
    swap_layers(torch.nn.Sequential(layer), ChannelsLastInstanceNorm3d)
    assert type(layer) is torch.nn.InstanceNorm3d
