"""The button that starts the job of a dock and, while it runs, its progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from magicgui.widgets import ProgressBar, Widget
from qtpy.QtCore import Qt

from napari_unet3d.formatting import format_duration
from napari_unet3d.session.progress import Progress
from napari_unet3d.widgets.components.containers import Panel, button, row
from napari_unet3d.widgets.jobs.jobs import Job

_STEPS = 1000


class JobBar(Panel):
    """The start button and, while a job runs, its progress with the time left, Stop, and Pause where it is offered.

    Parameters
    ----------
    start_text, tooltip : str
        The text on the start button, and what it does.
    action : callable
        Starts the job.
    disabled_meanwhile : sequence of Widget
        Other widgets (buttons, a form) that make no sense while the job runs and are disabled then.
    stop_text : str
        The text on the stop button.
    can_pause : bool
        Whether the job can be paused.
    beside : Widget, optional
        A small widget at the right of the start button and of the progress.

    Attributes
    ----------
    start_button, stop_button, pause_button : PushButton
    progress : ProgressBar
    """

    def __init__(  # noqa: PLR0913 - two are for one dock each
        self,
        start_text: str,
        tooltip: str,
        action: Callable[[], Any],
        disabled_meanwhile: Sequence[Widget] = (),
        stop_text: str = "Stop",
        *,
        can_pause: bool = False,
        beside: Widget | None = None,
    ) -> None:
        super().__init__()
        self.start_button = button(start_text, tooltip, action)
        self.stop_button = button(stop_text, "Stop now; what has already been written is kept.", self.stop)
        self.pause_button = button(
            "Pause", "Pause the job, for example to use the processor for something else.", self.pause
        )
        self.progress = ProgressBar(min=0, max=_STEPS, tooltip="Progress of the job.")
        self.progress.native.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stop_text, self._can_pause = stop_text, can_pause
        self._disabled_meanwhile = tuple(disabled_meanwhile)
        self._job: Job | None = None
        self._lay_out(beside)
        self.native.destroyed.connect(self._forget_job)  # the job may outlive the dock
        self._set_running(False)

    def _lay_out(self, beside: Widget | None) -> None:
        extra = [] if beside is None else [beside]
        buttons = self.pause_button, self.stop_button
        if self._can_pause:  # three in a row would leave no space for the text in the bar
            self.lay_out(row(self.start_button, self.progress, *extra, wide=(0, 1)), row(*buttons))
        else:
            self.lay_out(row(self.start_button, self.progress, *buttons, *extra, wide=(0, 1)))

    def watch(self, job: Job) -> None:
        """Show a running job until it ends."""
        self._job = job
        self._set_running(True)
        self._show_state()
        job.progressed.connect(self._show_state)
        job.paused.connect(self._show_state)
        job.resumed.connect(self._show_state)
        job.ended.connect(self._on_ended)

    def stop(self) -> None:
        """Stop the job that runs."""
        if self._job is None:
            return
        self._job.stop()
        self.pause_button.enabled = self.stop_button.enabled = False
        self.stop_button.text = "Stopping…"

    def pause(self) -> None:
        """Pause the job that runs, or continue it when it is paused."""
        if self._job is None:
            return
        self.pause_button.enabled = False  # until the end of a step
        if self._job.is_paused:
            self._job.resume()
        else:
            self.pause_button.text = "Pausing…"
            self._job.pause()

    def _show_state(self, _: Progress | None = None) -> None:
        if self._job is None:
            return
        progress, is_paused = self._job.progress, self._job.is_paused
        self.progress.max = 0 if progress is None and not is_paused else _STEPS  # Qt shows 0 as busy
        if progress is not None:
            self.progress.value = round(progress.fraction * _STEPS)
        self.progress.native.setFormat(_text(progress, is_paused))
        if not self._job.stopped:
            self.pause_button.enabled = True
            self.pause_button.text = "Continue" if is_paused else "Pause"

    def _on_ended(self) -> None:
        if self._job is not None:
            self._job = None
            self._set_running(False)

    def _forget_job(self) -> None:
        self._job = None

    def _set_running(self, running: bool) -> None:
        self.start_button.visible = not running
        self.progress.visible = self.stop_button.visible = running
        self.pause_button.visible = running and self._can_pause and (self._job is None or self._job.can_pause)
        self.stop_button.enabled = running
        self.stop_button.text = self._stop_text
        for widget in self._disabled_meanwhile:
            widget.enabled = not running


def _text(progress: Progress | None, is_paused: bool) -> str:
    if progress is None:
        return "paused" if is_paused else ""
    left = " · estimating" if progress.seconds_left is None else f" · {format_duration(progress.seconds_left)} left"
    return f"%p %{' · paused' if is_paused else left}"
