"""What the fast ways share: how layers take them, and how volumes lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def let_take(
    network: torch.nn.Module, way: type[torch.nn.Module], gains: Callable[[Any], bool] = lambda _: True
) -> None:
    """Let layers of a network take a fast way; weights and their names stay.

    Parameters
    ----------
    network : Module
        It is changed.
    way : type
        A class of layers that adds no state to its base, so that a layer of the base becomes one of it without being
        made anew. Layers of other classes, also of those that derive from the base, stay as they are.
    gains : callable
        Whether a layer of the base gains by it.
    """
    for layer in network.modules():
        if type(layer) is way.__base__ and gains(layer):
            layer.__class__ = way


def lies_channels_last(volumes: torch.Tensor) -> bool:
    """Return whether volumes (n, channel, z, y, x) lie on the CPU with the channels of each voxel side by side."""
    is_batch = volumes.device.type == "cpu" and volumes.dim() == 5
    return is_batch and volumes.is_contiguous(memory_format=torch.channels_last_3d)
