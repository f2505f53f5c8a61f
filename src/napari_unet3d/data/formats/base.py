"""What all formats share: their declaration, the volume that is read, checks of the header, units of length."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil
from numpy.typing import DTypeLike, NDArray

from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.sample import VoxelSize
from napari_unet3d.errors import UserError

_UM_PER_UNIT = {
    "m": 1e6,
    "meter": 1e6,
    "metre": 1e6,
    "cm": 1e4,
    "centimeter": 1e4,
    "centimetre": 1e4,
    "mm": 1e3,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "um": 1.0,
    "\N{MICRO SIGN}m": 1.0,
    "\N{GREEK SMALL LETTER MU}m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "nanometre": 1e-3,
    "pm": 1e-6,
    "picometer": 1e-6,
    "picometre": 1e-6,
    "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}": 1e-4,
    "\N{ANGSTROM SIGN}": 1e-4,
    "angstrom": 1e-4,
    "in": 25_400.0,
    "inch": 25_400.0,
}


@dataclass(frozen=True, slots=True)
class VolumeData:
    """A volume as it was read from a file.

    Attributes
    ----------
    array : ndarray of any real number type, shape (z, y, x)
        The values, in native byte order.
    voxel_size_um : tuple of float, or None
        Size of a voxel along z, y, x in µm; None if the file has none.
    geometry : Geometry, or None
        Orientation and origin; None if the file or its format has none.
    """

    array: NDArray[Any]
    voxel_size_um: VoxelSize | None
    geometry: Geometry | None = None


class Writer(Protocol):
    """What writes a volume in a format."""

    def __call__(self, path: Path, array: NDArray[Any], voxel_size_um: VoxelSize, like: Path | None) -> None:
        """Write an array of shape (z, y, x), with origin and directions of the file `like` of the same format."""


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
    read : callable
        Reads a file into a `VolumeData`.
    write : callable
        Writes a volume; see `Writer`.
    voxel_size : str
        Where a file holds its voxel size, for the documentation.
    read_errors : callable
        Returns the exceptions that the library raises for a damaged file.
    extra : str
        The extra of this package that installs the library; empty when it is always installed.
    written_as : mapping of str to str
        Suffixes that are only read, each with the one that is written instead.
    voxel_size_file : callable, optional
        Returns the JSON file that holds the voxel size of a volume, for formats that do not hold it themselves.
    folder_files : tuple of str
        For formats whose volumes are folders: the files of which such a folder holds at least one.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Path], VolumeData]
    write: Writer
    voxel_size: str = "in the header"
    read_errors: Callable[[], tuple[type[Exception], ...]] = _any_error
    extra: str = ""
    written_as: Mapping[str, str] = field(default_factory=dict)
    voxel_size_file: Callable[[Path], Path] | None = None
    folder_files: tuple[str, ...] = ()

    @property
    def is_folder(self) -> bool:
        """Whether a volume is a folder rather than a file."""
        return bool(self.folder_files)


def check_header(path: Path, shape: Sequence[int], dtype: DTypeLike) -> tuple[int, int, int]:
    """Find the three axes of a volume before any memory is allocated for it.

    Parameters
    ----------
    path : Path
        The file, for the message.
    shape : sequence of int
        Shape in the file; axes of length 1 are ignored.
    dtype : dtype
        Data type in the file.

    Returns
    -------
    tuple of int
        Indices of the three axes that are longer than 1.

    Raises
    ------
    UserError
        If the file is not 3D, does not have real numbers, or is larger than the memory of this machine.

    Examples
    --------
    >>> check_header(Path("a.tif"), (1, 20, 1, 30, 40), "uint16")
    (1, 3, 4)
    """
    dtype = np.dtype(dtype)
    axes = [axis for axis, length in enumerate(shape) if length != 1]
    if 0 in shape:
        raise UserError(f"{path} is empty: its shape is {tuple(shape)}. Export the volume again.")
    if len(axes) < 3:
        raise UserError(
            f"{path} is a {len(axes)}D image of shape {tuple(shape)}; a 3D volume (z, y, x) is needed. "
            "Save the slices as one stack."
        )
    if len(axes) > 3:
        raise UserError(
            f"{path} has {len(axes)} dimensions of shape {tuple(shape)}; one 3D volume (z, y, x) is needed. "
            "Save one channel and one time point as a separate file."
        )
    if dtype.kind not in "buif":
        raise UserError(
            f"{path} has the data type {_describe_type(dtype)}; intensities or labels are needed. Convert it first."
        )
    _check_memory(path, shape, dtype)
    return axes[0], axes[1], axes[2]


def _check_memory(path: Path, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    n_bytes, memory = math.prod(int(n) for n in shape) * dtype.itemsize, psutil.virtual_memory().total
    if n_bytes > memory:
        raise UserError(
            f"{path} declares {_gigabytes(n_bytes)} of shape {tuple(shape)}, but this machine has "
            f"{_gigabytes(memory)} of memory. Crop the volume; if the size is wrong, the file is damaged."
        )


def _describe_type(dtype: np.dtype[Any]) -> str:
    return "colour" if dtype.names else str(dtype)


def _gigabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.1f} GB"


def um_per_unit(unit: object) -> float | None:
    """Return the length of a unit in µm; None if it is not a known unit of length.

    Parameters
    ----------
    unit : object
        A name or symbol as found in files, such as ``"mm"``, ``"micron"`` or ``"nanometer"``.

    Returns
    -------
    float or None
        Length in µm.

    Examples
    --------
    >>> um_per_unit("mm"), um_per_unit("Micron"), um_per_unit("pixel")
    (1000.0, 1.0, None)
    """
    if not isinstance(unit, str):
        return None
    unit = unit.strip().replace("\\u00B5", "\N{MICRO SIGN}")  # ImageJ writes its headers in ASCII
    return _UM_PER_UNIT.get(unit, _UM_PER_UNIT.get(unit.lower()))


def valid_voxel_size(sizes: Sequence[float | None]) -> VoxelSize | None:
    """Return three sizes in µm as a voxel size; None unless all are positive and finite."""
    known = [float(size) for size in sizes if size is not None and 0 < size < math.inf]
    return (known[0], known[1], known[2]) if len(known) == 3 else None


def unknown_type(array: NDArray[Any], name: str) -> UserError:
    """Return the error for a data type that a format does not support."""
    return UserError(f"{name} cannot hold {array.dtype}. Choose .tif or .npy instead, or convert the values.")
