"""Buttons that save what is in view: a picture in a chosen size, and a turntable."""

from __future__ import annotations

from pathlib import Path

from magicgui.widgets import Container, ProgressBar, PushButton, Widget

from napari_unet3d.evaluation.reports.animation import SUFFIXES
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.widgets.components.containers import SPACING, row, sentence_row
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dialogs import ask_for_file
from napari_unet3d.widgets.export.pictures import PICTURE_SUFFIXES, Turntable, TurntableSettings, render, write_picture
from napari_unet3d.widgets.forms.numbers import number_box

_KEY = "view-pictures"
_SMALLEST, _LARGEST = 64, 4096


class SaveView(Container[Widget]):
    """Saves a picture of the canvas without docks, and a turn of the 3D view as GIF or WebP.

    Parameters
    ----------
    context : Context
        The viewer, its jobs and the message line.

    Attributes
    ----------
    picture_width, picture_height : SpinBox
        The size of the picture in pixels.
    seconds, frames_per_second : SpinBox
        How long a turn takes, and how smooth it is.
    screenshot_button, turntable_button, cancel_button : PushButton
    progress : ProgressBar
    turntable : Turntable
    """

    def __init__(self, context: Context) -> None:
        super().__init__(labels=False)
        self._context = context
        self.turntable = Turntable(context)
        width, height = ("Width of the picture in pixels.", "Height of the picture in pixels.")
        self.picture_width, self.picture_height = (number_box(tip, _SMALLEST, _LARGEST, 600) for tip in (width, height))
        self.seconds = number_box("How long a full turn takes, in seconds.", 1, 60, 4)
        self.frames_per_second = number_box("Frames per second: more is smoother, and the file grows.", 1, 25, 12)
        self._boxes = {
            "width": self.picture_width,
            "height": self.picture_height,
            "seconds": self.seconds,
            "frames_per_second": self.frames_per_second,
        }
        self.screenshot_button = PushButton(
            text="Save screenshot…", tooltip="Save a picture of the view in this size, without the docks."
        )
        self.turntable_button = PushButton(
            text="Save turntable…",
            tooltip="Save a full turn of the 3D view about its vertical as an animation. The viewer can be used "
            "meanwhile.",
        )
        self.cancel_button = PushButton(text="Cancel", tooltip="End the turntable without writing a file.")
        self.progress = ProgressBar(min=0, tooltip="How far the turntable is.")
        self._recall()
        self._lay_out()
        self._connect()
        self._set_running(False)

    def save_screenshot(self, path: Path | None = None) -> None:
        """Save a picture of the view; asks for the file when no path is given."""
        with self._context.message.explaining():
            path = path or ask_for_file(self.native, "Save screenshot", "screenshot", PICTURE_SUFFIXES)
            if path is not None:
                write_picture(path, render(self._context.viewer, self.picture_width.value, self.picture_height.value))
                self._context.message.show_message(f"The screenshot is in {path}")

    def save_turntable(self, path: Path | None = None) -> None:
        """Save a turn of the 3D view as GIF or WebP; asks for the file when no path is given."""
        with self._context.message.explaining():
            turn = TurntableSettings(
                self.seconds.value, self.frames_per_second.value, self.picture_width.value, self.picture_height.value
            )
            self.turntable.check(turn)
            path = path or ask_for_file(self.native, "Save turntable", "turntable", SUFFIXES)
            if path is not None:
                self.turntable.start(path, turn)
                self.progress.max = 2 * turn.n_frames
                self.progress.value = 0
                self._set_running(True)

    def _on_ended(self, message: str, failed: bool) -> None:
        self._set_running(False)
        self._context.message.show_message(message, "error" if failed else "info")

    def _on_progress(self, n_done: int, _n_total: int) -> None:
        self.progress.value = n_done

    def _set_running(self, running: bool) -> None:
        self.turntable_button.visible = not running
        self._running_row.visible = running

    def _recall(self) -> None:
        known = load_preference(_KEY)
        for name, box in self._boxes.items():
            value = known.get(name) if isinstance(known, dict) else None
            if isinstance(value, int):
                box.value = int(min(max(value, box.min), box.max))

    def _remember(self) -> None:
        save_preference(_KEY, {name: box.value for name, box in self._boxes.items()})

    def _connect(self) -> None:
        for box in self._boxes.values():
            box.changed.connect(self._remember)
        self.screenshot_button.clicked.connect(lambda: self.save_screenshot())
        self.turntable_button.clicked.connect(lambda: self.save_turntable())
        self.cancel_button.clicked.connect(self.turntable.cancel)
        self.turntable.progressed.connect(self._on_progress)
        self.turntable.ended.connect(self._on_ended)

    def _lay_out(self) -> None:
        self.margins = (0, 0, 0, 0)
        self.native.layout().setSpacing(SPACING)
        self._running_row = row(self.progress, self.cancel_button)
        self._running_row.native.layout().setStretch(1, 0)
        self.extend(
            [
                sentence_row(self.picture_width, "×", self.picture_height, "pixels"),
                sentence_row("A turn in", self.seconds, "s at", self.frames_per_second, "frames per s"),
                row(self.screenshot_button, self.turntable_button),
                self._running_row,
            ]
        )
