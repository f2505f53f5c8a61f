"""The part of the Train dock in which a run is watched: curves, the epochs, and what is wrong in plain words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from napari.layers import Labels
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_unet3d.errors import UserError
from napari_unet3d.runs.diagnosis import diagnose
from napari_unet3d.runs.snapshot_files import SnapshotData
from napari_unet3d.runs.snapshots import SnapshotRun, open_snapshots
from napari_unet3d.session.epoch_view import EpochView, load_epoch
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.session.training_run import TrainingRun, load_run
from napari_unet3d.training.events import Throughput
from napari_unet3d.widgets.components.keys import bind_key
from napari_unet3d.widgets.components.run_bar import wrapping_label
from napari_unet3d.widgets.jobs.latest_only import LatestOnly
from napari_unet3d.widgets.train.epoch_slider import PLAY_KEY, EpochActions, EpochSlider
from napari_unet3d.widgets.train.loss_curves import LossCurves
from napari_unet3d.widgets.train.run_listener import RunListener
from napari_unet3d.widgets.train.snapshot_layers import SnapshotLayers

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.qt_dock import QtDock as Dock

_KEY = "watch"  # of what is remembered
_POLL_MS = 2000
_NOTHING = "Nothing"
_HINT = "QLabel { background-color: #6b4e00; color: white; border-radius: 3px; padding: 4px; }"


class MonitorPanel(QWidget):
    """Shows a run: its curves, and in the viewer what it predicted after each epoch.

    Parameters
    ----------
    dock : Dock
        Its viewer, jobs and message line.
    truths : callable
        Gives the Labels layers with the truth of a volume.

    Attributes
    ----------
    reloaded : Signal(object)
        The `TrainingRun` of an opened run that has more epochs by now; it is to be shown.
    curves : LossCurves
    scrub : EpochSlider
    keep : EpochActions
    volume_box : QComboBox
        Which validation volume is shown; the first choice is none.
    pace, hint, words : QLabel
        How the steps go, what is wrong, and which epoch is shown.
    record : TrainingRun or None
        Whose curves are shown.
    """

    reloaded = Signal(object)

    def __init__(self, dock: Dock, truths: Callable[[str], Sequence[Labels]]) -> None:
        super().__init__(dock)
        self._dock = dock
        self.curves, self.scrub, self.keep = LossCurves(dock.viewer), EpochSlider(), EpochActions(dock)
        self._watched = QWidget()  # what is there when predictions are kept
        self.volume_box, self.pace, self.hint, self.words = QComboBox(), wrapping_label(), wrapping_label(), QLabel()
        self.volume_box.setToolTip("The validation volume whose prediction and mistakes are shown in the viewer.")
        self.hint.setStyleSheet(_HINT)
        self.words.setToolTip(
            "The epoch that is shown, and its Dice over all validation volumes. Of a volume that is seen in part, "
            "validation looks at that part alone; elsewhere nothing is compared."
        )
        self.record: TrainingRun | None = None
        self._listener = RunListener(self)
        self._run: SnapshotRun | None = None
        self._volume: SnapshotData | None = None
        self._view: EpochView | None = None
        self._layers = SnapshotLayers(dock.viewer, truths)
        self._work = LatestOnly(self, dock.jobs, "watch")
        self._poll = QTimer(self)
        self._poll.setInterval(_POLL_MS)
        self._lay_out()
        self._connect()
        self._show_words()

    def show_record(self, record: TrainingRun) -> None:
        """Watch another run, or the same one again."""
        if self.record is None or self.record.run_folder != record.run_folder:
            self._layers.note_what_is_there()
            self.forget()
        self.record = record
        self.curves.show_history(record.history)
        changes = record.events
        self._listener.connect(
            (changes.history, self.curves.show_history),
            (changes.started, self._on_started),
            (changes.latest_epoch, self._on_epoch),
            (changes.throughput, self._on_epoch),
            (changes.latest_snapshot, self.refresh),
        )
        (self._poll.start if record.is_loaded else self._poll.stop)()
        self.refresh()

    def forget(self) -> None:
        """Let go of the watched run; its layers stay until another run shows something."""
        self._work.cancel()
        self._layers.expect_other_run()
        self._run = self._volume = self._view = None
        self.scrub.show_epochs(())
        self.curves.point_at(None)

    def _on_started(self) -> None:
        self._layers.note_what_is_there()
        self.refresh()

    def _on_epoch(self) -> None:
        if self._run is None:
            self._layers.remove()  # of an earlier run
        self._show_words()

    def refresh(self) -> None:
        """Look into the folder of the run for new epochs."""
        if self.record is None:
            return
        try:
            found = open_snapshots(self.record.run_folder)
            epochs = () if found is None else tuple(filter(self._is_told, found.epochs()))
        except UserError as error:
            self._dock.message.show_message(str(error), "warning")
            return
        if found is None or self._run is None or found.manifest != self._run.manifest:
            self._run, self._volume = found, None
            self._offer_volumes()
        self._watched.setVisible(found is not None)
        self.scrub.show_epochs(epochs)
        self._show_words()

    def _is_told(self, epoch: int) -> bool:
        """Whether the curves know an epoch; the files of a run may be ahead of its events."""
        return self.record is not None and (self.record.is_loaded or epoch <= self.record.n_epochs_done)

    def _reload(self) -> None:
        if self.record is None:
            return
        with suppress(UserError):  # the folder may be gone
            newest = load_run(self.record.run_folder)
            if newest.history.records == self.record.history.records:
                self.refresh()
            else:
                self.reloaded.emit(newest)

    def _offer_volumes(self) -> None:
        self.volume_box.blockSignals(True)
        self.volume_box.clear()
        names = [] if self._run is None else [card.name for card in self._run.manifest.volumes]
        self.volume_box.addItems([_NOTHING, *names])
        self.volume_box.setCurrentIndex(1 if names and load_preference(_KEY) != "nothing" else 0)
        self.volume_box.blockSignals(False)

    def _choose_volume(self, index: int) -> None:
        save_preference(_KEY, "nothing" if index == 0 else "something")
        self._work.cancel()
        self._layers.remove()
        self._volume = self._view = None
        if self.scrub.epoch is not None:
            self._show_epoch(self.scrub.epoch)

    def _show_epoch(self, epoch: int) -> None:
        self.curves.point_at(epoch)
        self._show_words()
        number = self.volume_box.currentIndex() - 1
        if self._run is None or number < 0:
            self.scrub.note_drawn(epoch)
            return
        events = partial(load_epoch, self._run, epoch, number, self._volume)
        self._work.request(f"Epoch {epoch}", events, self._take)

    def _take(self, view: EpochView) -> None:
        self._volume, self._view = view.volume, view
        self._layers.show(view)
        self.scrub.note_drawn(view.epoch)
        self._show_words()

    def _on_failed(self, message: str) -> None:
        before = self.scrub.epochs
        self.refresh()  # the run may have left the epoch out meanwhile
        if self.scrub.epochs == before:
            self._dock.message.show_message(message, "warning")

    def _show_words(self) -> None:
        record, epoch = self.record, self.scrub.epoch
        is_going_on = self._dock.jobs.running(self._dock.kind) is not None
        pace = "" if record is None or record.throughput is None or not is_going_on else pace_words(record.throughput)
        hint = None if record is None else diagnose(record.history.records)
        self.scrub.live_button.setVisible(is_going_on or (record is not None and record.is_loaded))
        for label, words in ((self.pace, pace), (self.hint, "" if hint is None else hint.message)):
            label.setText(words)
            label.setVisible(bool(words))
        self.keep.show_epoch(self._run, epoch)
        self.keep.layer_button.setEnabled(self._view is not None and self._view.epoch == epoch)
        self.words.setText("" if record is None or epoch is None else epoch_words(record, epoch, self._view))

    def _keep_layer(self) -> None:
        if self._view is not None:
            layer = self._layers.keep(self._view)
            self._dock.message.show_message(f"Epoch {self._view.epoch} is kept in the layer '{layer.name}', hidden.")

    def _connect(self) -> None:
        self.scrub.epoch_chosen.connect(self._show_epoch)
        self.curves.epoch_pointed_at.connect(self._on_pointed)
        self.volume_box.currentIndexChanged.connect(self._choose_volume)
        self._work.failed.connect(self._on_failed)
        self._poll.timeout.connect(self._reload)
        self.keep.layer_button.clicked.connect(self._keep_layer)
        bind_key(self._dock, PLAY_KEY, "Play how the network learned, or stop it", self.scrub.play)

    def _on_pointed(self, epoch: float) -> None:
        self.scrub.go_to(epoch)
        self.curves.point_at(self.scrub.epoch)

    def _lay_out(self) -> None:
        column, row = QVBoxLayout(self), QHBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        self.volume_box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        row.addWidget(self.words)
        row.addWidget(QLabel("of"))
        row.addWidget(self.volume_box, 1)
        watched = QVBoxLayout(self._watched)
        watched.setContentsMargins(0, 0, 0, 0)
        watched.setSpacing(4)
        watched.addLayout(row)
        watched.addWidget(self.scrub)
        watched.addWidget(self.keep)
        column.addWidget(self.hint)
        column.addWidget(self.curves, 1)
        column.addWidget(self.pace)
        column.addWidget(self._watched)
        self._watched.hide()


def epoch_words(record: TrainingRun, epoch: int, view: EpochView | None) -> str:
    """Write which epoch is shown, such as ``Epoch 12 · Dice 0.831 · best``."""
    dice = record.history.dice_of(epoch)
    words = f"Epoch {epoch}" + ("" if dice is None else f" · Dice {dice:.3f}")
    if record.history.best is not None and record.history.best[0] == epoch:
        words += " · best"
    if view is not None and view.epoch == epoch and view.predicted < 1:
        words += f" · {view.predicted:.0%} seen"
    return words


def pace_words(pace: Throughput) -> str:
    """Write how the steps go, such as ``2.4 steps/s · waits for data 3 % of the time · GPU 3.1 GiB``."""
    words = f"{pace.steps_per_second:.3g} steps/s · waits for data {pace.waiting:.0%} of the time"
    return words if pace.gpu_bytes is None else f"{words} · GPU {pace.gpu_bytes / 2**30:.1f} GiB"
