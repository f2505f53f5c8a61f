"""HDF5 files of Imaris and BigDataViewer, in which not every array is a volume."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.base import StoredVolume, geometry_in_units
from napari_unet3d.data.formats.hdf5_sources import check_blocks, check_storage
from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.formats.units import um_per_unit
from napari_unet3d.data.geometry import UNKNOWN, Geometry
from napari_unet3d.errors import UserError
from napari_unet3d.text_files import read_limited

_HIGHEST = "DataSet/ResolutionLevel 0"  # of Imaris
_INFO = "DataSetInfo/Image"
_NAMELESS = "(name not specified)"  # Imaris' name of a channel without one
_SETUP = re.compile(r"s\d{2,}")
_TIME = re.compile(r"t\d{5,}")
_FRAME = "HDF5"


def layout_volumes(path: Path, file: Any) -> list[StoredVolume] | None:
    """Return the volumes of a file of Imaris or BigDataViewer at their highest resolution; None for other files."""
    if _HIGHEST in file:
        return [_imaris(path, file)]
    setups = [name for name in file if _SETUP.fullmatch(name) and "resolutions" in file[name]]
    times = sorted((name for name in file if _TIME.fullmatch(name)), key=natural_order)
    if not setups or not times:
        return None
    volumes = [volume for setup in sorted(setups, key=natural_order) for volume in _bdv(path, file, setup, times)]
    return [replace(volumes[0], name="")] if len(volumes) == 1 else volumes


def _imaris(path: Path, file: Any) -> StoredVolume:
    """Return the image of a file of Imaris without the padding of its arrays."""
    highest = file[_HIGHEST]
    times = sorted((name for name in highest if name.startswith("TimePoint")), key=natural_order)
    channels = sorted((name for name in highest[times[0]] if name.startswith("Channel")), key=natural_order)
    first = highest[times[0]][channels[0]]
    z, y, x = (int(_text(first.attrs[f"ImageSize{axis}"])) for axis in "ZYX")
    names = [_channel_name(file, channel) for channel in channels]

    def load(index: tuple[int | slice, ...]) -> NDArray[Any]:
        def read(time: str, channel: str) -> NDArray[Any]:
            data = _own(path, file, f"{_HIGHEST}/{time}/{channel}/Data")
            return np.asarray(data[:z, :y, :x])

        return _stacked([times, channels], index, read)

    geometry = _imaris_geometry(file, (z, y, x))
    return StoredVolume(
        shape=(len(times), len(channels), z, y, x),
        dtype=first["Data"].dtype,
        load=load,
        axes="tczyx",
        geometry_of=lambda zyx: geometry,
        channel_names=tuple(names) if any(names) else (),
    )


def _imaris_geometry(file: Any, shape: tuple[int, int, int]) -> Geometry:
    attributes = {name: _text(value) for name, value in file[_INFO].attrs.items()} if _INFO in file else {}
    um = um_per_unit(attributes.get("Unit", "um"))
    ends = [[_number(attributes.get(f"Ext{end}{axis}")) for axis in (2, 1, 0)] for end in ("Min", "Max")]
    lengths = [
        None if low is None or high is None else (high - low) / n for low, high, n in zip(*ends, shape, strict=True)
    ]
    first = None
    if any(ends[0]) and None not in lengths:  # the corner of the first voxel
        first = [(low or 0.0) + (length or 0.0) / 2 for low, length in zip(ends[0], lengths, strict=True)]
    return geometry_in_units(lengths, [um] * 3, first, _FRAME)


def _channel_name(file: Any, channel: str) -> str:
    info = f"DataSetInfo/{channel}"
    name = _text(file[info].attrs.get("Name", "")) if info in file else ""
    return "" if name == _NAMELESS else name


def _bdv(path: Path, file: Any, setup: str, times: Sequence[str]) -> list[StoredVolume]:
    """Return the volume of a setup with its time points, or one for each if their shapes differ."""
    arrays = {time: f"{time}/{setup}/0/cells" for time in times if f"{time}/{setup}/0/cells" in file}
    shapes = {file[name].shape for name in arrays.values()}
    groups = [[time] for time in arrays] if len(shapes) > 1 else [list(arrays)]
    geometry = _bdv_geometry(path, setup)
    return [
        _bdv_volume(
            path, file, setup if len(groups) == 1 else f"{group[0]}/{setup}", [arrays[t] for t in group], geometry
        )
        for group in groups
        if group
    ]


def _bdv_volume(path: Path, file: Any, name: str, arrays: list[str], geometry: Geometry) -> StoredVolume:
    def load(index: tuple[int | slice, ...]) -> NDArray[Any]:
        return _stacked([arrays], index, lambda array: _unsigned(np.asarray(_own(path, file, array)[()])))

    dataset = file[arrays[0]]
    return StoredVolume(
        shape=(len(arrays), *dataset.shape),
        dtype=_unsigned(np.empty(0, dataset.dtype)).dtype,
        load=load,
        axes="tzyx",
        name=name,
        geometry_of=lambda zyx: geometry,
    )


def _unsigned(values: NDArray[Any]) -> NDArray[Any]:
    """Return values as they were before BigDataViewer stored them: HDF5 in Java had no unsigned integers."""
    return values.view(np.uint16) if values.dtype == np.int16 else values


def _bdv_geometry(path: Path, setup: str) -> Geometry:
    """Return the geometry of a setup from the XML file beside an HDF5 file; unknown without it."""
    try:
        root = ElementTree.fromstring(read_limited(path.with_suffix(".xml")))
    except (UserError, ElementTree.ParseError):
        return UNKNOWN
    for view in root.iterfind("./SequenceDescription/ViewSetups/ViewSetup"):
        if (view.findtext("id") or "").strip() == str(int(setup[1:])):
            sizes = [_number(size) for size in (view.findtext("voxelSize/size") or "").split()]
            um = um_per_unit(view.findtext("voxelSize/unit") or "")
            return geometry_in_units(sizes[::-1], [um] * 3, None, _FRAME) if len(sizes) == len("zyx") else UNKNOWN
    return UNKNOWN


def _stacked(
    names: Sequence[Sequence[str]], index: tuple[int | slice, ...], read: Callable[..., NDArray[Any]]
) -> NDArray[Any]:
    """Return the volumes that an index chooses; the last three of its parts are of z, y and x.

    Parameters
    ----------
    names : sequence of sequence of str
        For each axis before z, the names of its volumes.
    index : tuple of int or slice
        One part for each axis.
    read : callable
        Reads a volume by a name for each axis.
    """
    if len(names) == 0:
        return np.asarray(read()[index])
    part, own = index[0], names[0]
    if isinstance(part, int):
        return _stacked(names[1:], index[1:], lambda *rest: read(own[part], *rest))
    return np.stack([_stacked(names[1:], index[1:], lambda *rest, n=n: read(n, *rest)) for n in own[part]])


def _own(path: Path, file: Any, name: str) -> Any:
    """Return an array of a file; links to other files are not followed."""
    array = file[name]
    if array.file.filename != file.filename:
        raise UserError(f"{path} links to data in another file, {array.file.filename}. Open that file instead.")
    check_storage(path, array)
    check_blocks(array)
    return array


def _text(value: Any) -> str:
    """Return the text of an attribute, which Imaris stores as an array of letters."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "S":
        return b"".join(value.ravel().tolist()).decode("utf-8", "replace").strip("\0 ")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
