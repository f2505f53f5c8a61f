"""NumPy's .npy; the voxel size is in a JSON file next to it, ``volume.npy.json``."""

from __future__ import annotations

import tokenize
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.base import Format, StoredVolume
from napari_unet3d.data.formats.holds import Holds
from napari_unet3d.data.formats.npy_header import read_array_header
from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.errors import UserError
from napari_unet3d.paths import exists
from napari_unet3d.text_files import parse_json, read_json_object, read_limited

_DEFAULTS = Geometry()


def geometry_file(path: Path) -> Path:
    """Return the JSON file that holds the voxel size of a .npy file, as ``{"voxel_size_um": [z, y, x]}``.

    Sizes that are not known are null. ``voxel_size`` instead of ``voxel_size_um`` holds numbers without a unit, and
    ``directions``, ``origin_um`` (or ``origin``), ``frame`` and ``space`` are as in `Geometry`. ``channels`` names the
    channels of an array (channel, z, y, x). ``axes`` is ``tzyx`` for one of time points, ``time_step_s`` apart.
    """
    return path.with_name(path.name + ".json")


def list_file(path: Path, _stack: ExitStack) -> list[StoredVolume]:
    """Return the array of a file; pickled objects are refused, since they can run code."""
    if _holds_objects(path):
        raise UserError(
            f"{path} holds Python objects, which can run code and are not read; Cellpose writes such files as "
            "NAME_seg.npy. Save the array of numbers alone, such as the masks as TIFF."
        )
    with np.errstate(over="ignore"):  # of a shape that no file can have, which is refused as one
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)  # mapping checks the file size
    if not isinstance(mapped, np.memmap):
        raise UserError(f"{path} is a .npz archive, not a .npy file. Rename it to .npz.")
    axes, time_step_s = _time_axis(geometry_file(path)) if mapped.ndim == 4 else ("", None)
    return [
        StoredVolume(
            shape=mapped.shape,
            dtype=mapped.dtype,
            load=lambda index: np.array(mapped[index], order="C"),
            axes="czyx" if (names := _channel_names(geometry_file(path))) and mapped.ndim == 4 else axes,
            geometry_of=lambda zyx: read_geometry(geometry_file(path)),
            channel_names=names,
            time_step_s=time_step_s,
            reads_parts=True,
        )
    ]


def _holds_objects(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
            return False  # explained when it is read
        file.seek(0)
        return bool(read_array_header(file).dtype.hasobject)


def _channel_names(path: Path) -> tuple[str, ...]:
    """Read the names of the channels from the JSON file of an array; none if it does not say."""
    try:
        return tuple(map(str, read_json_object(path).get("channels", []))) if exists(path) else ()
    except (UserError, TypeError):  # explained when the geometry is read
        return ()


def _time_axis(path: Path) -> tuple[str, float | None]:
    """Read from the JSON file of an array whether its first axis is time, and the step in seconds."""
    try:
        fields = read_json_object(path) if exists(path) else {}
        step = fields.get("time_step_s")
        return ("tzyx" if fields.get("axes") == "tzyx" else "", None if step is None else float(step))
    except (UserError, TypeError, ValueError):  # explained when the geometry is read
        return "", None


def read_geometry(path: Path) -> Geometry:
    """Read the geometry from the JSON file of an array; unknown if there is no such file."""
    if not exists(path):
        return _DEFAULTS
    try:
        fields = parse_json(read_limited(path))
        is_um = "voxel_size_um" in fields
        sizes = [None if size is None else float(size) for size in fields["voxel_size_um" if is_um else "voxel_size"]]
        directions, origin = fields.get("directions"), fields.get("origin_um" if is_um else "origin")
        matrix = None if directions is None else np.array(directions, dtype=float).reshape(3, 3).T
        names = {name: str(fields.get(name, "")) for name in ("frame", "space")}
        geometry = make_geometry(sizes, matrix, origin and [float(each) for each in origin], is_um=is_um, **names)
    except (ValueError, KeyError, TypeError, AttributeError):
        geometry, sizes = _DEFAULTS, [0.0]
    if [*geometry.sizes] != sizes:
        raise UserError(
            f'{path} should contain {{"voxel_size_um": [z, y, x]}} with sizes in µm, or null where a size is not '
            "known. Correct or delete it."
        )
    return geometry


def describe_geometry(geometry: Geometry, channel_names: Sequence[str] = ()) -> dict[str, Any]:
    """Return the contents of `geometry_file`; of several channels, also their names."""
    unit = "_um" if geometry.is_um else ""
    fields: dict[str, Any] = {f"voxel_size{unit}": list(geometry.sizes)}
    if geometry.directions is not None:
        fields["directions"] = [list(direction) for direction in geometry.directions]
    if geometry.origin is not None:
        fields[f"origin{unit}"] = list(geometry.origin)
    if channel_names:
        fields["channels"] = list(channel_names)
    return fields | {name: text for name, text in (("frame", geometry.frame), ("space", geometry.space)) if text}


def write_channels(path: Path, array: NDArray[Any], geometry: Geometry, names: tuple[str, ...]) -> None:
    """Write an array (channel, z, y, x); geometry and names go into `geometry_file`."""
    write_file(path, array, geometry)


def write_series(path: Path, array: NDArray[Any], geometry: Geometry, time_step_s: float | None) -> None:
    """Write an array (t, z, y, x); geometry and step go into `geometry_file`."""
    write_file(path, array, geometry)


def write_file(path: Path, array: NDArray[Any], geometry: Geometry) -> None:
    """Write an array; the geometry goes into `geometry_file`."""
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


FORMAT = Format(
    name="NumPy",
    suffixes=(".npy",),
    volumes=list_file,
    write=write_file,
    write_channels=write_channels,
    write_series=write_series,
    voxel_size="in `NAME.npy.json` next to it",
    read_errors=lambda: (ValueError, EOFError, SyntaxError, TypeError, tokenize.TokenError),
    geometry_file=geometry_file,
    signature=rb"\x93NUMPY",
    holds=lambda path: frozenset(Holds),
)
