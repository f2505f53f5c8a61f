"""OME-Zarr (NGFF 0.1 to 0.5 read, 0.5 written) through zarr.

The metadata is a few lines of JSON. ``ome-zarr-models`` refuses many existing files and limits the version of
pydantic, and ``ome-zarr`` depends on S3 and HTTP clients, so neither is a dependency. Tests validate written files with
``ome-zarr-models``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from napari_unet3d.data.formats.attributes import axes_in, axis_letters, geometry_in
from napari_unet3d.data.formats.base import Format, StoredVolume, geometry_in_units
from napari_unet3d.data.formats.compressed_blocks import checked_loader, folder_of
from napari_unet3d.data.formats.gaps import describe_gaps
from napari_unet3d.data.formats.holds import Holds
from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.formats.ome_levels import ome_of, scale_and_translation, transformations_of
from napari_unet3d.data.formats.units import seconds_per_unit, um_per_unit
from napari_unet3d.data.formats.zarr_files import check_files
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.errors import UserError
from napari_unet3d.paths import is_file

if TYPE_CHECKING:
    import zarr

_CHUNK = 64
_CHANNEL_COLOURS = ("FF00FF", "00FF00", "00FFFF", "FFFF00", "FF0000", "0000FF")
_MAX_DEPTH = 6  # groups in groups; a plate has three
_FOLDER_FILES = ("zarr.json", ".zarray", ".zgroup")
_OLD_AXES = "tczyx"  # the order in NGFF 0.1 and 0.2, which have no axis names


def list_file(path: Path, _stack: ExitStack) -> list[StoredVolume]:
    """Return the volumes of a Zarr folder, or of a group or array inside one.

    These are the highest resolution of each OME-Zarr image, including labels, series of bioformats2raw and the fields
    of a plate, and all other arrays with at least three axes.
    """
    import zarr

    check_files(path)
    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        level = _level_of(path)
        return [level if level is not None else _plain_array(node, "")]
    volumes = list(_volumes_in(path, node, "", _MAX_DEPTH))
    if not volumes:
        raise UserError(f"{path} is a Zarr folder without a 3D image. Choose the folder of an image.")
    return _name_series(path, node, volumes)


def _name_series(path: Path, node: zarr.Group, volumes: list[StoredVolume]) -> list[StoredVolume]:
    """Return the first of several series, as other software reads them, with a notice that names the others."""
    if "bioformats2raw.layout" not in ome_of(node) or len(volumes) == 1 or "/" in "".join(v.name for v in volumes):
        return volumes
    others = ", ".join(f"{path}/{each.name}" for each in volumes[1:])
    notice = f"{path} holds {len(volumes)} series; the first, {volumes[0].name}, is used. The others are {others}."
    return [replace(volumes[0], default_notice=notice), *volumes[1:]]


def _volumes_in(path: Path, group: zarr.Group, name: str, depth: int) -> Iterator[StoredVolume]:
    import zarr

    if ome_of(group).get("multiscales"):
        image = _level(path, group, name, 0)
        levels = {dataset["path"].split("/")[0] for dataset in ome_of(group)["multiscales"][0]["datasets"]}
        if sum(length > 1 for length in image.shape) >= 3 or not name:
            yield image
    else:
        levels = set()
    inside = sorted((key for key, _ in group.members() if key not in levels), key=natural_order)
    for key in inside if depth else ():
        node, inner = group[key], f"{name}/{key}".lstrip("/")
        if isinstance(node, zarr.Group):
            yield from _volumes_in(path, node, inner, depth - 1)
        elif sum(length > 1 for length in node.shape) >= 3 and node.dtype.kind in "buif":
            yield _plain_array(node, inner)


def _level(path: Path, group: zarr.Group, name: str, number: int) -> StoredVolume:
    """Return a resolution level of an OME-Zarr image."""
    import zarr

    image = ome_of(group)["multiscales"][0]
    dataset = image["datasets"][number]
    array = group[dataset["path"]]
    if not isinstance(array, zarr.Array):
        raise UserError(f"The image '{dataset['path']}' of {path} is not an array. Export it again.")
    axes = image.get("axes") or list(_OLD_AXES[-array.ndim :])
    names = [axis["name"] if isinstance(axis, dict) else axis for axis in axes]
    units = [um_per_unit(axis.get("unit")) if isinstance(axis, dict) else None for axis in axes]
    transformations = [*transformations_of(dataset), *transformations_of(image)]
    place = (*scale_and_translation(transformations, array.ndim), units)
    time = names.index("t") if "t" in names else None
    seconds = None if time is None or not isinstance(axes[time], dict) else seconds_per_unit(axes[time].get("unit"))
    time_step_s = None if time is None or seconds is None else place[0][time] * seconds
    channels = (ome_of(group).get("omero") or {}).get("channels") or []
    labels = tuple(str(channel.get("label") or "") for channel in channels if isinstance(channel, dict))
    return replace(_in_ome(array, name, axis_letters(names), place, labels), time_step_s=time_step_s)


def _level_of(path: Path) -> StoredVolume | None:
    """Return the array of a path if it is a level of the OME-Zarr image in one of the folders above it."""
    import zarr

    for parent in list(path.parents)[:2]:
        if not any(is_file(parent / name) for name in _FOLDER_FILES):
            return None
        group = zarr.open(parent, mode="r")
        inner = path.relative_to(parent).as_posix()
        images = ome_of(group).get("multiscales") if isinstance(group, zarr.Group) else None
        for number, dataset in enumerate(images[0]["datasets"] if images else ()):
            if dataset["path"].strip("/") == inner and isinstance(group, zarr.Group):
                return _level(parent, group, "", number)
    return None


def _plain_array(array: Any, name: str) -> StoredVolume:
    """Return an array with the voxel size that funlib, CREMI, N5 exporters and others write into its attributes."""
    attributes: dict[str, Any] = array.attrs.asdict()
    dimensions = getattr(array.metadata, "dimension_names", None) or ()
    letters = axis_letters(dimensions) if len(dimensions) == array.ndim else axes_in(attributes, array.ndim)
    return StoredVolume(
        shape=array.shape,
        dtype=array.dtype,
        load=checked_loader(array),
        axes=letters,
        name=name,
        geometry_of=lambda zyx: geometry_in(attributes, array.ndim, letters, zyx, FORMAT.name),
        file_of=lambda index: _file_of(array, index),
        gaps=lambda: _gaps(array, letters),
        reads_parts=True,
        chunks=tuple(array.chunks),
        shards=tuple(array.shards or ()),
    )


def _file_of(array: Any, index: Sequence[int]) -> Path:
    """Return the file of the block with the value at an index; blocks of zeros may have none."""
    sides = array.shards or array.chunks
    block = tuple(at // side for at, side in zip(index, sides, strict=True))
    return folder_of(array) / str(array.metadata.encode_chunk_key(block))


def _gaps(array: Any, axes: str) -> str:
    """Return a notice if blocks of an array were lost; zarr itself would look for the file of each block."""
    path, existing = folder_of(array), set[tuple[int, ...]]()
    for folder, _, names in os.walk(path):
        inside = os.path.relpath(folder, path)
        numbers = (re.findall(r"\d+", f"{inside}/{name}") for name in names if name not in _FOLDER_FILES)
        existing |= {tuple(map(int, each)) for each in numbers if len(each) == array.ndim}
    return describe_gaps(path, array.shape, array.shards or array.chunks, existing, lambda part: array[part], axes)


def _in_ome(
    array: Any,
    name: str,
    letters: str,
    place: tuple[list[float], list[float], list[float | None]],
    channel_names: tuple[str, ...] = (),
) -> StoredVolume:
    def geometry_of(zyx: Sequence[int]) -> Geometry:
        scale, first, units = place
        return geometry_in_units(
            [scale[axis] for axis in zyx],
            [units[axis] for axis in zyx],
            [first[axis] for axis in zyx],
            FORMAT.name,
        )

    return StoredVolume(
        shape=array.shape,
        dtype=array.dtype,
        load=checked_loader(array),
        axes=letters,
        name=name,
        geometry_of=geometry_of,
        file_of=lambda index: _file_of(array, index),
        gaps=lambda: _gaps(array, letters),
        channel_names=channel_names,
        reads_parts=True,
        chunks=tuple(array.chunks),
        shards=tuple(array.shards or ()),
    )


def write_file(path: Path, array: NDArray[Any], geometry: Geometry) -> None:
    """Write a single resolution level in chunks of up to 64³ voxels; an axis of unknown voxel size has no unit."""
    _write(path, array, geometry, ())


def write_channels(path: Path, array: NDArray[Any], geometry: Geometry, names: tuple[str, ...]) -> None:
    """Write several channels as `write_file` does one, with their names and colours for viewers."""
    _write(path, array, geometry, names)


def write_series(path: Path, array: NDArray[Any], geometry: Geometry, time_step_s: float | None) -> None:
    """Write several time points as `write_file` does one, with their step in seconds."""
    time = {"name": "t", "type": "time"} | ({} if time_step_s is None else {"unit": "second"})
    _write(path, array, geometry, (), (time, time_step_s or 1.0))


def _write(
    path: Path,
    array: NDArray[Any],
    geometry: Geometry,
    names: tuple[str, ...],
    leading: tuple[dict[str, str], float] = ({"name": "c", "type": "channel"}, 1.0),
) -> None:
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=3)
    sizes = dict(zip("zyx", geometry.sizes, strict=True))
    is_known = {name: geometry.is_um and size is not None for name, size in sizes.items()}
    unit = {"unit": "micrometer"}
    n_before = array.ndim - len(sizes)  # the axis of channels or time, if there is one
    axes: Any = [leading[0]] * n_before
    axes += [{"name": name, "type": "space"} | (unit if is_known[name] else {}) for name in "zyx"]
    scale = [leading[1]] * n_before + [1.0 if size is None else size for size in sizes.values()]
    transformations: Any = [{"type": "scale", "scale": scale}]
    if geometry.origin is not None:
        translation = [0.0] * n_before + list(geometry.origin[::-1])
        transformations.append({"type": "translation", "translation": translation})
    image: Any = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": transformations}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]} | _omero(array, names)
    chunks = (1,) * n_before + tuple(min(_CHUNK, length) for length in array.shape[n_before:])
    whole: Any = {"write_empty_chunks": True}  # a block that does not exist cannot be told from one that was lost
    how: Any = {"chunks": chunks, "dimension_names": [axis["name"] for axis in axes], "config": whole}
    stored = group.create_array("0", shape=array.shape, dtype=array.dtype, **how)
    for number in range(len(array)) if n_before else [...]:  # one at a time, since it may be a memory map
        stored[number] = array[number]


def _omero(array: NDArray[Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the metadata of the channels, with which viewers show them in different colours."""
    if not names:
        return {}
    channels = []
    for number, (name, channel) in enumerate(zip(names, array, strict=True)):
        low, high = float(channel.min()), float(channel.max())
        window = {"min": low, "max": high, "start": low, "end": high}
        colour = _CHANNEL_COLOURS[number % len(_CHANNEL_COLOURS)]
        channels.append({"label": name, "color": colour, "window": window, "active": True})
    return {"omero": {"channels": channels}}


def _read_errors() -> tuple[type[Exception], ...]:
    from zarr.errors import BaseZarrError

    missing = FileNotFoundError, NotADirectoryError
    return BaseZarrError, *missing, ValueError, LookupError, TypeError, AttributeError, RuntimeError


FORMAT = Format(
    name="OME-Zarr",
    suffixes=(".ome.zarr", ".zarr"),
    volumes=list_file,
    write=write_file,
    write_channels=write_channels,
    write_series=write_series,
    voxel_size="in the metadata",
    read_errors=_read_errors,
    holds=lambda path: frozenset({Holds.VOXEL_SIZE, Holds.ORIGIN, Holds.PARTIAL, Holds.UNITLESS}),
    folder_files=_FOLDER_FILES,
)
