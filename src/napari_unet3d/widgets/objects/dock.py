"""The Objects dock: the objects of a layer in a table, edited, reviewed and used as corrections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Labels

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.object_table import ObjectTable
from napari_unet3d.session.generator_thread import beginning_with
from napari_unet3d.session.object_labels import Proofread
from napari_unet3d.session.proofreading import ProofreadingSession
from napari_unet3d.widgets.components.containers import Section, single_shot
from napari_unet3d.widgets.components.dock import Dock
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.components.keys import bind_key
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.objects.colours import ColourPanel
from napari_unet3d.widgets.objects.dataset_panel import DatasetPanel
from napari_unet3d.widgets.objects.edit_panel import EditPanel
from napari_unet3d.widgets.objects.layer_labels import store_features
from napari_unet3d.widgets.objects.mesh_panel import MeshPanel
from napari_unet3d.widgets.objects.mouse import ObjectMouse
from napari_unet3d.widgets.objects.object_layers import ObjectLayers
from napari_unet3d.widgets.objects.object_table_panel import ObjectTablePanel
from napari_unet3d.widgets.objects.roi_panel import RoiPanel
from napari_unet3d.widgets.objects.source import ObjectsSource

_WAIT_MS = 150  # for more edits, before the table is updated


class ObjectsDock(Dock):
    """Measures the objects of a Labels layer, and lets the user proofread them.

    What is proofread is held by `session`. The panels read and change it, and follow its signals.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer, as napari hands it to a plugin's widget.

    Attributes
    ----------
    session : ProofreadingSession
        What is proofread.
    source : ObjectsSource
        The chosen layers: ``source.labels_layer`` and ``source.image_layer``.
    layers : ObjectLayers
        The layers that show what is selected.
    table, colours, editing, meshes, rois, corrections : Container
        The panels. Their buttons do what the methods of the session do: ``session.merge()``.
    """

    kind = "objects"
    least_width = 337

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.session = session = ProofreadingSession()
        self.layers = ObjectLayers(session, self.context)
        self.source = ObjectsSource(session, self.context, self.layers)
        self.job_bar = JobBar(
            "Measure",
            "Measure every object: volume, surface, place, shape, neighbours and, with an image, its brightness. After "
            "an edit, what has changed is measured again by itself.",
            self.measure,
            (),
            "Cancel",
        )
        self.table = ObjectTablePanel(session, self.context, self.layers)
        self.colours = ColourPanel(session, self.layers)
        self.mouse = ObjectMouse(session, self.context, self.layers, self.native.isVisible)
        self.editing = EditPanel(session, self.context, self.layers, self.mouse)
        self.meshes = MeshPanel(session, self.context, self.layers)
        self.rois = RoiPanel(session, self.context, self.layers)
        self.corrections = DatasetPanel(session, self.context, self.source.image)
        self._wants_update = False
        self._measured = self.session.done
        self._update_timer = single_shot(self.native, self._update, _WAIT_MS)
        self._lay_out()
        self._connect()
        self.source.open()
        self.attach_to_job()

    def measure(self) -> None:
        """Measure the objects; those that have not changed since are not measured again."""
        with self.message.explaining():
            self._start()

    def save_table(self, path: Path) -> None:
        """Save what is listed as CSV or Parquet, by the suffix."""
        self.table.save(path)

    def proofread(self, layer: Labels) -> None:
        """Proofread the objects of a layer."""
        self.source.choose(layer)

    def receive(self, subject: HandOver) -> None:
        """Proofread the prediction that another dock passes on, with its image."""
        if subject.prediction is not None:
            self.source.choose(subject.prediction, subject.image, subject.channels)

    def on_event(self, event: Any) -> None:
        """Take what the job measures, and the table at its end."""
        match event:
            case Proofread():
                self._measured = event
            case ObjectTable():
                self.session.show(event, self._measured)

    def on_ended(self, job: Job) -> None:
        """Measure again what was edited meanwhile."""
        if self._wants_update:
            self._update_timer.start()
        elif job.stopped:
            self.message.show_message("Cancelled. The table is as it was before.")

    def _start(self) -> None:
        if self.session.labels is None:
            raise UserError(
                "No layer of objects is chosen. Predict a volume or open its labels, then choose them above."
            )
        measuring = self.session.measuring(self.source.intensities())
        title = f"Measuring {self.session.labels.name}"
        self._wants_update = False
        self.jobs.start(self.kind, title, beginning_with(self.session.done, measuring), replay=(Proofread,))

    def _on_edited(self, _edit: Any) -> None:
        """Measure again a little later, also where a measurement has seen a part of the change only."""
        if self.session.table is not None or self.jobs.running(self.kind) is not None:
            self._wants_update = True
            self._update_timer.start()

    def _on_opened(self, _labels: Any) -> None:
        """Measure again what was left out of date."""
        self._wants_update = self.session.table is not None and self.session.done.is_stale
        if self._wants_update:
            self._update_timer.start()

    def _update(self) -> None:
        if not self._wants_update:
            return
        if (running := self.jobs.running(self.kind)) is not None:
            running.stop()  # at its end this is called again
            return
        try:
            self._start()
        except UserError as error:
            self.message.show_error(str(error))

    def _on_table(self, table: ObjectTable | None) -> None:
        if table is not None and self.layers.layer is not None:
            store_features(self.layers.layer, table)

    def _connect(self) -> None:
        events = self.session.events
        events.edited.connect(self._on_edited)
        events.opened.connect(self._on_opened)
        events.table.connect(self._on_table)
        for panel in (self.table, self.editing):
            for key, (description, action) in panel.keys.items():
                bind_key(self.context, key, description, action)

    def _lay_out(self) -> None:
        self.lay_out(Section("Objects and image", self.source, is_open=True), self.table, self.colours)
        self.lay_out(Section("Edit", self.editing, is_open=True), Section("Meshes", self.meshes))
        self.lay_out(Section("ROIs for ImageJ", self.rois), Section("Use as corrections", self.corrections))
        self.pin(self.job_bar)

    def _on_destroyed(self) -> None:
        super()._on_destroyed()
        self.mouse.disconnect()
        self.colours.restore()
        self.layers.clear()
