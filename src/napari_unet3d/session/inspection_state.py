"""What is held while a prediction is inspected, and the signals that announce each change of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal, SignalGroup

from napari_unet3d.configs import CorrectionConfig
from napari_unet3d.data.corrections import Correction
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.evaluation.errors.types import ErrorSet, SegmentationError
from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.inference.events import Prediction
from napari_unet3d.session.comparison import Comparison
from napari_unet3d.session.correction import CorrectionSession
from napari_unet3d.session.fine_tuning import ModelsCompared
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.session.review_notes import ErrorNote


class InspectionEvents(SignalGroup):
    """The signals of an `InspectionSession`: one for each kind of change, which carries the new value.

    When a session changes in several ways at once, all of it has changed before the first signal is emitted.

    Attributes
    ----------
    comparison : Signal(Comparison)
        Another prediction is inspected, or all scores of this one are known now.
    errors : Signal(ErrorSet)
        The errors were found: those of another prediction, or with another tolerance.
    tolerance_um : Signal(float)
        Errors are to be found with another tolerance.
    selection : Signal(SegmentationError or None)
        Another error is selected, or none any more.
    notes : Signal(dict of int to ErrorNote)
        The notes that have changed, by the numbers of the errors.
    corrections : Signal(CorrectionSession)
        The corrections of another prediction, which is inspected now.
    corrected : Signal(Correction)
        A correction was made, undone or redone.
    painting : Signal(CorrectionTarget or None)
        Painting has begun at a place, or ended.
    settings : Signal(CorrectionConfig)
        Other settings of corrections.
    models_compared : Signal(ModelsCompared)
        A model was fine-tuned on corrections and compared with the one before.
    """

    comparison = Signal(Comparison)
    errors = Signal(ErrorSet)
    tolerance_um = Signal(float)
    selection = Signal(object)
    notes = Signal(dict)
    corrections = Signal(CorrectionSession)
    corrected = Signal(Correction)
    painting = Signal(object)
    settings = Signal(CorrectionConfig)
    models_compared = Signal(ModelsCompared)


class InspectionState:
    """What a session holds, to be read; all values are None or empty while no prediction is inspected."""

    def __init__(self) -> None:
        self.events = InspectionEvents()
        self._origin = VolumeOrigin("")
        self._comparison: Comparison | None = None
        self._errors: ErrorSet | None = None
        self._difference: NDArray[np.uint8] | None = None
        self._tolerance_um = 0.0
        self._selection: SegmentationError | None = None
        self._notes: dict[int, ErrorNote] = {}
        self._settings = CorrectionConfig()
        self._corrections: CorrectionSession | None = None
        self._corrected: dict[int, str] = {}

    @property
    def origin(self) -> VolumeOrigin:
        """Name of the volume and, as far as they are known, its run, dataset and subset."""
        return self._origin

    @property
    def comparison(self) -> Comparison | None:
        """The prediction, its ground truth, and how the two compare."""
        return self._comparison

    @property
    def prediction(self) -> Prediction | None:
        """The prediction."""
        return None if self._comparison is None else self._comparison.prediction

    @property
    def truth(self) -> GroundTruth | None:
        """The ground truth, if there is any."""
        return None if self._comparison is None else self._comparison.truth

    @property
    def scores(self) -> Scores | None:
        """Agreement with the ground truth; `InspectionSession.measure` adds the scores that take long."""
        return None if self._comparison is None else self._comparison.scores

    @property
    def errors(self) -> ErrorSet | None:
        """The errors, the largest first; None without ground truth."""
        return self._errors

    @property
    def difference(self) -> NDArray[np.uint8] | None:
        """Where the prediction is wrong (1 extra, 2 missed, 3 wrong class), without hidden boundary noise."""
        return self._difference

    @property
    def selection(self) -> SegmentationError | None:
        """The selected error."""
        return self._selection

    @property
    def notes(self) -> Mapping[int, ErrorNote]:
        """Notes on the errors, by their numbers."""
        return self._notes

    @property
    def corrections(self) -> CorrectionSession | None:
        """The corrections of the prediction."""
        return self._corrections

    @property
    def corrected(self) -> Mapping[int, str]:
        """How errors were corrected (``truth``, ``prediction`` or ``painted``), by their numbers."""
        return self._corrected

    def note_on(self, error: SegmentationError) -> ErrorNote:
        """Return whether an error was seen, and the note about it."""
        return self._notes.get(error.number, ErrorNote())

    @property
    def tolerance_um(self) -> float:
        """Depth in µm up to which errors are hidden as boundary noise, from the next `find_errors` on."""
        return self._tolerance_um

    @tolerance_um.setter
    def tolerance_um(self, value: float) -> None:
        if value != self._tolerance_um:
            self._tolerance_um = value
            self.events.tolerance_um.emit(value)

    @property
    def settings(self) -> CorrectionConfig:
        """Settings of corrections: their margin, and what the rest of the prediction counts as."""
        return self._settings

    @settings.setter
    def settings(self, value: CorrectionConfig) -> None:
        if value != self._settings:
            self._settings = value
            self.events.settings.emit(value)

    def mark_seen(self, error: SegmentationError, is_seen: bool = True) -> None:
        """Mark an error as seen, or not."""
        self._set_notes({error.number: replace(self.note_on(error), is_seen=is_seen)})

    def set_note(self, error: SegmentationError, note: str) -> None:
        """Write a note about an error."""
        self._set_notes({error.number: replace(self.note_on(error), note=note)})

    def _set_notes(self, notes: Mapping[int, ErrorNote]) -> None:
        changed = {number: note for number, note in notes.items() if note != self._notes.get(number, ErrorNote())}
        if changed:
            self._notes |= changed
            self.events.notes.emit(changed)
