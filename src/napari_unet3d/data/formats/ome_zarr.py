"""OME-Zarr (NGFF 0.1 to 0.5 read, 0.5 written) through zarr.

The metadata is a few lines of JSON. ``ome-zarr-models`` refuses many existing files and limits the version of
pydantic, and ``ome-zarr`` depends on S3 and HTTP clients, so neither is a dependency. Tests validate written files with
``ome-zarr-models``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.base import Format, Holds, VolumeData, check_header, geometry_in_units
from napari_unet3d.data.formats.units import um_per_unit
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.errors import UserError

if TYPE_CHECKING:
    import zarr

_CHUNK = 64
_OLD_AXES = "tczyx"  # the order in NGFF 0.1 and 0.2, which have no axis names


def read_file(path: Path) -> VolumeData:
    """Read the highest resolution of the first image of an OME-Zarr folder, or a plain 3D zarr array."""
    import zarr

    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        return _read_array(path, node, list("zyx"[-node.ndim :]), None)
    if "bioformats2raw.layout" in _ome(node):
        node = _group(node["0"])
    multiscales = _ome(node).get("multiscales")
    if not multiscales:
        raise UserError(f"{path} is a Zarr folder without an OME-Zarr image. Choose the folder of one image.")
    dataset = multiscales[0]["datasets"][0]
    array = node[dataset["path"]]
    if not isinstance(array, zarr.Array):
        raise UserError(f"The image '{dataset['path']}' of {path} is not an array. Export it again.")
    axes = multiscales[0].get("axes") or list(_OLD_AXES[-array.ndim :])
    names = [axis["name"] if isinstance(axis, dict) else axis for axis in axes]
    units = [um_per_unit(axis.get("unit")) if isinstance(axis, dict) else None for axis in axes]
    transformations = [*_transformations(dataset), *_transformations(multiscales[0])]
    return _read_array(path, array, names, (*_scale_and_translation(transformations, array.ndim), units))


def _group(node: Any) -> zarr.Group:
    import zarr

    if not isinstance(node, zarr.Group):
        raise TypeError("an array was found instead of the group of an image")
    return node


def _ome(group: zarr.Group) -> dict[str, Any]:
    attributes = group.attrs.asdict()
    ome = attributes.get("ome", attributes)  # under one key since 0.5
    return ome if isinstance(ome, dict) else {}


def _transformations(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    return metadata.get("coordinateTransformations") or []


def _scale_and_translation(transformations: list[dict[str, Any]], n_axes: int) -> tuple[list[float], list[float]]:
    """Return the product of transformations, which are applied one after another."""
    scale, translation = np.ones(n_axes), np.zeros(n_axes)
    for each in transformations:
        match each.get("type"):
            case "scale":
                factors = np.asarray(each["scale"], dtype=float)
                scale, translation = scale * factors, translation * factors
            case "translation":
                translation = translation + np.asarray(each["translation"], dtype=float)
    return scale.tolist(), translation.tolist()


def _read_array(
    path: Path, array: Any, names: list[str], place: tuple[list[float], list[float], list[float | None]] | None
) -> VolumeData:
    lengths = dict(zip(names, array.shape, strict=False))
    if lengths.get("c", 1) > 1:
        raise UserError(f"{path} has {lengths['c']} channels (shape {array.shape}); save one as a separate file.")
    kept = check_header(path, array.shape, array.dtype)
    values = np.asarray(array[...]).reshape([array.shape[axis] for axis in kept])
    kept_names = [names[axis] for axis in kept]
    order = [kept_names.index(name) for name in "zyx"] if sorted(kept_names) == ["x", "y", "z"] else [0, 1, 2]
    if place is None:
        return VolumeData(values.transpose(order))
    scale, translation, units = place
    axes = [kept[axis] for axis in order]
    geometry = geometry_in_units(
        [scale[axis] for axis in axes],
        [units[axis] for axis in axes],
        [translation[axis] for axis in axes],
        FORMAT.name,
    )
    return VolumeData(values.transpose(order), geometry)


def write_file(path: Path, array: NDArray[Any], geometry: Geometry) -> None:
    """Write a single resolution level in chunks of up to 64³ voxels; an axis of unknown voxel size has no unit."""
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=3)
    sizes = dict(zip("zyx", geometry.sizes, strict=True))
    is_known = {name: geometry.is_um and size is not None for name, size in sizes.items()}
    unit = {"unit": "micrometer"}
    axes: Any = [{"name": name, "type": "space"} | (unit if is_known[name] else {}) for name in "zyx"]
    transformations: Any = [{"type": "scale", "scale": [1.0 if size is None else size for size in sizes.values()]}]
    if geometry.origin is not None:
        transformations.append({"type": "translation", "translation": list(geometry.origin[::-1])})
    image: Any = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": transformations}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    chunks = tuple(min(_CHUNK, length) for length in array.shape)
    group.create_array("0", data=array, chunks=chunks, dimension_names=list("zyx"))


def _read_errors() -> tuple[type[Exception], ...]:
    from zarr.errors import BaseZarrError

    missing = FileNotFoundError, NotADirectoryError
    return BaseZarrError, *missing, ValueError, LookupError, TypeError, AttributeError, RuntimeError


FORMAT = Format(
    name="OME-Zarr",
    suffixes=(".ome.zarr", ".zarr"),
    read=read_file,
    write=write_file,
    voxel_size="in the metadata",
    read_errors=_read_errors,
    holds=lambda path: frozenset({Holds.VOXEL_SIZE, Holds.ORIGIN, Holds.PARTIAL, Holds.UNITLESS}),
    folder_files=("zarr.json", ".zarray", ".zgroup"),
)
