"""Buttons that save what is in view: a picture in a chosen size, and a turntable."""

from __future__ import annotations

from pathlib import Path

from magicgui.widgets import ProgressBar, SpinBox

from napari_unet3d.evaluation.reports.animation import SUFFIXES
from napari_unet3d.session.saving import PICTURE_SUFFIXES, TurntableSettings, write_picture
from napari_unet3d.widgets.components.containers import Panel, button, row, sentence_row
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dialogs import ask_for_file
from napari_unet3d.widgets.export.pictures import Turntable, render
from napari_unet3d.widgets.forms.choices import remembered
from napari_unet3d.widgets.forms.numbers import number_box


class SaveView(Panel):
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
        super().__init__()
        self._context = context
        self.turntable = Turntable(context)
        self.picture_width = _box("Width of the picture in pixels.", 64, 4096, 600, "width")
        self.picture_height = _box("Height of the picture in pixels.", 64, 4096, 600, "height")
        self.seconds = _box("How long a full turn takes, in seconds.", 1, 60, 4, "seconds")
        self.frames_per_second = _box("Frames per second: more is smoother and makes a larger file.", 1, 25, 12, "fps")
        self.screenshot_button = button(
            "Save screenshot…", "Save a picture of the view in this size, without the docks.", self.save_screenshot
        )
        self.turntable_button = button(
            "Save turntable…",
            "Save a full turn of the 3D view about its vertical as an animation. The viewer can be used meanwhile.",
            self.save_turntable,
        )
        self.cancel_button = button("Cancel", "End the turntable without writing a file.", self.turntable.cancel)
        self.progress = ProgressBar(min=0, tooltip="Progress of the turntable.")
        self._running_row = row(self.progress, self.cancel_button, wide=(0,))
        self.lay_out(
            sentence_row(self.picture_width, "×", self.picture_height, "pixels"),
            sentence_row("A turn in", self.seconds, "s at", self.frames_per_second, "frames per s"),
            row(self.screenshot_button, self.turntable_button),
            self._running_row,
        )
        self.turntable.progressed.connect(self._on_progress)
        self.turntable.ended.connect(self._on_ended)
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


def _box(tooltip: str, low: int, high: int, value: int, name: str) -> SpinBox:
    return remembered(number_box(tooltip, low, high, value), f"picture-{name}")
