"""What the Train dock offers with a run: another one, to predict, to inspect errors, a report, and an export."""

from __future__ import annotations

import os
from pathlib import Path

from psygnal import Signal
from qtpy.QtWidgets import QFileDialog

from napari_unet3d.errors import UserError
from napari_unet3d.runs.run_files import read_run_files
from napari_unet3d.session.recent_runs import recent_runs, remember_run
from napari_unet3d.session.training_run import TrainingRun, load_run
from napari_unet3d.widgets.components.action_menu import ActionMenu
from napari_unet3d.widgets.components.containers import Panel, button, row
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dock_window import open_dock
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.export.model_panel import ExportModel
from napari_unet3d.widgets.export.report_panel import ReportPanel


class RunActions(Panel):
    """Opens a run, and the docks Predict and Inspect with the model of a run; writes a report on it, and exports it.

    Parameters
    ----------
    context : Context
        Viewer, jobs and message line.
    menu : ActionMenu
        The menu of the dock, in which a run is opened.

    Attributes
    ----------
    opened : Signal(TrainingRun)
        Emitted with the record of a run that was opened.
    open_action : QAction
        Opens a run.
    predict_button, inspect_button : PushButton
        Hidden while there is no model; the latter also when the run was not trained on a dataset that still exists.
    report : ReportPanel
        Writes the report.
    export_model : ExportModel
        Writes the model for other programs.
    """

    opened = Signal(object)

    def __init__(self, context: Context, menu: ActionMenu) -> None:
        self._context = context
        self._run: Path | None = None
        self._trained_on: tuple[Path, HandOver] | None = None
        self.report = ReportPanel(context)
        tooltip = "Show the curves and the epochs of any run folder, also of one that another process is writing."
        self.open_action = menu.add("Open run…", tooltip, self.open_run)
        self.predict_button = button(
            "Predict with it", "Open the dock Predict with the model of this run.", self.predict
        )
        self.inspect_button = button(
            "Inspect its errors",
            "Predict the test volumes of the dataset, or the training volumes when it has none, and list every error.",
            self.inspect,
        )
        self._docks = row(self.predict_button, self.inspect_button)
        self.export_model = ExportModel(context)
        super().__init__(self._docks, self.report, self.export_model)
        self.offer(None)

    def offer(self, run: TrainingRun | None) -> None:
        """Offer the model of a run, if it has one, and a report on the run."""
        self._run = run.run_folder if run is not None and run.has_model else None
        self._docks.visible = self._run is not None
        self.inspect_button.visible = self._run is not None and _has_dataset(self._run)
        self.report.offer(self._run)
        self.export_model.offer(self._run)

    def remember_layers(self, run_folder: Path, layers: HandOver | None) -> None:
        """Remember the layers that a run is trained on, to predict and to compare with; None for a dataset."""
        self._trained_on = None if layers is None else (run_folder, layers)

    def open_run(self, folder: Path | str | None = None) -> None:
        """Read the record of a run from its folder; without one, ask for it."""
        if folder is None:
            start = str(recent[0].parent) if (recent := recent_runs()) else ""
            folder = QFileDialog.getExistingDirectory(self.native, "Choose a run folder", start)
        if not folder:
            return
        with self._context.message.explaining():
            run = load_run(Path(folder))
            if run.has_model:
                remember_run(run.run_folder)
            self.opened.emit(run)

    def predict(self) -> None:
        """Open the dock Predict with the model, and with the layers that it was trained on."""
        if self._run is not None:
            open_dock(self._context.viewer, "Predict", self._subject(self._run))

    def inspect(self) -> None:
        """Open the dock Inspect, and find the errors of the model."""
        if self._run is not None:
            open_dock(self._context.viewer, "Inspect", HandOver(run=self._run))

    def _subject(self, run: Path) -> HandOver:
        """Return a run, with the layers that it was trained on as long as they are in the viewer."""
        if self._trained_on is None or self._trained_on[0] != run:
            return HandOver(run=run)
        layers, present = self._trained_on[1], list(self._context.viewer.layers)
        if layers.image not in present:
            return HandOver(run=run)
        channels = tuple(layer for layer in layers.channels if layer in present)
        truth = layers.truth if layers.truth in present else None
        return HandOver(run=run, image=layers.image, truth=truth, channels=channels)


def _has_dataset(run: Path) -> bool:
    try:
        dataset = read_run_files(run).dataset
    except UserError:
        return False
    return dataset is not None and os.path.isdir(dataset)
