"""How the model of a package is applied to a volume: its preprocessing, its tiles, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.model.architectures import get_architecture
from napari_unet3d.model.bioimageio.description import Description
from napari_unet3d.model.bioimageio.network import PackagedNetwork
from napari_unet3d.model.bioimageio.outputs import OutputMeaning
from napari_unet3d.model.bioimageio.processing import EnsureDtype, apply_steps
from napari_unet3d.model.exported.onnx_session import OnnxSession
from napari_unet3d.model.network import build_network
from napari_unet3d.model.plan import Plan


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """The model of a package.

    Attributes
    ----------
    where : str
        The package, for messages.
    description : Description
        What it says.
    meaning : OutputMeaning
        What is made of its outputs.
    text : bytes
        The description as it is in the package.
    can_train : bool
        Whether a training repeats its preprocessing.
    """

    where: str
    description: Description
    meaning: OutputMeaning
    text: bytes
    can_train: bool = False

    @property
    def notices(self) -> tuple[str, ...]:
        """What is assumed of the model."""
        return (*self.meaning.notices, *self._statistics())

    def preprocess(self, channels: NDArray[Any]) -> NDArray[np.float32]:
        """Return the network input (channel, z, y, x) for the channels of a volume.

        Raises
        ------
        UserError
            If a step has arguments for another number of channels.
        """
        return apply_steps(self.description.preprocessing, channels)

    def tile(self, shape: Shape3D) -> Shape3D:
        """Return the tile (z, y, x) for a volume of a shape, with the halo at both ends."""
        z, y, x = (
            side.tile(length + 2 * side.halo) for side, length in zip(self.description.sides, shape, strict=True)
        )
        return z, y, x

    def input_shape(self, shape: Shape3D) -> Shape3D:
        """Return the shape (z, y, x) to which a volume is padded: with a halo, and in whole steps of the tiles."""
        z, y, x = (
            tile + max(0, -(-(length + 2 * side.halo - tile) // max(1, side.step))) * max(1, side.step)
            for side, length, tile in zip(self.description.sides, shape, self.tile(shape), strict=True)
        )
        return z, y, x

    def pad(self, image: NDArray[np.float32], shape: Shape3D) -> NDArray[np.float32]:
        """Return a network input (channel, z, y, x) padded to a shape (z, y, x), as much before as after it."""
        widths = [(0, 0)]
        for new, old in zip(shape, image.shape[1:], strict=True):
            widths.append(((new - old) // 2, new - old - (new - old) // 2))
        mode: Any = self.description.padding
        padded: NDArray[np.float32] = np.pad(image, widths, mode=mode)
        return padded

    @property
    def halo_zyx(self) -> Shape3D:
        """The margin (z, y, x) of a tile that is left out where another one or padding is there."""
        z, y, x = (side.halo for side in self.description.sides)
        return z, y, x

    @property
    def steps_zyx(self) -> Shape3D:
        """The numbers of voxels (z, y, x) that tiles start at multiples of."""
        z, y, x = (max(1, side.step) for side in self.description.sides)
        return z, y, x

    def network(
        self, config: TrainingConfig, plan: Plan, weights: dict[str, torch.Tensor], onnx: bytes | None
    ) -> PackagedNetwork:
        """Build the network that returns logits.

        Raises
        ------
        UserError
            If onnxruntime is needed and not installed, or cannot run the file.
        """
        about = self.description, self.meaning, self.where
        if onnx is not None:
            session = OnnxSession(self.where, onnx, (len(about[0].input_axes), len(about[0].output_axes)))

            def run(tiles: torch.Tensor) -> torch.Tensor:
                return torch.from_numpy(session.run(tiles.detach().cpu().float().numpy())).to(tiles.device)

            return PackagedNetwork(run, *about)
        network = build_network(config, plan)
        network.load_state_dict(weights, strict=True)
        return PackagedNetwork(get_architecture(config.architecture).for_inference(network), *about)

    def _statistics(self) -> list[str]:
        steps = [step for step in self.description.preprocessing if not isinstance(step, EnsureDtype)]
        notices = []
        if any(step.statistics for step in steps[1:]):
            notices.append(
                f"In the preprocessing of {self.where}, statistics are those of the values after the steps before; "
                "bioimageio.core takes those of the image."
            )
        if any(step.statistics and getattr(step, "is_of_dataset", False) for step in steps):
            notices.append(
                f"The preprocessing of {self.where} asks for statistics of a dataset, which are not in it; those of "
                "each volume are taken."
            )
        return notices
