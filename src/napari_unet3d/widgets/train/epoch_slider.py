"""The slider that goes through the epochs of a run and plays them, and what can be done with an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from magicgui.widgets import PushButton, Slider
from psygnal import Signal
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QSizePolicy

from napari_unet3d.runs.snapshots import SnapshotRun
from napari_unet3d.session.epoch_view import MODEL_SUFFIX, keep_model
from napari_unet3d.session.recent_runs import remember_run
from napari_unet3d.widgets.components.containers import Panel, button
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dialogs import ask_for_file

PLAY_KEY = "Shift-W"
_SMALL_WIDTH = 32
_DURATION_MS = 8000  # of a whole run, with intervals between epochs within
_MIN_INTERVAL_MS, _MAX_INTERVAL_MS = 100, 600


class EpochSlider(Panel):
    """Chooses one of the epochs that have snapshots.

    While it is live, it follows the newest epoch. Going back ends that; going to the newest epoch starts it again.

    Attributes
    ----------
    epoch_chosen : Signal(int)
        Emitted when another epoch is to be shown.
    slider : Slider
        The index of the epoch among `epochs`.
    play_button : PushButton
        Starts and stops the animation.
    live_button : PushButton
        Whether the newest epoch is followed.
    """

    epoch_chosen = Signal(int)

    def __init__(self) -> None:
        self.epochs: tuple[int, ...] = ()
        self._is_drawn = True
        self.play_button = button(
            "▶",
            "<qt>Play the epochs from the one that is shown; from the newest one, start at the beginning. "
            f"Key: {PLAY_KEY}</qt>",
            self.play,
        )
        self.slider = Slider(min=0, max=0, readout=False)
        self.slider.native.setToolTip("The epoch that is shown; drag it, or the line in the curves.")
        self.live_button = button("Live", "Show the newest epoch as soon as it is available.", self._on_live)
        super().__init__(self.play_button, self.slider, self.live_button, layout="horizontal")
        self.play_button.native.setMaximumWidth(_SMALL_WIDTH)
        self.slider.native.setMinimumWidth(60)
        self.live_button.native.setCheckable(True)
        self.live_button.native.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.live_button.value = True
        self.enabled = False
        self._animation = QTimer(self.native)
        self._animation.timeout.connect(self._show_next)
        self.slider.changed.connect(self._on_slider)

    @property
    def epoch(self) -> int | None:
        """The chosen epoch."""
        return self.epochs[self.slider.value] if self.epochs else None

    @property
    def is_live(self) -> bool:
        """Whether the newest epoch is followed."""
        return bool(self.live_button.value)

    @property
    def is_playing(self) -> bool:
        """Whether the animation is running."""
        return bool(self._animation.isActive())

    def show_epochs(self, epochs: Sequence[int]) -> None:
        """Offer these epochs, in order; the chosen one stays, or becomes the newest while it is live."""
        if tuple(epochs) == self.epochs:
            return
        before = self.epoch
        self.epochs = tuple(epochs)
        with self.slider.changed.blocked():
            self.slider.max = last = max(0, len(epochs) - 1)
            self.slider.value = last if self.is_live or before is None else self._nearest(before)
        self.enabled = bool(epochs)
        if self.epoch is not None and self.epoch != before:
            self.epoch_chosen.emit(self.epoch)

    def go_to(self, epoch: float) -> None:
        """Choose the nearest epoch."""
        if self.epochs:
            self.slider.value = self._nearest(epoch)

    def play(self) -> None:
        """Start the animation, from the beginning when the newest epoch is shown; or stop it."""
        if self.is_playing:
            self._stop()
            return
        if len(self.epochs) < 2:
            return
        if self.slider.value == self.slider.max:
            self.slider.value = 0
        self.play_button.text = "❚❚"
        self._animation.start(min(_MAX_INTERVAL_MS, max(_MIN_INTERVAL_MS, _DURATION_MS // len(self.epochs))))

    def mark_drawn(self, epoch: int) -> None:
        """Record that an epoch is in view now; the animation waits for it."""
        self._is_drawn = epoch == self.epoch

    def _show_next(self) -> None:
        if self.slider.value >= self.slider.max:
            self._stop()
        elif self._is_drawn:
            self.slider.value += 1

    def _stop(self) -> None:
        self._animation.stop()
        self.play_button.text = "▶"

    def _on_slider(self, index: int) -> None:
        self.live_button.native.setChecked(index == self.slider.max)
        self._is_drawn = False
        if self.epoch is not None:
            self.epoch_chosen.emit(self.epoch)

    def _on_live(self) -> None:
        if self.is_live and self.epochs:
            self._stop()
            self.slider.value = len(self.epochs) - 1

    def _nearest(self, epoch: float) -> int:
        return min(range(len(self.epochs)), key=lambda index: abs(self.epochs[index] - epoch), default=0)


class EpochActions(Panel):
    """Saves the model of the shown epoch, in the run folder or elsewhere, and has the button for its layer.

    Parameters
    ----------
    context : Context
        The message line.

    Attributes
    ----------
    model_saved : Signal()
        Emitted when a model was added to the recent ones.
    """

    model_saved = Signal()

    def __init__(self, context: Context) -> None:
        self._message = context.message
        self._run: SnapshotRun | None = None
        self._epoch: int | None = None
        self.model_button = button(
            "Save this model",
            "Copy the model of the shown epoch into the folder 'kept' of the run, to predict or to train with.",
            self.save_model,
        )
        self.elsewhere_button = button(
            "…", "Copy the model of the shown epoch to a place of your choice.", self.save_model_as
        )
        self.layer_button = PushButton(
            text="Keep as layer", tooltip="Copy the shown prediction to a layer of its own, to compare epochs."
        )
        super().__init__(self.model_button, self.elsewhere_button, self.layer_button, layout="horizontal")
        self.elsewhere_button.native.setMaximumWidth(_SMALL_WIDTH)
        self.show_epoch(None, None)

    def show_epoch(self, run: SnapshotRun | None, epoch: int | None) -> None:
        """Offer to save an epoch of a run; nothing without one."""
        self._run, self._epoch = run, epoch
        self.enabled = run is not None and epoch is not None

    def save_model(self) -> None:
        """Copy the model of the shown epoch into the folder ``kept`` of the run."""
        if self._run is not None:
            with self._message.explaining():
                self._save(self._run.folder.parent / "kept" / f"epoch-{self._epoch:04d}{MODEL_SUFFIX}")

    def save_model_as(self) -> None:
        """Copy the model of the shown epoch to a file that is asked for."""
        if self._run is not None:
            with self._message.explaining():
                name, folder = f"epoch-{self._epoch:04d}", self._run.folder.parent
                target = ask_for_file(self.native, "Save the model of this epoch", name, (MODEL_SUFFIX,), folder)
                if target is not None:
                    self._save(target)

    def _save(self, target: Path) -> None:
        assert self._run is not None
        assert self._epoch is not None
        keep_model(self._run, self._epoch, target)
        remember_run(target)
        self.model_saved.emit()
        self._message.show_message(
            f"The model of epoch {self._epoch} is saved as '{target.parent.name}/{target.name}'. Predict offers it."
        )
