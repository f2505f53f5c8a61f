"""An image whose channels are separate arrays, such as layers, which are only put together when they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_unet3d.data.sample import Sample


class ChannelImage:
    """An image of shape (channel, z, y, x) that numpy can read, made of one array per channel.

    Parameters
    ----------
    channels : sequence of array-like, each of shape (z, y, x)
        The channels; they are read when the image is.
    names : sequence of str
        Their names.

    Attributes
    ----------
    channel_names : tuple of str
        The names.

    Examples
    --------
    >>> image = ChannelImage([np.zeros((2, 3, 4)), np.ones((2, 3, 4))], ["dapi", "membrane"])
    >>> image.shape, float(np.asarray(image).mean())
    ((2, 2, 3, 4), 0.5)
    """

    def __init__(self, channels: Sequence[Any], names: Sequence[str]) -> None:
        self._channels, self.channel_names = tuple(channels), tuple(names)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of channels, and of voxels along z, y, x."""
        return (len(self._channels), *np.shape(self._channels[0]))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the channels as one array."""
        stacked = np.stack([np.asarray(channel) for channel in self._channels])
        return stacked if dtype is None else stacked.astype(dtype)


def image_of(sample: Sample) -> Any:
    """Return the image of a sample; of several channels with their names.

    Returns
    -------
    ndarray of shape (z, y, x), or ChannelImage
    """
    return sample.image if sample.n_channels == 1 else ChannelImage(tuple(sample.image), sample.channel_names)
