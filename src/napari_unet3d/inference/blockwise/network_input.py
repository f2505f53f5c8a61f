"""The network input for a part of a volume, read from its file as the tiles need it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.data.volume_parts import VolumeParts
from napari_unet3d.transforms.normalise import IntensityScale, apply_scales, clip_outliers
from napari_unet3d.transforms.resample_part import box_parts, needed_box, resample_part


@dataclass(frozen=True, slots=True)
class InputVolume:
    """A volume as the network sees it: normalised, resampled and padded; only boxes of it are computed.

    Attributes
    ----------
    volume : VolumeParts
        The image.
    channels : tuple of int
        Its channels in the order of the network.
    scales : tuple of IntensityScale
        Their normalisations.
    network_zyx : tuple of int
        Shape of the image at the voxel size of the network.
    input_zyx : tuple of int
        That shape with padding, as much before as after it (if the number is odd, one more after).
    """

    volume: VolumeParts
    channels: tuple[int, ...]
    scales: tuple[IntensityScale, ...]
    network_zyx: Shape3D
    input_zyx: Shape3D

    @property
    def before(self) -> Shape3D:
        """Padding before the image, along z, y, x."""
        return padding_before(self.network_zyx, self.input_zyx)

    def read(self, box: Box) -> NDArray[np.float32]:
        """Read a box (z, y, x) of the padded volume, of shape (channel, z, y, x)."""
        places = [
            reflect(np.arange(side.start, side.stop) - before, length)
            for side, before, length in zip(box, self.before, self.network_zyx, strict=True)
        ]
        z, y, x = (slice(int(each.min()), int(each.max()) + 1) for each in places)
        values = self._read_network((z, y, x))
        for axis, (each, side) in enumerate(zip(places, (z, y, x), strict=True), start=1):
            if len(each) != side.stop - side.start or (np.diff(each) != 1).any():
                values = np.take(values, each - side.start, axis)
        return values

    def _read_network(self, box: Box) -> NDArray[np.float32]:
        """Read a box of the volume at the voxel size of the network, without padding."""
        if self.network_zyx == self.volume.shape:
            return apply_scales(clip_outliers(self.volume.read(box, self.channels), self.scales), self.scales)
        parts = box_parts(box, self.volume.shape, self.network_zyx)
        clipped = clip_outliers(self.volume.read(needed_box(parts), self.channels), self.scales)
        return apply_scales(np.stack([resample_part(channel, parts) for channel in clipped]), self.scales)


def padding_before(network_zyx: Shape3D, input_zyx: Shape3D) -> Shape3D:
    """Return the padding before a volume, along z, y, x, of a shape that is padded to another one."""
    z, y, x = ((outer - inner) // 2 for outer, inner in zip(input_zyx, network_zyx, strict=True))
    return z, y, x


def reflect(places: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Return where the voxels of a padded axis come from, by reflection at the faces of the volume.

    >>> reflect(np.arange(-2, 5), 3)
    array([1, 0, 0, 1, 2, 2, 1])
    """
    folded = places % (2 * length)
    return np.where(folded < length, folded, 2 * length - 1 - folded)


class InputSlab:
    """The network input for some tiles of a volume; only the slices of the current row of tiles are in memory.

    Parameters
    ----------
    source : InputVolume
        The volume.
    corner : tuple of int
        The voxel (z, y, x) of the padded volume at which this part begins.
    shape : tuple of int
        Shape (z, y, x) of this part.
    """

    def __init__(self, source: InputVolume, corner: Sequence[int], shape: Shape3D) -> None:
        self._source, self._corner, self._shape = source, tuple(corner), shape
        self._first, self._slab = 0, np.zeros((len(source.channels), 0, *shape[1:]), np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape (channel, z, y, x)."""
        return len(self._source.channels), *self._shape

    def __getitem__(self, index: tuple[slice, ...]) -> torch.Tensor:
        """Return a tile (channel, z, y, x); the slices before it are not kept."""
        _, z, y, x = index
        stop = self._first + self._slab.shape[1]
        if z.start != self._first or z.stop != stop:
            self._load(z.start, z.stop)
        return torch.from_numpy(self._slab[:, :, y, x])

    def _load(self, start: int, stop: int) -> None:
        held = self._first + self._slab.shape[1]
        is_next = self._first <= start < held <= stop
        kept = self._slab[:, start - self._first :] if is_next else self._slab[:, :0]
        first_new = held if is_next else start
        slab = np.empty((self.shape[0], stop - start, *self._shape[1:]), np.float32)
        slab[:, : kept.shape[1]] = kept
        self._slab = slab
        del kept  # so that the slices before are freed while others are read
        if first_new < stop:
            z = slice(self._corner[0] + first_new, self._corner[0] + stop)
            y, x = (slice(at, at + side) for at, side in zip(self._corner[1:], self._shape[1:], strict=True))
            slab[:, first_new - start :] = self._source.read((z, y, x))
        self._first = start
