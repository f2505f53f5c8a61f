"""The only file, beside `split_layer`, `watch_layers` and `side_by_side`, that reads and writes layers.

What leaves the viewer is a `Sample`, what enters lies in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pint
from napari.layers import Image, Labels, Layer, Points
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet3d.data.sample import Sample, VoxelSize
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.colours import EXTRA_COLOUR, MISSED_COLOUR, WRONG_CLASS_COLOUR
from napari_unet3d.evaluation.differences import EXTRA, MISSED, WRONG_CLASS
from napari_unet3d.widgets.mask_layer import keep_mask, mask_of

_SPATIAL = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
OWNED = "napari-unet3d"  # key of the layers' metadata: only layers that we made are ever replaced
DIFFERENCE_COLOURS: dict[int | None, str] = {
    None: "transparent",
    0: "transparent",
    EXTRA: EXTRA_COLOUR,
    MISSED: MISSED_COLOUR,
    WRONG_CLASS: WRONG_CLASS_COLOUR,
}

Place: TypeAlias = "Layer | VoxelSize"
"""Where a new layer lies: as another layer does, or at the origin with a voxel size (z, y, x) in µm."""


def sample_from_layers(image: Image | Labels | None, labels: Labels | None = None) -> Sample:
    """Read a volume from the viewer.

    Parameters
    ----------
    image : Image, Labels or None
        A 3D greyscale layer; None (nothing is chosen) is explained to the user.
    labels : Labels, optional
        A layer of the same shape; a mask that belongs to it comes along.

    Returns
    -------
    Sample
        Named like the image layer, with its voxel size in µm; a layer without a length unit counts as µm.

    Raises
    ------
    UserError
        When the layer is no single 3D greyscale volume, or the labels do not belong to it.
    """
    if image is None:
        raise UserError("No image layer is chosen; open a volume or generate one, then choose its layer.")
    if getattr(image, "rgb", False):
        raise UserError(f"The layer '{image.name}' is a colour image; convert it to grey values first.")
    array = _single_array(image)
    return Sample(
        name=image.name,
        image=array,
        labels=None if labels is None else _single_array(labels),
        voxel_size_um=voxel_size_um(image) if array.ndim == 3 else (1.0, 1.0, 1.0),  # Sample explains 2D and 4D
        annotated=None if labels is None else mask_of(labels),
    )


def voxel_size_um(layer: Layer) -> VoxelSize:
    """Give the size of a 3D layer's voxels along z, y, x in µm; pixels and other units that are no length count as µm.

    Raises
    ------
    UserError
        When the layer is not 3D.
    """
    if layer.ndim != 3:
        raise UserError(f"The layer '{layer.name}' has {layer.ndim} dimensions; choose a 3D volume (z, y, x).")
    z, y, x = (float(size) * _micrometres(unit) for size, unit in zip(layer.scale, layer.units, strict=True))
    return z, y, x


def positions_from_points(points: Points, voxel_size_um: VoxelSize) -> list[tuple[int, int, int]]:
    """Give the voxels (z, y, x) of a volume at the origin that a 3D Points layer points at.

    Parameters
    ----------
    points : Points
        The layer; its scale and place count, so that an object comes to lie where the point is seen.
    voxel_size_um : tuple of float
        Voxel size of the volume along z, y, x in µm.

    Raises
    ------
    UserError
        When the layer is not 3D or holds no points.
    """
    if points.ndim != 3 or not len(points.data):
        raise UserError(
            f"The points layer '{points.name}' holds {len(points.data)} points in {points.ndim} dimensions; "
            "add at least one point to a 3D layer."
        )
    micrometres = np.array([_micrometres(unit) for unit in points.units]) / voxel_size_um
    voxels = np.array([points.data_to_world(point) for point in points.data], dtype=float) * micrometres
    return [(round(z), round(y), round(x)) for z, y, x in voxels.tolist()]


def objects_from_layer(layer: Image | Labels) -> list[NDArray[Any]]:
    """Give the objects of a layer as small volumes, 0 outside of the object.

    Parameters
    ----------
    layer : Image or Labels
        Of a Labels layer every id is an object, 255 inside; of an Image layer the whole image is one.

    Returns
    -------
    list of ndarray, each of shape (z, y, x)
        In the order of the ids.

    Raises
    ------
    UserError
        When the layer is no single 3D volume, or holds nothing but 0.
    """
    array = sample_from_layers(layer).image
    if not array.any():
        raise UserError(f"The layer '{layer.name}' holds no objects; choose another one, or none.")
    if not isinstance(layer, Labels):
        return [array]
    ids = np.unique(array)
    compact = np.searchsorted(ids, array) + (ids[0] != 0)  # 0 stays 0, also when every voxel is labelled
    boxes = ndimage.find_objects(compact)
    return [((compact[box] == number) * np.uint8(255)) for number, box in enumerate(boxes, start=1) if box is not None]


def show_sample(viewer: Any, sample: Sample, name: str | None = None) -> tuple[Image, Labels | None]:
    """Show a volume as an Image layer and, if it has labels, a Labels layer ``NAME labels``; update both in place.

    Where the labels hold, if a mask says so, is in the Labels layer ``NAME annotated``.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it.
    sample : Sample
        The volume.
    name : str, optional
        Name of the image layer; without it the sample's.
    """
    name = name or sample.name
    old = existing(viewer, name, Image)
    extent = None if old is None else old.extent.world
    image = show_image(viewer, name, sample.image, sample.voxel_size_um)
    labels = None if sample.labels is None else show_labels(viewer, f"{name} labels", sample.labels, image)
    if labels is not None:
        keep_mask(labels, _show_mask(viewer, f"{name} annotated", sample.annotated, image))
    if extent is None or not np.array_equal(extent, image.extent.world):
        viewer.reset_view()
    return image, labels


def _show_mask(viewer: Any, name: str, annotated: NDArray[np.bool_] | None, image: Image) -> Labels | None:
    if annotated is None:
        remove_own(viewer, name)
        return None
    return show_labels(viewer, name, annotated, image, opacity=0.2, visible=False)


def show_image(viewer: Any, name: str, data: NDArray[Any], like: Place, **options: Any) -> Image:
    """Show grey values as an Image layer; a layer of this name that we made is updated in place.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it.
    name : str
        Name of the layer.
    data : ndarray of real numbers, shape (z, y, x)
        The volume.
    like : Layer or tuple of float
        The layer in whose place it lies, or its voxel size (z, y, x) in µm.
    **options
        Looks of a new layer, such as ``colormap``; a layer that exists keeps what the user chose.
    """
    layer = existing(viewer, name, Image)
    if layer is None:
        return viewer.add_image(data, name=name, metadata={OWNED: True}, **spatial(like), **options)
    _update(layer, data, like)
    if "contrast_limits" not in options:
        layer.reset_contrast_limits(mode="data")  # napari keeps the limits of the old data otherwise
    return layer


def show_labels(viewer: Any, name: str, data: NDArray[Any], like: Place, **options: Any) -> Labels:
    """Show ids as a Labels layer; a layer of this name that we made is updated in place.

    Parameters are those of `show_image`; `data` holds integers or booleans.
    """
    if data.dtype == bool:
        data = data.astype(np.uint8)
    layer = existing(viewer, name, Labels)
    if layer is None:
        return viewer.add_labels(data, name=name, metadata={OWNED: True}, **spatial(like), **options)
    _update(layer, data, like)
    return layer


def show_piece(
    viewer: Any, name: str, data: NDArray[Any], start_zyx: Sequence[int], like: Place, **options: Any
) -> Labels:
    """Show a small part of a volume as a Labels layer where it belongs, so that no large array is touched.

    Parameters are those of `show_image`; `data` holds integers, and `start_zyx` is its first voxel in the volume,
    which the layer keeps in its metadata as ``start``.
    """
    layer = existing(viewer, name, Labels)
    place = spatial(like) | {"translate": shifted(like, start_zyx)}
    if layer is None:
        layer = viewer.add_labels(data, name=name, metadata={OWNED: True}, **place, **options)
    else:
        layer.data = data
        for key, value in place.items():
            setattr(layer, key, value)
    layer.metadata["start"] = tuple(start_zyx)
    return layer


def show_difference(viewer: Any, name: str, difference: NDArray[np.uint8], like: Place) -> Labels:
    """Show where a prediction differs from the truth: extra voxels red, missed ones blue, of another class yellow.

    Agreement and what is not annotated are transparent.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it.
    name : str
        Name of the Labels layer.
    difference : ndarray of uint8, shape (z, y, x)
        As `evaluation.differences` gives it: 1 extra, 2 missed, 3 of another class.
    like : Layer or tuple of float
        The layer in whose place it lies, or its voxel size (z, y, x) in µm.
    """
    small = difference.astype(np.uint8, copy=False)  # napari draws these colours 9 times slower from wide integers
    return show_labels(viewer, name, small, like, colormap=DIFFERENCE_COLOURS, opacity=0.9)


def show_points(viewer: Any, name: str, positions: NDArray[Any], like: Place, **options: Any) -> Points:
    """Show voxels as a Points layer; a layer of this name that we made is updated in place.

    Parameters are those of `show_image`; `positions` has shape (point, 3) and holds voxels z, y, x.
    """
    layer = existing(viewer, name, Points)
    if layer is None:
        return viewer.add_points(positions, name=name, metadata={OWNED: True}, **spatial(like), **options)
    _update(layer, positions, like)
    return layer


def colour_of(layer: Labels, value: int) -> str:
    """Give the colour that a Labels layer draws a value in, as ``#rrggbb``."""
    red, green, blue, _ = (round(255 * float(part)) for part in layer.colormap.map(value))
    return f"#{red:02x}{green:02x}{blue:02x}"


