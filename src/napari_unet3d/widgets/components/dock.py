"""The base of the docks: a magicgui container that scrolls, with a message line, and the job of the dock."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from magicgui.widgets import PushButton, Widget
from qtpy.QtCore import QCoreApplication, QEvent, QEventLoop
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_unet3d.session.recent_runs import recent_runs, remember_run
from napari_unet3d.widgets.components.containers import Panel, column, single_shot
from napari_unet3d.widgets.components.context import Context, MessageLine
from napari_unet3d.widgets.components.dock_window import (
    guard_closing,
    join_tabs,
    mark_as_dock,
    open_dock,
    raise_tab,
    shorten_title,
    show_whole_titles,
)
from napari_unet3d.widgets.components.footer import Footer
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.components.message_area import MessageArea
from napari_unet3d.widgets.components.napari_preferences import link_preferences
from napari_unet3d.widgets.components.scroll_area import ScrollArea
from napari_unet3d.widgets.components.style import follow_style, mark_as_primary, style_for
from napari_unet3d.widgets.jobs.jobs import Job, jobs_of
from napari_unet3d.widgets.viewer.canvas_context import guard_layer_removal

_MARGIN = 8


class Dock(Panel):
    """The base of the docks.

    A subclass sets `kind` and, if it needs more, `least_width`. It makes `job_bar` before anything can start, passes
    its widgets to `lay_out` and `job_bar` to `pin`, and ends its constructor with ``self.attach_to_job()``. It
    overrides `on_event`, and `on_ended` where the end changes anything.
    What a person can do with buttons, a script can do with its methods; what a person can set, it sets as ``value`` of
    the widgets that are attributes of the dock, such as ``dock.settings.epochs.value = 5``.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer, as napari passes it to the widget of a plugin.

    Attributes
    ----------
    context : Context
        What panels need of the dock: viewer, jobs and message line.
    least_width : int
        The smallest width of the part that scrolls in pixels, should its content not need more.
    """

    kind: ClassVar[str]
    least_width: ClassVar[int] = 290
    job_bar: JobBar

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(spacing=0)
        # Napari may pass a proxy whose layers are no members of `viewer.layers`.
        self.viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        guard_layer_removal(self.viewer)
        link_preferences()  # before the forms start with them
        self.jobs, self.message = jobs_of(self.viewer), MessageLine()
        self.context = Context(self.viewer, self.jobs, self.message)
        self._job: Job | None = None
        self._was_shown = self._was_closed = False
        self._body = column()
        self._body.margins = (_MARGIN,) * 4
        self._body.native.layout().addStretch(1)
        self.scroll_area, self.footer = ScrollArea(self._body.native, self.least_width), Footer(self.context)
        self._pinned = column()
        self._pinned.margins = (_MARGIN, _MARGIN // 2, _MARGIN, 0)
        self._pinned.native.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._pinned.hide()
        super().lay_out(self.scroll_area, self._pinned, self.footer)
        self._follow_style()
        follow_style(self.viewer, self.native, self._follow_style)
        self.native.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        mark_as_dock(self.native)
        self._docked_timer = single_shot(self.native, self._on_docked)
        self._closed_timer = single_shot(self.native, self._delete_unless_docked)
        self.jobs.delivering.connect(self._delete_if_closed)
        self.scroll_area.shown.connect(self._on_shown)
        self.native_parent_changed.connect(self._on_parent_changed)

    def lay_out(self, *widgets: Widget | QWidget) -> None:
        """Add widgets below each other, in the part that scrolls."""
        self._body.lay_out(*widgets)

    def pin(self, *widgets: Widget | QWidget) -> None:
        """Put widgets below the part that scrolls, with the messages above them, so that they are always in view.

        A button, or the start button of a `JobBar`, becomes the main button of the dock.
        """
        for widget in widgets:
            button = widget.start_button if isinstance(widget, JobBar) else widget
            if isinstance(button, PushButton):
                mark_as_primary(button.native)
        self._pinned.lay_out(MessageArea(self.message, self.native), *widgets)
        self._pinned.show()

    def open_dock(self, name: str, subject: HandOver | None = None) -> Any:
        """Open another dock of the plugin, or bring it to the front when it is open, for a subject; return it."""
        return open_dock(self.viewer, name, subject)

    def receive(self, subject: HandOver) -> None:
        """Work on what another dock passes on, instead of what was chosen before."""

    def wait(self) -> None:
        """Wait until the job of this dock has ended, while the viewer stays responsive; for scripts, not for slots."""
        if (job := self.jobs.running(self.kind)) is not None:
            loop = QEventLoop()
            job.ended.connect(loop.quit)
            loop.exec()

    def raise_tab(self) -> None:
        """Raise the dock above others that share its place as tabs."""
        raise_tab(self.native)

    def reset_choices(self, *_: Any) -> None:
        """Follow the layers; napari calls it when they come, go or are renamed, also after Qt has deleted the dock."""
        if not self._is_gone:
            self.follow_layers()

    def follow_layers(self) -> None:
        """Update the layer menus."""
        self._body.reset_choices()

    def stop(self) -> None:
        """Stop the job of the dock; what was already written is kept."""
        self.job_bar.stop()

    def attach_to_job(self, *, ended_too: bool = False) -> None:
        """Show the job that another copy of this dock started, now or later.

        Parameters
        ----------
        ended_too : bool
            Whether a job that has already ended is shown again, with its end.
        """
        self.jobs.started.connect(self._on_started)
        job = self.jobs.latest(self.kind)
        if job is None or not (job.is_running or ended_too):
            return
        for event in job.replayed:
            self.on_event(event)
        if job.is_running:
            self._on_started(job)
        else:
            self.on_ended(job)

    def on_event(self, event: Any) -> None:
        """Show one event of the job; called on the main thread."""

    def on_ended(self, job: Job) -> None:
        """React to the end of the job, of whatever kind; a failure is already in the message line."""

    def remember_model(self, job: Job, model: Path) -> None:
        """Put the model of an ended job first among the recent ones, unless a new dock shows that end again."""
        if job is self._job or model not in recent_runs():
            remember_run(model)

    def _on_started(self, job: Job) -> None:
        if job.kind != self.kind or self._is_gone:
            return
        self._job = job
        self.job_bar.watch(job)
        job.reported.connect(self._on_reported)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_ended)

    def _on_reported(self, event: Any) -> None:
        if not self._is_gone:  # the job outlives the dock
            self.on_event(event)

    def _on_failed(self, message: str) -> None:
        if not self._is_gone:
            self.message.show_message(message, "error")

    def _on_ended(self) -> None:
        if self._job is not None and not self._is_gone:
            self.on_ended(self._job)

    def _on_shown(self) -> None:
        if not self._was_shown:
            self._was_shown = True
            self._docked_timer.start()  # it is placed only after it was shown

    def _on_docked(self) -> None:
        guard_closing(self.native, self.viewer, self.jobs)
        shorten_title(self.native)
        show_whole_titles(self.native)
        join_tabs(self.native)

    def _follow_style(self, *_: Any) -> None:
        self.native.setStyleSheet(style_for(self.viewer))

    def _on_parent_changed(self, parent: Any) -> None:
        self._was_closed = parent is None
        if self._was_closed:
            self._closed_timer.start()  # a program may dock it elsewhere at once

    def _delete_if_closed(self) -> None:
        """Delete the dock now if it was closed: else it would still show in the viewer what a job brings."""
        if self._was_closed and not self._is_gone:
            self.native.deleteLater()
            QCoreApplication.sendPostedEvents(self.native, QEvent.Type.DeferredDelete)

    def _delete_unless_docked(self) -> None:
        if self.native.parentWidget() is None:  # napari deletes the frame alone; keys and callbacks would stay
            self.native.deleteLater()
