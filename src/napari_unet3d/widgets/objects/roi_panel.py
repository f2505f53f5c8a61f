"""The panel that writes the outlines of objects in slices as ROIs for ImageJ."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from magicgui.widgets import CheckBox

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.rois.export import RoisExported, export_rois
from napari_unet3d.session.proofreading import ProofreadingSession
from napari_unet3d.widgets.components.containers import column
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.forms.choices import remembered
from napari_unet3d.widgets.forms.paths import PathEdit
from napari_unet3d.widgets.objects.export_panel import ObjectExportPanel
from napari_unet3d.widgets.objects.object_layers import ObjectLayers


class RoiPanel(ObjectExportPanel):
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

    kind, what, cancelled = "objects-rois", "ROIs", "Cancelled; nothing was written."

    def __init__(self, session: ProofreadingSession, context: Context, layers: ObjectLayers) -> None:
        super().__init__(session, context, layers)
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
        file = column(self.folder, self.overwrite, labels=True, spacing=4)
        self.lay_out(self.only_selected, self.only_slice, file, self.job_bar, self.message)

    def export(self) -> None:
        """Write the ROIs."""
        with self.message.explaining():
            source, objects, slices = self.source(), self.objects(), self._slices()
            overwrite = bool(self.overwrite.value)
            folder = self.folder.require("a folder for the ROIs")
            events = partial(export_rois, source, folder, objects=objects, slices=slices, overwrite=overwrite)
            self.start("Exporting ROIs", events)

    def _slices(self) -> tuple[int] | None:
        """Return the slice in view, if only that one is wanted."""
        layer, dims = self._layers.layer, self._context.viewer.dims
        if not self.only_slice.value or layer is None:
            return None
        if dims.ndim - 3 in dims.displayed:
            raise UserError("The view shows no slice along z. Show one (button 2D/3D, or the order of axes).")
        point = np.asarray(dims.point)[-layer.ndim :]
        return (round(float(layer.world_to_data(point)[-3])),)

    def on_result(self, event: Any) -> str:
        """Return where the ROIs are."""
        return f"{event.description} are in {event.file}." if isinstance(event, RoisExported) else ""
