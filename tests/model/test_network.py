from __future__ import annotations

import math

import pytest
import torch
from monai.networks.nets import UNet
from torch.utils.flop_counter import FlopCounterMode

from napari_unet3d.configs import Activation, Optimizer, Preset, TrainingConfig
from napari_unet3d.errors import UserError
from napari_unet3d.model.architectures import get_architecture
from napari_unet3d.model.cpu.convolutions import HalvedConv3d
from napari_unet3d.model.devices import choose_device
from napari_unet3d.model.network import (
    build_network,
    init_output_bias,
    operations_per_voxel,
    summarise,
    to_device,
)
from napari_unet3d.model.plan import Plan


@pytest.mark.parametrize(
    ("preset", "n_parameters"),
    [
        (Preset.XXSMALL, 3_666),
        (Preset.XSMALL, 51_234),
        (Preset.SMALL, 1_118_342),
        (Preset.MEDIUM, 4_464_870),
        (Preset.LARGE, 76_846_574),
    ],
)
def test_presets_have_the_published_number_of_parameters(preset: Preset, n_parameters: int) -> None:
    assert summarise(TrainingConfig(preset=preset)).n_parameters == n_parameters


@pytest.mark.parametrize("preset", list(Preset))
def test_weights_have_the_names_and_shapes_of_a_plain_monai_unet(preset: Preset) -> None:
    with torch.device("meta"):
        plain = UNet(3, 1, 1, preset.channels, (2,) * (len(preset.channels) - 1), num_res_units=2)

    ours = build_network(TrainingConfig(preset=preset), device="meta")

    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in plain.state_dict().items()}


def test_custom_options_shape_the_network() -> None:
    config = TrainingConfig(
        dropout=0.25, kernel_size=5, up_kernel_size=7, activation=Activation.LEAKY_RELU, bias=False, adn_order="and"
    )

    layers = list(build_network(config).modules())

    convolutions = [layer for layer in layers if type(layer) is torch.nn.Conv3d]
    assert {layer.kernel_size for layer in convolutions} == {(5, 5, 5), (1, 1, 1)}  # 1 where channels are joined
    assert [layer.kernel_size for layer in layers if isinstance(layer, torch.nn.ConvTranspose3d)] == [(7, 7, 7)]
    # MONAI gives the residual convolutions a bias of their own.
    assert any(layer.bias is None for layer in convolutions)
    assert {layer.p for layer in layers if isinstance(layer, torch.nn.Dropout)} == {0.25}
    order = next(layer for layer in layers if type(layer).__name__ == "ADN")
    assert list(dict(order.named_children())) == ["A", "N", "D"]
    assert isinstance(order.A, torch.nn.LeakyReLU)


@pytest.mark.parametrize("activation", list(Activation))
def test_every_activation_gives_a_volume_of_logits(activation: Activation) -> None:
    network = build_network(TrainingConfig(activation=activation))

    assert network(torch.zeros(1, 1, 4, 6, 8)).shape == (1, 1, 4, 6, 8)


@pytest.mark.parametrize("option", ["kernel_size", "up_kernel_size"])
def test_an_even_kernel_is_refused_with_its_neighbours(option: str) -> None:
    with pytest.raises(UserError, match=r"is 4, which is even .* 3 or 5"):
        build_network(TrainingConfig(**{option: 4}))


def test_dropout_without_its_place_in_the_order_is_refused() -> None:
    with pytest.raises(UserError, match="has no D"):
        build_network(TrainingConfig(dropout=0.1, adn_order="NA"))


def test_initial_weights_come_from_the_seed_and_leave_global_random_numbers_alone() -> None:
    before = torch.get_rng_state()

    first, again, other = (build_network(TrainingConfig(seed=seed)).state_dict() for seed in (3, 3, 4))

    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_summary_names_layers_shapes_parameters_and_memory() -> None:
    summary = summarise(TrainingConfig(), (30, 33, 40))

    assert summary.shape_zyx == (30, 34, 40)  # rounded up to what one halving allows
    assert "Conv3d" in summary.text
    assert "[1, 8, 15, 17, 20]" in summary.text
    assert "3,666 parameters" in summary.text
    assert "GiB" in summary.text


