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
from napari_unet3d.session.comparison import (
    Comparison,
    InspectionResult,
    compare,
    decode,
    default_tolerance_um,
    inspect_comparison,
)
from napari_unet3d.session.fine_tuning import ModelsCompared, fine_tune
from napari_unet3d.session.inspection_corrections import InspectionCorrections
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.session.review_notes import ReviewNotes, carry_over


class InspectionSession(InspectionCorrections):
    """A prediction that is inspected and corrected.

    Every change emits one signal of `events`, which carries the new value; listen by ``session.events.errors.connect``.

    Parameters
    ----------
    prediction : Prediction, optional
        A prediction; without it, nothing is inspected until `show` or `open` is called.
    truth : Sample or GroundTruth, optional
        The ground truth of the volume; a `Sample` has its image, too. Without it there are no errors to find, and
        corrections can be painted only.
    origin : VolumeOrigin, optional
        Name, run, dataset and subset of the volume.
    tolerance_um : float, optional
        Depth in µm up to which errors are hidden as boundary noise; by default the diagonal of one voxel.

    Attributes
    ----------
    events : InspectionEvents
        The signals.

    Raises
    ------
    UserError
        When prediction and ground truth have different shapes.
    """

    def __init__(
        self,
        prediction: Prediction | None = None,
        truth: Sample | GroundTruth | None = None,
        *,
        origin: VolumeOrigin | None = None,
        tolerance_um: float | None = None,
    ) -> None:
        super().__init__()
        self._review = ReviewNotes()
        if prediction is None:
            return
        self._tolerance_um = default_tolerance_um(prediction.voxel_size_um) if tolerance_um is None else tolerance_um
        image = truth.image if isinstance(truth, Sample) else None
        known = decode(truth.labels, prediction, truth.label_mask) if isinstance(truth, Sample) else truth
        if known is None:
            self.open(prediction, origin, image)
        else:
            *_, result = inspect_comparison(compare(prediction, known, fast=True), self._tolerance_um)
            assert isinstance(result, InspectionResult)
            self.show(result, origin, image)

    def show(self, result: InspectionResult, origin: VolumeOrigin | None = None, image: Any = None) -> None:
        """Inspect another prediction, whose errors were found, or this one with the errors of another tolerance.

        Parameters
        ----------
        result : InspectionResult
            The last event of `inspect_comparison` or `inspect_input`.
        origin : VolumeOrigin, optional
            Where another prediction comes from.
        image : array-like of real numbers, shape (z, y, x), optional
            The image that was predicted.
        """
        self._inspect(result.comparison, result, origin, image)

    def open(self, prediction: Prediction, origin: VolumeOrigin | None = None, image: Any = None) -> None:
        """Correct another prediction, without ground truth and errors; the parameters are those of `show`."""
        self._inspect(Comparison(prediction), None, origin, image)

    def _inspect(
        self, comparison: Comparison, result: InspectionResult | None, origin: VolumeOrigin | None, image: Any
    ) -> None:
        """Change all that is inspected, then emit a signal for each change."""
        self.finish_painting()
        is_new, selected, before = comparison is not self._comparison, self._selection, self._corrections
        errors, self._selection = None if result is None else result.errors, None
        self._notes = {} if is_new else carry_over(self._errors, self._notes, errors)
        self._errors, self._difference = errors, None if result is None else result.difference
        if is_new:
            prediction, self._comparison = comparison.prediction, comparison
            self._origin = origin or VolumeOrigin(prediction.name, prediction.plan)
            self._correct(comparison, image)
        self._corrected = self._find_corrected()
        self._notes |= self._as_seen(self._corrected)
        if is_new:
            self.events.comparison.emit(comparison)
        if errors is not None:
            self.events.errors.emit(errors)
        if self._corrections is not before:
            self.events.corrections.emit(self._corrections)
        if selected is not None:
            self.events.selection.emit(None)

    def find_errors(self) -> ErrorSet:
        """Find the errors again with the present tolerance; may take seconds.

        Raises
        ------
        UserError
            When there is no ground truth.
        """
        if self._comparison is None or self._comparison.truth is None:
            raise UserError("There is no ground truth to find errors with. Inspect a prediction with its ground truth.")
        *_, result = inspect_comparison(self._comparison, self._tolerance_um)
        assert isinstance(result, InspectionResult)
        self.show(result)
        return result.errors

    def measure(self) -> Scores | None:
        """Compute the scores that take long, unless that was done before, and return all scores."""
        if self._comparison is not None and not self._comparison.is_measured:
            self._comparison = self._comparison.measured()
            self.events.comparison.emit(self._comparison)
        return self.scores

    def select(self, error: SegmentationError | None) -> None:
        """Select an error, which marks it as seen, or none; painting ends."""
        if error == self._selection:
            return
        if error is not None and (self._errors is None or error not in self._errors.errors):
            raise UserError("That error is not one of this inspection. Select one of its errors.")
        self.finish_painting()
        self._selection = error
        self.events.selection.emit(error)
        if error is not None:
            self.mark_seen(error)

    def load_notes(self) -> None:
        """Read the notes on the errors, which are kept beside the run that predicted.

        Raises
        ------
        UserError
            When the file is damaged or about another volume; then nothing is written to it either.
        """
        if self._errors is not None:
            read = self._review.read(self._errors, self._origin)
            self._set_notes(read)
            self._set_notes(self._as_seen(self._corrected))

    def save_notes(self) -> None:
        """Write the notes on the errors beside the run that predicted, after `load_notes`.

        Raises
        ------
        UserError
            When the file cannot be written.
        """
        if self._errors is not None:
            self._review.write(self._errors, self._notes)

    def fine_tune(
        self,
        run: Path | str | None = None,
        dataset: Path | str | None = None,
        out: Path | str | None = None,
        *,
        accept_test_volumes: bool = False,
    ) -> ModelsCompared:
        """Add the corrections to a dataset, fine-tune the model with them, and compare it with the one before.

        Parameters
        ----------
        run : Path, optional
            The run whose model made the prediction; by default that of `origin`.
        dataset : Path, optional
            The dataset folder; by default the one that the model was trained on.
        out : Path, optional
            The new run folder; by default one named after the present time beside the dataset.
        accept_test_volumes : bool
            Whether to train on corrections of test volumes, too.

        Raises
        ------
        UserError
            When nothing is corrected, or image, model or dataset are not known; see `fine_tuning.fine_tune`.
        """
        self.finish_painting()
        corrections = self._require_corrections()
        if run is not None:
            corrections.origin = self._origin = replace(corrections.origin, run=Path(run))
        folder = dataset_of_run(corrections.origin.run) if dataset is None else Path(dataset)
        if folder is None:
            raise UserError("It is not known which dataset to add the corrections to. Pass the folder of a dataset.")
        events = fine_tune(
            corrections,
            folder,
            None if out is None else Path(out),
            unedited_regions=self._settings.unedited_regions,
            tolerance_um=self._tolerance_um,
            accept_test_volumes=accept_test_volumes,
        )
        *_, compared = events
        assert isinstance(compared, ModelsCompared)
        self.take_compared_models(compared)
        return compared

    def take_compared_models(self, compared: ModelsCompared) -> None:
        """Announce that a model was fine-tuned on corrections and compared with the one before."""
        self.events.models_compared.emit(compared)
