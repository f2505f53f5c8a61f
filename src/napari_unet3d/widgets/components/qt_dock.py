"""The base of docks that are plain widgets of Qt: a scrolling column, layer menus, and the job of the dock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from magicgui.widgets import ComboBox
from napari.layers import Layer
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtGui import QResizeEvent, QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet3d.session.recent_runs import recent_runs, remember_run
from napari_unet3d.widgets.components.containers import ScrollArea
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dock_tabs import join_tabs, mark_as_dock, raise_tab
from napari_unet3d.widgets.components.footer import Footer
from napari_unet3d.widgets.components.layer_menu import layer_menu
from napari_unet3d.widgets.components.run_bar import MessageLine, RunBar
from napari_unet3d.widgets.jobs.close_guard import guard_closing
from napari_unet3d.widgets.jobs.jobs import Job, jobs_of


class QtDock(ScrollArea):
    """The base of the docks: a scrolling column, a message line, layer menus that stay fresh, and the dock's job.

    A subclass sets `kind`, makes `run_bar` before anything can start, adds its widgets to `column`, and ends its
    constructor with ``self.attach_to_job()``. It overrides `on_event`, and `on_ended` where the end changes anything.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer, as napari hands it to a plugin's widget.
    """

    kind: ClassVar[str]

    def __init__(self, napari_viewer: Any) -> None:
        content = QWidget()
        around = QVBoxLayout(content)
        around.setContentsMargins(8, 8, 8, 8)
        self.column = QVBoxLayout()
        self.column.setSpacing(6)
        around.addLayout(self.column)
        around.addStretch(1)
        super().__init__(content)
        # Napari may hand out a proxy whose layers are no members of `viewer.layers`.
        self.viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.jobs = jobs_of(self.viewer)
        self.message = MessageLine()
        self.run_bar: RunBar
        self._job: Job | None = None
        self.context = Context(self.viewer, self.jobs, self.message)
        self.footer = Footer(self.context)
        self.footer.setParent(self)
        mark_as_dock(self)
        self.setViewportMargins(0, 0, 0, self.footer.sizeHint().height())  # it does not scroll away
        self._layer_boxes: list[ComboBox] = []
        self._is_gone = False
        self.destroyed.connect(lambda: self._leave())
        self._was_shown = False
        self._once_docked = QTimer(self)  # the dock gets its place only after it was shown
        self._once_docked.setSingleShot(True)
        self._once_docked.timeout.connect(self._join_tabs)
        self._once_removed = QTimer(self)  # a program may dock it elsewhere at once
        self._once_removed.setSingleShot(True)
        self._once_removed.timeout.connect(self._go_unless_docked)

    def layer_box(self, annotation: Any, tooltip: str) -> ComboBox:
        """Return a menu of the viewer's layers of a type, see `layer_menu`."""
        self._layer_boxes.append(layer_menu(self.viewer, annotation, tooltip))
        return self._layer_boxes[-1]

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Keep the footer at the lower edge."""
        super().resizeEvent(event)
        height = self.footer.sizeHint().height()
        viewport = self.viewport()
        width = self.width() if viewport is None else viewport.width()  # the scroll bar goes down to the edge
        self.footer.setGeometry(0, self.height() - height, width, height)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Join the other docks of the plugin as a tab when it is shown for the first time."""
        super().showEvent(event)
        if not self._was_shown:
            self._was_shown = True
            self._once_docked.start(0)

    def changeEvent(self, event: QEvent | None) -> None:
        """Go for good when it is taken out of the window, which the cross in its title does."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parentWidget() is None:
            self._once_removed.start(0)

    def _go_unless_docked(self) -> None:
        if self.parentWidget() is None:  # napari deletes the frame alone; keys and callbacks would stay
            self.deleteLater()

    def _leave(self) -> None:
        self._is_gone = True

    def _join_tabs(self) -> None:
        guard_closing(self, self.viewer, self.jobs)
        join_tabs(self)

    def open_dock(self, name: str) -> Any:
        """Open another dock of the plugin, or bring it before the others when it is open, and give it."""
        _, dock = self.viewer.window.add_plugin_dock_widget("napari-unet3d", name)
        dock.raise_tab()
        return dock

    def raise_tab(self) -> None:
        """Bring the dock before others that share its place as tabs."""
        raise_tab(self)

    def reset_choices(self, *_: Any) -> None:
        """Follow the layers; napari calls it when they come, go or are renamed, also after Qt has deleted the dock."""
        if not self._is_gone:
            self.follow_layers()

    def follow_layers(self) -> None:
        """Bring the layer menus up to date."""
        for box in self._layer_boxes:
            box.reset_choices()

    def selected_layer(self, kind: type[Layer]) -> Any:
        """Return the first selected layer of a type in the viewer, or None."""
        return next((layer for layer in self.viewer.layers.selection if isinstance(layer, kind)), None)

    def connect_viewer(self, emitter: Any, slot: Callable[[], None]) -> None:
        """Connect a slot to an event of the viewer for as long as the dock exists."""
        emitter.connect(slot)
        self.destroyed.connect(lambda: emitter.disconnect(slot))

    def attach_to_job(self, *, ended_too: bool = False) -> None:
        """Show the job that another copy of this dock started, now or later.

        Parameters
        ----------
        ended_too : bool
            Whether a job that has ended already is shown again, with its end.
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

    def _on_started(self, job: Job) -> None:
        if job.kind != self.kind:
            return
        self._job = job
        self.run_bar.watch(job)
        job.reported.connect(self.on_event)
        job.failed.connect(self.show_failure)
        job.ended.connect(self._on_ended)

    def show_failure(self, message: str) -> None:
        """Show why a job failed."""
        self.message.show_message(message, "error")

    def remember_model(self, job: Job, model: Path) -> None:
        """Put the model of an ended job first among the recent ones; not again when a new dock shows that end again."""
        if job is self._job or model not in recent_runs():
            remember_run(model)

    def _on_ended(self) -> None:
        if self._job is not None:
            self.on_ended(self._job)
