"""Augmented patches, as the network would see them: their layers, and the buttons that show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import label_colormap
from numpy.typing import NDArray

from napari_unet3d.data.geometry import Geometry, VoxelSize
from napari_unet3d.data.sample import format_shape
from napari_unet3d.session.training_job import TrainingRequest, draw_patches
from napari_unet3d.training.augmented_events import NOT_ANNOTATED, AugmentedPatches
from napari_unet3d.widgets.components.containers import Panel, button, row
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.viewer.channel_layers import COLOURMAPS
from napari_unet3d.widgets.viewer.connections import connect_until_removed
from napari_unet3d.widgets.viewer.layer_metadata import HELPER, OWNED, is_helper
from napari_unet3d.widgets.viewer.layers import find_layer, spatial_kwargs

NAME, LABELS_NAME = "augmented patches", "augmented patches labels"
ORIGINALS_NAME, ORIGINALS_LABELS_NAME = f"{NAME} before", f"{NAME} before labels"
_COLUMNS = 4
_GAP = 0.08  # of the longest side of a patch
_NOT_ANNOTATED_COLOUR = (0.6, 0.6, 0.6, 0.9)
_FRAME = 0.25  # intensity of the gaps, between the darkest and the brightest voxel
_CLEAR = (0.0, 0.0, 0.0, 0.0)
_WORDS = "words"  # key of the metadata of labels
SHOW_TOOLTIP = (
    "The first patches that this training would see, augmented as the settings say, with their labels; all other "
    "layers are hidden meanwhile."
)


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
    first_name = layer_name(NAME, (patches[0].channel_names or ("",))[0], found)
    old = find_layer(viewer, first_name, Image)
    before = None if old is None else old.extent.world
    hidden = [layer for layer in viewer.layers if layer.visible and not is_of_patches(layer)]
    for layer in hidden:
        layer.visible = False
    selected = set(viewer.layers.selection)
    _remove_other_channels(viewer, found)
    names = patches[0].channel_names or ("",)
    for channel, name in enumerate(names):
        originals = [_channel(p.original, channel) for p in patches]
        _show_image(viewer, layer_name(ORIGINALS_NAME, name, found), originals, found, channel)
    _show_labels(viewer, ORIGINALS_LABELS_NAME, [p.original_labels for p in patches], found)
    images = []
    for channel, name in enumerate(names):
        augmented = [_channel(p.image, channel) for p in patches]
        images.append(_show_image(viewer, layer_name(NAME, name, found), augmented, found, channel))
    _show_labels(viewer, LABELS_NAME, [p.labels for p in patches], found)
    image = images[0]
    viewer.layers.selection = selected or {image}
    if before is None or not np.array_equal(before, image.extent.world):
        viewer.reset_view()
        viewer.dims.point = tuple(float(side) for side in np.mean(image.extent.world, axis=0))
    return hidden


def is_of_patches(layer: Layer) -> bool:
    """Return whether a layer shows patches, augmented or not."""
    return is_helper(layer) and layer.name.startswith(NAME)


def layer_name(name: str, channel: str, found: AugmentedPatches) -> str:
    """Return the name of the layer of a channel, which is only in it if there are several."""
    return f"{name} {channel}" if len(found.patches[0].channel_names) > 1 else name


def _remove_other_channels(viewer: Any, found: AugmentedPatches) -> None:
    """Remove the images of patches with other channels."""
    names = found.patches[0].channel_names or ("",)
    wanted = {layer_name(name, channel, found) for name in (NAME, ORIGINALS_NAME) for channel in names}
    for layer in [layer for layer in viewer.layers if is_of_patches(layer) and isinstance(layer, Image)]:
        if layer.name not in wanted:
            viewer.layers.remove(layer)


def _channel(image: NDArray[np.float32], channel: int) -> NDArray[np.float32]:
    return image if image.ndim == 3 else np.asarray(image[channel])


def tile(patches: Sequence[NDArray[Any]], spacing: VoxelSize, empty: float) -> NDArray[Any]:
    """Put volumes side by side: along x, in rows of four along y, with gaps between them.

    Parameters
    ----------
    patches : sequence of ndarray, each of shape (z, y, x)
        All of one number type; smaller ones are padded at their end.
    spacing : tuple of float
        Size of a voxel along z, y, x; gaps have the same width along both axes.
    empty : float
        Value between them.

    Returns
    -------
    ndarray, shape (z, y, x)
        One volume with all of them.
    """
    shape = np.max([patch.shape for patch in patches], axis=0)
    width = _GAP * float(np.max(shape * spacing))
    gaps = np.maximum(1, np.ceil(width / np.array(spacing))).astype(int)
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


def _show_image(
    viewer: Any, name: str, grey: Sequence[NDArray[np.float32]], found: AugmentedPatches, channel: int
) -> Image:
    """Show one channel of one kind of patches; new layers are visible when they are the augmented ones."""
    geometry = found.patches[0].geometry
    # From the very lowest value on: in 3D napari draws nothing below it, and the canvas would show through.
    low, high = np.percentile(np.concatenate([each.ravel() for each in grey]), (0, 99.8)).tolist()
    image_data = tile(grey, geometry.spacing, low + _FRAME * (high - low))
    image, is_augmented = find_layer(viewer, name, Image), not name.startswith(ORIGINALS_NAME)
    if image is None:
        image = viewer.add_image(image_data, name=name, **_options(found, is_visible=is_augmented))
        if len(found.patches[0].channel_names) > 1:
            image.colormap, image.blending = COLOURMAPS[channel % len(COLOURMAPS)], "additive"
    image.data = image_data
    _place(image, geometry)
    image.contrast_limits = (low, max(high, low + 1e-3))
    return image


def _options(found: AugmentedPatches, *, is_visible: bool) -> dict[str, Any]:
    place = spatial_kwargs(found.patches[0].geometry)
    return {"metadata": {OWNED: True, HELPER: True}, "visible": is_visible, **place}


def _place(layer: Layer, geometry: Geometry) -> None:
    place = spatial_kwargs(geometry)
    layer.scale, layer.units = place["scale"], place["units"]


def _show_labels(viewer: Any, name: str, patches: Sequence[NDArray[np.uint8]], found: AugmentedPatches) -> None:
    geometry = found.patches[0].geometry
    label_data = tile(patches, geometry.spacing, 0)
    labels = find_layer(viewer, name, Labels)
    if labels is None:
        options = _options(found, is_visible=name == LABELS_NAME)
        labels = viewer.add_labels(label_data, name=name, opacity=0.5, **options)
        _clear_in_3d(viewer, labels)
    labels.data = label_data
    _place(labels, geometry)
    labels.metadata[_WORDS] = found.label_names
    labels.features = {"index": list(found.label_names), "label": list(found.label_names.values())}
    labels.colormap = _colours(found.label_names, is_3d=viewer.dims.ndisplay == 3)


def _clear_in_3d(viewer: Any, labels: Labels) -> None:
    """Adapt to slices or 3D."""

    def recolour(_: Any = None) -> None:
        labels.colormap = _colours(labels.metadata[_WORDS], is_3d=viewer.dims.ndisplay == 3)

    connect_until_removed(viewer, labels, [viewer.dims.events.ndisplay], recolour)


def _colours(label_words: dict[int, str], *, is_3d: bool) -> dict[int | None, Any]:
    usual = label_colormap(49, 0.5)  # napari's own, so that a class has the colour that it has in other layers
    colours: dict[int | None, Any] = {label: usual.map(label) for label in label_words}
    return {**colours, None: _CLEAR, 0: _CLEAR, NOT_ANNOTATED: _CLEAR if is_3d else _NOT_ANNOTATED_COLOUR}


class AugmentationPreview(Panel):
    """Shows eight augmented patches as the training would draw them, then the next eight; hidden without patches.

    Parameters
    ----------
    context : Context
        Viewer, jobs and message line.
    request : callable
        Returns what would be trained; it raises a `UserError` when something is missing.
    """

    def __init__(self, context: Context, request: Callable[[], TrainingRequest]) -> None:
        self._context, self._request = context, request
        self._n_seen = 0
        self._hidden: list[Layer] = []
        self.show_button = button("First patches", SHOW_TOOLTIP, self.show_patches)
        self.next_button = button(
            "Next patches",
            "The patches that come next in the training, in place of those in view.",
            lambda: self.show_patches(self._n_seen),
        )
        self.remove_button = button(
            "Remove", "Remove the patches and show again what was in view before.", self.remove_patches
        )
        super().__init__(row(self.show_button, self.next_button, self.remove_button))
        self._work = context.latest_only(self.native, "patches")
        self._work.settled.connect(self.reset_choices)
        self.reset_choices()

    def show_patches(self, n_before: int = 0) -> None:
        """Show eight patches of the training, after the first `n_before`."""
        with self._context.message.explaining():
            draw = partial(draw_patches, self._request(), n_before)
            self._context.message.show_message("Drawing patches …")
            self._work.request("Drawing patches", draw, self._on_patches)
            self.reset_choices()

    def remove_patches(self) -> None:
        """Remove the patches, and show the layers again that they hid."""
        viewer = self._context.viewer
        for layer in [layer for layer in viewer.layers if is_of_patches(layer)]:
            viewer.layers.remove(layer)
        for layer in self._hidden:
            layer.visible = True
        self._hidden = []
        self._context.message.clear()
        if len(viewer.layers):
            viewer.reset_view()

    def reset_choices(self, *_: Any) -> None:
        """Show the buttons that make sense with the layers of the viewer."""
        is_shown = any(is_of_patches(layer) for layer in self._context.viewer.layers)
        self.visible = is_shown
        self.show_button.enabled = self.next_button.enabled = not self._work.is_busy

    def _on_patches(self, event: Any) -> None:
        if isinstance(event, AugmentedPatches):  # else it is still reading
            self._hidden += show_patches(self._context.viewer, event)
            self._n_seen = event.n_before + len(event.patches)
            self._context.message.show_message(describe_patches(event))
            self.reset_choices()


def describe_patches(event: AugmentedPatches) -> str:
    """Return which patches are shown, and how they were augmented."""
    first = event.patches[0]
    n, n_before = len(event.patches), event.n_before
    which = f"The first {n}" if n_before == 0 else f"Numbers {n_before + 1} to {n_before + n} of the"
    text = f"{which} patches of {format_shape(first.image.shape[-3:])} that this training sees: {event.augmentation}."
    if any((patch.labels == NOT_ANNOTATED).any() for patch in event.patches):
        text += " Grey in slices is not annotated."
    if len({patch.geometry for patch in event.patches}) > 1:
        text += f" All are drawn with the voxel size of '{first.name}', though others have a different one."
    return f"{text} The patches before augmentation are in the hidden layers below '{NAME}'."
