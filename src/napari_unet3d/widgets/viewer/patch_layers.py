"""Augmented patches in the viewer: side by side in one Image and one Labels layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import label_colormap
from numpy.typing import NDArray

from napari_unet3d.data.geometry import Geometry, VoxelSize
from napari_unet3d.training.augmented_events import NOT_ANNOTATED, AugmentedPatches
from napari_unet3d.widgets.viewer.helper_layers import HELPER, is_helper
from napari_unet3d.widgets.viewer.layers import OWNED, connect_until_removed, find_layer, spatial_kwargs

NAME, LABELS_NAME = "augmented patches", "augmented patches labels"
ORIGINALS_NAME, ORIGINALS_LABELS_NAME = f"{NAME} before", f"{NAME} before labels"
_COLUMNS = 4
_GAP = 0.08  # of the longest side of a patch in µm
_NOT_ANNOTATED_COLOUR = (0.6, 0.6, 0.6, 0.9)
_FRAME = 0.25  # intensity of the gaps, between the darkest and the brightest voxel
_CLEAR = (0.0, 0.0, 0.0, 0.0)
_WORDS = "words"  # key of the metadata of labels


def show_patches(viewer: Any, found: AugmentedPatches) -> list[Layer]:
    """Show patches in rows of four, in place of earlier ones; return the layers that were hidden.

    They lie at the origin with their voxel size, and all other layers are hidden, which would lie across them. The
    patches before they were varied are put below them, hidden. What is not annotated is grey in slices and clear in
    3D, where it would cover the labels.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show them.
    found : AugmentedPatches
        The patches.
    """
    patches = found.patches
    old = find_layer(viewer, NAME, Image)
    before = None if old is None else old.extent.world
    hidden = [layer for layer in viewer.layers if layer.visible and not is_of_patches(layer)]
    for layer in hidden:
        layer.visible = False
    selected = set(viewer.layers.selection)
    _show(viewer, ORIGINALS_NAME, ORIGINALS_LABELS_NAME, [(p.original, p.original_labels) for p in patches], found)
    image = _show(viewer, NAME, LABELS_NAME, [(p.image, p.labels) for p in patches], found)
    viewer.layers.selection = selected or {image}
    if before is None or not np.array_equal(before, image.extent.world):
        viewer.reset_view()
        viewer.dims.point = tuple(float(side) for side in np.mean(image.extent.world, axis=0))
    return hidden


def is_of_patches(layer: Layer) -> bool:
    """Return whether a layer shows patches, augmented or not."""
    return is_helper(layer) and layer.name in (NAME, LABELS_NAME, ORIGINALS_NAME, ORIGINALS_LABELS_NAME)


def tile(patches: Sequence[NDArray[Any]], voxel_size_um: VoxelSize, empty: float) -> NDArray[Any]:
    """Put volumes side by side: along x, in rows of four along y, with gaps between them.

    Parameters
    ----------
    patches : sequence of ndarray, each of shape (z, y, x)
        All of one number type; smaller ones are padded at their end.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm; gaps have the same width in µm along both axes.
    empty : float
        Value between them.

    Returns
    -------
    ndarray, shape (z, y, x)
        One volume with all of them.
    """
    shape = np.max([patch.shape for patch in patches], axis=0)
    width_um = _GAP * float(np.max(shape * voxel_size_um))
    gaps = np.maximum(1, np.ceil(width_um / np.array(voxel_size_um))).astype(int)
    n_columns = min(_COLUMNS, len(patches))
    n_rows = -(-len(patches) // n_columns)
    z, y, x = (int(side) for side in shape)
    step_y, step_x = y + int(gaps[1]), x + int(gaps[2])
    tiled = np.full((z, n_rows * step_y - gaps[1], n_columns * step_x - gaps[2]), empty, patches[0].dtype)
    for number, patch in enumerate(patches):
        row, column = divmod(number, n_columns)
        deep, high, wide = patch.shape
        tiled[:deep, row * step_y : row * step_y + high, column * step_x : column * step_x + wide] = patch
    return tiled


def _show(
    viewer: Any,
    name: str,
    labels_name: str,
    pairs: Sequence[tuple[NDArray[np.float32], NDArray[np.uint8]]],
    found: AugmentedPatches,
) -> Image:
    """Show one kind of patches; new layers are visible when they are the augmented ones."""
    voxel_size_um = found.patches[0].voxel_size_um
    grey = [image for image, _ in pairs]
    # From the very lowest value on: in 3D napari draws nothing below it, and the canvas would show through.
    low, high = np.percentile(np.concatenate([each.ravel() for each in grey]), (0, 99.8)).tolist()
    image_data = tile(grey, voxel_size_um, low + _FRAME * (high - low))
    label_data = tile([labels for _, labels in pairs], voxel_size_um, 0)
    place = spatial_kwargs(Geometry(voxel_size_um))
    options = {"metadata": {OWNED: True, HELPER: True}, "visible": name == NAME, **place}
    image, labels = find_layer(viewer, name, Image), find_layer(viewer, labels_name, Labels)
    if image is None:
        image = viewer.add_image(image_data, name=name, **options)
    if labels is None:
        labels = viewer.add_labels(label_data, name=labels_name, opacity=0.5, **options)
        _clear_in_3d(viewer, labels)
    image.data, labels.data = image_data, label_data
    image.scale = labels.scale = voxel_size_um
    image.contrast_limits = (low, max(high, low + 1e-3))
    labels.metadata[_WORDS] = found.label_names
    labels.features = {"index": list(found.label_names), "label": list(found.label_names.values())}
    labels.colormap = _colours(found.label_names, is_3d=viewer.dims.ndisplay == 3)
    return image


def _clear_in_3d(viewer: Any, labels: Labels) -> None:
    """Adapt to slices or 3D."""

    def recolour(_: Any = None) -> None:
        labels.colormap = _colours(labels.metadata[_WORDS], is_3d=viewer.dims.ndisplay == 3)

    connect_until_removed(viewer, labels, [viewer.dims.events.ndisplay], recolour)


def _colours(label_words: dict[int, str], *, is_3d: bool) -> dict[int | None, Any]:
    usual = label_colormap(49, 0.5)  # napari's own, so that a class has the colour that it has in other layers
    colours: dict[int | None, Any] = {label: usual.map(label) for label in label_words}
    return {**colours, None: _CLEAR, 0: _CLEAR, NOT_ANNOTATED: _CLEAR if is_3d else _NOT_ANNOTATED_COLOUR}