def hide_own_layers(viewer: Any) -> None:
    """Hide every layer that the plugin made, so that another volume can be shown in the same place."""
    for layer in viewer.layers:
        if layer.metadata.get(OWNED):
            layer.visible = False


def remove_own(viewer: Any, name: str) -> None:
    """Remove the layer of a name that the plugin made, if there is one."""
    if (layer := existing(viewer, name, Layer)) is not None:
        viewer.layers.remove(layer)


def bring_out(viewer: Any, layer: Layer, instead_of: Sequence[Layer] = ()) -> None:
    """Make a layer the one that is seen: visible, above the others, and without those that would cover it.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer of the layers.
    layer : Layer
        What shall be seen.
    instead_of : sequence of Layer
        Layers to hide.
    """
    for other in instead_of:
        other.visible = False
    layer.visible = True
    viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))


def _single_array(layer: Layer) -> NDArray[Any]:
    if getattr(layer, "multiscale", False):
        raise UserError(f"The layer '{layer.name}' is a pyramid of several sizes; open one of its levels as a layer.")
    return np.asarray(layer.data)


def _micrometres(unit: Any) -> float:
    quantity = 1.0 * pint.Unit(str(unit))
    return float(quantity.to("micrometer").magnitude) if quantity.check("[length]") else 1.0


