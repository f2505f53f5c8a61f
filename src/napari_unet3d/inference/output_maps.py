"""The probabilities of one volume, filled slice by slice as they become final, and brought to the grid of its image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import ResizeMode, Task
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.transforms.pad import valid_region
from napari_unet3d.transforms.resample import to_shape


class OutputMaps:
    """What the network says about a volume.

    Parameters
    ----------
    task : Task
        What the channels mean; see `Plan.out_channels`.
    n_channels : int
        Channels of the network's answer.
    shape : tuple of int
        Shape (z, y, x) of the volume before it was fitted to the network.
    fitted : tuple of int
        Shape (z, y, x) of the volume that the network sees.
    fit : Fit
        How it was fitted; of a padded one only the volume itself is kept.

    Attributes
    ----------
    probability : ndarray of float32, shape (z, y, x)
        Probability of foreground (of anything but background).
    others : ndarray of float16, shape (channel, z, y, x), or None
        The classes without background, or boundary and distance; None for foreground.
    is_finite : bool
        Whether all numbers so far are.
    """

    def __init__(self, task: Task, n_channels: int, shape: Shape3D, fitted: Shape3D, fit: ResizeMode) -> None:
        self._task = task
        self._planes, *self._inside = valid_region(shape, fitted, fit)
        kept = tuple(part.stop - part.start for part in (self._planes, *self._inside))
        self.probability: NDArray[np.float32] = np.empty(kept, np.float32)
        self.channels: NDArray[np.float16] | None = None
        if task is not Task.BINARY:
            self.channels = np.empty((n_channels - 1, *kept), np.float16)
        self.is_finite = True

    def write_slice(self, z: int, answer: NDArray[np.float32]) -> None:
        """Keep a slice of the fitted volume.

        Parameters
        ----------
        z : int
            Its number.
        answer : ndarray of float32, shape (channel, y, x)
            Probabilities.
        """
        self.is_finite = self.is_finite and bool(np.isfinite(answer).all())
        if not self._planes.start <= z < self._planes.stop:
            return
        z -= self._planes.start
        answer = answer[:, *self._inside]
        self.probability[z] = 1 - answer[0] if self._task is Task.SEMANTIC else answer[0]
        if self.channels is not None:
            self.channels[:, z] = answer[1:]

    def resample_to(self, shape: Shape3D) -> None:
        """Bring all to the grid of the image, which has another shape (z, y, x) when the volume was resampled."""
        if self.probability.shape == shape:
            return
        self.probability = to_shape(self.probability, shape, is_labels=False)
        if self.channels is not None:
            resampled = np.empty((len(self.channels), *shape), np.float16)
            for channel, other in zip(resampled, self.channels, strict=True):
                channel[...] = to_shape(other, shape, is_labels=False)
            self.channels = resampled
