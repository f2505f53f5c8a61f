"""What every architecture must do, and what is particular to DynUNet."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from monai.networks.nets.dynunet import DynUNet
from torch.utils.flop_counter import FlopCounterMode

from napari_unet3d.configs import ArchitectureName, Device, Optimizer, Preset, Task, TrainingConfig
from napari_unet3d.errors import UserError
from napari_unet3d.model.architectures import get_architecture
from napari_unet3d.model.cpu.convolutions import HalvedConv3d
from napari_unet3d.model.cpu.winograd import WinogradConv3d
from napari_unet3d.model.devices import choose_device
from napari_unet3d.model.network import (
    build_network,
    default_plan,
    init_output_bias,
    operations_per_voxel,
    summarise,
    to_device,
    training_memory,
)
from napari_unet3d.model.plan import LabelClass, Plan

every_architecture = pytest.mark.parametrize("architecture", list(ArchitectureName))
VOXEL_SIZES = [(1.0, 1.0, 1.0), (2.0, 0.5, 0.5), (0.4, 1.0, 0.25)]


def plan_for(config: TrainingConfig, voxel_size_um: tuple[float, float, float] = (1.0, 1.0, 1.0), **plan: Any) -> Plan:
    return Plan(strides=get_architecture(config.architecture).strides(config, voxel_size_um), **plan)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_a_coarse_axis_is_not_downsampled_until_the_others_have_caught_up() -> None:
    large, small = TrainingConfig(preset="large"), TrainingConfig(preset="small")
    assert plan_for(large, (2.0, 0.5, 0.5)).strides == ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2))
    assert plan_for(small, (1.0, 1.0, 0.5)).strides == ((1, 1, 2), (2, 2, 2))
    assert plan_for(small, (0.284, 0.15, 0.15)).strides == ((2, 2, 2), (2, 2, 2))


class TestEveryArchitecture:
    @every_architecture
    @pytest.mark.parametrize("preset", [Preset.XXSMALL, Preset.SMALL])
    @pytest.mark.parametrize("voxel_size_um", VOXEL_SIZES)
    def test_logits_have_the_shape_of_the_image(self, architecture, preset, voxel_size_um) -> None:
        config = TrainingConfig(architecture=architecture, preset=preset)
        plan = plan_for(config, voxel_size_um)
        z, y, x = (3 * stride for stride in plan.total_stride)

        with torch.no_grad():
            logits = build_network(config, plan).eval()(torch.zeros(1, 1, z, y, x))

        assert logits.shape == (1, 1, z, y, x)

    @every_architecture
    def test_weights_come_from_the_seed_and_leave_global_random_numbers_alone(self, architecture) -> None:
        before = torch.get_rng_state()

        first, again, other = (
            build_network(TrainingConfig(architecture=architecture, seed=seed)).state_dict() for seed in (3, 3, 4)
        )

        assert torch.equal(torch.get_rng_state(), before)
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert any(not torch.equal(first[name], other[name]) for name in first)

    @every_architecture
    def test_each_weight_is_in_the_state_once(self, architecture) -> None:
        network = build_network(TrainingConfig(architecture=architecture, preset="small"))
        state = network.state_dict()
        assert len({tensor.data_ptr() for tensor in state.values()}) == len(state) == len(list(network.parameters()))

    @every_architecture
    def test_only_the_output_head_depends_on_the_number_of_outputs(self, architecture) -> None:
        config = TrainingConfig(architecture=architecture, preset="medium")
        classes = tuple(LabelClass(value=n, name=str(n)) for n in (1, 2, 3))
        one, four = (
            {name: tensor.shape for name, tensor in build_network(config, plan, device="meta").state_dict().items()}
            for plan in (plan_for(config), plan_for(config, task=Task.SEMANTIC, classes=classes))
        )
        changed = {name for name in one if one[name] != four[name]}
        assert one.keys() == four.keys()
        assert changed
        assert all(name.startswith(get_architecture(architecture).output_head) for name in changed)

    @every_architecture
    def test_operations_are_those_that_torch_counts(self, architecture) -> None:
        config = TrainingConfig(architecture=architecture, preset="medium")
        plan = plan_for(config, (2.0, 0.5, 0.5))
        z, y, x = (4 * stride for stride in plan.total_stride)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            build_network(config, plan, device="meta")(torch.empty(1, 1, z, y, x, device="meta"))
        assert operations_per_voxel(config, plan) == counter.get_total_flops() / (z * y * x)

    @every_architecture
    def test_memory_is_what_autograd_keeps_and_weights(self, architecture) -> None:
        config = TrainingConfig(architecture=architecture, optimizer=Optimizer.SGD)
        plan, kept = default_plan(config), {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        network = build_network(config)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = network(torch.zeros(1, 1, 16, 24, 32))  # held, so that no storage is freed and counted twice
        for weights in network.parameters():
            kept.pop(weights.untyped_storage().data_ptr(), None)

        assert output is not None
        n_parameters = sum(weights.numel() for weights in network.parameters())
        expected = sum(kept.values()) + 2 * 4 * n_parameters
        assert training_memory(config, plan, (16, 24, 32)) == pytest.approx(expected, rel=0.1)

    @every_architecture
    @pytest.mark.parametrize("shape", [(1, 1, 32, 16, 24), (2, 1, 16, 8, 12)])
    def test_the_fast_layers_of_the_cpu_train_the_same(self, architecture, shape) -> None:
        config = TrainingConfig(architecture=architecture, preset="xsmall", device="cpu")
        plain, fast = build_network(config), to_device(build_network(config), choose_device(config.device))

        for network in (plain.double(), fast.double()):  # in single precision, activations near 0 would differ
            outputs = network(noise(*shape).double())
            logits = outputs if isinstance(outputs, tuple) else (outputs,)
            torch.stack([each.square().mean() for each in logits]).sum().backward()

        assert any(isinstance(layer, HalvedConv3d) for layer in fast.modules())
        assert list(fast.state_dict()) == list(plain.state_dict())
        for one, other in zip(fast.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad)

    @every_architecture
    def test_the_fast_layers_of_the_cpu_predict_the_same(self, architecture) -> None:
        config = TrainingConfig(architecture=architecture, preset="small")
        fast = to_device(build_network(config).eval(), choose_device(Device.CPU))
        assert any(isinstance(layer, WinogradConv3d) for layer in fast.modules())
        with torch.inference_mode():
            probability = fast(noise(1, 1, 32, 24, 40)).sigmoid()
            expected = build_network(config).eval().double()(noise(1, 1, 32, 24, 40).double()).sigmoid()
        torch.testing.assert_close(probability.double(), expected, atol=1e-5, rtol=0)

    @every_architecture
    def test_the_output_bias_is_the_frequency_of_foreground(self, architecture) -> None:
        config = TrainingConfig(architecture=architecture, preset="large")
        network = build_network(config)
        init_output_bias(network, config, [0.2], is_softmax=False)
        biases = get_architecture(architecture).output_biases(network)
        assert [bias.item() for bias in biases] == [pytest.approx(math.log(0.2 / 0.8))] * len(biases)
        network.train()
        side = 2 * default_plan(config).total_stride[0]
        outputs = network(torch.zeros(1, 1, side, side, side))
        assert len(biases) == (len(outputs) if isinstance(outputs, tuple) else 1)

    @every_architecture
    @pytest.mark.parametrize("size", [2, 4])
    def test_even_kernels_are_refused_with_their_neighbours(self, architecture, size) -> None:
        with pytest.raises(UserError, match=f"is {size}, .*{size - 1} or {size + 1}"):
            build_network(TrainingConfig(architecture=architecture, kernel_size=size))

    @every_architecture
    def test_the_summary_names_the_architecture(self, architecture) -> None:
        config = TrainingConfig(architecture=architecture, preset="small")
        assert f"{architecture.label} small (32, 64, 128 channels)" in summarise(config).text


class TestDynUNet:
    config = TrainingConfig(architecture="dynunet", preset="medium")

    def test_weights_have_the_names_of_monai(self) -> None:
        ours = build_network(self.config, device="meta")
        with torch.device("meta"):
            monai = DynUNet(
                3, 1, 1, [3] * 3, [1, 2, 2], [2, 2], filters=(64, 128, 256), deep_supervision=True, deep_supr_num=1
            )
        shapes = {name: tensor.shape for name, tensor in monai.state_dict().items()}
        expected = {name: shape for name, shape in shapes.items() if not name.startswith("skip_layers")}
        assert {name: tensor.shape for name, tensor in ours.state_dict().items()} == expected

    def test_kernels_are_flat_where_an_axis_is_not_downsampled(self) -> None:
        network = build_network(self.config, plan_for(self.config, (4.0, 1.0, 1.0)), device="meta")
        assert network.strides == [(1, 1, 1), (1, 2, 2), (1, 2, 2)]
        assert network.kernel_size == [(1, 3, 3), (1, 3, 3), (3, 3, 3)]
        assert network.input_block.conv1.conv.kernel_size == (1, 3, 3)
        assert network.bottleneck.conv1.conv.kernel_size == (3, 3, 3)
        assert network.upsamples[0].transp_conv.conv.stride == (1, 2, 2)

    @pytest.mark.parametrize(
        ("preset", "channels", "n_supervised"),
        [
            ("xxsmall", (4, 8, 16), 2),
            ("xsmall", (16, 32, 64), 2),
            ("small", (32, 64, 128), 2),
            ("large", (64, 128, 256, 320, 320), 3),
            ("xlarge", (64, 128, 256, 320, 320, 320), 4),
        ],
    )
    def test_presets_give_channels_and_the_two_coarsest_levels_are_not_supervised(
        self, preset: str, channels: tuple[int, ...], n_supervised: int
    ) -> None:
        config = TrainingConfig(architecture="dynunet", preset=preset)
        assert get_architecture(config.architecture).channels(config.preset) == channels
        side = 2 * default_plan(config).total_stride[0]
        network = build_network(config, device="meta")
        outputs = network(torch.empty(1, 1, side, side, side, device="meta"))
        assert [output.shape[2:] for output in outputs] == [(side // 2**n,) * 3 for n in range(n_supervised)]
        assert network.eval()(torch.empty(1, 1, side, side, side, device="meta")).shape[2:] == (side,) * 3

    def test_nothing_of_a_step_is_kept(self) -> None:
        network = build_network(self.config)
        network(noise(1, 1, 8, 8, 8))
        assert sum(tensor.numel() for tensor in network.heads) == 0

    def test_dropout_is_between_layers_and_not_on_logits(self) -> None:
        config = TrainingConfig(architecture="dynunet", dropout=0.5)
        network = build_network(config)
        rates = {name: layer.p for name, layer in network.named_modules() if isinstance(layer, torch.nn.Dropout)}
        head = get_architecture(config.architecture).output_head
        assert {rate for name, rate in rates.items() if not name.startswith(head)} == {0.5}
        assert {rate for name, rate in rates.items() if name.startswith(head)} == {0.0}

    @pytest.mark.parametrize(
        "values", [{"activation": "relu"}, {"bias": False}, {"adn_order": "NA"}, {"up_kernel_size": 5}]
    )
    def test_settings_of_the_unet_are_refused(self, values: dict[str, Any]) -> None:
        [name] = values
        with pytest.raises(UserError, match=f"'{name}' does not apply to the architecture dynunet; leave it out"):
            TrainingConfig(architecture="dynunet", **values)
        assert not TrainingConfig.is_relevant(name, {"architecture": ArchitectureName.DYNUNET})
        assert TrainingConfig.is_relevant(name, {"architecture": ArchitectureName.UNET})
