"""Inspection of a prediction, without a viewer: its errors, what is noted about them, and their corrections.

The errors of a prediction are found, the largest one is corrected, and the model is fine-tuned on it::

    session = InspectionSession(prediction, sample)
    session.select(session.errors[0])
    session.accept_truth()
    print(session.fine_tune(run).summary)
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.errors.types import ErrorSet, SegmentationError
from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.inference.events import Prediction
from napari_unet3d.session.add_to_dataset import dataset_of_run
from napari_unet3d.session.channel_image import image_of
from napari_unet3d.session.comparison import (
    Comparison,
    InspectionResult,
    compare,
    decode,
    inspect_comparison,
)
from napari_unet3d.session.fine_tuning import fine_tune
from napari_unet3d.session.inspection_corrections import InspectionCorrections
from napari_unet3d.session.models_compared import ModelsCompared
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.session.progress import last_event
from napari_unet3d.session.review_notes import as_seen, carry_over


class InspectionSession(InspectionCorrections):
    """A prediction that is inspected and corrected.

    Every attribute that changes emits its signal of `events` once, with the new value; listen with
    ``session.events.errors.connect``. The attributes are those of `InspectionState`, and corrections are made with the
    methods of `InspectionCorrections`.

    Parameters
    ----------
    prediction : Prediction, optional
        A prediction; without it, nothing is inspected until `show` or `open` is called.
    truth : Sample or GroundTruth, optional
        The ground truth of the volume; a `Sample` also supplies the image. Without ground truth no errors can be found,
        and corrections can only be made by painting.
    origin : VolumeOrigin, optional
        Name, plan, run, dataset and subset of the volume; by default name and plan of the prediction.
    tolerance : float, optional
        Depth up to which errors are hidden as boundary noise, in µm, or in voxels where the voxel size is unknown; by
        default the smallest side of a voxel.

    Attributes
    ----------
    events : InspectionEvents
        The signals.

    Raises
    ------
    UserError
        When prediction and ground truth have different shapes, or ground truth or origin come without a prediction.
    """

    def __init__(
        self,
        prediction: Prediction | None = None,
        truth: Sample | GroundTruth | None = None,
        *,
        origin: VolumeOrigin | None = None,
        tolerance: float | None = None,
    ) -> None:
        super().__init__()
        self._tolerance = tolerance
        if prediction is None:
            if truth is not None or origin is not None:
                raise UserError("Ground truth or origin were passed without a prediction. Pass the prediction, too.")
            return
        image = image_of(truth) if isinstance(truth, Sample) else None
        known = decode(truth.labels, prediction, truth.label_mask) if isinstance(truth, Sample) else truth
        if known is None:
            self.open(prediction, origin, image)
        else:
            comparison = compare(prediction, known, tolerance, fast=True)
            events = inspect_comparison(comparison, comparison.tolerance)
            self.show(last_event(events, InspectionResult), origin, image)

    def show(self, result: InspectionResult, origin: VolumeOrigin | None = None, image: Any = None) -> None:
        """Inspect a new prediction with its errors, or replace the errors of the present one.

        Tolerance and `ignore_border` become those of the errors.

        Parameters
        ----------
        result : InspectionResult
            The last event of `inspect_comparison` or `inspect_input`.
        origin : VolumeOrigin, optional
            Where a new prediction comes from; ignored for the present one.
        image : array-like of real numbers, shape (z, y, x), or ChannelImage, optional
            The image that a new prediction was made from; ignored for the present one.
        """
        self._replace_inspected(result.comparison, result, origin, image)

    def open(self, prediction: Prediction, origin: VolumeOrigin | None = None, image: Any = None) -> None:
        """Correct a prediction, without ground truth and errors; the parameters are those of `show`."""
        self._replace_inspected(Comparison(prediction), None, origin, image)

    def _replace_inspected(
        self, comparison: Comparison, result: InspectionResult | None, origin: VolumeOrigin | None, image: Any
    ) -> None:
        """Change all that is inspected, then emit one signal for each attribute that has changed."""
        self.finish_painting()
        before = self._attributes()
        errors = None if result is None else result.errors
        present = self._comparison
        is_new = present is None or result is None or not comparison.is_of_same_arrays(present)
        self._notes = {} if is_new else carry_over(self._errors, self._notes, errors)
        self._errors = errors
        self._difference = None if result is None else result.difference
        self._selection = None
        if errors is not None:
            self._tolerance, self._ignore_border = errors.tolerance, errors.ignores_border
        if is_new:
            prediction = comparison.prediction
            self._origin = origin or VolumeOrigin(name=prediction.name, plan=prediction.plan)
            self._begin_corrections(comparison, image)
        if is_new or present is None or not present.has_scores_of(comparison):
            self._comparison = comparison
        self._corrected_errors = self._find_corrected_errors()
        self._notes |= as_seen(self._corrected_errors, self._notes)
        self._emit_changes(before)

    def find_errors(self) -> ErrorSet:
        """Find the errors again with the present tolerance and `ignore_border`; may take seconds.

        Raises
        ------
        UserError
            When there is no ground truth.
        """
        if self._comparison is None or self._comparison.truth is None:
            raise UserError("There is no ground truth to find errors with. Inspect a prediction with its ground truth.")
        events = inspect_comparison(self._comparison, self.tolerance, self.ignore_border)
        result = last_event(events, InspectionResult)
        self.show(result)
        return result.errors

    def measure(self) -> Scores | None:
        """Compute the slow scores if they are missing, and return all scores."""
        if self._comparison is not None and not self._comparison.is_measured:
            self._comparison = self._comparison.measured()
            self.events.comparison.emit(self._comparison)
        return self.scores

    def select(self, error: SegmentationError | None) -> None:
        """Select an error and mark it as seen, or select none; this ends painting."""
        if error == self._selection:
            return
        if error is not None and (self._errors is None or error not in self._errors.errors):
            raise UserError("That error is not one of this inspection. Select one of its errors.")
        self.finish_painting()
        self._selection = error
        seen = {} if error is None else self._merge_notes(as_seen([error.number], self._notes))
        self.events.selection.emit(error)
        if seen:
            self.events.notes.emit(seen)

    def fine_tune(
        self,
        run: Path | str | None = None,
        dataset: Path | str | None = None,
        out: Path | str | None = None,
        *,
        accept_test_volumes: bool = False,
    ) -> ModelsCompared:
        """Add the corrections to a dataset, fine-tune the model with them, and compare it with the previous model.

        Parameters
        ----------
        run : Path, optional
            The run whose model made the prediction; by default that of `origin`, which has this run after success.
        dataset : Path, optional
            The dataset folder; by default the one that the model was trained on.
        out : Path, optional
            The new run folder; by default one named after the current time beside the dataset.
        accept_test_volumes : bool
            Whether to train on corrections of test volumes, too.

        Raises
        ------
        UserError
            When nothing is corrected, or image, model or dataset are not known; see `fine_tuning.fine_tune`.
        """
        self.finish_painting()
        corrections = self._require_corrections()
        earlier = corrections.origin
        origin = earlier if run is None else replace(earlier, run=Path(run))
        folder = dataset_of_run(origin.run) if dataset is None else Path(dataset)
        if folder is None:
            raise UserError("It is not known which dataset to add the corrections to. Pass the folder of a dataset.")
        events = fine_tune(
            corrections,
            folder,
            None if out is None else Path(out),
            unedited_regions=self._settings.unedited_regions,
            tolerance=self.tolerance,
            accept_test_volumes=accept_test_volumes,
        )
        corrections.origin = origin
        try:
            compared = last_event(events, ModelsCompared)
        except BaseException:
            corrections.origin = earlier
            raise
        if run is not None:
            self._origin = origin
        self.announce_compared_models(compared)
        return compared

    def announce_compared_models(self, compared: ModelsCompared) -> None:
        """Announce that a model was fine-tuned on corrections and compared with the previous model."""
        self.events.models_compared.emit(compared)
