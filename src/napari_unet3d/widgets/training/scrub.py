"""The slider that goes through the epochs of a run, and plays them like a film."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QSlider, QToolButton, QWidget

PLAY_KEY = "Shift-W"
_FILM_MS = 8000  # of a whole run, with pictures neither faster nor slower than
_SHORTEST_MS, _LONGEST_MS = 100, 600


class ScrubBar(QWidget):
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
