"""Networks traced by torch.export, with a free number and size of tiles; the base of two formats."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from napari_unet3d.errors import UserError
from napari_unet3d.export.task import ExportTask, ProbabilityNetwork

INPUT, OUTPUT = "image", "probability"


class _Logits(torch.nn.Module):
    """A network, with a name for its input."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits (tile, channel, z, y, x) for images (tile, channel, z, y, x)."""
        logits: torch.Tensor = self.network(image)
        return logits


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what torch warns about its own code while it traces a network."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def trace(task: ExportTask, *, logits: bool = False) -> torch.export.ExportedProgram:
    """Return a network that computes probabilities, or logits, as a program of torch.

    Its input (tile, channel, z, y, x) has any number of tiles, and sides that are any multiples of the total stride,
    of at least two.

    Raises
    ------
    UserError
        If torch cannot trace the network.
    """
    plan = task.checkpoint.plan
    network = _Logits(task.network) if logits else ProbabilityNetwork(task.network, plan.task)
    # Unequal sides, since torch would take equal ones for the same.
    sides = [stride * length for stride, length in zip(plan.total_stride, (2, 3, 4), strict=True)]
    image = torch.zeros(2, plan.in_channels, *sides)
    lengths = [torch.export.Dim(axis, min=2, max=2**16) for axis in "zyx"]
    free = {0: torch.export.Dim("tile", min=1, max=2**16)}
    free |= {2 + axis: stride * lengths[axis] for axis, stride in enumerate(plan.total_stride)}
    try:
        with quiet(), torch.no_grad():
            return torch.export.export(network.eval(), (image,), dynamic_shapes={INPUT: free}, strict=False)
    except (RuntimeError, ValueError, TypeError, torch._dynamo.exc.TorchDynamoException) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"torch cannot trace this network: {reason}. Choose another format.") from error
