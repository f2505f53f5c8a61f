"""What the program needs to know of a network in order to train it and to predict with it."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from napari_unet3d.configs import Preset, TrainingConfig
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.model.plan import Plan


@dataclass(frozen=True, slots=True)
class LibraryClass:
    """A network of a library.

    Attributes
    ----------
    module, name : str
        The module that it is imported from, and its name there.
    arguments : dict
        Its keyword arguments, of types that JSON has.
    """

    module: str
    name: str
    arguments: dict[str, Any]

    def __post_init__(self) -> None:
        # Lists, as in JSON and YAML, instead of tuples.
        object.__setattr__(self, "arguments", json.loads(json.dumps(self.arguments)))


class Architecture(Protocol):
    """A kind of network. Summary, memory, receptive field, fine-tuning and model files work through these members.

    The network that `build` returns takes images (n, channel, z, y, x). In evaluation mode it returns logits
    (n, output, z, y, x) of the same size. In training mode it may return a tuple instead for deep supervision: these
    logits, and after them logits of lower resolution, whose sides divide those of the image. All weights and buffers
    are float32, so that batch norm cannot be used; with the small batches of 3D training, instance norm is better.

    Attributes
    ----------
    output_head : tuple of str
        Prefixes of the names of the weights that depend on the number of outputs. Fine-tuning initialises them anew
        when it is another one.
    """

    output_head: tuple[str, ...]

    @abstractmethod
    def build(self, config: TrainingConfig, plan: Plan, channels: Sequence[int]) -> torch.nn.Module:
        """Build the network.

        Parameters
        ----------
        config : TrainingConfig
            Network settings, such as the kernel size and dropout.
        plan : Plan
            Strides, which alone decide by how much each axis is downsampled at each level, and numbers of input and
            output channels.
        channels : sequence of int
            Feature channels of each level. These are not always those of `channels`: the receptive field is measured
            with a single channel everywhere.
        """

    @abstractmethod
    def output_biases(self, network: torch.nn.Module) -> list[torch.Tensor]:
        """Return the biases, of shape (output,), that are added to the logits; those of deep supervision, too."""

    def check(self, config: TrainingConfig) -> None:
        """Raise a `UserError` when network settings cannot be used; all can by default."""

    def library_class(self, config: TrainingConfig, plan: Plan) -> LibraryClass | None:
        """Return the class of a library that computes the logits alone, by its name; None if there is none."""
        return None

    def for_inference(self, network: torch.nn.Module) -> torch.nn.Module:
        """Return a network that computes the logits alone, for other programs; it may share its weights."""
        return network

    def channels(self, preset: Preset) -> tuple[int, ...]:
        """Return the number of feature channels of each level, from the finest to the coarsest."""
        return preset.channels

    def strides(self, config: TrainingConfig, voxel_size_um: VoxelSize) -> tuple[Shape3D, ...]:
        """Choose the stride between each level and the next so that features become about as long as they are wide.

        An axis whose voxels are at least twice as long as the shortest ones is not downsampled until the others have
        caught up (Isensee et al. 2021, nnU-Net, supplementary note 2).

        Parameters
        ----------
        config : TrainingConfig
            The preset, which has one level more than there are strides.
        voxel_size_um : tuple of float
            Voxel size along z, y, x in µm that the network works at.

        Returns
        -------
        tuple of tuple of int
            From the finest level to the coarsest, each 1 or 2 along z, y, x.
        """
        sizes, strides = list(voxel_size_um), []
        for _ in self.channels(config.preset)[1:]:
            shortest = min(sizes)
            z, y, x = (1 if size >= 2 * shortest * (1 - 1e-3) else 2 for size in sizes)
            sizes = [size * stride for size, stride in zip(sizes, (z, y, x), strict=True)]
            strides.append((z, y, x))
        return tuple(strides)
