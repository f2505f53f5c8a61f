"""The network of a configuration: build it, initialise it, move it to its device, and estimate what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
import torchinfo

from napari_unet3d.configs import Optimizer, TrainingConfig
from napari_unet3d.data.channels import describe_channels
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.model.architectures import get_architecture
from napari_unet3d.model.cpu.optimize import optimize_for_cpu
from napari_unet3d.model.devices import ComputeDevice
from napari_unet3d.model.plan import Plan

_GIB = 2**30
# How many values an optimiser keeps for each weight.
_OPTIMIZER_MOMENTS = {Optimizer.ADAM: 2, Optimizer.ADAMW: 2, Optimizer.RMSPROP: 1, Optimizer.SGD: 0}


def build_network(
    config: TrainingConfig, plan: Plan | None = None, device: str = "cpu", channels: Sequence[int] | None = None
) -> torch.nn.Module:
    """Build the network of a configuration, with initial weights that depend on `config.seed` alone.

    Parameters
    ----------
    config : TrainingConfig
        Architecture, preset and network settings, and the seed.
    plan : Plan, optional
        Strides and number of outputs; that of `default_plan` without it.
    device : str
        Where weights are created; ``"meta"`` gives a network without memory, to count with.
    channels : sequence of int, optional
        Feature channels of each level instead of those of the preset.

    Raises
    ------
    UserError
        If the architecture cannot use the settings.
    """
    architecture = get_architecture(config.architecture)
    architecture.check(config)
    # The default generator is seeded by hand: torch.manual_seed would also reseed every GPU of the process.
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.default_generator.manual_seed(config.seed)
        return architecture.build(
            config, plan or default_plan(config), channels or architecture.channels(config.preset)
        )


def default_plan(config: TrainingConfig) -> Plan:
    """Return the plan of a network that halves all axes at every level, has one output and works on whole volumes."""
    n_strides = len(get_architecture(config.architecture).channels(config.preset)) - 1
    return Plan(
        strides=((2, 2, 2),) * n_strides, batch_size=max(1, config.batch_size), ignore_label=config.ignore_label
    )


def weight_shapes(config: TrainingConfig, plan: Plan) -> dict[str, tuple[int, ...]] | None:
    """Return names and shapes of the weights of a network without allocating it; None if the plan is not one for it."""
    if len(plan.strides) != len(default_plan(config).strides) or plan.task is not config.task:
        return None
    network = build_network(config, plan, device="meta")
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def init_output_bias(
    network: torch.nn.Module, config: TrainingConfig, fractions: Sequence[float], *, is_softmax: bool
) -> None:
    """Set the output biases so that an untrained network predicts the frequency of each output instead of one half.

    Without it, a large part of a short training is spent on learning from the biases how rare foreground is
    (Lin et al. 2017, "Focal loss for dense object detection", section 4.1).

    Parameters
    ----------
    network : Module
        A network that `build_network` returned; without output biases it stays as it is.
    config : TrainingConfig
        Its architecture.
    fractions : sequence of float
        Fraction of the training voxels that each output stands for; each is clamped to 0.01 to 0.99.
    is_softmax : bool
        Whether the outputs are classes that exclude each other.
    """
    clamped = torch.tensor(fractions, dtype=torch.float64).clamp(0.01, 0.99)
    with torch.no_grad():
        for bias in get_architecture(config.architecture).output_biases(network):
            bias.copy_(clamped.log() if is_softmax else clamped.logit())


def to_device(network: torch.nn.Module, hardware: ComputeDevice) -> torch.nn.Module:
    """Move a network to its device, in the memory layout that is fastest there; it computes the same.

    Parameters
    ----------
    network : Module
        A network that `build_network` returned; it is changed.
    hardware : ComputeDevice
        The device. On the CPU, the layout is channels last, and layers are replaced by those of `optimize_for_cpu`.
    """
    network.to(hardware.device)
    if hardware.device.type == "cpu":
        # Not weight by weight: contiguous() leaves the strides of single channels, and layers would flip layouts.
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        optimize_for_cpu(network)
    return network


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """The layers of a network and what training it costs.

    Attributes
    ----------
    text : str
        Table of layers, shapes and parameters, then the totals; for the dock and the command.
    shape_zyx : tuple of int
        Size in voxels of the volume that the table is for.
    n_parameters : int
        Number of trainable parameters.
    training_memory_bytes : int
        Estimate of the memory that one training step needs in fp32.
    """

    text: str
    shape_zyx: Shape3D
    n_parameters: int
    training_memory_bytes: int


def summarise(config: TrainingConfig, shape_zyx: Shape3D | None = None, plan: Plan | None = None) -> ModelSummary:
    """Describe the network of a configuration without allocating it.

    Parameters
    ----------
    config : TrainingConfig
        Network and optimiser.
    shape_zyx : tuple of int, optional
        Size of a patch or volume in voxels, rounded up to multiples of the total stride; that of the plan's patches,
        or 128 × 128 × 128, without it.
    plan : Plan, optional
        Strides, outputs and batch size; those of `default_plan` without it.

    Returns
    -------
    ModelSummary
        Layers, shapes, parameters and an estimate of memory.

    Raises
    ------
    UserError
        If the network cannot be built.
    """
    plan = plan or default_plan(config)
    network = build_network(config, plan, device="meta")
    shape_zyx = shape_zyx or plan.patch_zyx or (128, 128, 128)
    z, y, x = (_round_up(side, stride) for side, stride in zip(shape_zyx, plan.total_stride, strict=True))
    input_shape = (plan.batch_size, plan.in_channels, z, y, x)
    layers = torchinfo.summary(
        network, input_size=input_shape, device="meta", depth=100, verbose=0, col_names=("output_size", "num_params")
    )
    n_parameters = sum(weights.numel() for weights in network.parameters())
    channels = get_architecture(config.architecture).channels(config.preset)
    memory = training_memory(config, plan, (z, y, x))
    table = str(layers).split("Total params")[0].rstrip("=\n")
    text = (
        f"{table}\n\n{config.architecture.label} {config.preset} ({', '.join(map(str, channels))} channels): "
        f"{n_parameters:,} parameters\n{_describe_inputs(plan)}"
        f"One training step of {plan.batch_size} × {z} × {y} × {x} voxels: about {memory / _GIB:.2f} GiB in fp32"
    )
    return ModelSummary(text, (z, y, x), n_parameters, memory)


def _describe_inputs(plan: Plan) -> str:
    return f"Input: {describe_channels(plan.channels)}\n" if plan.channels else ""


def operations_per_voxel(config: TrainingConfig, plan: Plan) -> float:
    """Count the operations of the convolutions in a forward pass for each voxel of the image.

    Parameters
    ----------
    config : TrainingConfig
        The network.
    plan : Plan
        Strides and outputs.
    """
    network = build_network(config, plan, device="meta")
    z, y, x = (2 * stride for stride in plan.total_stride)
    n_operations = 0

    def count(layer: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal n_operations
        if isinstance(layer, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
            # An up-convolution applies its weights at every input voxel, a convolution at every output voxel.
            grid = inputs[0] if isinstance(layer, torch.nn.ConvTranspose3d) else output
            n_operations += 2 * layer.weight.numel() * prod(grid.shape[2:])

    for layer in network.modules():
        layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.empty(1, plan.in_channels, z, y, x, device="meta"))
    return n_operations / (z * y * x)


def training_memory(config: TrainingConfig, plan: Plan, shape_zyx: Shape3D) -> int:
    """Estimate the memory in bytes that one training step needs in fp32, without allocating it.

    Parameters
    ----------
    config : TrainingConfig
        Network and optimiser.
    plan : Plan
        Strides, outputs and batch size.
    shape_zyx : tuple of int
        Size of a patch or volume, multiples of the total stride.
    """
    network = build_network(config, plan, device="meta")
    n_parameters = sum(weights.numel() for weights in network.parameters())
    per_weight = 4 * (2 + _OPTIMIZER_MOMENTS[config.optimizer])
    return n_parameters * per_weight + _activation_bytes(network, (plan.batch_size, plan.in_channels, *shape_zyx))


def _round_up(side: int, total_stride: int) -> int:
    # At least two voxels must be left on the coarsest level: instance norm of a single one is undefined.
    return max(2, -(-side // total_stride)) * total_stride


def _activation_bytes(network: torch.nn.Module, input_shape: tuple[int, ...]) -> int:
    """Sum the tensors that a forward pass keeps for the backward pass, each storage once."""
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    weights = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    network.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.enable_grad():
        network(torch.empty(input_shape, device="meta"))
    return sum(storage.nbytes() for identity, storage in kept.items() if identity not in weights)
