"""Probabilities of one volume, written slice by slice and resampled to the grid of the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import ResizeMode, Task
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.transforms.pad import valid_region
from napari_unet3d.transforms.resample import to_shape


class OutputMaps:
    """The network output for one volume.

    Parameters
    ----------
    task : Task
        Determines the meaning of the channels; see `Plan.out_channels`.
    n_channels : int
        Output channels of the network.
    shape : tuple of int
        Shape (z, y, x) of the volume before it was cropped, resized or padded for the network.
    input_shape : tuple of int
        Shape (z, y, x) of the network input.
    mode : ResizeMode
        How the volume was brought to that shape; padding is discarded.

    Attributes
    ----------
    probability : ndarray of float32, shape (z, y, x)
        Probability of foreground (anything but background).
    channels : ndarray of float16, shape (channel, z, y, x), or None
        The classes except background, or boundary and distance; None for binary.
    is_finite : bool
        Whether all values so far are finite.
    """

    def __init__(self, task: Task, n_channels: int, shape: Shape3D, input_shape: Shape3D, mode: ResizeMode) -> None:
        self._task = task
        self._planes, *self._plane_region = valid_region(shape, input_shape, mode)
        valid_shape = tuple(part.stop - part.start for part in (self._planes, *self._plane_region))
        self.probability: NDArray[np.float32] = np.empty(valid_shape, np.float32)
        self.channels: NDArray[np.float16] | None = None
        if task is not Task.BINARY:
            self.channels = np.empty((n_channels - 1, *valid_shape), np.float16)
        self.is_finite = True

    def write_slice(self, z: int, output: NDArray[np.float32]) -> None:
        """Store one slice of the network output.

        Parameters
        ----------
        z : int
            Its index along z in the network input.
        output : ndarray of float32, shape (channel, y, x)
            Probabilities.
        """
        self.is_finite = self.is_finite and bool(np.isfinite(output).all())
        if not self._planes.start <= z < self._planes.stop:
            return
        z -= self._planes.start
        output = output[:, *self._plane_region]
        self.probability[z] = 1 - output[0] if self._task is Task.SEMANTIC else output[0]
        if self.channels is not None:
            self.channels[:, z] = output[1:]

    def resample_to(self, shape: Shape3D) -> None:
        """Resample everything to the shape (z, y, x) of the image, if the volume was resampled for the network."""
        if self.probability.shape == shape:
            return
        self.probability = to_shape(self.probability, shape, is_labels=False)
        if self.channels is not None:
            resampled = np.empty((len(self.channels), *shape), np.float16)
            for new, old in zip(resampled, self.channels, strict=True):
                new[...] = to_shape(old, shape, is_labels=False)
            self.channels = resampled
