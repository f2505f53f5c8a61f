"""The network of a package, with the order of axes and the post-processing that its description asks for."""

from __future__ import annotations

from collections.abc import Callable

import torch

from napari_unet3d.configs import Task
from napari_unet3d.errors import UserError
from napari_unet3d.model.bioimageio.description import Description
from napari_unet3d.model.bioimageio.outputs import OutputMeaning
from napari_unet3d.model.bioimageio.processing import EnsureDtype, Sigmoid, Softmax, Step, apply_steps

_TOLERANCE = 1e-3  # of probabilities that are computed in half precision


class PackagedNetwork(torch.nn.Module):
    """The network of a package as one that returns logits.

    Parameters
    ----------
    run : Module or callable
        Computes the output tensor from the input tensor, both with the axes of the description.
    description : Description
        What the package says.
    meaning : OutputMeaning
        Which outputs are used.
    where : str
        The package, for messages.
    """

    def __init__(
        self,
        run: Callable[[torch.Tensor], torch.Tensor],
        description: Description,
        meaning: OutputMeaning,
        where: str,
    ) -> None:
        super().__init__()
        self.run, self._description, self._meaning, self._where = run, description, meaning, where
        step = Sigmoid if meaning.task is Task.BINARY else Softmax
        steps = [each for each in description.postprocessing if not _keeps_values(each)]
        self._gives_logits = len(steps) == 1 and isinstance(steps[0], step)

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        """Return logits (tile, channel, z, y, x) for images (tile, channel, z, y, x), on their device.

        Raises
        ------
        UserError
            If the output has another shape than the description says, or no probabilities.
        """
        if self._description.batch_is_fixed or "b" not in self._description.output_axes:
            output = torch.cat([self._run(tile[None]) for tile in tiles])
        else:
            output = self._run(tiles)
        channels = list(self._meaning.channels)
        if self._gives_logits:
            return output.float()[:, channels]
        steps = self._description.postprocessing
        values = [apply_steps(steps, each.detach().cpu().numpy()) for each in output]
        found = torch.stack([torch.from_numpy(each) for each in values])[:, channels].to(tiles.device)
        low, high = float(found.min()), float(found.max())
        if low < -_TOLERANCE or high > 1 + _TOLERANCE:  # NaN is an overflow, which is found elsewhere
            raise UserError(
                f"The output of {self._where} has values from {low:.4g} to {high:.4g}, which are no probabilities, "
                "and its description does not say what they mean. Run the model with bioimageio.core."
            )
        found = found.clamp(0, 1)
        return found.logit() if self._meaning.task is Task.BINARY else found.log()

    def _run(self, tiles: torch.Tensor) -> torch.Tensor:
        """Return the output tensor with the axes (tile, channel, z, y, x)."""
        into, out = self._description.input_axes, self._description.output_axes
        output = self.run(_from_bczyx(tiles, into))
        expected = {"b": len(tiles), "c": self._description.out_channels} | dict(
            zip("zyx", tiles.shape[2:], strict=True)
        )
        if (shape := tuple(output.shape)) != (wanted := tuple(expected[axis] for axis in out)):
            raise UserError(
                f"The output of {self._where} has the shape {shape}, but its description says {wanted}. Report this to "
                "the authors of the model."
            )
        return _to_bczyx(output, out)


def _keeps_values(step: Step) -> bool:
    return isinstance(step, EnsureDtype) and step.dtype.startswith("float")


def _from_bczyx(tensor: torch.Tensor, axes: str) -> torch.Tensor:
    dropped = [number for number, axis in enumerate("bczyx") if axis not in axes]
    kept = [axis for axis in "bczyx" if axis in axes]
    for number in reversed(dropped):  # of length 1, by the description
        tensor = tensor.squeeze(number)
    return tensor.permute([kept.index(axis) for axis in axes])


def _to_bczyx(tensor: torch.Tensor, axes: str) -> torch.Tensor:
    kept = [axis for axis in "bczyx" if axis in axes]
    tensor = tensor.permute([axes.index(axis) for axis in kept])
    for number, axis in enumerate("bczyx"):
        if axis not in axes:
            tensor = tensor.unsqueeze(number)
    return tensor
