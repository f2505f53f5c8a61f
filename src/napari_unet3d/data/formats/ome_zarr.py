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

from napari_unet3d.data.formats.base import Format, VolumeData, check_header, um_per_unit, valid_voxel_size
from napari_unet3d.data.sample import VoxelSize
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
        return _read_array(path, node, list("zyx"[-node.ndim :]), [None] * node.ndim)
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
    scale = _scale(dataset, array.ndim) * _scale(multiscales[0], array.ndim)
    units = [axis.get("unit") if isinstance(axis, dict) else None for axis in axes]
    sizes = [um and um * length for um, length in zip(map(um_per_unit, units), scale, strict=True)]
    names = [axis["name"] if isinstance(axis, dict) else axis for axis in axes]
    return _read_array(path, array, names, sizes)


def _group(node: Any) -> zarr.Group:
    import zarr

    if not isinstance(node, zarr.Group):
        raise TypeError("an array was found instead of the group of an image")
    return node


def _ome(group: zarr.Group) -> dict[str, Any]:
    attributes = group.attrs.asdict()
    ome = attributes.get("ome", attributes)  # under one key since 0.5
    return ome if isinstance(ome, dict) else {}


def _scale(metadata: dict[str, Any], n_axes: int) -> NDArray[np.float64]:
    scale = np.ones(n_axes)
    for transformation in metadata.get("coordinateTransformations") or []:
        if transformation.get("type") == "scale":
            scale = scale * np.asarray(transformation["scale"], dtype=float)
    return scale


def _read_array(path: Path, array: Any, names: list[str], sizes: list[float | None]) -> VolumeData:
    lengths = dict(zip(names, array.shape, strict=False))
    if lengths.get("c", 1) > 1:
        raise UserError(f"{path} has {lengths['c']} channels (shape {array.shape}); save one as a separate file.")
    kept = check_header(path, array.shape, array.dtype)
    values = np.asarray(array[...]).reshape([array.shape[axis] for axis in kept])
    kept_names = [names[axis] for axis in kept]
    order = [kept_names.index(name) for name in "zyx"] if sorted(kept_names) == ["x", "y", "z"] else [0, 1, 2]
    return VolumeData(values.transpose(order), valid_voxel_size([sizes[kept[axis]] for axis in order]))


def write_file(path: Path, array: NDArray[Any], voxel_size_um: VoxelSize, like: Path | None = None) -> None:
    """Write a single resolution level in chunks of up to 64³ voxels."""
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=3)
    axes: Any = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    transformations: Any = [{"type": "scale", "scale": list(voxel_size_um)}]
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
    folder_files=("zarr.json", ".zarray", ".zgroup"),
)
