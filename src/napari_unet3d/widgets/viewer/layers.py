"""Layers of volumes: shown, updated in place, found and removed.

Each is placed where its volume is; `from_layers` reads volumes from layers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

import numpy as np
from napari.layers import Image, Labels, Layer, Points
from numpy.typing import NDArray

from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.sample import Sample
from napari_unet3d.evaluation.colours import EXTRA_COLOUR, MISSED_COLOUR, WRONG_CLASS_COLOUR
from napari_unet3d.evaluation.metrics.differences import EXTRA, MISSED, WRONG_CLASS
from napari_unet3d.widgets.viewer.channel_layers import COLOURMAPS, mark_channels
from napari_unet3d.widgets.viewer.layer_metadata import CHANNEL, OWNED, is_ours, keep_mask
from napari_unet3d.widgets.viewer.places import TIME, TimePoint, keep_geometry, keep_time, spatial_3d
from napari_unet3d.widgets.viewer.view_state import look_at

_SPATIAL = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
DIFFERENCE_COLOURS: dict[int | None, str] = {
    None: "transparent",
    0: "transparent",
    EXTRA: EXTRA_COLOUR,
    MISSED: MISSED_COLOUR,
    WRONG_CLASS: WRONG_CLASS_COLOUR,
}

Reference: TypeAlias = "Layer | Geometry | TimePoint"
"""Where to place a new layer: where another layer is, where a volume lies, or at a time point of a layer."""


def show_sample(viewer: Any, sample: Sample, name: str | None = None) -> tuple[Image, Labels | None]:
    """Show a volume as an Image layer and, if it has labels, a Labels layer ``NAME labels``; update both in place.

    A mask of the annotated voxels, if there is one, is shown as the Labels layer ``NAME annotated``. Several channels
    are Image layers of their own, ``NAME CHANNEL``, in different colours; the first one is returned.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it.
    sample : Sample
        The volume.
    name : str, optional
        Name of the image layer; by default that of the sample.
    """
    name = name or sample.name
    names = [f"{name} {channel}" for channel in sample.channel_names] if sample.n_channels > 1 else [name]
    old = find_layer(viewer, names[0], Image)
    extent = None if old is None else old.extent.world
    if sample.n_channels == 1:
        image = show_image(viewer, name, sample.image, sample.geometry)
        keep_geometry(image, sample.geometry)
    else:
        shown = [
            show_image(viewer, each, channel, sample.geometry, **_channel_options(viewer, name, sample, number))
            for number, (each, channel) in enumerate(zip(names, sample.image, strict=True))
        ]
        mark_channels(shown, name, sample.channel_names)
        for layer in shown:
            keep_geometry(layer, sample.geometry)
        image = shown[0]
    labels = None if sample.labels is None else show_labels(viewer, f"{name} labels", sample.labels, image)
    if labels is not None:
        keep_mask(labels, _show_mask(viewer, f"{name} annotated", sample.label_mask, image))
    if extent is None or not np.array_equal(extent, image.extent.world):
        look_at(viewer, image)
    return image, labels


def _channel_options(viewer: Any, volume: str, sample: Sample, number: int) -> dict[str, Any]:
    """Return colour and metadata of the new layer of a channel; an existing one looks as the user has set it."""
    name = sample.channel_names[number]
    if find_layer(viewer, f"{volume} {name}", Image) is not None:
        return {}
    metadata = {CHANNEL: (volume, name)}  # from the start, since docks follow when a layer is inserted
    return {"colormap": COLOURMAPS[number % len(COLOURMAPS)], "blending": "additive", "metadata": metadata}


def _show_mask(viewer: Any, name: str, annotated: NDArray[np.bool_] | None, image: Image) -> Labels | None:
    if annotated is None:
        remove_own(viewer, name)
        return None
    return show_labels(viewer, name, annotated, image, opacity=0.2, visible=False)


def show_image(viewer: Any, name: str, data: NDArray[Any], like: Reference, **options: Any) -> Image:
    """Show intensities as an Image layer; a layer of this name that the plugin made is updated in place.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it.
    name : str
        Name of the layer.
    data : ndarray of real numbers, shape (z, y, x)
        The volume.
    like : Layer or tuple of float
        The layer where it is placed, or its voxel size (z, y, x) in µm.
    **options
        Appearance of a new layer, such as ``colormap``; an existing layer keeps what the user chose.
    """
    layer = find_layer(viewer, name, Image)
    if layer is None:
        metadata = _metadata(like) | options.pop("metadata", {})
        return viewer.add_image(data, name=name, metadata=metadata, **spatial_kwargs(like), **options)
    _update(layer, data, like)
    if "contrast_limits" not in options:
        layer.reset_contrast_limits(mode="data")  # napari keeps the limits of the old data otherwise
    return layer


def show_labels(viewer: Any, name: str, data: NDArray[Any], like: Reference, **options: Any) -> Labels:
    """Show labels as a Labels layer; a layer of this name that the plugin made is updated in place.

    Parameters are those of `show_image`; `data` holds integers or booleans.
    """
    if data.dtype == bool:
        data = data.astype(np.uint8)
    layer = find_layer(viewer, name, Labels)
    if layer is None:
        return viewer.add_labels(data, name=name, metadata=_metadata(like), **spatial_kwargs(like), **options)
    _update(layer, data, like)
    return layer


def show_crop(
    viewer: Any, name: str, data: NDArray[Any], start_zyx: Sequence[int], like: Reference, **options: Any
) -> Labels:
    """Show a small part of a volume as a Labels layer where it belongs, so that no large array is touched.

    Parameters are those of `show_image`; `data` holds integers, and `start_zyx` is its first voxel in the volume,
    which the layer keeps in its metadata as ``start``.
    """
    layer = find_layer(viewer, name, Labels)
    place = spatial_kwargs(like) | {"translate": shifted(like, start_zyx)}
    if layer is None:
        layer = viewer.add_labels(data, name=name, metadata=_metadata(like), **place, **options)
    else:
        keep_time(layer, like)
        layer.data = data
        _put(layer, place)
    layer.metadata["start"] = tuple(start_zyx)
    return layer


def show_difference(viewer: Any, name: str, difference: NDArray[np.uint8], like: Reference) -> Labels:
    """Show where a prediction differs from the ground truth: extra voxels red, missed ones blue, wrong classes yellow.

    Agreement and what is not annotated are transparent.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it.
    name : str
        Name of the Labels layer.
    difference : ndarray of uint8, shape (z, y, x)
        As `difference_labels` returns it: 1 extra, 2 missed, 3 of another class.
    like : Layer or tuple of float
        The layer where it is placed, or its voxel size (z, y, x) in µm.
    """
    small = difference.astype(np.uint8, copy=False)  # napari draws these colours 9 times slower from wide integers
    return show_labels(viewer, name, small, like, colormap=DIFFERENCE_COLOURS, opacity=0.9)


def show_points(viewer: Any, name: str, positions: NDArray[Any], like: Reference, **options: Any) -> Points:
    """Show voxels as a Points layer; a layer of this name that the plugin made is updated in place.

    Parameters are those of `show_image`; `positions` has shape (point, 3) and holds voxels z, y, x.
    """
    layer = find_layer(viewer, name, Points)
    if layer is None:
        return viewer.add_points(positions, name=name, metadata=_metadata(like), **spatial_kwargs(like), **options)
    _update(layer, positions, like)
    return layer


def hide_own_layers(viewer: Any, among: Collection[str] | None = None) -> None:
    """Hide the layers that the plugin made, so that another volume can be shown in the same place.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer of the layers.
    among : collection of str, optional
        Names of those that may be hidden; without it, all.
    """
    for layer in viewer.layers:
        if is_ours(layer) and (among is None or layer.name in among):
            layer.visible = False


def remove_own(viewer: Any, name: str) -> None:
    """Remove the layer of a name that the plugin made, if there is one."""
    if (layer := find_layer(viewer, name, Layer)) is not None:
        viewer.layers.remove(layer)


def show_on_top(viewer: Any, layer: Layer, instead_of: Sequence[Layer] = ()) -> None:
    """Show a layer above all others, without those that would cover it.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer of the layers.
    layer : Layer
        The layer to show.
    instead_of : sequence of Layer
        Layers to hide.
    """
    for other in instead_of:
        other.visible = False
    layer.visible = True
    if (active := viewer.layers.selection.active) is None or not active.visible:
        viewer.layers.selection.active = layer  # the controls are those of what is seen
    viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))


def spatial_kwargs(like: Reference) -> dict[str, Any]:
    """Return the spatial properties of a layer that is placed where another layer or a volume is."""
    if isinstance(like, TimePoint):
        return spatial_3d(like.layer)
    if not isinstance(like, Geometry):
        return {key: getattr(like, key) for key in _SPATIAL} if like.ndim <= 3 else spatial_3d(like)
    scale = (1.0, 1.0, 1.0) if None in like.sizes else like.sizes
    units = ("um" if like.is_calibrated else "pixel",) * 3
    return {"scale": scale, "units": units, "axis_labels": ("z", "y", "x"), "affine": _world_affine(like)}


def _world_affine(geometry: Geometry) -> NDArray[np.float64]:
    """Return rotation and translation of a volume as an affine matrix of shape (4, 4) along z, y, x."""
    affine = np.eye(4)
    if geometry.directions is not None:
        affine[:3, :3] = np.array(geometry.directions).T[::-1, ::-1]
    if geometry.origin is not None:
        affine[:3, 3] = geometry.origin[::-1]
    return affine


def shifted(like: Reference, start_zyx: Sequence[float]) -> NDArray[np.float64]:
    """Return the translation of a layer that starts at a voxel of another one."""
    if isinstance(like, Geometry | TimePoint) or like.ndim > 3:
        scale: tuple[float, ...] = spatial_kwargs(like)["scale"]
        return np.array(start_zyx, dtype=float) * scale
    world = np.subtract(like.data_to_world(start_zyx), like.data_to_world((0.0, 0.0, 0.0)))
    return np.asarray(like.translate) + np.linalg.solve(like.affine.linear_matrix, world)


def find_layer(viewer: Any, name: str, kind: type[Layer]) -> Any:
    """Return the 3D layer of a name and type that the plugin made, or None."""
    for layer in viewer.layers:
        if layer.name == name and isinstance(layer, kind) and is_ours(layer) and layer.ndim == 3:
            return layer
    return None


def _metadata(like: Reference) -> dict[str, Any]:
    """Return the metadata of a new layer that the plugin makes: that it is ours, and the time point that it shows."""
    return {OWNED: True, TIME: like} if isinstance(like, TimePoint) else {OWNED: True}


def _update(layer: Any, data: NDArray[Any], like: Reference) -> None:
    keep_time(layer, like)
    layer.data = data
    place = spatial_kwargs(like)
    if "translate" not in place:  # the layer may have been elsewhere before
        place |= {"translate": (0.0, 0.0, 0.0), "rotate": np.eye(3), "shear": (0.0, 0.0, 0.0)}
    _put(layer, place)


def _put(layer: Any, place: dict[str, Any]) -> None:
    """Move a layer; unchanged properties are not set again, since napari slices all layers after each change."""
    for key, value in place.items():
        before, after = (getattr(each, "affine_matrix", each) for each in (getattr(layer, key), value))
        if not np.array_equal(before, after):
            setattr(layer, key, value)
