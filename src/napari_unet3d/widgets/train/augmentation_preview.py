"""The buttons of the Train dock that show augmented patches, as the network would see them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from magicgui.widgets import Container, PushButton, Widget
from napari.layers import Layer

from napari_unet3d.data.sample import format_shape
from napari_unet3d.session.training_job import TrainingRequest, draw_patches
from napari_unet3d.training.augmented_events import NOT_ANNOTATED, AugmentedPatches
from napari_unet3d.widgets.components.containers import row
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.jobs.latest_only import LatestOnly
from napari_unet3d.widgets.viewer.patch_layers import NAME, is_of_patches, show_patches

_SHOW = "Show augmented patches"


class AugmentationPreview(Container[Widget]):
    """Shows eight augmented patches as the training would draw them, then the next eight.

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
        self.show_button = PushButton(
            text=_SHOW,
            tooltip="The first patches that this training would see, augmented as the settings say, with their labels; "
            "all other layers are hidden meanwhile.",
        )
        self.next_button = PushButton(
            text="Show next", tooltip="The patches that come next in the training, in place of those in view."
        )
        self.remove_button = PushButton(
            text="Remove", tooltip="Remove the patches and show again what was in view before."
        )
        buttons = row(self.show_button, self.next_button, self.remove_button)
        super().__init__(widgets=[buttons], labels=False)
        self.margins = (0, 0, 0, 0)
        self._work = LatestOnly(self.native, context.jobs, "patches")
        self._work.failed.connect(context.message.show_error)
        self._work.settled.connect(self.reset_choices)
        self.show_button.clicked.connect(lambda: self.show_patches())
        self.next_button.clicked.connect(lambda: self.show_patches(self._n_seen))
        self.remove_button.clicked.connect(self.remove_patches)
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
        self.show_button.text = "From the first" if is_shown else _SHOW
        self.next_button.visible = self.remove_button.visible = is_shown
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
    text = f"{which} patches of {format_shape(first.image.shape)} that this training sees: {event.augmentation}."
    if any((patch.labels == NOT_ANNOTATED).any() for patch in event.patches):
        text += " Grey in slices is not annotated."
    if len({patch.voxel_size_um for patch in event.patches}) > 1:
        text += f" All are drawn with the voxel size of '{first.name}', though others have a different one."
    return f"{text} The patches before augmentation are in the hidden layers below '{NAME}'."
