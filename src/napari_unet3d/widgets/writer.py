"""The writer of napari: a layer as a file that keeps its voxel size and place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Layer

from napari_unet3d.data.formats.holds import parts_of
from napari_unet3d.data.formats.registry import format_of, writable_suffix
from napari_unet3d.data.volumes import suffix_for, write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.viewer.places import geometry_of


def write_image(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an Image layer; see `_write`."""
    return _write(Path(path), data, attributes, "image")


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a Labels layer; see `_write`."""
    return _write(Path(path), data, attributes, "labels")


def _write(path: Path, data: Any, attributes: dict[str, Any], kind: str) -> list[str]:
    """Write a 3D layer with its voxel size, orientation and origin.

    Raises
    ------
    UserError
        If the layer is not 3D, or the format cannot hold its place or its data type.
    """
    if np.ndim(data) != 3 or attributes.get("rgb"):
        if path.suffix.lower() in (".tif", ".tiff"):
            return _write_plain(path, data, attributes, kind)
        raise UserError(
            f"The layer '{attributes.get('name', path.stem)}' has the shape {np.shape(data)}; only 3D volumes "
            f"(z, y, x) can be written as {path.name}. Choose .tif, or split the layer into volumes first."
        )
    layer = Layer.create(data, dict(attributes), kind)
    geometry = geometry_of(layer)
    if parts_of(geometry) - format_of(path).holds(path):
        suffix = suffix_for(geometry, writable_suffix(path))
        raise UserError(
            f"{path.name} cannot keep where the layer '{layer.name}' lies (its scale, units, translation or rotation). "
            f"Choose {suffix} as its suffix."
        )
    write_volume(path, np.asarray(data), geometry=geometry)
    return [str(path)]


def _write_plain(path: Path, data: Any, attributes: dict[str, Any], kind: str) -> list[str]:
    """Write a 2D, 4D or colour layer as napari does, since this writer may be asked first for its suffix."""
    from napari_builtins import io

    write = io.napari_write_image if kind == "image" else io.napari_write_labels
    written = write(str(path), data, attributes)
    return [str(written)] if written else []
