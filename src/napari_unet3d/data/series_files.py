"""Results of series as files of several time points (t, z, y, x), of which one at a time is in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.holds import parts_of
from napari_unet3d.data.formats.npy import describe_geometry
from napari_unet3d.data.formats.registry import format_of, volume_suffix, writable_suffix
from napari_unet3d.data.geometry import UNKNOWN, Geometry
from napari_unet3d.data.volumes import suffix_for, write_with_geometry
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.leftovers import remove_leftovers, remove_path, temporary_name


def holds_series(path: Path | str) -> bool:
    """Return whether the format of a file can hold several time points.

    >>> holds_series("a.tif"), holds_series("a.mrc")
    (True, False)
    """
    return format_of(path).write_series is not None and volume_suffix(path) == writable_suffix(path)


def series_suffix(geometry: Geometry, suffix: str = ".tif") -> str:
    """Return a suffix if its format holds several time points and a geometry, else that of the first format that does.

    >>> series_suffix(Geometry((2.0, 0.5, 0.5)), ".mrc")
    '.ome.tif'
    """
    return suffix_for(geometry, suffix if holds_series(f"a{suffix}") else ".ome.tif")


def write_series(
    path: Path | str, array: NDArray[Any], geometry: Geometry = UNKNOWN, time_step_s: float | None = None
) -> None:
    """Write the time points of a volume atomically; an existing file is replaced.

    Parameters
    ----------
    path : Path or str
        The file; the suffix determines the format. A missing folder is created.
    array : ndarray of any real number type, shape (t, z, y, x)
        The values, which may be a memory map.
    geometry : Geometry
        Voxel size, orientation and origin, the same for all time points.
    time_step_s : float, optional
        Seconds from one time point to the next, if they are known.

    Raises
    ------
    UserError
        If the disk is full, the folder is not writable, or the format does not hold several time points, the data type
        or the geometry.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from napari_unet3d import read_image
    >>> with TemporaryDirectory() as folder:
    ...     write_series(Path(folder) / "a.tif", np.zeros((2, 4, 5, 6), np.uint8), Geometry((2.0, 0.5, 0.5)), 60)
    ...     volume = read_image(Path(folder) / "a.tif")
    >>> volume.axes, volume.array.shape, volume.time_step_s
    ('tzyx', (2, 4, 5, 6), 60.0)
    """
    path, file_format = Path(path), format_of(path)
    missing = sorted(part.value for part in parts_of(geometry) - file_format.holds(path))
    if not holds_series(path) or missing:
        lacks = f"holds no {' and no '.join(missing)}" if missing else "holds no several time points"
        raise UserError(
            f"{path.name} cannot keep a series in time, since {volume_suffix(path)} {lacks}. Choose "
            f"{series_suffix(geometry)} instead."
        )
    write_time_points = file_format.write_series
    assert write_time_points is not None, "it holds several time points"
    fields = {"axes": "tzyx"} | ({} if time_step_s is None else {"time_step_s": time_step_s})
    write = partial(write_time_points, array=array, geometry=geometry, time_step_s=time_step_s)
    write_with_geometry(path, write, describe_geometry(geometry) | fields)


class SeriesFile:
    """The time points of a result, which are kept in a temporary file until all of them are there.

    Parameters
    ----------
    path : Path
        The file that `write` writes.
    n_times : int
        Number of time points.
    geometry : Geometry
        Voxel size, orientation and origin of all of them.
    time_step_s : float, optional
        Seconds from one time point to the next.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from napari_unet3d import read_image
    >>> with TemporaryDirectory() as folder:
    ...     with SeriesFile(Path(folder) / "a.tif", 2, UNKNOWN) as file:
    ...         file.add(0, np.ones((4, 5, 6), np.uint8))
    ...         file.add(1, np.full((4, 5, 6), 300, np.uint16))
    ...         file.write()
    ...     read_image(Path(folder) / "a.tif").array.max(axis=(1, 2, 3)).tolist()
    [1, 300]
    """

    def __init__(self, path: Path, n_times: int, geometry: Geometry, time_step_s: float | None = None) -> None:
        self.path, self._n_times, self._place = path, n_times, (geometry, time_step_s)
        self._folder: Path | None = None
        self._values: NDArray[Any] | None = None

    def __enter__(self) -> Self:
        """Return the file, which is closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Delete the temporary file."""
        self.close()

    def add(self, time: int, values: NDArray[Any]) -> None:
        """Keep a time point of shape (z, y, x); all have the same shape, and the largest number type of them.

        Raises
        ------
        UserError
            If there is no space on the disk.
        """
        with explain_os_errors(self.path.parent, "write time points to"):
            if self._values is None:
                self._values = self._map(values.dtype, values.shape)
            elif (wider := np.promote_types(self._values.dtype, values.dtype)) != self._values.dtype:
                old, self._values = self._values, self._map(wider, values.shape)
                for number in range(self._n_times):
                    self._values[number] = old[number]
            self._values[time] = values

    def write(self) -> None:
        """Write all time points; raises as `write_series`."""
        assert self._values is not None, "time points were added"
        write_series(self.path, self._values, *self._place)

    def close(self) -> None:
        """Delete the temporary file."""
        self._values = None
        if self._folder is not None:
            remove_path(self._folder)
            self._folder = None

    def _map(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        if self._folder is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.path.parent)
            folder = self.path.with_name(temporary_name("time-points"))
            folder.mkdir(mode=0o700)
            self._folder = folder
        file = self._folder / f"{dtype.name}.npy"
        open_memmap: Callable[..., NDArray[Any]] = np.lib.format.open_memmap
        return open_memmap(file, mode="w+", dtype=dtype, shape=(self._n_times, *shape))
