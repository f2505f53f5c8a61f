"""What all formats share: their declaration, the volume that is read, geometry in units of length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.holds import Holds
from napari_unet3d.data.geometry import UNKNOWN, Geometry, PartialVoxelSize, make_geometry
from napari_unet3d.errors import UserError


@dataclass(frozen=True, slots=True)
class VolumeData:
    """A volume as it was read from a file.

    Attributes
    ----------
    array : ndarray of any real number type, shape (z, y, x) or as `axes` says
        The values, in native byte order.
    geometry : Geometry
        Voxel size, orientation and origin, as far as the file has them.
    notices : tuple of str
        What was assumed or changed, for the user.
    axes : str
        ``"zyx"``, or ``"czyx"``, ``"tzyx"`` or ``"tczyx"`` for several channels or time points.
    channel_names : tuple of str
        One name per channel if there is an axis c, else empty.
    time_step_s : float or None
        Seconds from one time point to the next, if the file has them.
    is_lossy : bool
        Whether the values were changed by compression, as in JPEG, so that they cannot be labels.
    """

    array: NDArray[Any]
    geometry: Geometry = UNKNOWN
    notices: tuple[str, ...] = ()
    axes: str = "zyx"
    channel_names: tuple[str, ...] = ()
    time_step_s: float | None = None
    is_lossy: bool = False

    @property
    def voxel_size_um(self) -> PartialVoxelSize | None:
        """Size of a voxel along z, y, x in µm, None where it is unknown; None if it is unknown along all axes."""
        return self.geometry.voxel_size_um


def _unknown_geometry(axes: Sequence[int]) -> Geometry:
    return UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVolume:
    """A volume in a file, of which only the description was read.

    Attributes
    ----------
    shape : tuple of int
        Its shape in the file.
    dtype : dtype
        Its data type in the file.
    load : callable
        Reads the part for an index with one integer or slice per axis.
    axes : str
        A letter for each axis: t, c, z, y, x, or s for the samples of a colour image; other letters are axes without
        a meaning. Empty if the file does not name its axes.
    name : str
        Its path inside the file; empty for a file with a single volume.
    geometry_of : callable
        Returns the geometry for the indices of the axes z, y and x.
    channel_names : tuple of str
        As far as the file has them.
    notices : tuple of str
        What was assumed, for the user.
    default_notice : str
        For the volume of several that is used if none is chosen: the message that says so.
    time_step_s : float or None
        Seconds from one time point to the next, if the file has them.
    is_lossy : bool
        As of `VolumeData`.
    reads_parts : bool
        Whether `load` reads a part of the volume without the rest of it.
    chunks : tuple of int
        The parts that are compressed together, along each axis of the file; empty if there are none.
    shards : tuple of int
        The parts that are stored in a file each, if these hold several chunks; else empty.
    file_of : callable, optional
        Returns the file with the voxel at an index, for a volume in several files.
    gaps : callable
        Returns a notice of parts that were lost and are read as zeros; empty if there are none. It is not asked for
        labels.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Callable[[tuple[int | slice, ...]], NDArray[Any]]
    axes: str = ""
    name: str = ""
    geometry_of: Callable[[Sequence[int]], Geometry] = _unknown_geometry
    channel_names: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    default_notice: str = ""
    time_step_s: float | None = None
    is_lossy: bool = False
    reads_parts: bool = False
    chunks: tuple[int, ...] = ()
    shards: tuple[int, ...] = ()
    file_of: Callable[[Sequence[int]], Path] | None = None
    gaps: Callable[[], str] = str


class Writer(Protocol):
    """What writes a volume in a format."""

    def __call__(self, path: Path, array: NDArray[Any], geometry: Geometry) -> None:
        """Write an array of shape (z, y, x) with its geometry; what the format cannot hold is not passed on."""


class ChannelWriter(Protocol):
    """What writes a volume of several channels in a format."""

    def __call__(self, path: Path, array: NDArray[Any], geometry: Geometry, names: tuple[str, ...]) -> None:
        """Write an array of shape (channel, z, y, x) with its geometry and a name for each channel."""


class SeriesWriter(Protocol):
    """What writes the time points of a volume in a format."""

    def __call__(self, path: Path, array: NDArray[Any], geometry: Geometry, time_step_s: float | None) -> None:
        """Write an array of shape (t, z, y, x), which may be a memory map, with its geometry and its step in time."""


