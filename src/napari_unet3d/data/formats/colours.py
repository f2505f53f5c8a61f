"""Colour images: the names of their channels, and greyscale images that were saved as colours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_unet3d.data.formats.base import VolumeData

_ALPHA = "alpha"
COLOURS = {2: ("grey", _ALPHA), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", _ALPHA)}
"""The names of the samples of a pixel, by their number."""


def without_colour(path: Path, volume: VolumeData) -> VolumeData:
    """Return a colour image without what tells nothing: an alpha channel that is constant, and colours that are equal.

    Other software saves greyscale images in colour.
    """
    axis, names, notice = volume.axes.index("c"), volume.channel_names, ""
    channels = list(np.moveaxis(volume.array, axis, 0))
    if names[-1] == _ALPHA and channels[-1].min() == channels[-1].max():
        channels, names = channels[:-1], names[:-1]
        notice = f"The alpha channel of {path} has a constant value and is left out."
    if all(np.array_equal(channels[0], each) for each in channels[1:]):
        if len(channels) > 1:
            notice = f"{path} is a greyscale image in colour; one of its equal channels is used."
        array, axes, names = channels[0], volume.axes.replace("c", ""), ()
    else:
        array, axes = np.stack(channels, axis), volume.axes
    notices = (*volume.notices, notice) if notice else volume.notices
    return replace(volume, array=array, axes=axes, channel_names=names, notices=notices)
