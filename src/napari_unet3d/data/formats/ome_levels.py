"""The resolution levels of an OME-Zarr image: read from its metadata, or computed for a volume that has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet3d.data.geometry import Geometry

if TYPE_CHECKING:
    import zarr

_SMALL_SIDE = 256  # of the lowest level that is computed
_UNIT = "micrometer"
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Level:
    """A resolution level.

    Attributes
    ----------
    shape : tuple of int
        Number of voxels along z, y, x.
    scale, translation : tuple of float
        Size of a voxel and place of the first one along z, y, x.
    """

    shape: tuple[int, int, int]
    scale: Triple
    translation: Triple


@dataclass(frozen=True, slots=True)
class Levels:
    """The resolution levels of an image, the highest first.

    Attributes
    ----------
    levels : tuple of Level
        The levels.
    units : tuple of str or None
        The units of z, y, x in the words of OME-Zarr; None where there is none.
    """

    levels: tuple[Level, ...]
    units: tuple[str | None, str | None, str | None]

    def metadata(self) -> dict[str, Any]:
        """Return the entry of ``multiscales``, whose arrays are ``0``, ``1`` and so on."""
        axes = [
            {"name": name, "type": "space"} | ({} if unit is None else {"unit": unit})
            for name, unit in zip("zyx", self.units, strict=True)
        ]
        datasets = []
        for number, level in enumerate(self.levels):
            place: list[dict[str, Any]] = [{"type": "scale", "scale": list(level.scale)}]
            if any(level.translation):
                place.append({"type": "translation", "translation": list(level.translation)})
            datasets.append({"path": str(number), "coordinateTransformations": place})
        return {"axes": axes, "datasets": datasets}


def compute_levels(shape: tuple[int, int, int], geometry: Geometry) -> Levels:
    """Return the levels of a volume that has none: each is half as long, along the axes with the smallest voxels.

    >>> computed = compute_levels((64, 1024, 1024), Geometry((2.0, 0.5, 0.5)))
    >>> [level.shape for level in computed.levels], computed.levels[1].scale
    ([(64, 1024, 1024), (64, 512, 512), (64, 256, 256)], (2.0, 1.0, 1.0))
    """
    scale = np.array([1.0 if size is None else size for size in geometry.sizes])
    first = np.array((geometry.origin or (0.0, 0.0, 0.0))[::-1])
    sides, levels = np.array(shape), [_level(shape, scale, first)]
    while sides.max() > _SMALL_SIDE:
        is_halved = (scale < 1.5 * scale[sides > 1].min()) & (sides > 1)
        sides = np.where(is_halved, -(-sides // 2), sides)
        first = first + np.where(is_halved, scale / 2, 0)  # the centre of the first voxel
        scale = np.where(is_halved, 2 * scale, scale)
        levels.append(_level(sides.tolist(), scale, first))
    z, y, x = (_UNIT if geometry.is_um and size is not None else None for size in geometry.sizes)
    return Levels(tuple(levels), (z, y, x))


def _level(shape: Sequence[int], scale: Any, first: Any) -> Level:
    z, y, x = (int(side) for side in shape)
    return Level((z, y, x), _triple(scale), _triple(first))


def _triple(numbers: Any) -> Triple:
    z, y, x = (float(each) for each in numbers)
    return z, y, x


def find_image_group(path: Path, shape: Sequence[int]) -> zarr.Group | None:
    """Return the group of the OME-Zarr image whose highest level is a volume; None if there is none.

    Parameters
    ----------
    path : Path
        The folder of the image, or of the level.
    shape : sequence of int
        Shape of the volume along the axes of its file.
    """
    import zarr

    for folder in (path, path.parent):
        if not any((folder / name).is_file() for name in ("zarr.json", ".zgroup")):
            continue
        node = zarr.open(folder, mode="r")
        images = ome_of(node).get("multiscales") if isinstance(node, zarr.Group) else None
        if not images or not isinstance(node, zarr.Group):
            continue
        highest = str(images[0]["datasets"][0]["path"])
        is_level = folder == path or path.name == highest.strip("/")
        array = node[highest]
        if is_level and isinstance(array, zarr.Array) and tuple(array.shape) == tuple(shape):
            return node
    return None


def read_levels(group: zarr.Group, zyx: Sequence[int]) -> Levels:
    """Read the levels of an OME-Zarr image.

    Parameters
    ----------
    group : Group
        The image.
    zyx : sequence of int
        The indices of its axes z, y and x.
    """
    image, levels = ome_of(group)["multiscales"][0], []
    for dataset in image["datasets"]:
        array: Any = group[dataset["path"]]
        place = scale_and_translation([*transformations_of(dataset), *transformations_of(image)], array.ndim)
        scale, first = ([values[axis] for axis in zyx] for values in place)
        levels.append(_level([array.shape[axis] for axis in zyx], scale, first))
    axes = image.get("axes") or []
    z, y, x = (axes[axis].get("unit") if axes and isinstance(axes[axis], dict) else None for axis in zyx)
    return Levels(tuple(levels), (z, y, x))


def level_arrays(group: zarr.Group) -> list[Any]:
    """Return the arrays of an OME-Zarr image, the highest resolution first."""
    return [group[str(dataset["path"])] for dataset in ome_of(group)["multiscales"][0]["datasets"]]


def ome_of(group: zarr.Group) -> dict[str, Any]:
    """Return the metadata of OME-Zarr of a group; empty if it has none."""
    attributes = group.attrs.asdict()
    ome = attributes.get("ome", attributes)  # under one key since 0.5
    return ome if isinstance(ome, dict) else {}


def transformations_of(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the coordinate transformations of an image or of a level."""
    return metadata.get("coordinateTransformations") or []


def scale_and_translation(transformations: list[dict[str, Any]], n_axes: int) -> tuple[list[float], list[float]]:
    """Return the product of transformations, which are applied one after another."""
    scale, translation = np.ones(n_axes), np.zeros(n_axes)
    if any(not np.isfinite(each["scale"]).all() for each in transformations if each.get("type") == "scale"):
        translation = np.full(n_axes, np.nan)  # no place is known with such a size
    for each in transformations:
        match each.get("type"):
            case "scale":
                factors = np.asarray(each["scale"], dtype=float)
                scale, translation = scale * factors, translation * factors
            case "translation":
                translation = translation + np.asarray(each["translation"], dtype=float)
    return scale.tolist(), translation.tolist()
