"""Reading and writing of volumes with their voxel size; the suffix of the file determines the format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.base import VolumeData
from napari_unet3d.data.formats.registry import format_of, is_volume, volume_name, volume_suffix, writable_suffix
from napari_unet3d.data.geometry import check_same_orientation
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample, VoxelSize, read_mask, to_label_dtype
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.files import atomic_write, write_json


def read_volume(path: Path | str) -> VolumeData:
    """Read one 3D volume.

    Parameters
    ----------
    path : Path or str
        A file in one of the formats of `napari_unet3d.data.formats.registry`.

    Returns
    -------
    VolumeData
        The array (z, y, x) and its voxel size in µm, which is None if the file has none.

    Raises
    ------
    UserError
        If the file is missing, damaged, not 3D, has several channels, or does not fit into memory.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "brain.nii.gz"
    ...     write_volume(file, np.ones((4, 5, 6), np.int16), voxel_size_um=(2.0, 0.5, 0.5))
    ...     volume = read_volume(file)
    >>> volume.array.shape, [round(size, 6) for size in volume.voxel_size_um]
    ((4, 5, 6), [2.0, 0.5, 0.5])
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
                f"Cannot read {path}: it is damaged or not in the format {file_format.name} ({_first_line(error)}). "
                "Copy or export it again."
            ) from error
    native = volume.array.dtype.newbyteorder("=")  # the only byte order of torch
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
    """Write one 3D volume atomically; an existing one is replaced.

    Parameters
    ----------
    path : Path or str
        The file; the suffix determines the format. A missing folder is created.
    array : ndarray of any real number type, shape (z, y, x)
        The values; booleans are written as 1 and 0, other types unchanged.
    voxel_size_um : tuple of float
        Size of a voxel along z, y, x in µm. For ``.npy``, it is written to ``NAME.npy.json``.
    like : Path or str, optional
        The file that the volume was computed from. Formats with orientation and origin (NIfTI, NRRD, MetaImage, MRC)
        copy them, and NIfTI also the voxel size, so that other viewers show both aligned. A file with another format
        or shape is ignored.

    Raises
    ------
    UserError
        If the disk is full, the folder is not writable, or the format does not support the data type.
    """
    path = Path(path)
    file_format = format_of(path)
    if writable_suffix(path) != volume_suffix(path):
        raise UserError(f"{path.name} cannot be written; choose {writable_suffix(path)} instead.")
    if array.ndim != 3:
        raise UserError(f"An array of shape {array.shape} cannot be written to {path.name}; it must be 3D (z, y, x).")
    values = array.astype(np.uint8) if array.dtype == bool else array
    with atomic_write(path) as temporary:
        source = Path(like) if like is not None and is_volume(like) and format_of(like) is file_format else None
        file_format.write(temporary, np.ascontiguousarray(values), voxel_size_um, source)
        if file_format.voxel_size_file is not None:  # written first, so that neither is missing if the disk is full
            write_json(file_format.voxel_size_file(path), {"voxel_size_um": list(voxel_size_um)})


def read_labels(path: Path | str) -> VolumeData:
    """Read labels in the smallest integer type.

    Raises
    ------
    UserError
        As `read_volume`, and if the values are not integers.
    """
    volume = read_volume(path)
    return replace(volume, array=to_label_dtype(volume_name(path), volume.array))


def read_sample(
    image: Path | str,
    labels: Path | str | None = None,
    label_mask: Path | str | None = None,
    provenance: Provenance | None = None,
) -> Sample:
    """Read an image and optionally its labels as a sample.

    Parameters
    ----------
    image, labels : Path or str
        The files. The voxel size is that of the image, else that of the labels, else 1 µm.
    label_mask : Path or str, optional
        The mask of annotated voxels, 0 or 1.
    provenance : Provenance, optional
        Provenance of a corrected volume.

    Returns
    -------
    Sample
        With the name of the image file.

    Raises
    ------
    UserError
        As `read_volume`, and if image, labels and mask do not match, or nothing is annotated.
    """
    volume = read_volume(image)
    truth, mask = (None if path is None else read_labels(path) for path in (labels, label_mask))
    for path, other in ((labels, truth), (label_mask, mask)):
        if other is not None:
            check_same_orientation(str(image), volume.geometry, str(path), other.geometry)
    voxel_size = volume.voxel_size_um or (truth.voxel_size_um if truth else None) or (1.0, 1.0, 1.0)
    name = volume_name(image)
    annotated = None if mask is None else read_mask(name, mask.array)
    return Sample(name, volume.array, truth.array if truth else None, voxel_size, annotated, provenance)
