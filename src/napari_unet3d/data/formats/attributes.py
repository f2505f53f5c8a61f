"""Voxel size and axes in the attributes of arrays, as ilastik, PlantSeg, funlib and CREMI write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_unet3d.data.formats.base import geometry_in_units
from napari_unet3d.data.formats.units import um_per_unit
from napari_unet3d.data.geometry import UNKNOWN, Geometry
from napari_unet3d.text_files import parse_json

_LABELS = "zyx"


def axis_letters(names: Sequence[object]) -> str:
    """Return the names of axes as a letter each; a question mark for what is no single letter."""
    return "".join(str(name).lower() if len(str(name)) == 1 else "?" for name in names)


def axes_in(attributes: Mapping[str, Any], n_axes: int) -> str:
    """Return the axes of an array: the axis tags of ilastik, or the names of other tools; empty if there are none.

    >>> axes_in({"axistags": '{"axes": [{"key": "z"}, {"key": "y"}, {"key": "x"}]}'}, 3)
    'zyx'
    """
    if "axistags" in attributes:
        tags = parse_json(_text(attributes["axistags"]))
        return axis_letters([axis["key"] for axis in tags["axes"]])
    for name in ("axis_names", "_ARRAY_DIMENSIONS", "axes"):
        names = attributes.get(name)
        names = list(_text(names)) if isinstance(names, str | bytes) else names
        if names is not None and len(names) == n_axes:
            return axis_letters([_text(each) for each in names])
    return ""


def names_in(attributes: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the texts in a list among the attributes; none if there is no such list.

    >>> names_in({"channel_names": [b"DAPI", "GFP"]}, "channel_names")
    ('DAPI', 'GFP')
    """
    return tuple(_text(each) for each in _list(attributes.get(key)))


def geometry_in(attributes: Mapping[str, Any], n_axes: int, axes: str, zyx: Sequence[int], frame: str) -> Geometry:
    """Return the geometry in the attributes of an array.

    Parameters
    ----------
    attributes : mapping
        With ``element_size_um``, or with ``voxel_size`` or ``resolution``, ``offset`` and ``units``; or with the
        ``axistags`` and ``axis_units`` of ilastik, ``pixelResolution`` of N5, or ``transform`` of OpenOrganelle.
    n_axes : int
        Number of axes of the array.
    axes : str
        A letter for each axis; empty if they have no names.
    zyx : sequence of int
        The indices of the axes z, y and x.
    frame : str
        See `Geometry`.

    Examples
    --------
    >>> geometry_in({"element_size_um": [2.0, 0.5, 0.5]}, 4, "", (1, 2, 3), "").voxel_size_um
    (2.0, 0.5, 0.5)
    >>> geometry_in({"resolution": [40, 4, 4], "units": ["nm"] * 3}, 3, "", (0, 1, 2), "").voxel_size_um
    (0.04, 0.004, 0.004)
    """
    attributes = _as_named(attributes, axes)
    sizes = _list(attributes.get("element_size_um"))
    units: list[Any] = ["µm"] * len(sizes)
    if not sizes:
        sizes = _list(attributes.get("voxel_size")) or _list(attributes.get("resolution"))
        named = _list(attributes.get("units", attributes.get("unit")))
        units = [_text(each) for each in named] * (len(sizes) if len(named) == 1 else 1)
    space = [axis for axis, letter in enumerate(axes) if letter in _LABELS] if axes else sorted(zyx)
    places = list(range(n_axes)) if len(sizes) == n_axes else space
    if not sizes or len(sizes) != len(places) or not {*zyx} <= {*places}:
        return UNKNOWN
    first = _list(attributes.get("offset"))
    at = [places.index(axis) for axis in zyx]
    return geometry_in_units(
        [float(sizes[place]) for place in at],
        [um_per_unit(units[place]) if place < len(units) else None for place in at],
        [float(first[place]) for place in at] if len(first) == len(sizes) else None,
        frame,
    )


def _as_named(attributes: Mapping[str, Any], axes: str) -> Mapping[str, Any]:
    """Return attributes with ``voxel_size``, ``units`` and ``offset`` where other software calls them otherwise."""
    if {"element_size_um", "voxel_size", "resolution"} & {*attributes}:
        return attributes
    if isinstance(n5 := attributes.get("pixelResolution"), Mapping):  # along x, y, z
        sizes = _list(n5.get("dimensions"))[::-1]
        return {**attributes, "voxel_size": sizes, "units": [n5.get("unit")] * len(sizes)}
    if isinstance(transform := attributes.get("transform"), Mapping) and "scale" in transform:
        names = {"voxel_size": "scale", "units": "units", "offset": "translate"}
        return {**attributes, **{name: transform.get(theirs) for name, theirs in names.items()}}
    if "axistags" in attributes:
        sizes = [axis.get("resolution", 0) for axis in parse_json(_text(attributes["axistags"]))["axes"]]
        units = parse_json(_text(attributes.get("axis_units", "{}")))
        if any(sizes):
            return {**attributes, "voxel_size": sizes, "units": [units.get(axis, "") for axis in axes]}
    return attributes


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str | bytes):
        return [value]
    if hasattr(value, "tolist"):
        value = value.tolist()
    return list(value) if isinstance(value, list | tuple) else [value]


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
