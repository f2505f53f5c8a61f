"""Read and write volumes; the format follows from the file's suffix, the voxel size travels with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.base import VolumeData
from napari_unet3d.data.formats.place import check_same_directions
from napari_unet3d.data.formats.registry import format_of, is_volume, volume_name, volume_suffix, writable_suffix
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample, VoxelSize, read_mask, to_label_dtype
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.files import atomic_write, write_json


def read_volume(path: Path | str) -> VolumeData:
    """Read one 3D volume.

    Parameters
    ----------
    path : Path or str
        TIFF, NIfTI, NumPy, OME-Zarr, or with SimpleITK also NRRD, MetaImage and MRC.

    Returns
    -------
    VolumeData
        The array `(z, y, x)` and its voxel size in µm, which is None when the file does not say.

    Raises
    ------
    UserError
        If the file is missing, damaged, not 3D, has several channels, or does not fit into memory.
    """
    path = Path(path)
    file_format = format_of(path)
    with explain_os_errors(path, "read"):
        path.stat()
        try:
            volume = file_format.read(path)
        except MemoryError:
            raise UserError(f"{path} does not fit into memory. Close other programs or crop the volume.") from None
        except file_format.read_errors() as error:
            raise UserError(
                f"Cannot read {path}: it is damaged or no {file_format.name} file ({_first_line(error)}). "
                "Copy or export it again."
            ) from error
    native = volume.array.dtype.newbyteorder("=")  # torch knows no other byte order
    return replace(volume, array=np.ascontiguousarray(volume.array, dtype=native))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0].rstrip(".") if lines else "") or type(error).__name__


def write_volume(
    path: Path | str,
    array: NDArray[Any],
    voxel_size_um: VoxelSize = (1.0, 1.0, 1.0),
    *,
    like: Path | str | None = None,
) -> None:
    """Write one 3D volume, all of it or nothing; a volume of that name is replaced.

    Parameters
    ----------
    path : Path or str
        Where to; the suffix chooses the format. The folder is made if it is missing.
    array : ndarray of any real number type, shape (z, y, x)
        The values; True and False are written as 1 and 0, all other types as they are.
    voxel_size_um : tuple of float
        Size of a voxel along z, y, x in µm. For ``.npy`` it goes into a file ``NAME.npy.json``.
    like : Path or str, optional
        The file that the volume was computed from. Formats that place a volume in the world (NIfTI, NRRD, MetaImage,
        MRC) take its origin and directions, so that other viewers show both at one place; it then also gives NIfTI's
        voxel size. A file of another format or shape is ignored.

    Raises
    ------
    UserError
        If the disk is full, the folder cannot be written to, or the format cannot hold the number type.
    """
    path = Path(path)
    file_format = format_of(path)
    if writable_suffix(path) != volume_suffix(path):
        raise UserError(f"{path.name} cannot be written; choose {writable_suffix(path)} instead.")
    if array.ndim != 3:
        raise UserError(f"A volume of shape {array.shape} was to be written to {path.name}; it must be 3D (z, y, x).")
    values = array.astype(np.uint8) if array.dtype == bool else array
    with atomic_write(path) as beside:
        source = Path(like) if like is not None and is_volume(like) and format_of(like) is file_format else None
        file_format.write(beside, np.ascontiguousarray(values), voxel_size_um, source)
        if file_format.voxel_size_file is not None:  # written first, so that no full disk separates the two files
            write_json(file_format.voxel_size_file(path), {"voxel_size_um": list(voxel_size_um)})


def read_labels(path: Path | str) -> VolumeData:
    """Read a volume of labels in the smallest integer type that holds them.

    Raises
    ------
    UserError
        As `read_volume`, and if the values are no whole numbers.
    """
    volume = read_volume(path)
    return replace(volume, array=to_label_dtype(volume_name(path), volume.array))


def read_sample(
    image: Path | str,
    labels: Path | str | None = None,
    annotated: Path | str | None = None,
    origin: Provenance | None = None,
) -> Sample:
    """Read an image, and its labels if there are any, as one checked sample.

    Parameters
    ----------
    image, labels : Path or str
        The two files. The voxel size is the image's, or the labels' when the image does not say; 1 µm without either.
    annotated : Path or str, optional
        The mask of what is annotated, 0 or 1.
    origin : Provenance, optional
        The volume that it is a corrected part of.

    Returns
    -------
    Sample
        Named as the image file.

    Raises
    ------
    UserError
        As `read_volume`, and when image, labels and mask do not belong together, or nothing is annotated.
    """
    volume = read_volume(image)
    truth, hold = (None if path is None else read_labels(path) for path in (labels, annotated))
    for path, part in ((labels, truth), (annotated, hold)):
        if part is not None:
            check_same_directions(str(image), volume.place, str(path), part.place)
    voxel_size = volume.voxel_size_um or (truth.voxel_size_um if truth else None) or (1.0, 1.0, 1.0)
    name = volume_name(image)
    mask = None if hold is None else read_mask(name, hold.array)
    return Sample(name, volume.array, truth.array if truth else None, voxel_size, mask, origin)
