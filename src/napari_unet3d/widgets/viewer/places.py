"""Where layers lie: their geometry, and labels that are turned onto their image."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pint
from napari.layers import Labels, Layer
from napari.utils.transforms import Affine
from numpy.typing import NDArray

from napari_unet3d.data.geometry import Geometry, different_orientation, make_geometry, turn_onto
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.viewer.annotation_info import decode_annotation
from napari_unet3d.widgets.viewer.layer_metadata import OWNED, mask_of

GEOMETRY = f"{OWNED} geometry"
"""Key of the metadata of layers with the geometry of the volume that they show."""
TIME = f"{OWNED} time point"
"""Key of the metadata of layers with the time point that they show."""
_AXES = "zyx"
_MOST_LEADING = 2  # time points and channels
TIME_LABELS, CHANNEL_LABELS = ("t", "time"), ("c", "ch", "channel", "channels")
"""Labels of an axis that is time, or channels."""


@dataclass(frozen=True, slots=True, eq=False)
class TimePoint:
    """A time point of a layer, where volumes that belong to it are placed.

    Attributes
    ----------
    layer : Layer
        A layer of several time points.
    axis : int
        Which of its axes is time.
    time : int
        The time point.
    """

    layer: Layer
    axis: int
    time: int

    @property
    def n_times(self) -> int:
        """The number of time points of the layer."""
        return int(np.shape(self.layer.data)[self.axis])

    def is_shown(self, viewer: Any) -> bool:
        """Return whether the slider of a viewer is at this time point."""
        return time_shown(viewer, self.layer, self.axis) == self.time

    def go_to(self, viewer: Any) -> None:
        """Move the slider of a viewer to this time point."""
        index = [0.0] * self.layer.ndim
        index[self.axis] = self.time
        axis = viewer.dims.ndim - self.layer.ndim + self.axis
        viewer.dims.set_point(axis, float(self.layer.data_to_world(index)[self.axis]))


def keep_time(layer: Layer, like: object) -> None:
    """Keep the time point that a volume shows, if it is placed at one."""
    layer.metadata[TIME] = like


def time_of(layer: Layer) -> TimePoint | None:
    """Return the time point that a volume shows; None for others."""
    found = layer.metadata.get(TIME)
    return found if isinstance(found, TimePoint) else None


def time_shown(viewer: Any, layer: Layer, axis: int) -> int:
    """Return the time point of a layer at which the slider of a viewer is, or the one nearest to it."""
    point = viewer.dims.point[-layer.ndim :]
    if len(point) < layer.ndim:  # the layer was removed
        return 0
    return int(np.clip(round(float(layer.world_to_data(point)[axis])), 0, np.shape(layer.data)[axis] - 1))


def keep_geometry(layer: Layer, geometry: Geometry) -> None:
    """Keep the geometry of the volume that a layer shows, which has more in it than the layer, such as its frame."""
    layer.metadata[GEOMETRY] = geometry


def source_file(layer: Layer) -> Path | None:
    """Return the file or folder that a layer was read from; None if there is none, or no more."""
    path = layer.source.path
    return Path(path) if path and os.path.exists(Path(path)) else None


def array_of(layer: Layer) -> NDArray[Any]:
    """Return the array of a layer, without leading axes of length 1 beyond three.

    Raises
    ------
    UserError
        When the layer has several resolutions.
    """
    if getattr(layer, "multiscale", False):
        raise UserError(f"The layer '{layer.name}' has several resolutions; open one of them as a layer.")
    array = np.asarray(layer.data)
    while array.ndim > len(_AXES) and array.shape[0] == 1:
        array = array[0]
    return array


def world_matrix(layer: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the steps to the next voxel along the last three axes, as columns (3, 3), and the first voxel (3,).

    Both are along z, y, x of the viewer, in the units of the layer. The axis before them may be that of channels, and
    one that is called time may be before that; further ones must have the length 1.

    Raises
    ------
    UserError
        When the layer is not one volume, or is turned out of its leading axes.
    """
    n_more = layer.ndim - len(_AXES)
    shape = np.shape(layer.data)
    has_time = any(str(label).strip().lower() in TIME_LABELS for label in layer.axis_labels[: max(0, n_more)])
    n_allowed = _MOST_LEADING if has_time else 1
    if n_more < 0 or any(side != 1 for side in shape[: max(0, n_more - n_allowed)]):
        raise UserError(f"The layer '{layer.name}' has {layer.ndim} dimensions; choose a 3D volume (z, y, x).")
    own = Affine(scale=layer.scale, rotate=layer.rotate, shear=layer.shear, translate=layer.translate)
    sides = layer.affine.linear_matrix @ own.linear_matrix
    first = layer.affine.linear_matrix @ own.translate + layer.affine.translate
    if sides[:n_more, n_more:].any() or sides[n_more:, :n_more].any():
        raise UserError(
            f"The layer '{layer.name}' is turned out of the axes z, y and x by its affine. Choose a layer whose affine "
            "leaves its other axes alone."
        )
    return sides[n_more:, n_more:], first[n_more:]