def test_memory_estimate_is_what_autograd_keeps_plus_weights() -> None:
    config = TrainingConfig(optimizer=Optimizer.SGD)
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    network = build_network(config)
    volume = torch.zeros(1, 1, 16, 24, 32)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        answer = network(volume)  # held, so that no storage is freed and counted twice
    for weights in network.parameters():
        kept.pop(weights.untyped_storage().data_ptr(), None)

    estimate = summarise(config, (16, 24, 32)).training_memory_bytes

    assert answer.shape == volume.shape
    assert estimate == pytest.approx(sum(kept.values()) + 2 * 4 * 3666, rel=0.1)


def test_memory_grows_with_the_batch() -> None:
    one, four = (summarise(TrainingConfig(batch_size=n)).training_memory_bytes for n in (1, 4))

    assert 3.5 < four / one <= 4


@pytest.mark.parametrize("shape", [(1, 1, 64, 32, 48), (2, 1, 16, 8, 12), (1, 1, 8, 10, 6)])
def test_a_placed_network_computes_what_the_plain_one_does(shape: tuple[int, ...]) -> None:
    config = TrainingConfig(device="cpu")
    plain, placed = build_network(config), to_device(build_network(config), choose_device(config.device))
    volume = torch.randn(shape, generator=torch.Generator().manual_seed(0))

    answers = [network(volume) for network in (plain, placed)]
    for answer in answers:
        answer.square().mean().backward()

    assert any(isinstance(layer, HalvedConv3d) for layer in placed.modules())
    assert list(placed.state_dict()) == list(plain.state_dict())
    torch.testing.assert_close(answers[1], answers[0], rtol=1e-4, atol=1e-5)
    for one, other in zip(placed.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-5)


def test_an_untrained_network_answers_with_the_part_that_is_foreground() -> None:
    plain, rare = build_network(TrainingConfig()), build_network(TrainingConfig())
    volume = torch.randn(1, 1, 12, 14, 16, generator=torch.Generator().manual_seed(0))

    init_output_bias(rare, TrainingConfig(), [0.2], is_softmax=False)

    moved = rare(volume) - plain(volume)
    bias = dict(plain.named_parameters())["model.2.1.conv.unit0.conv.bias"].item()
    torch.testing.assert_close(moved + bias, torch.full_like(moved, math.log(0.2 / 0.8)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_no_foreground_at_all_is_not_taken_for_certain(fraction: float) -> None:
    network = build_network(TrainingConfig())

    init_output_bias(network, TrainingConfig(), [fraction], is_softmax=False)

    assert list(network.parameters())[-1].abs().item() == pytest.approx(math.log(99), abs=1e-4)


def test_a_network_without_bias_stays_as_it_is() -> None:
    network = build_network(TrainingConfig(bias=False))
    before = {name: weights.clone() for name, weights in network.state_dict().items()}

    init_output_bias(network, TrainingConfig(), [0.1], is_softmax=False)

    assert all(torch.equal(weights, before[name]) for name, weights in network.state_dict().items())


@pytest.mark.parametrize("preset", ["xxsmall", "small", "medium"])
@pytest.mark.parametrize("voxel_size_um", [(1.0, 1.0, 1.0), (2.0, 0.5, 0.5)])
def test_operations_are_those_that_torch_counts(preset: str, voxel_size_um: tuple[float, float, float]) -> None:
    config = TrainingConfig(preset=preset)
    plan = Plan(strides=get_architecture(config.architecture).strides(config, voxel_size_um))
    z, y, x = (4 * stride for stride in plan.total_stride)

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        build_network(config, plan, device="meta")(torch.empty(1, 1, z, y, x, device="meta"))

    assert operations_per_voxel(config, plan) == counter.get_total_flops() / (z * y * x)
