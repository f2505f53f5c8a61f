"""The panel that writes meshes of objects to files, and shows them in 3D."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from magicgui.widgets import CheckBox
from napari.layers import Labels

from napari_unet3d.configs import MeshConfig, MeshFormat
from napari_unet3d.evaluation.meshes.export import MeshesExported, export_meshes
from napari_unet3d.evaluation.meshes.making import MeshesMade, make_meshes
from napari_unet3d.formatting import format_count
from napari_unet3d.session.proofreading import ProofreadingSession
from napari_unet3d.widgets.components.containers import button, column
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.forms.choices import EnumMenu, remembered
from napari_unet3d.widgets.forms.form import ConfigForm
from napari_unet3d.widgets.forms.paths import PathEdit
from napari_unet3d.widgets.objects.export_panel import ObjectExportPanel
from napari_unet3d.widgets.objects.object_layers import ObjectLayers
from napari_unet3d.widgets.viewer.surfaces import show_surfaces


class MeshPanel(ObjectExportPanel):
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

    kind, what, cancelled = "objects-meshes", "meshes", "Cancelled; files that were written stay."

    def __init__(self, session: ProofreadingSession, context: Context, layers: ObjectLayers) -> None:
        super().__init__(session, context, layers)
        self._subject: Labels | None = None  # of the latest job
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
        files = column(self.format, self.folder, self.overwrite, labels=True, spacing=4)
        self.lay_out(self.only_selected, self.settings, self.show_button, files, self.job_bar, self.message)

    def show_in_3d(self) -> None:
        """Show the meshes as a Surface layer, in a 3D view."""
        with self.message.explaining():
            source, objects = self.source(), self.objects()
            self._begin("Making meshes", partial(make_meshes, source, objects, self.settings.value.smoothing))

    def export(self) -> None:
        """Write the meshes to files."""
        with self.message.explaining():
            source, objects = self.source(), self.objects()
            folder, to, config = self.folder.require("a folder for the meshes"), self.format.value, self.settings.value
            overwrite = bool(self.overwrite.value)
            self._begin(
                "Exporting meshes",
                partial(export_meshes, source, folder, to, config, objects=objects, overwrite=overwrite),
            )

    def on_result(self, event: Any) -> str:
        """Show the meshes, or return where they are."""
        match event:
            case MeshesMade(meshes=meshes):
                return self._show_layer(meshes)
            case MeshesExported(files=files):
                count = format_count(event.n_objects, "object")
                where = str(files[0] if len(files) == 1 else files[0].parent)
                return f"The meshes of {count}, in {event.unit}, are in {where}."
        return ""

    def _begin(self, title: str, events: Callable[[], Iterator[Any]]) -> None:
        self._subject = self._layers.layer
        self.start(title, events)

    def _show_layer(self, meshes: Any) -> str:
        viewer, subject = self._context.viewer, self._subject
        if subject is None or subject not in viewer.layers:
            return "The layer of the objects was removed."
        layer = show_surfaces(viewer, f"{subject.name} meshes", meshes, subject)
        viewer.dims.ndisplay = 3
        return f"The meshes of {format_count(len(meshes), 'object')} are the layer '{layer.name}'."
