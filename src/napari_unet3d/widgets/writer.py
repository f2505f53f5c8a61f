"""The writer of napari: a layer as a file that keeps its voxel size and place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Layer
from napari.utils.notifications import show_warning
from numpy.typing import NDArray

from napari_unet3d.data.formats.holds import parts_of
from napari_unet3d.data.formats.registry import format_of, writable_suffix
from napari_unet3d.data.formats.units import seconds_per_unit
from napari_unet3d.data.series_files import holds_series, series_suffix, write_series
from napari_unet3d.data.volumes import suffix_for, write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.viewer.from_layers import channels_notice, is_channel_axis
from napari_unet3d.widgets.viewer.places import TIME_LABELS, geometry_of


def write_image(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an Image layer; see `_write`."""
    return _write(Path(path), data, attributes, "image")


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a Labels layer; see `_write`."""
    return _write(Path(path), data, attributes, "labels")


def _write(path: Path, data: Any, attributes: dict[str, Any], kind: str) -> list[str]:
    """Write a layer of a volume, also of one with several channels, with its voxel size, orientation and origin.

    Raises
    ------
    UserError
        If the layer is no volume, or the format cannot hold its channels, its place or its data type.
    """
    layer = Layer.create(data, dict(attributes), kind)
    if np.ndim(data) == 4 and not attributes.get("rgb") and holds_series(path) and _is_time(layer):
        return _write_series(path, layer)
    array = None if attributes.get("rgb") else _volume_of(layer, kind)
    if array is None:
        if path.suffix.lower() in (".tif", ".tiff"):
            return _write_plain(path, data, attributes, kind)
        raise UserError(
            f"The layer '{layer.name}' has the shape {np.shape(data)}; only 3D volumes (z, y, x), and channels of one "
            f"(c, z, y, x), can be written as {path.name}. Choose .tif, or split the layer into volumes first."
        )
    geometry = geometry_of(layer)
    if parts_of(geometry) - format_of(path).holds(path):
        suffix = suffix_for(geometry, writable_suffix(path))
        raise UserError(
            f"{path.name} cannot keep where the layer '{layer.name}' lies (its scale, units, translation or rotation). "
            f"Choose {suffix} as its suffix."
        )
    write_volume(path, array, geometry=geometry)
    return [str(path)]


def _is_time(layer: Layer) -> bool:
    return str(layer.axis_labels[0]).strip().lower() in TIME_LABELS


def _write_series(path: Path, layer: Layer) -> list[str]:
    """Write a layer (t, z, y, x) with its place and, where its unit is one of time, its step."""
    geometry, unit = geometry_of(layer), seconds_per_unit(f"{layer.units[0]:~P}")
    if parts_of(geometry) - format_of(path).holds(path):
        raise UserError(
            f"{path.name} cannot keep where the layer '{layer.name}' lies (its scale, units, translation or rotation). "
            f"Choose {series_suffix(geometry, writable_suffix(path))} as its suffix."
        )
    step = None if unit is None else float(layer.scale[0]) * unit
    write_series(path, np.asarray(layer.data), geometry, step)
    return [str(path)]


def _volume_of(layer: Layer, kind: str) -> NDArray[Any] | None:
    """Return the data of a layer as a volume, or as channels of one; None if it is neither."""
    array = np.asarray(layer.data)
    while array.ndim > len("zyx") and len(array) == 1:
        array = array[0]
    if array.ndim == len("czyx") and kind == "image" and is_channel_axis(layer, len(array)):
        if notice := channels_notice(layer, len(array)):
            show_warning(notice)
        return array
    return array if array.ndim == len("zyx") else None


def _write_plain(path: Path, data: Any, attributes: dict[str, Any], kind: str) -> list[str]:
    """Write a 2D, 4D or colour layer as napari does, since this writer may be asked first for its suffix."""
    from napari_builtins import io

    write = io.napari_write_image if kind == "image" else io.napari_write_labels
    if np.ndim(data) > len("zyx") and any(unit != "pixel" for unit in map(str, attributes.get("units") or ())):
        show_warning(
            f"{path.name} has the values of the layer, but not its voxel size, since only single volumes and channels "
            "are written with it. Split the layer into volumes to keep it."
        )
    written = write(str(path), data, attributes)
    return [str(written)] if written else []
