"""The scenes of a CZI file through czifile, whose interface changed in 2026; the older one is that of Python 3.11."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.errors import UserError

_NOT_IN_PLANES = "XYMS"
_NOT_IN_ARRAY = "MS"  # the number of a tile of a mosaic, and that of the scene


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene of a file, with a letter per axis, and the samples of colours as S."""

    number: int
    shape: tuple[int, ...]
    axes: str
    dtype: np.dtype[Any]
    load: Callable[[tuple[int | slice, ...]], NDArray[Any]]


def list_scenes(path: Path) -> list[Scene]:
    """Return the scenes of a file with czifile 2026 and later."""
    import czifile

    def scene(number: int, image: Any) -> Scene:
        planes = {
            tuple(start for start, axis in zip(entry.start, entry.dims, strict=False) if axis not in _NOT_IN_PLANES)
            for entry in image.directory_entries
        }
        _check_planes(path, planes, dict(zip(image.dims, image.shape, strict=True)))

        def load(index: tuple[int | slice, ...]) -> NDArray[Any]:
            with czifile.CziFile(path, squeeze=False) as file:
                return np.asarray(file.scenes[number].asarray())[index]

        return Scene(number, tuple(image.shape), "".join(image.dims), np.dtype(image.dtype), load)

    with czifile.CziFile(path, squeeze=False) as file:
        return [scene(number, image) for number, image in file.scenes.items()]


def list_subblocks(path: Path) -> list[Scene]:
    """Return the scenes of a file with czifile 2019, put together from the parts with full resolution."""
    import czifile

    with czifile.CziFile(path) as file:
        whole = [entry for entry in file.subblock_directory if _shape(entry) == _shape(entry, stored=True)]
        numbers = sorted({_start(entry, "S") for entry in whole})
        return [_scene(path, number, [each for each in whole if _start(each, "S") == number]) for number in numbers]


def _scene(path: Path, number: int, entries: Sequence[Any]) -> Scene:
    dims = [each.dimension for each in entries[0].dimension_entries if each.dimension not in _NOT_IN_ARRAY]
    starts = np.array([[_start(entry, axis) for axis in dims] for entry in entries])
    ends = starts + [[_size(entry, axis) for axis in dims] for entry in entries]
    first, shape = starts.min(axis=0), (ends.max(axis=0) - starts.min(axis=0)).tolist()
    kind = np.dtype(entries[0].dtype)
    n_samples = kind.shape[0] if kind.shape else 1
    planes = {tuple(_start(entry, axis) for axis in dims if axis not in _NOT_IN_PLANES) for entry in entries}
    _check_planes(path, planes, dict(zip(dims, shape, strict=True)))
    positions = [(entry.file_position, start) for entry, start in zip(entries, (starts - first).tolist(), strict=True)]

    def load(index: tuple[int | slice, ...]) -> NDArray[Any]:
        time = dims.index("T") if "T" in dims else None
        is_single = time is not None and all(_size(entry, "T") == 1 for entry in entries)
        if time is None or not is_single or not isinstance(chosen := index[time], int):
            return _assembled(path, positions, (*shape, n_samples), kind.base)[index]
        of_time = [(file, [*at[:time], 0, *at[time + 1 :]]) for file, at in positions if at[time] == chosen]
        part = (*shape[:time], 1, *shape[time + 1 :], n_samples)
        return _assembled(path, of_time, part, kind.base)[(*index[:time], 0, *index[time + 1 :])]

    return Scene(number, (*shape, n_samples), "".join(dims) + "S", kind.base, load)


def _check_planes(path: Path, planes: Collection[tuple[int, ...]], lengths: Mapping[str, int]) -> None:
    """Raise a `UserError` if planes are missing, which would be read as zeros."""
    n_expected = math.prod(length for axis, length in lengths.items() if axis not in _NOT_IN_PLANES)
    if len(planes) < n_expected:
        raise UserError(
            f"{path} should have {n_expected} planes and has {len(planes)}, so the acquisition was stopped early or "
            "the file is cut short. Export the complete part as OME-TIFF."
        )


def _assembled(
    path: Path, positions: Sequence[tuple[int, list[int]]], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    import czifile

    volume = np.zeros(shape, dtype)
    wanted = dict(positions)
    with czifile.CziFile(path) as file:
        for entry in file.subblock_directory:
            start = wanted.get(entry.file_position)
            if start is None:
                continue
            tile = np.asarray(entry.data_segment().data(resize=False))
            dims = [each.dimension for each in entry.dimension_entries if each.dimension != "M"]
            lengths = [length for length, axis in zip(tile.shape, dims, strict=False) if axis not in _NOT_IN_ARRAY]
            tile = tile.reshape(*lengths, shape[-1])
            volume[tuple(slice(a, a + n) for a, n in zip(start, lengths, strict=True))] = tile
    return volume


def _start(entry: Any, axis: str) -> int:
    return next((int(each.start) for each in entry.dimension_entries if each.dimension == axis), 0)


def _size(entry: Any, axis: str) -> int:
    return next((int(each.size) for each in entry.dimension_entries if each.dimension == axis), 1)


def _shape(entry: Any, *, stored: bool = False) -> tuple[int, ...]:
    return tuple((each.stored_size or each.size) if stored else each.size for each in entry.dimension_entries)