def _any_error() -> tuple[type[Exception], ...]:
    return ValueError, TypeError, LookupError, ArithmeticError, EOFError, RuntimeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A file format; each module of this package ends with one, and `registry.FORMATS` lists them.

    Modules of formats import their libraries inside functions, so that listing formats costs nothing.

    Attributes
    ----------
    name : str
        What users call it, such as ``NIfTI``.
    suffixes : tuple of str
        Ends of file names in lower case, each with its dot.
    read : callable, optional
        Reads a file with one 3D volume into a `VolumeData`; instead of `volumes`.
    write : callable, optional
        Writes a volume; see `Writer`. Without it, `written_as` names the suffix that is written instead.
    volumes : callable, optional
        Lists the volumes of a file as `StoredVolume`, which may have channels and time points. A file that it opens is
        entered into the stack, which is closed when the chosen volume has been read, so that each is opened once.
    write_channels : callable, optional
        Writes a volume of several channels; see `ChannelWriter`. Without it, the format holds one channel only.
    write_series : callable, optional
        Writes several time points; see `SeriesWriter`. Without it, the format holds one time point only.
    names_time : bool
        Whether a fourth axis is only called time where it is; the fourth axis of NIfTI is often one of channels.
    voxel_size : str
        Where a file holds its voxel size, for the documentation.
    read_errors : callable
        Returns the exceptions that the library raises for a damaged file.
    extra : str
        The extra of this package that installs the library; empty when it is always installed.
    written_as : mapping of str to str
        Suffixes that are only read, each with the one that is written instead.
    geometry_file : callable, optional
        Returns the JSON file that holds the geometry of a volume, for formats that do not hold it themselves.
    folder_files : tuple of str
        For formats whose volumes are folders: the files of which such a folder holds at least one.
    signature : bytes
        Regular expression for the first 1024 bytes of a file, by which it is known whatever it is called.
    holds : callable
        Returns which parts of a geometry a file can hold; by default the voxel size alone.
    """

    name: str
    suffixes: tuple[str, ...]
    write: Writer | None = None
    read: Callable[[Path], VolumeData] | None = None
    volumes: Callable[[Path, ExitStack], Sequence[StoredVolume]] | None = None
    write_channels: ChannelWriter | None = None
    write_series: SeriesWriter | None = None
    names_time: bool = True
    voxel_size: str = "in the header"
    read_errors: Callable[[], tuple[type[Exception], ...]] = _any_error
    extra: str = ""
    written_as: Mapping[str, str] = field(default_factory=dict)
    geometry_file: Callable[[Path], Path] | None = None
    folder_files: tuple[str, ...] = ()
    signature: bytes = b""
    holds: Callable[[Path], frozenset[Holds]] = lambda path: frozenset({Holds.VOXEL_SIZE})

    @property
    def is_folder(self) -> bool:
        """Whether a volume is a folder rather than a file."""
        return bool(self.folder_files)


def geometry_in_units(
    lengths: Sequence[float | None],
    um_per_length: Sequence[float | None],
    first: Sequence[float] | None = None,
    frame: str = "",
) -> Geometry:
    """Return the geometry of voxels whose sides have units of their own.

    Parameters
    ----------
    lengths : sequence of float or None
        The sides along z, y, x; None where there is none.
    um_per_length : sequence of float or None
        The units of the axes in µm. Lengths without a unit are only kept if no axis has a unit.
    first : sequence of float, optional
        The centre of the first voxel along z, y, x, in the same units.
    frame : str
        See `Geometry`.
    """
    is_um = any(length is not None and um is not None for length, um in zip(lengths, um_per_length, strict=True))
    units = list(um_per_length) if is_um else [1.0, 1.0, 1.0]
    sizes = [None if length is None or um is None else length * um for length, um in zip(lengths, units, strict=True)]
    origin = None
    if first is not None and any(first) and None not in units:
        origin = [float(length) * (um or 0.0) for length, um in zip(first, units, strict=True)][::-1]
    return make_geometry(sizes, None, origin, frame, is_um=is_um)


def unknown_type(array: NDArray[Any], name: str) -> UserError:
    """Return the error for a data type that a format does not support."""
    return UserError(f"{name} cannot hold {array.dtype}. Choose .tif or .npy instead, or convert the values.")
