"""Reading of volumes: from a path to an array with its place, its channels and its time points, or to its header."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from napari_unet3d.configs.training_enums import FourthAxis
from napari_unet3d.data.formats.base import StoredVolume, VolumeData
from napari_unet3d.data.formats.registry import format_of, split_path
from napari_unet3d.data.formats.select import find_axes
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.opening import open_file, open_stored, open_volume
from napari_unet3d.errors import UserError


def read_volume(
    path: Path | str, *, channel: int | str | None = None, time: int | None = None, role: str = ""
) -> VolumeData:
    """Read one 3D volume.

    Parameters
    ----------
    path : Path or str
        A file in one of the formats of `napari_unet3d.data.formats.registry`, or a volume inside it, such as
        ``cells.zarr/volumes/raw``.
    channel : int or str, optional
        Number from 0, or name, of the channel to read of several.
    time : int, optional
        Number from 0 of the time point to read of several.
    role : str
        ``"images"`` or ``"labels"``: of several volumes in a file, the one whose name says so is read. By default that
        of a folder of a dataset, such as ``train/labels``.

    Returns
    -------
    VolumeData
        The array (z, y, x), its voxel size in µm, as far as the file has one, orientation and origin.

    Raises
    ------
    UserError
        If the file is missing, damaged, not 3D, does not fit into memory, or holds several volumes, channels or time
        points and none is chosen.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from napari_unet3d import write_volume
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "brain.nii.gz"
    ...     write_volume(file, np.ones((4, 5, 6), np.int16), voxel_size_um=(2.0, 0.5, 0.5))
    ...     volume = read_volume(file)
    >>> volume.array.shape, [round(size, 6) for size in volume.voxel_size_um]
    ((4, 5, 6), [2.0, 0.5, 0.5])
    """
    with open_volume(path, role) as volume:
        return volume.read(whole=False, channel=channel, time=time)


def read_image(
    path: Path | str,
    *,
    channel: int | str | None = None,
    time: int | None = None,
    role: str = "",
    fourth_axis: FourthAxis = FourthAxis.AUTO,
) -> VolumeData:
    """Read a volume with all its channels and time points, or with those that are chosen.

    Parameters
    ----------
    path : Path or str
        A file, or a volume inside it, as for `read_volume`.
    channel : int or str, optional
        Number from 0, or name, of the only channel to read.
    time : int, optional
        Number from 0 of the only time point to read.
    role : str
        As for `read_volume`.
    fourth_axis : FourthAxis
        What the axis beside z, y and x is; by default what the file says.

    Returns
    -------
    VolumeData
        Whose `axes` are ``"zyx"``, ``"czyx"``, ``"tzyx"`` or ``"tczyx"``.

    Raises
    ------
    UserError
        As `read_volume`, except for several channels or time points.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import tifffile
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "cells.tif"
    ...     tifffile.imwrite(file, np.zeros((4, 2, 5, 6), np.uint8), imagej=True, metadata={"axes": "ZCYX"})
    ...     volume = read_image(file)
    >>> volume.array.shape, volume.axes, volume.channel_names
    ((2, 4, 5, 6), 'czyx', ('channel 1', 'channel 2'))
    """
    with open_volume(path, role, fourth_axis) as volume:
        return volume.read(channel=channel, time=time)


def list_volumes(path: Path | str) -> list[StoredVolume]:
    """Return the volumes of a file, without reading their voxels.

    Parameters
    ----------
    path : Path or str
        A file, or a group inside it.

    Returns
    -------
    list of StoredVolume
        With name, shape, axes, data type and geometry; a file with a single volume has one without a name.

    Raises
    ------
    UserError
        As `read_volume`, except for several volumes, channels or time points.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import zarr
    >>> with TemporaryDirectory() as folder:
    ...     group = zarr.open_group(Path(folder) / "cells.zarr")
    ...     for name in ("raw", "labels"):
    ...         array = group.create_array(name, shape=(4, 5, 6), dtype=np.uint8)
    ...     [(volume.name, volume.shape) for volume in list_volumes(Path(folder) / "cells.zarr")]
    [('labels', (4, 5, 6)), ('raw', (4, 5, 6))]
    """
    file, inner = split_path(path)
    with open_file(file, inner) as volumes:
        return [each for each in volumes if each.name.startswith(inner) or format_of(file).is_folder]


class VolumeHeader(NamedTuple):
    """What is known of a volume before its voxels are read.

    Attributes
    ----------
    shape : tuple of int
        The lengths along z, y, x.
    geometry : Geometry
        Voxel size, orientation and origin, as far as the file has them.
    """

    shape: tuple[int, int, int]
    geometry: Geometry


def read_header(path: Path | str, *, role: str = "") -> VolumeHeader:
    """Return shape and geometry of a volume without reading its voxels.

    Parameters
    ----------
    path : Path or str
        A file, or a volume inside it, as for `read_volume`; it may have channels and time points.
    role : str
        As for `read_volume`.

    Raises
    ------
    UserError
        As `read_volume`, except for several channels or time points.
    """
    path = Path(path)
    with open_stored(path, role) as stored:
        axes = find_axes(path, stored.shape, stored.axes).zyx
        z, y, x = (stored.shape[axis] for axis in axes)
        return VolumeHeader((z, y, x), stored.geometry_of(axes))


def volume_paths(path: Path | str) -> list[Path]:
    """Return the path of each volume of a file that holds several; otherwise, and if it cannot be read, its own.

    Parameters
    ----------
    path : Path or str
        A file.
    """
    path = Path(path)
    try:
        volumes = list_volumes(path)
    except UserError:  # it is explained when the file is read
        return [path]
    is_clear = len(volumes) < 2 or any(not each.name or each.default_notice for each in volumes)
    return [path] if is_clear else [path / each.name for each in volumes]