def spatial(like: Place) -> dict[str, Any]:
    """Give the properties by which a layer lies in the place of another one, or at the origin."""
    if isinstance(like, tuple):
        return {"scale": like, "units": ("um", "um", "um"), "axis_labels": ("z", "y", "x")}
    return {key: getattr(like, key) for key in _SPATIAL}


def shifted(like: Place, start_zyx: Sequence[float]) -> NDArray[np.float64]:
    """Give the translation of a layer whose first voxel lies where another one of `like` does."""
    if isinstance(like, tuple):
        return np.multiply(start_zyx, like, dtype=float)
    world = np.subtract(like.data_to_world(start_zyx), like.data_to_world((0.0, 0.0, 0.0)))
    return np.asarray(like.translate) + np.linalg.solve(like.affine.linear_matrix, world)


def existing(viewer: Any, name: str, kind: type[Layer]) -> Any:
    """Give the 3D layer of a name and type that we made, or None."""
    for layer in viewer.layers:
        if layer.name == name and isinstance(layer, kind) and layer.metadata.get(OWNED) and layer.ndim == 3:
            return layer
    return None


def _update(layer: Any, data: NDArray[Any], like: Place) -> None:
    layer.data = data
    place = spatial(like)
    if isinstance(like, tuple):  # the layer may have lain elsewhere before
        place |= {"translate": (0.0, 0.0, 0.0), "rotate": np.eye(3), "shear": (0.0, 0.0, 0.0), "affine": np.eye(4)}
    for key, value in place.items():
        setattr(layer, key, value)
