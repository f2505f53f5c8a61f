"""Buttons that save what is in view: a picture in a chosen size, and a turntable."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_unet3d.evaluation.reports.animation import SUFFIXES
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dialogs import ask_for_file
from napari_unet3d.widgets.components.run_bar import add_row
from napari_unet3d.widgets.export.results import number_box, sentence_row
from napari_unet3d.widgets.export.screenshots import PICTURE_SUFFIXES, TurntableSettings, render, write_picture
from napari_unet3d.widgets.export.turntable import Turntable

_KEY = "view-pictures"
_SMALLEST, _LARGEST = 64, 4096


class SaveView(QWidget):
    """Saves a picture of the canvas without docks, and a turn of the 3D view as GIF or WebP.

    Parameters
    ----------
    context : Context
        The viewer, its jobs and the message line.

    Attributes
    ----------
    width_box, height_box, seconds_box, rate_box : QSpinBox
    screenshot_button, turntable_button, cancel_button : QPushButton
    bar : QProgressBar
    turntable : Turntable
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self.turntable = Turntable(context)
        self.width_box = number_box("Width of the picture in pixels.", _SMALLEST, _LARGEST, 600)
        self.height_box = number_box("Height of the picture in pixels.", _SMALLEST, _LARGEST, 600)
        self.seconds_box = number_box("How long a full turn takes, in seconds.", 1, 60, 4)
        self.rate_box = number_box("Frames per second: more is smoother, and the file grows.", 1, 25, 12)
        self._boxes = {
            "width": self.width_box,
            "height": self.height_box,
            "seconds": self.seconds_box,
            "frames_per_second": self.rate_box,
        }
        self.screenshot_button = QPushButton("Save screenshot…")
        self.screenshot_button.setToolTip("Save a picture of the view in this size, without the docks.")
        self.turntable_button = QPushButton("Save turntable…")
        self.turntable_button.setToolTip(
            "Save a full turn of the 3D view about its vertical as an animation. The viewer can be used meanwhile."
        )
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("End the turntable without writing a file.")
        self.bar = QProgressBar()
        self._recall()
        self._lay_out()
        self._connect()
        self._set_running(False)

    def _save_screenshot(self) -> None:
        with self._context.message.explaining():
            path = ask_for_file(self, "Save screenshot", "screenshot", PICTURE_SUFFIXES)
            if path is not None:
                write_picture(path, render(self._context.viewer, self.width_box.value(), self.height_box.value()))
                self._context.message.show_message(f"The screenshot is in {path}")

    def _save_turntable(self) -> None:
        with self._context.message.explaining():
            turn = TurntableSettings(
                self.seconds_box.value(), self.rate_box.value(), self.width_box.value(), self.height_box.value()
            )
            self.turntable.check(turn)
            path = ask_for_file(self, "Save turntable", "turntable", SUFFIXES)
            if path is not None:
                self.turntable.start(path, turn)
                self.bar.setRange(0, 2 * turn.n_frames)
                self.bar.setValue(0)
                self._set_running(True)

    def _on_ended(self, message: str, failed: bool) -> None:
        self._set_running(False)
        self._context.message.show_message(message, "error" if failed else "info")

    def _set_running(self, running: bool) -> None:
        self.turntable_button.setVisible(not running)
        self.bar.setVisible(running)
        self.cancel_button.setVisible(running)

    def _recall(self) -> None:
        known = load_preference(_KEY)
        for name, box in self._boxes.items():
            value = known.get(name) if isinstance(known, dict) else None
            if isinstance(value, int):
                box.setValue(value)

    def _remember(self, *_: object) -> None:
        save_preference(_KEY, {name: box.value() for name, box in self._boxes.items()})

    def _connect(self) -> None:
        for box in self._boxes.values():
            box.valueChanged.connect(self._remember)
        self.screenshot_button.clicked.connect(self._save_screenshot)
        self.turntable_button.clicked.connect(self._save_turntable)
        self.cancel_button.clicked.connect(self.turntable.cancel)
        self.turntable.progressed.connect(lambda done, _total: self.bar.setValue(done))
        self.turntable.ended.connect(self._on_ended)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        sentence_row(column, self.width_box, "×", self.height_box, "pixels")
        sentence_row(column, "A turn in", self.seconds_box, "s at", self.rate_box, "frames per s")
        add_row(column, self.screenshot_button, self.turntable_button)
        below = QHBoxLayout()
        below.addWidget(self.bar, 1)
        below.addWidget(self.cancel_button)
        column.addLayout(below)
