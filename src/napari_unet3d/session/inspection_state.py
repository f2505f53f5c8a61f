"""What is held while a prediction is inspected, and the signals that announce each change of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal, SignalGroup

from napari_unet3d.configs import CorrectionConfig
from napari_unet3d.data.corrections import Correction
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.evaluation.errors.types import ErrorSet, SegmentationError
from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.evaluation.tolerance import default_tolerance
from napari_unet3d.inference.events import Prediction
from napari_unet3d.session.comparison import Comparison
from napari_unet3d.session.correction import CorrectionSession
from napari_unet3d.session.models_compared import ModelsCompared
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.session.review_notes import ErrorNote, ReviewNotes, as_seen


class InspectionEvents(SignalGroup):
    """The signals of an `InspectionSession`: one per attribute that changes, with its value at that moment.

    When several attributes change at once, all of them have changed before the first signal is emitted. A listener may
    change the session again; no signal follows with a value that is no longer true.

    Attributes
    ----------
    comparison : Signal(Comparison)
        Another prediction is inspected, with another `origin`, or all scores of this one are known now.
    errors : Signal(ErrorSet or None)
        Errors and `difference`: those of another prediction, or with another tolerance; None without ground truth.
    tolerance : Signal(float)
        Errors are to be found with another tolerance.
    ignore_border : Signal(bool)
        Errors and scores are to leave out objects at the border of the volume, or no longer.
    selection : Signal(SegmentationError or None)
        Another error is selected, or none any more.
    notes : Signal(dict of int to ErrorNote)
        The notes that have changed, by the numbers of the errors; with other errors, all notes on these.
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
    errors = Signal(object)
    tolerance = Signal(float)
    ignore_border = Signal(bool)
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
        self._tolerance: float | None = None  # None for the default
        self._ignore_border = False
        self._selection: SegmentationError | None = None
        self._notes: dict[int, ErrorNote] = {}
        self._review = ReviewNotes()
        self._settings = CorrectionConfig()
        self._corrections: CorrectionSession | None = None
        self._corrected_errors: dict[int, str] = {}

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
        """The errors, sorted, the largest first; None without ground truth."""
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
        return self._corrected_errors

    def note_on(self, error: SegmentationError) -> ErrorNote:
        """Return whether an error was seen, and the note about it."""
        return self._notes.get(error.number, ErrorNote())

    @property
    def tolerance(self) -> float:
        """Depth up to which errors are hidden as boundary noise, from the next `find_errors` on.

        In µm, or in voxels where the voxel size is unknown. By default the smallest side of a voxel; 0 while no
        prediction is inspected.
        """
        if self._tolerance is not None:
            return self._tolerance
        return 0.0 if self.prediction is None else default_tolerance(self.prediction.spacing)

    @tolerance.setter
    def tolerance(self, value: float) -> None:
        before, self._tolerance = self.tolerance, value
        if value != before:
            self.events.tolerance.emit(value)

    @property
    def ignore_border(self) -> bool:
        """Whether objects that touch the border of the volume are left out, from the next `find_errors` on."""
        return self._ignore_border

    @ignore_border.setter
    def ignore_border(self, value: bool) -> None:
        before, self._ignore_border = self._ignore_border, value
        if value != before:
            self.events.ignore_border.emit(value)

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

    def load_notes(self) -> None:
        """Read the notes on the errors, which are kept beside the run that predicted.

        Raises
        ------
        UserError
            When the file is damaged or about another volume; `save_notes` then leaves the file as it is.
        """
        if self._errors is not None:
            read = self._review.read(self._errors, self._origin)
            notes = {**self._notes, **read}
            self._set_notes(read | as_seen(self._corrected_errors, notes))

    def save_notes(self) -> None:
        """Write the notes on the errors beside the run that predicted, after `load_notes`.

        Raises
        ------
        UserError
            When the file cannot be written.
        """
        if self._errors is not None:
            self._review.write(self._errors, self._notes)

    def _set_notes(self, notes: Mapping[int, ErrorNote]) -> None:
        """Replace some notes, and emit those that have changed."""
        if changed := self._merge_notes(notes):
            self.events.notes.emit(changed)

    def _merge_notes(self, notes: Mapping[int, ErrorNote]) -> dict[int, ErrorNote]:
        """Replace some notes without a signal, and return those that have changed."""
        changed = {number: note for number, note in notes.items() if note != self._notes.get(number, ErrorNote())}
        self._notes |= changed
        return changed

    def _attributes(self) -> dict[str, Any]:
        """Return what is replaced with the prediction or its errors, by signals in the order in which these follow."""
        names = ("comparison", "errors", "corrections", "tolerance", "ignore_border", "selection")
        return {**{name: getattr(self, name) for name in names}, "notes": dict(self._notes)}

    def _emit_changes(self, before: Mapping[str, Any]) -> None:
        """Emit a signal for each attribute that has changed, unless a listener has changed it again meanwhile."""
        after = self._attributes()
        for name in [name for name in after if not _is_same(before[name], after[name])]:
            now = self._attributes()[name]
            if name == "notes" or _is_same(now, after[name]):  # else the second change was announced already
                self.events[name].emit(now)


def _is_same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, float | dict) and bool(one == other))
