"""The slider that goes through the epochs of a run, and plays them like a film."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QSlider, QToolButton, QWidget

from napari_unet3d.runs.snapshots import SnapshotRun
from napari_unet3d.session.epoch_view import MODEL_SUFFIX, keep_model
from napari_unet3d.session.recent_runs import remember_run
from napari_unet3d.widgets.components.dialogs import ask_for_file

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.qt_dock import QtDock as Dock

PLAY_KEY = "Shift-W"
_FILM_MS = 8000  # of a whole run, with pictures neither faster nor slower than
_SHORTEST_MS, _LONGEST_MS = 100, 600


class EpochSlider(QWidget):
    """Chooses one of the epochs that are kept.

    While it is live, it goes to the newest one by itself. Going back ends that; going to the newest begins it again.

    Attributes
    ----------
    epoch_chosen : Signal(int)
        Another epoch is to be shown.
    play_button : QToolButton
        Begins and stops the film.
    live_button : QPushButton
        Whether the newest epoch is shown.
    """

    epoch_chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.epochs: tuple[int, ...] = ()
        self._is_drawn = True
        self.play_button = QToolButton()
        self.play_button.setText("▶")
        self.play_button.setToolTip(
            f"<qt>Play how it learned, from the shown epoch on; from the newest, all over again. Key: {PLAY_KEY}</qt>"
        )
        self.play_button.clicked.connect(self.play)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setToolTip("The epoch that is shown; drag it, or the line in the curves.")
        self.slider.setMinimumWidth(60)
        self.slider.valueChanged.connect(self._on_slider)
        self.live_button = QPushButton("Live")
        self.live_button.setCheckable(True)
        self.live_button.setChecked(True)
        self.live_button.setToolTip("Show the newest epoch as soon as it is there.")
        self.live_button.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.live_button.clicked.connect(self._on_live)
        self._film = QTimer(self)
        self._film.timeout.connect(self._next_picture)
        self._lay_out()

    @property
    def epoch(self) -> int | None:
        """The chosen epoch."""
        return self.epochs[self.slider.value()] if self.epochs else None

    @property
    def is_live(self) -> bool:
        """Whether the newest epoch is followed."""
        return bool(self.live_button.isChecked())

    @property
    def is_playing(self) -> bool:
        """Whether the film is running."""
        return bool(self._film.isActive())

    def show_epochs(self, epochs: Sequence[int]) -> None:
        """Offer these epochs, in order; the chosen one stays, or becomes the newest while it is live."""
        if tuple(epochs) == self.epochs:
            return
        before = self.epoch
        self.epochs = tuple(epochs)
        self.slider.blockSignals(True)
        self.slider.setRange(0, max(0, len(epochs) - 1))
        index = len(epochs) - 1 if self.is_live or before is None else self._nearest(before)
        self.slider.setValue(index)
        self.slider.blockSignals(False)
        self.setEnabled(bool(epochs))
        if self.epoch is not None and self.epoch != before:
            self.epoch_chosen.emit(self.epoch)

    def go_to(self, epoch: float) -> None:
        """Choose the epoch that lies nearest."""
        if self.epochs:
            self.slider.setValue(self._nearest(epoch))

    def play(self) -> None:
        """Begin the film, from the beginning when the newest epoch is shown; or stop it."""
        if self.is_playing:
            self._stop_film()
            return
        if len(self.epochs) < 2:
            return
        if self.slider.value() == len(self.epochs) - 1:
            self.slider.setValue(0)
        self.play_button.setText("❚❚")
        self._film.start(min(_LONGEST_MS, max(_SHORTEST_MS, _FILM_MS // len(self.epochs))))

    def note_drawn(self, epoch: int) -> None:
        """Take note that an epoch is in view now; the film waits for it."""
        self._is_drawn = epoch == self.epoch

    def _next_picture(self) -> None:
        if self.slider.value() >= len(self.epochs) - 1:
            self._stop_film()
        elif self._is_drawn:
            self.slider.setValue(self.slider.value() + 1)

    def _stop_film(self) -> None:
        self._film.stop()
        self.play_button.setText("▶")

    def _on_slider(self, index: int) -> None:
        self.live_button.setChecked(index == len(self.epochs) - 1)
        self._is_drawn = False
        if self.epoch is not None:
            self.epoch_chosen.emit(self.epoch)

    def _on_live(self) -> None:
        if self.is_live:
            self._stop_film()
            self.slider.setValue(len(self.epochs) - 1)

    def _nearest(self, epoch: float) -> int:
        return min(range(len(self.epochs)), key=lambda index: abs(self.epochs[index] - epoch), default=0)

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.play_button)
        row.addWidget(self.slider, 1)
        row.addWidget(self.live_button)
        self.setEnabled(False)


class EpochActions(QWidget):
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
        self._run: SnapshotRun | None = None
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

    def show_epoch(self, run: SnapshotRun | None, epoch: int | None) -> None:
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
