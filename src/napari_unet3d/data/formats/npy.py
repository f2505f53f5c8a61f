"""NumPy's .npy; the voxel size is in a JSON file next to it, ``volume.npy.json``."""

from __future__ import annotations

import json
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.base import Format, VolumeData, check_header, valid_voxel_size
from napari_unet3d.data.sample import VoxelSize
from napari_unet3d.errors import UserError


def voxel_size_file(path: Path) -> Path:
    """Return the JSON file that holds the voxel size of a .npy file, as ``{"voxel_size_um": [z, y, x]}``."""
    return path.with_name(path.name + ".json")


def read_file(path: Path) -> VolumeData:
    """Read an array; pickled objects are refused, since they can run code."""
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)  # mapping checks the file size
    if not isinstance(mapped, np.memmap):
        raise UserError(f"{path} is a .npz archive, not a .npy file. Save the volume with numpy.save.")
    kept = check_header(path, mapped.shape, mapped.dtype)
    z, y, x = (mapped.shape[axis] for axis in kept)
    return VolumeData(np.array(mapped, order="C").reshape(z, y, x), _read_voxel_size(voxel_size_file(path)))


def _read_voxel_size(path: Path) -> VoxelSize | None:
    if not path.exists():
        return None
    try:
        sizes = json.loads(path.read_text(encoding="utf-8"))["voxel_size_um"]
        voxel_size = valid_voxel_size([float(size) for size in sizes])
    except (ValueError, KeyError, TypeError):
        voxel_size = None
    if voxel_size is None:
        raise UserError(f'{path} should contain {{"voxel_size_um": [z, y, x]}} with sizes in µm. Correct or delete it.')
    return voxel_size


def write_file(path: Path, array: NDArray[Any], voxel_size_um: VoxelSize, like: Path | None = None) -> None:
    """Write an array; the voxel size goes into `voxel_size_file`."""
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


FORMAT = Format(
    name="NumPy",
    suffixes=(".npy",),
    read=read_file,
    write=write_file,
    voxel_size="in `NAME.npy.json` next to it",
    read_errors=lambda: (ValueError, EOFError, SyntaxError, TypeError, tokenize.TokenError),
    voxel_size_file=voxel_size_file,
)
