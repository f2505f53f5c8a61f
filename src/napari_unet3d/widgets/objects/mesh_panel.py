"""The panel that writes meshes of objects to files, and shows them in 3D."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from magicgui.widgets import CheckBox
from napari.layers import Labels

from napari_unet3d.configs import MeshConfig, MeshFormat
from napari_unet3d.data.events import Notice
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.meshes.export import MeshesExported, export_meshes
from napari_unet3d.evaluation.meshes.making import MeshesMade, MeshSource, make_meshes
from napari_unet3d.formatting import format_count
from napari_unet3d.session.proofreading import ProofreadingSession
from napari_unet3d.widgets.components.containers import Panel, button, column
from napari_unet3d.widgets.components.context import Context, MessageLine
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.forms.choices import EnumMenu, remembered
from napari_unet3d.widgets.forms.form import ConfigForm
from napari_unet3d.widgets.forms.paths import PathEdit
from napari_unet3d.widgets.objects.object_layers import ObjectLayers
from napari_unet3d.widgets.viewer.surfaces import show_surfaces

_KIND = "objects-meshes"


class MeshPanel(Panel):
    """Makes meshes of all objects or of the selected ones.

    Parameters
    ----------
    session : ProofreadingSession
        What is proofread.
    context : Context
        The viewer and its jobs.
    layers : ObjectLayers
        The layer of the objects.

    Attributes
    ----------
    only_selected : CheckBox
        Whether only the selected objects become meshes.
    settings : ConfigForm of MeshConfig
        Smoothing, and whether there is one file.
    format, folder, overwrite : EnumMenu, PathEdit, CheckBox
        Format and place of the files, and whether existing ones are replaced.
    show_button : PushButton
        Shows the meshes as a Surface layer.
    job_bar : JobBar
        *Export meshes*, and its progress.
    message : MessageLine
        Messages for the user.
    """

    def __init__(self, session: ProofreadingSession, context: Context, layers: ObjectLayers) -> None:
        super().__init__()
        self._session, self._context, self._layers = session, context, layers
        self._subject: Labels | None = None  # of the latest job
        self._notices: list[str] = []
        self._has_ended = False
        tooltip = "Make meshes of the selected objects only, instead of all."
        self.only_selected = remembered(CheckBox(text="Only selected objects", tooltip=tooltip), "meshes-selected")
        self.settings = ConfigForm(MeshConfig, "meshes")
        tooltip = "OBJ and PLY for most programs, and STL for 3D printing."
        self.format = remembered(EnumMenu(annotation=MeshFormat, label="Format", tooltip=tooltip), "mesh-format")
        self.folder = PathEdit("d", "mesh-folder", "The folder for the files.", label="Folder")
        self.overwrite = CheckBox(text="Replace existing files", tooltip="Replace files of the same names.")
        self.show_button = button(
            "Show in 3D",
            "Show the meshes as a Surface layer, in the colours and the place of the labels.",
            self.show_in_3d,
        )
        self.job_bar = JobBar(
            "Export meshes",
            "Write the surface of each object as a mesh, in µm, or in voxels where the voxel size is not known.",
            self.export,
            (self.show_button,),
            "Cancel",
        )
        self.message = MessageLine()
        files = column(self.format, self.folder, self.overwrite, labels=True, spacing=4)
        self.lay_out(self.only_selected, self.settings, self.show_button, files, self.job_bar, self.message)

    def show_in_3d(self) -> None:
        """Show the meshes as a Surface layer, in a 3D view."""
        with self.message.explaining():
            source, objects = self._source(), self._objects()
            self._start("Making meshes", partial(make_meshes, source, objects, self.settings.value.smoothing))

    def export(self) -> None:
        """Write the meshes to files."""
        with self.message.explaining():
            source, objects = self._source(), self._objects()
            folder, to, config = self.folder.require("a folder for the meshes"), self.format.value, self.settings.value
            overwrite = bool(self.overwrite.value)
            self._start(
                "Exporting meshes",
                partial(export_meshes, source, folder, to, config, objects=objects, overwrite=overwrite),
            )

    def _source(self) -> MeshSource:
        labels = self._session.labels
        if labels is None:
            raise UserError(
                "No layer of objects is chosen. Predict a volume or open its labels, then choose them above."
            )
        return MeshSource(labels.name, labels.array, labels.geometry, labels.reserved)

    def _objects(self) -> tuple[int, ...] | None:
        if not self.only_selected.value:
            return None
        if not self._session.selection:
            raise UserError("No object is selected. Click one in the view or in the table.")
        return self._session.selection

    def _start(self, title: str, events: Callable[[], Iterator[Any]]) -> None:
        job = self._context.jobs.start(_KIND, title, events)
        self._subject, self._notices, self._has_ended = self._layers.layer, [], False
        self.message.clear()
        self.job_bar.watch(job)
        job.reported.connect(self._on_event)
        job.failed.connect(self._on_failed)
        job.ended.connect(lambda: self._on_ended(job))

    def _on_event(self, event: Any) -> None:
        if self._is_gone:  # the job outlives the dock
            return
        match event:
            case Notice(message=text):
                self._notices.append(text)
            case MeshesMade(meshes=meshes):
                self._has_ended = True
                self._show_layer(meshes)
            case MeshesExported(files=files):
                self._has_ended = True
                count = format_count(event.n_objects, "object")
                where = str(files[0] if len(files) == 1 else files[0].parent)
                done = f"The meshes of {count}, in {event.unit}, are in {where}."
                self.message.show_message(" ".join([done, *self._notices]))

    def _show_layer(self, meshes: Any) -> None:
        viewer, subject = self._context.viewer, self._subject
        if subject is None or subject not in viewer.layers:
            return
        layer = show_surfaces(viewer, f"{subject.name} meshes", meshes, subject)
        viewer.dims.ndisplay = 3
        self.message.show_message(f"The meshes of {format_count(len(meshes), 'object')} are the layer '{layer.name}'.")

    def _on_failed(self, message: str) -> None:
        if not self._is_gone:
            self.message.show_error(message)

    def _on_ended(self, job: Any) -> None:
        if not self._is_gone and job.stopped and not self._has_ended:
            self.message.show_message("Cancelled; files that were written stay.")