def spatial_3d(layer: Layer) -> dict[str, Any]:
    """Return the spatial properties of a volume in the place of a layer, without its axes before z, y and x."""
    sides, first = world_matrix(layer)
    scale, affine = np.linalg.norm(sides, axis=0), np.eye(4)
    affine[:3, :3], affine[:3, 3] = sides / scale, first
    return {"scale": scale, "affine": affine, "units": layer.units[-3:], "axis_labels": layer.axis_labels[-3:]}


def geometry_of(layer: Layer) -> Geometry:
    """Return where the volume of a layer lies; a scale in pixels, or in another unit without a length, has no unit.

    Raises
    ------
    UserError
        When the layer is not one volume.
    """
    sides, first = world_matrix(layer)
    um_per_unit = [micrometres(unit) for unit in layer.units[-3:]]
    if is_um := None not in um_per_unit:
        factors = np.array(um_per_unit, dtype=float)
        sides, first = sides * factors[:, None], first * factors
    kept = layer.metadata.get(GEOMETRY)
    if isinstance(kept, Geometry) and _is_at(kept, sides, first, is_um=is_um):
        return kept
    is_straight = np.array_equal(sides, np.diag(np.diag(sides))) and (np.diag(sides) > 0).all()
    sizes = np.diag(sides) if is_straight else np.linalg.norm(sides, axis=0)
    matrix = None if is_straight else sides[::-1, ::-1]  # rows and columns along x, y, z
    return make_geometry(sizes.tolist(), matrix, first[::-1] if first.any() else None, "napari", is_um=is_um)


def _is_at(geometry: Geometry, sides: NDArray[np.float64], first: NDArray[np.float64], *, is_um: bool) -> bool:
    """Return whether a layer still lies, and has the scale, where a geometry says."""
    if is_um != geometry.is_calibrated:
        return False
    sizes = [1.0 if None in geometry.sizes else float(size or 1) for size in geometry.sizes]
    directions = np.eye(3) if geometry.directions is None else np.array(geometry.directions).T[::-1, ::-1]
    origin = np.array(geometry.origin or (0.0, 0.0, 0.0))[::-1]
    return bool(np.allclose(sides, directions * sizes, rtol=1e-9) and np.allclose(first, origin, rtol=1e-9))


@dataclass(frozen=True, slots=True, eq=False)
class PlacedLabels:
    """Labels on the grid of their image.

    Attributes
    ----------
    labels : ndarray, shape (z, y, x)
        The labels, turned where their axes are swapped or flipped.
    label_mask : ndarray of bool, shape (z, y, x), or None
        Their mask, turned alike.
    notices : tuple of str
        In what their place differs, for the user.
    """

    labels: NDArray[Any]
    label_mask: NDArray[np.bool_] | None
    notices: tuple[str, ...]


