"""The dock Start here: the way from a sample to one's own data, with a tick at each step that was done."""

from __future__ import annotations

from typing import Any

from napari.layers import Image, Labels
from qtpy.QtWidgets import QFileDialog

from napari_unet3d.errors import UserError
from napari_unet3d.session.tour import Tour, TourStep
from napari_unet3d.widgets.components.containers import wrapping_label
from napari_unet3d.widgets.components.dock import Dock
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.components.point_at import point_at
from napari_unet3d.widgets.start.observer import TourObserver, is_own_volume, is_sample
from napari_unet3d.widgets.start.step_panel import StepPanel
from napari_unet3d.widgets.viewer.layer_metadata import companion_of, is_ours, is_prediction

_PLUGIN, _SAMPLE = "napari-unet3d", "synthetic_blobs"
_INTRODUCTION = (
    "Seven steps from a sample to your own data. Each button leads to the place; the tick appears when it is done."
)
_END = "That was the whole way. The other docks, Generate data, Dataset and Objects, are in the same menu."


class StartDock(Dock):
    """Leads through the first steps; every step can also be done without it.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer, as napari passes it to the widget of a plugin.

    Attributes
    ----------
    tour : Tour
        Which steps were done.
    steps : dict of TourStep to StepPanel
        The steps that are shown.
    """

    kind = "start"

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.tour = Tour()
        actions = {
            TourStep.SAMPLE: self.open_sample,
            TourStep.TRAIN: self.train,
            TourStep.PREDICT: self.predict,
            TourStep.INSPECT: self.inspect,
            TourStep.CORRECT: self.correct,
            TourStep.OWN_DATA: self.open_files,
            TourStep.ANNOTATE: self.annotate,
        }
        self.steps = {step: StepPanel(number, step, actions[step]) for number, step in enumerate(TourStep, 1)}
        self.end = wrapping_label(_END)
        self.lay_out(wrapping_label(_INTRODUCTION), self.message, *self.steps.values(), self.end)
        self.tour.changed.connect(self._show_state)
        self.observer = TourObserver(self.native, self.tour, self.context)
        self._show_state()

    def open_sample(self) -> None:
        """Open the sample, unless it is open."""
        self.message.clear()
        if self._sample_layers() is None:
            self.viewer.open_sample(_PLUGIN, _SAMPLE)

    def train(self) -> None:
        """Open the dock Train with the sample or, without it, with what the dock chooses, and point at its button."""
        self.message.clear()
        sample = self._sample_layers()
        subject = None if sample is None else HandOver(image=sample[0], truth=sample[1])
        point_at(self._open("Train", subject).job_bar.start_button)

    def predict(self) -> None:
        """Open the dock Predict with the trained model, and point at its button."""
        run = self.observer.trained_run()
        with self.message.explaining():
            if run is None:
                raise UserError("No model was trained in this viewer yet. Do step 2 first.")
            point_at(self._open("Predict", HandOver(run=run.run_folder)).job_bar.start_button)

    def inspect(self) -> None:
        """Open the dock Inspect with the latest prediction, and find its errors."""
        with self.message.explaining():
            prediction = self._prediction()
            if prediction is None:
                raise UserError("There is no prediction in the viewer yet. Do step 3 first.")
            truth = companion_of(prediction, "truth")
            subject = HandOver(prediction=prediction, truth=truth if isinstance(truth, Labels) else None)
            dock = self._open("Inspect", subject)
            if self.jobs.running("inspect") is None:
                point_at(dock.job_bar.start_button)  # ground truth is chosen there

    def correct(self) -> None:
        """Open the dock Inspect, go to an error, and point at the button that corrects it."""
        dock = self._open("Inspect")
        with self.message.explaining():
            if dock.session.errors is None:
                raise UserError("No errors were searched for yet. Do step 4 first.")
            if not len(dock.session.errors):
                raise UserError("There is no error to correct. Lower the tolerance in the dock Inspect.")
            if dock.session.selection is None:
                dock.next_error()
            point_at(dock.correction.truth_button)

    def open_files(self) -> None:
        """Ask for files, and open them."""
        files, _ = QFileDialog.getOpenFileNames(self.native, "Open a 3D image and its labels")
        with self.message.explaining():
            for file in files:
                try:
                    self.viewer.open(file, plugin=_PLUGIN)
                except (OSError, ValueError) as error:  # napari's words for what this plugin does not read
                    raise UserError(f"{file} cannot be opened: {error}") from None

    def annotate(self) -> None:
        """Open the dock Annotate with one's own image, and point at its button."""
        own = [layer for layer in self.viewer.layers if is_own_volume(layer)]
        with self.message.explaining():
            if not own:
                raise UserError("There is no image of yours in the viewer yet. Do step 6 first.")
            point_at(self._open("Annotate", HandOver(image=own[-1])).annotate_button)

    def _open(self, name: str, subject: HandOver | None = None) -> Any:
        dock = self.open_dock(name, subject)
        self.observer.follow_corrections()
        return dock

    def _sample_layers(self) -> tuple[Image, Labels] | None:
        """Return image and labels of the latest sample; None while one of them is missing."""
        layers = [layer for layer in self.viewer.layers if is_sample(layer)]
        images = [layer for layer in layers if isinstance(layer, Image)]
        labels = {layer.name: layer for layer in layers if isinstance(layer, Labels)}
        pairs = [(image, labels[name]) for image in images if (name := f"{image.name} labels") in labels]
        return pairs[-1] if pairs else None

    def _prediction(self) -> Labels | None:
        """Return the latest prediction in the viewer."""
        layers = [each for each in self.viewer.layers if isinstance(each, Labels) and is_ours(each)]
        return next((each for each in reversed(layers) if is_prediction(each)), None)

    def _show_state(self) -> None:
        for step, panel in self.steps.items():
            panel.show_state(is_done=step in self.tour.done, is_next=step is self.tour.next_step)
        self.end.visible = self.tour.next_step is None
