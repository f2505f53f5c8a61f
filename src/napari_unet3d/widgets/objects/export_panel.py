"""What the panels share that make files of objects: which objects, a job of their own, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from magicgui.widgets import CheckBox

from napari_unet3d.data.events import Notice
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.meshes.making import MeshSource
from napari_unet3d.session.proofreading import ProofreadingSession
from napari_unet3d.widgets.components.containers import Panel
from napari_unet3d.widgets.components.context import Context, MessageLine
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.forms.choices import remembered
from napari_unet3d.widgets.objects.object_layers import ObjectLayers


class ObjectExportPanel(Panel):
    """Makes files of all objects or of the selected ones.

    A subclass sets `kind`, `what` and `cancelled`, makes `job_bar`, and overrides `on_result`.

    Parameters
    ----------
    session : ProofreadingSession
        The objects.
    context : Context
        Viewer and jobs.
    layers : ObjectLayers
        The layer of the objects.

    Attributes
    ----------
    only_selected : CheckBox
        Whether only the selected objects are used.
    message : MessageLine
        What became of the job.
    """

    kind: ClassVar[str]
    what: ClassVar[str]
    cancelled: ClassVar[str]
    job_bar: JobBar

    def __init__(self, session: ProofreadingSession, context: Context, layers: ObjectLayers) -> None:
        super().__init__()
        self._session, self._context, self._layers = session, context, layers
        self._notices: list[str] = []
        self._has_ended = False
        tooltip = f"Make {self.what} of the selected objects only, instead of all."
        check = CheckBox(text="Only selected objects", tooltip=tooltip)
        self.only_selected = remembered(check, f"{self.what.lower()}-selected")
        self.message = MessageLine()

    def on_result(self, _event: Any) -> str:
        """Return what is said of the result of the job; empty for another event."""
        return ""

    def source(self) -> MeshSource:
        """Return the objects; raises a `UserError` without any."""
        labels = self._session.labels
        if labels is None:
            raise UserError(
                "No layer of objects is chosen. Predict a volume or open its labels, then choose them above."
            )
        return MeshSource(labels.name, labels.array, labels.geometry, labels.reserved)

    def objects(self) -> tuple[int, ...] | None:
        """Return the objects that are wanted, or None for all; raises a `UserError` if none is selected."""
        if not self.only_selected.value:
            return None
        if not self._session.selection:
            raise UserError("No object is selected. Click one in the view or in the table.")
        return self._session.selection

    def start(self, title: str, events: Callable[[], Iterator[Any]]) -> None:
        """Start the job."""
        job = self._context.jobs.start(self.kind, title, events)
        self._notices, self._has_ended = [], False
        self.message.clear()
        self.job_bar.watch(job)
        job.reported.connect(self._on_event)
        job.failed.connect(self._on_failed)
        job.ended.connect(lambda: self._on_ended(job))

    def _on_event(self, event: Any) -> None:
        if self._is_gone:  # the job outlives the dock
            return
        if isinstance(event, Notice):
            self._notices.append(event.message)
        elif done := self.on_result(event):
            self._has_ended = True
            self.message.show_message(" ".join([done, *self._notices]))

    def _on_failed(self, message: str) -> None:
        if not self._is_gone:
            self.message.show_error(message)

    def _on_ended(self, job: Any) -> None:
        if not self._is_gone and job.stopped and not self._has_ended:
            self.message.show_message(self.cancelled)
