"""The buttons of the Train dock that show what the network would see, before it is trained."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_unet3d.data.sample import format_shape
from napari_unet3d.session.training_job import TrainingRequest, draw_patches
from napari_unet3d.training.augmented_events import NOT_ANNOTATED, AugmentedPatches
from napari_unet3d.widgets.viewer.patch_layers import NAME, is_of_patches, show_patches

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.qt_dock import QtDock as Dock

_FIRST_WORDS = "Show augmented patches"


class AugmentationPreview(QWidget):
    """Shows eight augmented patches as the training would draw them, then the next eight.

    Parameters
    ----------
    dock : Dock
        Its viewer, jobs and message line.
    order : callable
        Gives what would be trained; it raises a `UserError` when something is missing.
    """

    def __init__(self, dock: Dock, order: Callable[[], TrainingRequest]) -> None:
        super().__init__()
        self._dock, self._order = dock, order
        self._n_seen = 0
        self._hidden: list[Layer] = []
        self.show_button = QPushButton(_FIRST_WORDS)
        self.show_button.setToolTip(
            "The first patches that this training would see, varied as the settings say, with their labels; "
            "all other layers are hidden meanwhile."
        )
        self.more_button, self.away_button = QPushButton("Draw others"), QPushButton("Put away")
        self.more_button.setToolTip("The patches that come next in the training, in place of those in view.")
        self.away_button.setToolTip("Remove the patches and show again what was in view before.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for button in (self.show_button, self.more_button, self.away_button):
            row.addWidget(button, 1)
        self.show_button.clicked.connect(lambda: self._draw(0))
        self.more_button.clicked.connect(lambda: self._draw(self._n_seen))
        self.away_button.clicked.connect(self.put_away)
        dock.connect_viewer(dock.viewer.layers.events.removed, self._refresh)
        self._refresh()

    def put_away(self, *_: object) -> None:
        """Remove the patches, and show the layers again that they hid."""
        viewer = self._dock.viewer
        for layer in [layer for layer in viewer.layers if is_of_patches(layer)]:
            viewer.layers.remove(layer)
        for layer in self._hidden:
            layer.visible = True
        self._hidden = []
        self._dock.message.clear()
        if len(viewer.layers):
            viewer.reset_view()

    def _draw(self, n_before: int) -> None:
        with self._dock.message.explaining():
            job = self._dock.jobs.start("patches", "Drawing patches", partial(draw_patches, self._order(), n_before))
            for button in (self.show_button, self.more_button):
                button.setEnabled(False)
            self._dock.message.show_message("Drawing patches …")
            job.reported.connect(self._take)
            job.failed.connect(self._dock.show_failure)
            job.ended.connect(self._refresh)

    def _take(self, found: Any) -> None:
        if not isinstance(found, AugmentedPatches):  # it goes on reading
            return
        self._hidden += show_patches(self._dock.viewer, found)
        self._n_seen = found.n_before + len(found.patches)
        self._dock.message.show_message(words_for(found))
        self._refresh()

    def _refresh(self) -> None:
        is_shown = any(is_of_patches(layer) for layer in self._dock.viewer.layers)
        is_drawing = self._dock.jobs.running("patches") is not None
        self.show_button.setText("From the first" if is_shown else _FIRST_WORDS)
        for button in (self.more_button, self.away_button):
            button.setVisible(is_shown)
        for button in (self.show_button, self.more_button):
            button.setEnabled(not is_drawing)


def words_for(found: AugmentedPatches) -> str:
    """Say what patches are shown, and how they were varied."""
    first = found.patches[0]
    n, n_before = len(found.patches), found.n_before
    which = f"The first {n}" if n_before == 0 else f"Numbers {n_before + 1} to {n_before + n} of the"
    words = f"{which} patches of {format_shape(first.image.shape)} that this training sees: {found.augmentation}."
    if any((patch.labels == NOT_ANNOTATED).any() for patch in found.patches):
        words += " Grey in slices is not annotated."
    if len({patch.voxel_size_um for patch in found.patches}) > 1:
        words += f" All are drawn with the voxel size of '{first.name}', though others have one of their own."
    return f"{words} What they were before is in the hidden layers below '{NAME}'."
