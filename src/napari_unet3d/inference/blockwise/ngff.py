"""OME-Zarr images that are written block by block: labels, probabilities and uncertainties with their levels."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_unet3d.data.boxes import Box
from napari_unet3d.data.formats.ome_levels import Level, Levels, level_arrays
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.inference.blockwise.grid import BlockGrid

_MOST_VOXELS = 2**24  # of a higher level that are in memory at a time


def create_array(
    folder: Path,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    chunks: tuple[int, ...],
    shards: tuple[int, ...] | None = None,
) -> Any:
    """Create a Zarr array for intermediate results, or open the one that an earlier start has created."""
    import zarr

    if (folder / "zarr.json").exists():
        return zarr.open_array(folder, mode="r+")
    return zarr.create_array(folder, shape=shape, dtype=dtype, chunks=chunks, shards=shards)


class OmeZarrImage:
    """An OME-Zarr image (z, y, x) that is written block by block, the highest level first.

    Parameters
    ----------
    folder : Path
        Its folder; one of an earlier start is written further.
    levels : Levels
        Shapes and places.
    dtype : dtype
        Type of the values.
    chunks, shards : tuple of int
        Shape (z, y, x) of a chunk, and of a shard, if chunks are stored in shards.
    zarr_format : int
        2 is OME-Zarr 0.4 and 3 is 0.5.
    """

    def __init__(
        self,
        folder: Path,
        levels: Levels,
        dtype: DTypeLike,
        chunks: Shape3D,
        shards: Shape3D | None = None,
        *,
        zarr_format: int = 3,
    ) -> None:
        import zarr

        self._levels, self._dtype, self._format = levels, np.dtype(dtype), zarr_format
        self._group = zarr.open_group(folder, mode="a", zarr_format=3 if zarr_format == 3 else 2)
        self._chunks, self._shards = chunks, shards if zarr_format == 3 else None
        self.array = self._create(0)

    def describe(self, **fields: Any) -> None:
        """Write the metadata: the levels, and other fields such as ``image_label``."""
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        image = self._levels.metadata()
        if self._format == 3:
            own = {key: value for key, value in fields.items() if key in ("image-label", "omero")}
            others = {key: value for key, value in fields.items() if key not in own}
            self._group.attrs.update({"ome": {"version": "0.5", "multiscales": [image]} | own} | others)
        else:
            self._group.attrs.update({"multiscales": [image | {"version": "0.4"}]} | fields)

    def write(self, box: Box, values: NDArray[Any]) -> None:
        """Write a box of the highest level."""
        self.array[box] = values.astype(self._dtype, copy=False)

    def write_lower_levels(self, *, is_labels: bool) -> None:
        """Compute the other levels: of labels the nearest voxel of the level above, else the mean of its voxels."""
        above = self.array
        for number in range(1, len(self._levels.levels)):
            below = self._create(number)
            pair = self._levels.levels[number - 1], self._levels.levels[number]
            for box in _boxes_of(pair, self._shards or self._chunks):
                below[box] = _reduced(above, pair, box, is_labels=is_labels).astype(self._dtype, copy=False)
            above = below

    def _create(self, number: int) -> Any:
        if str(number) in self._group:
            return self._group[str(number)]
        level = self._levels.levels[number]
        chunks = tuple(min(side, chunk) for side, chunk in zip(level.shape, self._chunks, strict=True))
        shards = self._shards if self._shards and chunks == self._chunks else None
        how: Any = {"chunks": chunks, "shards": shards}
        if self._format == 3:
            how["dimension_names"] = list("zyx")
        else:
            how["chunk_key_encoding"] = {"name": "v2", "separator": "/"}
        return self._group.create_array(str(number), shape=level.shape, dtype=self._dtype, **how)


def _boxes_of(pair: tuple[Level, Level], unit: Shape3D) -> list[Box]:
    """Return boxes of the lower level of two, of whole units, for each of which little of the higher one is needed."""
    above, below = pair
    factor = prod(max(1, -(-high // low)) for high, low in zip(above.shape, below.shape, strict=True))
    block, n_units = list(unit), 1
    while prod(block) * 8 * factor <= _MOST_VOXELS and n_units < 8:
        block, n_units = [2 * side for side in block], 2 * n_units
    z, y, x = block
    grid = BlockGrid(below.shape, (z, y, x))
    return [grid.box(number) for number in range(grid.n_blocks)]


def _reduced(array: Any, pair: tuple[Level, Level], box: Box, *, is_labels: bool) -> NDArray[Any]:
    """Return a box of the lower level of two, computed from the array of the higher one."""
    windows = [_window(pair, axis, side) for axis, side in enumerate(box)]
    places = [np.clip(window, 0, length - 1) for window, length in zip(windows, pair[0].shape, strict=True)]
    start = [int(each.min()) for each in places]
    values = np.asarray(array[tuple(slice(at, int(each.max()) + 1) for at, each in zip(start, places, strict=True))])
    if is_labels:
        nearest = [each[:, (each.shape[1] - 1) // 2] - at for each, at in zip(places, start, strict=True)]
        return values[np.ix_(*nearest)]
    mean = values.astype(np.float32)
    for axis, (each, at) in enumerate(zip(places, start, strict=True)):
        mean = np.mean([np.take(mean, column - at, axis) for column in each.T], axis=0, dtype=np.float32)
    rounded: NDArray[Any] = np.rint(mean) if values.dtype.kind in "ui" else mean
    return rounded


def _window(pair: tuple[Level, Level], axis: int, side: slice) -> NDArray[np.intp]:
    """Return for each voxel of the lower level the voxels of the higher one in its place, as (voxel, n)."""
    above, below = pair
    ratio = below.scale[axis] / above.scale[axis]
    n = max(1, round(ratio))
    at = (
        np.arange(side.start, side.stop) * ratio
        + (below.translation[axis] - above.translation[axis]) / above.scale[axis]
    )
    is_centred = bool(below.translation[axis] != above.translation[axis])
    first = np.floor(at - (n - 1) / 2 + 0.5 - 1e-6) if is_centred or n == 1 else np.floor(at + 1e-6)
    return first.astype(np.intp)[:, None] + np.arange(n)


def open_levels(folder: Path) -> list[Any]:
    """Return the arrays (z, y, x) of an image that `OmeZarrImage` has written, the highest resolution first."""
    import zarr

    return level_arrays(zarr.open_group(folder, mode="r"))


def add_to_labels(image: Path, name: str, zarr_format: int) -> None:
    """List labels in the group ``labels`` of an OME-Zarr image, which are in its folder already."""
    import zarr

    group = zarr.open_group(image / "labels", mode="a", zarr_format=3 if zarr_format == 3 else 2)
    attributes: Mapping[str, Any] = group.attrs.asdict()
    ome = dict(attributes.get("ome", {})) if zarr_format == 3 else dict(attributes)
    names = [*(each for each in ome.get("labels", []) if each != name), name]
    if zarr_format == 3:
        group.attrs.update({"ome": {"version": "0.5", **ome, "labels": names}})
    else:
        group.attrs.update({"labels": names})
