"""The network: MONAI's residual 3D U-Net in the sizes of the tutorial, and what it costs before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
import torchinfo
from monai.networks.nets.unet import UNet

from napari_unet3d.configs import Optimizer, TrainingConfig
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.errors import UserError
from napari_unet3d.model.cpu.optimize import optimize_for_cpu
from napari_unet3d.model.devices import ComputeDevice
from napari_unet3d.model.plan import Plan, default_plan

_GIB = 2**30
# How many numbers an optimiser keeps for each weight.
_OPTIMIZER_MOMENTS = {Optimizer.ADAM: 2, Optimizer.ADAMW: 2, Optimizer.RMSPROP: 1, Optimizer.SGD: 0}


def build_unet(config: TrainingConfig, plan: Plan | None = None, device: str = "cpu") -> UNet:
    """Build the network of a configuration, with initial weights that depend on `config.seed` alone.

    One channel in, two residual units per level. The names of the weights are those of
    `monai.networks.nets.UNet`, so that weights saved by other users of it can be read.

    Parameters
    ----------
    config : TrainingConfig
        Preset, kernel sizes, activation, dropout, bias, order of layers and seed.
    plan : Plan, optional
        Strides and number of outputs; without it every level halves all axes and there is one logit.
    device : str
        Where the weights are made; ``"meta"`` gives a network without memory, for counting.

    Raises
    ------
    UserError
        If a kernel size is even, or dropout is asked for but left out of the order of layers.
    """
    _check_network(config)
    plan = plan or default_plan(config)
    # The default generator is seeded by hand: torch.manual_seed would also reseed every GPU of the process.
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.default_generator.manual_seed(config.seed)
        return UNet(
            spatial_dims=3,
            in_channels=1,
            out_channels=plan.out_channels,
            channels=config.preset.channels,
            strides=plan.strides,  # type: ignore[arg-type]  # MONAI also takes a triple per level
            num_res_units=2,
            kernel_size=config.kernel_size,
            up_kernel_size=config.up_kernel_size,
            act=config.activation.monai_name,
            dropout=config.dropout,
            bias=config.bias,
            adn_ordering=config.adn_order,
        )


def init_output_bias(network: UNet, fractions: Sequence[float], *, is_softmax: bool) -> None:
    """Let an untrained network answer with how frequent each output is, instead of with one half.

    Without it, a large part of a short training goes into the biases that say how rare foreground is
    (Lin et al. 2017, "Focal loss for dense object detection", section 4.1).

    Parameters
    ----------
    network : UNet
        What `build_unet` gave; the bias of its last convolution is set, if it has one.
    fractions : sequence of float
        Part of the training voxels that each output stands for; each is taken to be from 0.01 to 0.99.
    is_softmax : bool
        Whether the outputs are classes that exclude each other.
    """
    last = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv3d)][-1]
    if last.bias is None:
        return
    parts = torch.tensor(fractions, dtype=torch.float64).clamp(0.01, 0.99)
    with torch.no_grad():
        last.bias.copy_(parts.log() if is_softmax else parts.logit())


def to_device(network: UNet, hardware: ComputeDevice) -> UNet:
    """Move a network to its device, in the layout that is fastest there; it computes the same.

    Parameters
    ----------
    network : UNet
        What `build_unet` gave; it is changed.
    hardware : Hardware
        Where to. On the CPU weights and volumes lie channels last and take the ways of `optimize_for_cpu`.
    """
    network.to(hardware.device)
    if hardware.device.type == "cpu":
        # Not weight by weight: contiguous() leaves the strides of single channels, and layers would flip layouts.
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        optimize_for_cpu(network)
    return network


def _check_network(config: TrainingConfig) -> None:
    for name, size in (("kernel size", config.kernel_size), ("up-kernel size", config.up_kernel_size)):
        if size % 2 == 0:
            raise UserError(
                f"The {name} is {size}, which is even and would shift the result by half a voxel; "
                f"choose {size - 1} or {size + 1}."
            )
    if config.dropout > 0 and "D" not in config.adn_order:
        raise UserError(
            f"Dropout is {config.dropout:g}, but the order '{config.adn_order}' has no D in it; "
            "add D to the order or set dropout to 0."
        )


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """What a network is made of and what training it costs.

    Attributes
    ----------
    text : str
        Table of layers, shapes and parameters, then the totals; for the dock and the command.
    shape_zyx : tuple of int
        Size of the volume that the table holds for, in voxels.
    n_parameters : int
        Number of trained numbers.
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
        The network, and the optimiser that memory depends on.
    shape_zyx : tuple of int, optional
        Size of a patch or volume in voxels, rounded up to what the network can halve; that of the plan's patches, or
        128 × 128 × 128, without it.
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
    network = build_unet(config, plan, device="meta")
    shape_zyx = shape_zyx or plan.patch_zyx or (128, 128, 128)
    z, y, x = (_round_up(side, stride) for side, stride in zip(shape_zyx, plan.total_stride, strict=True))
    input_shape = (plan.batch_size, 1, z, y, x)
    layers = torchinfo.summary(
        network, input_size=input_shape, device="meta", depth=100, verbose=0, col_names=("output_size", "num_params")
    )
    n_parameters = sum(weights.numel() for weights in network.parameters())
    memory = training_memory(config, plan, (z, y, x))
    table = str(layers).split("Total params")[0].rstrip("=\n")
    text = (
        f"{table}\n\nU-Net {config.preset} ({', '.join(map(str, config.preset.channels))} channels): "
        f"{n_parameters:,} parameters\n"
        f"One training step of {plan.batch_size} × {z} × {y} × {x} voxels: about {memory / _GIB:.2f} GiB in fp32"
    )
    return ModelSummary(text, (z, y, x), n_parameters, memory)


def operations_per_voxel(config: TrainingConfig, plan: Plan) -> float:
    """Count the operations of the network's convolutions for each voxel of its input, forward.

    Parameters
    ----------
    config : TrainingConfig
        The network.
    plan : Plan
        Strides and outputs.
    """
    network = build_unet(config, plan, device="meta")
    z, y, x = (2 * stride for stride in plan.total_stride)
    n_operations = 0

    def count(layer: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal n_operations
        if isinstance(layer, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
            # An up-convolution applies its weights at every voxel that goes in, others at every one that comes out.
            places = inputs[0] if isinstance(layer, torch.nn.ConvTranspose3d) else output
            n_operations += 2 * layer.weight.numel() * prod(places.shape[2:])

    for layer in network.modules():
        layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.empty(1, 1, z, y, x, device="meta"))
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
    network = build_unet(config, plan, device="meta")
    n_parameters = sum(weights.numel() for weights in network.parameters())
    per_weight = 4 * (2 + _OPTIMIZER_MOMENTS[config.optimizer])
    return n_parameters * per_weight + _activation_bytes(network, (plan.batch_size, 1, *shape_zyx))


def _round_up(side: int, total_stride: int) -> int:
    # At least two voxels must be left at the bottom: instance norm of a single one is undefined.
    return max(2, -(-side // total_stride)) * total_stride


def _activation_bytes(network: UNet, input_shape: tuple[int, ...]) -> int:
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