def labels_onto(image: Layer, labels: Layer, array: NDArray[Any] | None = None) -> PlacedLabels:
    """Turn labels onto the grid of an image where that is exact: their axes are swapped or flipped in the viewer.

    Parameters
    ----------
    image : Layer
        The image, or other labels of the volume.
    labels : Layer
        Labels or another layer of the same volume. Wherever else they lie, they are combined voxel by voxel, with a
        notice. What is not annotated in an annotation of the dock Annotate is left out by a mask.
    array : ndarray, shape (z, y, x), optional
        Their array; by default that of `array_of`.

    Raises
    ------
    UserError
        When one of them is not one volume, or they are turned against each other by other than right angles.
    """
    array, mask = array_of(labels) if array is None else array, mask_of(labels) if isinstance(labels, Labels) else None
    if (annotation := decode_annotation(labels, array)) is not None:
        array, mask = annotation.labels, annotation.label_mask
    if not (_is_volume(image) and _is_volume(labels)):
        return PlacedLabels(array, mask, ())  # which is explained when they are used
    target, own = _comparable(image, labels)
    try:
        turned, place = turn_onto(array, own, target)
        turned_mask = None if mask is None else turn_onto(mask, own, target)[0]
    except ValueError:
        raise different_orientation(f"'{image.name}'", target, f"the layer '{labels.name}'", own) from None
    notices = []
    if place is not own:
        notices.append(
            f"The axes of the layer '{labels.name}' are swapped or flipped against those of '{image.name}' in the "
            "viewer; the labels were turned onto it."
        )
    if not _same_place(target, place):
        notices.append(
            f"The layer '{labels.name}' lies elsewhere in the viewer than '{image.name}': {_describe(labels, place)} "
            f"instead of {_describe(image, target)}. They are combined voxel by voxel, so check that both are of the "
            "same volume."
        )
    return PlacedLabels(turned, turned_mask, tuple(notices))


def is_turned(layer: Layer, other: Layer) -> bool:
    """Return whether the axes of two volumes run differently in the viewer, so that voxels have other indices."""
    if not (_is_volume(layer) and _is_volume(other)):
        return False
    one, two = (np.array(each.directions) for each in _comparable(layer, other))
    return not np.allclose(one, two, rtol=0, atol=0.02)


def data_on(reference: Layer | None, layer: Layer | None) -> Any:
    """Return the data of a layer with the axes of another one of the same volume, unchanged if they are the same."""
    if reference is None or layer is None:
        return None if layer is None else layer.data
    if layer.ndim == len(_AXES) and not is_turned(layer, reference):
        return layer.data
    return labels_onto(reference, layer).labels


def _is_volume(layer: Layer) -> bool:
    shape = np.shape(layer.data)
    return len(shape) >= len(_AXES) and all(side == 1 for side in shape[: -len(_AXES)])


def _comparable(image: Layer, labels: Layer) -> tuple[Geometry, Geometry]:
    """Return where two layers lie: in µm if both have units of length, else in the numbers of the viewer."""
    um_per_unit = [[micrometres(unit) for unit in each.units[-3:]] for each in (image, labels)]
    has_units = None not in (*um_per_unit[0], *um_per_unit[1])
    geometries = []
    for layer, units in zip((image, labels), um_per_unit, strict=True):
        factors = np.array(units if has_units else [1.0, 1.0, 1.0], dtype=float)
        sides, first = world_matrix(layer)
        matrix = (sides * factors[:, None])[::-1, ::-1]
        lengths = np.linalg.norm(matrix, axis=0)[::-1]
        geometries.append(make_geometry(lengths.tolist(), matrix, (first * factors)[::-1], "viewer"))
    return geometries[0], geometries[1]


def _same_place(one: Geometry, other: Geometry) -> bool:
    shortest = min(one.spacing)
    assert one.origin is not None
    assert other.origin is not None
    return bool(
        np.allclose(one.spacing, other.spacing, rtol=1e-3, atol=0)
        and np.allclose(one.origin, other.origin, rtol=1e-6, atol=shortest / 2)
    )


def _describe(layer: Layer, place: Geometry) -> str:
    units = {f"{unit:~P}" if str(unit) != "pixel" else "pixels" for unit in layer.units[-3:]}
    unit = f" {units.pop()}" if len(units) == 1 else ""
    scale = " × ".join(f"{abs(size):.4g}" for size in np.linalg.norm(world_matrix(layer)[0], axis=0))
    first = ", ".join(f"{axis} {at:.6g}" for axis, at in zip(_AXES, (place.origin or (0, 0, 0))[::-1], strict=True))
    return f"voxels of {scale}{unit} from {first}"


def micrometres(unit: Any) -> float | None:
    """Return a unit of length in µm; None if it is none, such as a pixel."""
    quantity = 1.0 * pint.Unit(str(unit))
    return float(quantity.to("micrometer").magnitude) if quantity.check("[length]") else None
