"""Reading of volumes: from a path to an array with its place, its channels and its time points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from napari_unet3d.configs.training_enums import FourthAxis
from napari_unet3d.data.formats.base import Format, StoredVolume, VolumeData
from napari_unet3d.data.formats.fourth_axis import with_fourth_axis
from napari_unet3d.data.formats.registry import format_of, split_path
from napari_unet3d.data.formats.select import AxisRoles, choose, find_axes, select
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.layout import role_of_folder
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.text_files import check_is_regular


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
    >>> import zarr
    >>> with TemporaryDirectory() as folder:
    ...     group = zarr.open_group(Path(folder) / "cells.zarr")
    ...     for name in ("raw", "labels"):
    ...         array = group.create_array(name, shape=(4, 5, 6), dtype=np.uint8)
    ...     [(volume.name, volume.shape) for volume in list_volumes(Path(folder) / "cells.zarr")]
    [('labels', (4, 5, 6)), ('raw', (4, 5, 6))]
    """
    file, inner = split_path(path)
    file_format = format_of(file)
    with _errors_explained(file, inner, file_format), ExitStack() as files:
        volumes = _stored_volumes(file, inner, file_format, files)
        return [each for each in volumes if each.name.startswith(inner) or file_format.is_folder]


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
    with _chosen(path, role) as stored:
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


@dataclass(frozen=True, slots=True)
class OpenVolume:
    """A volume in a file that is open; its voxels are read by `read`.

    Attributes
    ----------
    path : Path
        The path, for messages.
    stored : StoredVolume
        Its description.
    roles : AxisRoles
        Which of its axes are time, channels and z, y, x.
    role : str
        ``"images"``, ``"labels"``, or empty if it is not known.
    """

    path: Path
    stored: StoredVolume
    roles: AxisRoles
    role: str

    @property
    def n_times(self) -> int | None:
        """Number of time points; None if there is no axis of time."""
        return None if self.roles.t is None else self.stored.shape[self.roles.t]

    def read(self, *, whole: bool = True, channel: int | str | None = None, time: int | None = None) -> VolumeData:
        """Read the volume with all its channels and time points, or with those that are chosen; see `read_image`."""
        volume = select(self.path, self.stored, whole=whole, channel=channel, time=time)
        if self.role != "labels" and (notice := self.stored.gaps()):
            volume = replace(volume, notices=(*volume.notices, notice))
        native = volume.array.dtype.newbyteorder("=")  # the only byte order of torch
        array = np.ascontiguousarray(volume.array, dtype=native)
        return replace(volume, array=array, time_step_s=self.stored.time_step_s)


@contextmanager
def open_volume(path: Path | str, role: str = "", fourth_axis: FourthAxis = FourthAxis.AUTO) -> Iterator[OpenVolume]:
    """Open a file and find a volume in it; parameters and errors are those of `read_image`."""
    path = Path(path)
    with _chosen(path, role) as stored:
        named = with_fourth_axis(path, stored, fourth_axis)
        yield OpenVolume(path, named, find_axes(path, named.shape, named.axes), _role_of(path, role))


def _role_of(path: Path, role: str) -> str:
    return role or role_of_folder(split_path(path)[0].parent.name)


@contextmanager
def _chosen(path: Path, role: str) -> Iterator[StoredVolume]:
    """Yield the volume that a path names, while its file is open."""
    file, inner = split_path(path)
    file_format = format_of(file)
    role = _role_of(path, role)
    with _errors_explained(file, inner, file_format), ExitStack() as files:
        if file_format.is_folder and (file / inner).exists():  # a folder inside a Zarr folder is one, too
            yield choose(path, _stored_volumes(file, inner, file_format, files), "", role)
        else:
            yield choose(file, _stored_volumes(file, inner, file_format, files), inner, role)


def _stored_volumes(file: Path, inner: str, file_format: Format, files: ExitStack) -> Sequence[StoredVolume]:
    if file_format.volumes is not None:
        is_folder_inside = file_format.is_folder and (file / inner).exists()
        return file_format.volumes(file / inner if is_folder_inside else file, files)
    assert file_format.read is not None, f"{file_format.name} neither reads nor lists volumes"
    volume = file_format.read(file)
    return [
        StoredVolume(
            shape=volume.array.shape,
            dtype=volume.array.dtype,
            load=lambda index: volume.array[index],
            axes=volume.axes,
            geometry_of=lambda zyx: volume.geometry,
            channel_names=volume.channel_names,
            notices=volume.notices,
        )
    ]


@contextmanager
def _errors_explained(file: Path, inner: str, file_format: Format) -> Iterator[None]:
    path = file / inner if file_format.is_folder else file
    damage: tuple[type[Exception], ...] = (*file_format.read_errors(), OverflowError, RecursionError)
    with explain_os_errors(path, "read"):
        check_is_regular(file)
        try:
            yield
        except MemoryError:
            raise UserError(f"{path} does not fit into memory. Close other programs or crop the volume.") from None
        except damage as error:
            raise UserError(
                f"Cannot read {path}: it is damaged or not in the format {file_format.name} ({_first_line(error)}). "
                "Copy or export it again."
            ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0].rstrip(".") if lines else "") or type(error).__name__
