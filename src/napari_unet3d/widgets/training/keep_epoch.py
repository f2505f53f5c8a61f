"""The buttons that keep what an epoch of a watched run has reached: its model, or its prediction as a layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_unet3d.evaluation.watched import WatchedRun
from napari_unet3d.widgets.kit.runs import remember_run
from napari_unet3d.widgets.saving.save_dialog import ask_for_file
from napari_unet3d.widgets.training.watch_work import MODEL_SUFFIX, keep_model

if TYPE_CHECKING:
    from napari_unet3d.widgets.kit.base import Dock


class KeepRow(QWidget):
    """Keeps the model of the shown epoch in the run folder or elsewhere; what a layer is made of, others know.

    Parameters
    ----------
    dock : Dock
        Its message line.

    Attributes
    ----------
    model_kept : Signal()
        A model was put among the recent ones.
    model_button, elsewhere_button, layer_button : QPushButton
    """

    model_kept = Signal()

    def __init__(self, dock: Dock) -> None:
        super().__init__()
        self._dock = dock
        self._run: WatchedRun | None = None
        self._epoch: int | None = None
        self.model_button, self.layer_button = QPushButton("Keep this model"), QPushButton("Keep as layer")
        self.elsewhere_button = QPushButton("…")
        self.model_button.setToolTip(
            "Copy the model of the shown epoch into the folder 'kept' of the run, to predict with it or to train on."
        )
        self.elsewhere_button.setToolTip("Copy the model of the shown epoch to a place of your choice.")
        self.elsewhere_button.setMaximumWidth(32)
        self.layer_button.setToolTip("Put the shown prediction into a layer of its own, to compare epochs.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.model_button, 1)
        row.addWidget(self.elsewhere_button)
        row.addWidget(self.layer_button, 1)
        self.model_button.clicked.connect(self._keep_in_run)
        self.elsewhere_button.clicked.connect(self._keep_elsewhere)
        self.show_epoch(None, None)

    def show_epoch(self, run: WatchedRun | None, epoch: int | None) -> None:
        """Offer to keep an epoch of a run; nothing without one."""
        self._run, self._epoch = run, epoch
        self.setEnabled(run is not None and epoch is not None)

    def _keep_in_run(self) -> None:
        if self._run is not None:
            with self._dock.message.explaining():
                self._keep(self._run.folder.parent / "kept" / f"epoch-{self._epoch:04d}{MODEL_SUFFIX}")

    def _keep_elsewhere(self) -> None:
        if self._run is None:
            return
        with self._dock.message.explaining():
            name, folder = f"epoch-{self._epoch:04d}", self._run.folder.parent
            target = ask_for_file(self, "Keep the model of this epoch", name, (MODEL_SUFFIX,), folder)
            if target is not None:
                self._keep(target)

    def _keep(self, target: Path) -> None:
        assert self._run is not None
        assert self._epoch is not None
        keep_model(self._run, self._epoch, target)
        remember_run(target)
        self.model_kept.emit()
        self._dock.message.show_message(
            f"The model of epoch {self._epoch} is kept as '{target.parent.name}/{target.name}'. Predict offers it."
        )
