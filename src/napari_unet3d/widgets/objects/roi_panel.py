"""The panel that writes the outlines of objects in slices as ROIs for ImageJ."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from magicgui.widgets import CheckBox

from napari_unet3d.data.events import Notice
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.meshes.making import MeshSource
from napari_unet3d.evaluation.rois.export import RoisExported, export_rois
from napari_unet3d.session.proofreading import ProofreadingSession
from napari_unet3d.widgets.components.containers import Panel, column
from napari_unet3d.widgets.components.context import Context, MessageLine
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.forms.choices import remembered
from napari_unet3d.widgets.forms.paths import PathEdit
from napari_unet3d.widgets.objects.object_layers import ObjectLayers

_KIND = "objects-rois"


class RoiPanel(Panel):
    """Writes ROIs of all objects or of the selected ones, in all slices or in the one in view.

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
    only_selected, only_slice : CheckBox
        Whether only the selected objects, and only the slice in view, become ROIs.
    folder, overwrite : PathEdit, CheckBox
        Place of the file, and whether an existing one is replaced.
    job_bar : JobBar
        *Export ROIs*, and its progress.
    message : MessageLine
        Messages for the user.
    """

    def __init__(self, session: ProofreadingSession, context: Context, layers: ObjectLayers) -> None:
        super().__init__()
        self._session, self._context, self._layers = session, context, layers
        self._notices: list[str] = []
        self._has_ended = False
        tooltip = "Make ROIs of the selected objects only, instead of all."
        self.only_selected = remembered(CheckBox(text="Only selected objects", tooltip=tooltip), "rois-selected")
        tooltip = "Make ROIs of the slice along z that is in view only, instead of all."
        self.only_slice = remembered(CheckBox(text="Only the slice in view", tooltip=tooltip), "rois-slice")
        self.folder = PathEdit("d", "roi-folder", "The folder for the file NAME_RoiSet.zip.", label="Folder")
        self.overwrite = CheckBox(text="Replace existing file", tooltip="Replace a file of the same name.")
        self.job_bar = JobBar(
            "Export ROIs",
            "Write the outline of each object in each slice, along the edges of pixels, for the ROI Manager of ImageJ "
            "and Fiji.",
            self.export,
            (),
            "Cancel",
        )
        self.message = MessageLine()
        file = column(self.folder, self.overwrite, labels=True, spacing=4)
        self.lay_out(self.only_selected, self.only_slice, file, self.job_bar, self.message)

    def export(self) -> None:
        """Write the ROIs."""
        with self.message.explaining():
            labels = self._session.labels
            if labels is None:
                raise UserError(
                    "No layer of objects is chosen. Predict a volume or open its labels, then choose them above."
                )
            source = MeshSource(labels.name, labels.array, labels.geometry, labels.reserved)
            objects, slices, overwrite = self._objects(), self._slices(), bool(self.overwrite.value)
            folder = self.folder.require("a folder for the ROIs")
            self._start(partial(export_rois, source, folder, objects=objects, slices=slices, overwrite=overwrite))

    def _objects(self) -> tuple[int, ...] | None:
        if not self.only_selected.value:
            return None
        if not self._session.selection:
            raise UserError("No object is selected. Click one in the view or in the table.")
        return self._session.selection

    def _slices(self) -> tuple[int] | None:
        """Return the slice in view, if only that one is wanted."""
        layer, dims = self._layers.layer, self._context.viewer.dims
        if not self.only_slice.value or layer is None:
            return None
        if dims.ndim - 3 in dims.displayed:
            raise UserError("The view shows no slice along z. Show one (button 2D/3D, or the order of axes).")
        point = np.asarray(dims.point)[-layer.ndim :]
        return (round(float(layer.world_to_data(point)[-3])),)

    def _start(self, events: Any) -> None:
        job = self._context.jobs.start(_KIND, "Exporting ROIs", events)
        self._notices, self._has_ended = [], False
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
            case RoisExported(file=file):
                self._has_ended = True
                self.message.show_message(" ".join([f"{event.description} are in {file}.", *self._notices]))

    def _on_failed(self, message: str) -> None:
        if not self._is_gone:
            self.message.show_error(message)

    def _on_ended(self, job: Any) -> None:
        if not self._is_gone and job.stopped and not self._has_ended:
            self.message.show_message("Cancelled; nothing was written.")
