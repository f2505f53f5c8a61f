"""Volumes as files: written with their voxel size in the format of the suffix, read as samples with their labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs.training_enums import FourthAxis
from napari_unet3d.data.channels import name_channels
from napari_unet3d.data.formats.base import VolumeData
from napari_unet3d.data.formats.holds import parts_of
from napari_unet3d.data.formats.npy import describe_geometry
from napari_unet3d.data.formats.registry import format_of, volume_name, volume_suffix, writable_suffix
from napari_unet3d.data.geometry import UNKNOWN, Geometry, PartialVoxelSize
from napari_unet3d.data.label_reading import read_labels_like
from napari_unet3d.data.label_values import read_mask
from napari_unet3d.data.opening import OpenVolume, open_volume
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.time_points import several_time_points, time_point_name
from napari_unet3d.errors import UserError
from napari_unet3d.files import atomic_write, format_json

_GEOMETRY_SUFFIXES = (".ome.tif", ".ome.zarr", ".nii.gz", ".npy")


def write_volume(
    path: Path | str,
    array: NDArray[Any],
    voxel_size_um: PartialVoxelSize | None = None,
    *,
    geometry: Geometry = UNKNOWN,
    channel_names: Sequence[str] = (),
) -> None:
    """Write one 3D volume atomically; an existing one is replaced.

    Parameters
    ----------
    path : Path or str
        The file; the suffix determines the format. A missing folder is created.
    array : ndarray of any real number type, shape (z, y, x) or (channel, z, y, x)
        The values; booleans are written as 1 and 0, other types unchanged.
    voxel_size_um : tuple of float or None, or None
        Size of a voxel along z, y, x in µm, None where it is unknown; instead of a geometry.
    geometry : Geometry
        Voxel size, orientation and origin. For ``.npy``, they are written to ``NAME.npy.json``.
    channel_names : sequence of str
        Names of the channels, if there are several; by default ``"channel 1"`` and so on.

    Raises
    ------
    UserError
        If the disk is full, the folder is not writable, or the format does not support the data type, the geometry
        or several channels.
    """
    path = Path(path)
    file_format = format_of(path)
    if writable_suffix(path) != volume_suffix(path):
        raise UserError(f"{path.name} cannot be written; choose {writable_suffix(path)} instead.")
    assert file_format.write is not None, f"{file_format.name} is written as another format"
    if array.ndim not in (3, 4):
        raise UserError(
            f"An array of shape {array.shape} cannot be written to {path.name}; it must be 3D (z, y, x), or several "
            "channels of one volume (c, z, y, x)."
        )
    if array.ndim == 4 and file_format.write_channels is None:
        raise UserError(
            f"{path.name} cannot keep {len(array)} channels, since {volume_suffix(path)} holds a single one. Choose "
            f"{suffix_for(geometry)} instead."
        )
    names = name_channels(channel_names, len(array)) if array.ndim == 4 else ()
    geometry = geometry if voxel_size_um is None else geometry.with_sizes_um(voxel_size_um)
    if missing := parts_of(geometry) - file_format.holds(path):
        raise UserError(
            f"{path.name} cannot keep where the volume lies, since {volume_suffix(path)} holds no "
            f"{' and no '.join(sorted(part.value for part in missing))}. Choose {suffix_for(geometry)} instead."
        )
    values = array.astype(np.uint8) if array.dtype == bool else array
    values = np.ascontiguousarray(values)

    def write(temporary: Path) -> None:
        if names and file_format.write_channels is not None:
            file_format.write_channels(temporary, values, geometry, names)
        elif file_format.write is not None:
            file_format.write(temporary, values, geometry)

    write_with_geometry(path, write, describe_geometry(geometry, names))


def write_with_geometry(path: Path, write: Callable[[Path], None], description: dict[str, Any]) -> None:
    """Write a file atomically, and beside it its geometry, if its format does not hold it itself.

    Both are written before the first is renamed, so that neither is missing if the disk is full. The earlier geometry
    is removed in between: a process that is killed then leaves a volume of unknown size, but never of a wrong one.

    Parameters
    ----------
    path : Path
        The file.
    write : callable
        Writes the file to a temporary path.
    description : dict
        What `describe_geometry` returns.
    """
    geometry_file = format_of(path).geometry_file
    if geometry_file is None:
        with atomic_write(path) as temporary:
            write(temporary)
        return
    beside = geometry_file(path)
    with atomic_write(beside) as text:
        text.write_text(format_json(description), encoding="utf-8")
        with atomic_write(path) as temporary:
            write(temporary)
            beside.unlink(missing_ok=True)


def suffix_for(geometry: Geometry, suffix: str = ".tif") -> str:
    """Return a suffix if its format holds a geometry, else that of the first format that does.

    >>> suffix_for(Geometry((2.0, 0.5, 0.5))), suffix_for(Geometry((2.0, 0.5, 0.5), origin=(1.0, 0.0, 0.0)))
    ('.tif', '.ome.zarr')
    """
    parts = parts_of(geometry)
    return next(
        each for each in (suffix, *_GEOMETRY_SUFFIXES) if parts <= format_of("a" + each).holds(Path("a" + each))
    )


def read_sample(  # noqa: PLR0913 - the files of a volume, and what they are
    image: Path | str,
    labels: Path | str | None = None,
    label_mask: Path | str | None = None,
    provenance: Provenance | None = None,
    *,
    times_as_channels: bool = False,
    time: int | None = None,
    fourth_axis: FourthAxis = FourthAxis.AUTO,
) -> Sample:
    """Read an image and optionally its labels as a sample.

    Parameters
    ----------
    image, labels : Path or str
        The files. The voxel size is that of the image, else that of the labels; it may be unknown. Labels and mask
        whose axes are swapped or flipped are turned onto the image.
    label_mask : Path or str, optional
        The mask of annotated voxels, 0 or 1.
    provenance : Provenance, optional
        Provenance of a corrected volume.
    times_as_channels : bool
        Use several time points as channels, as they are where there is a single volume of labels for all of them: 4D
        NIfTI files hold the contrasts of a scan so.
    time : int, optional
        The time point to read of a series, from 0; see `read_time_points` for all of them.
    fourth_axis : FourthAxis
        What the axis beside z, y and x is; by default what the file says.

    Returns
    -------
    Sample
        With the name of the image file, and the number of the time point.

    Raises
    ------
    UserError
        As `read_volume`, and if image, labels and mask do not match, or nothing is annotated.
    """
    axis = fourth_axis if time is None else FourthAxis.TIME_POINTS
    with open_volume(image, "images", axis) as opened:
        files = labels, label_mask, provenance
        return sample_of(opened, *files, times_as_channels=times_as_channels or labels is not None, time=time)


def sample_of(
    image: OpenVolume,
    labels: Path | str | None = None,
    label_mask: Path | str | None = None,
    provenance: Provenance | None = None,
    *,
    times_as_channels: bool = False,
    time: int | None = None,
) -> Sample:
    """Read an image that is open and optionally its labels; see `read_sample`."""
    volume = _channels_of(image, time=time, times_as_channels=times_as_channels)
    z, y, x = volume.array.shape[-3:]
    of_labels = partial(read_labels_like, image_name=str(image.path), image=volume.geometry, shape=(z, y, x))
    truth, mask = (None if path is None else of_labels(path, time=time, series=image) for path in (labels, label_mask))
    geometry = volume.geometry
    if geometry.voxel_size_um is None and truth is not None and truth.voxel_size_um is not None:
        geometry = geometry.with_sizes_um(truth.geometry.sizes)
    name = volume_name(image.path) if time is None else time_point_name(volume_name(image.path), time)
    annotated = None if mask is None else read_mask(name, mask.array)
    arrays = volume.array, truth.array if truth else None
    notices = tuple(notice for each in (volume, truth, mask) if each is not None for notice in each.notices)
    return Sample(
        name,
        *arrays,
        label_mask=annotated,
        provenance=provenance,
        geometry=geometry,
        notices=notices,
        channel_names=volume.channel_names,
    )


def read_channels(
    path: Path | str,
    *,
    times_as_channels: bool = False,
    time: int | None = None,
    fourth_axis: FourthAxis = FourthAxis.AUTO,
) -> VolumeData:
    """Read one volume with all its channels, as an array (z, y, x) or (channel, z, y, x).

    Parameters
    ----------
    path : Path or str
        The file.
    times_as_channels : bool
        Use several time points as channels, with a notice; see `read_sample`.
    time, fourth_axis : int, FourthAxis
        As for `read_sample`.

    Raises
    ------
    UserError
        As `read_volume`, except for several channels.
    """
    with open_volume(path, "images", fourth_axis if time is None else FourthAxis.TIME_POINTS) as opened:
        return _channels_of(opened, time=time, times_as_channels=times_as_channels)


def _channels_of(opened: OpenVolume, *, time: int | None, times_as_channels: bool) -> VolumeData:
    if time is None and opened.roles.axes == "tzyx" and times_as_channels:
        volume = opened.read()
        n_times = len(volume.array)
        notice = f"{opened.path} has {n_times} time points for one volume; they are used as channels."
        names = name_channels((), n_times)
        return replace(volume, axes="czyx", channel_names=names, notices=(*volume.notices, notice))
    if time is None and opened.n_times is not None:
        raise several_time_points(opened)
    return opened.read(time=time)
