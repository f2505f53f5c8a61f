"""The corrections of an inspected prediction: made at the selected error or elsewhere, undone and redone."""

from __future__ import annotations

from typing import Any

from napari_unet3d.data.corrections import Correction, CorrectionSource
from napari_unet3d.errors import UserError
from napari_unet3d.session.comparison import Comparison
from napari_unet3d.session.correction import CorrectionSession, CorrectionTarget, target_of_error
from napari_unet3d.session.inspection_state import InspectionState
from napari_unet3d.session.review_notes import as_seen

_MOST_KEPT = 3  # predictions whose corrections are kept while others are inspected


class InspectionCorrections(InspectionState):
    """Corrects the prediction that is inspected; the corrections of a few earlier ones are kept."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[CorrectionSession] = []

    def accept_truth(self, target: CorrectionTarget | None = None) -> Correction:
        """Accept the ground truth at the selected error, or at another place.

        Raises
        ------
        UserError
            When no error is selected, or there is no ground truth to accept.
        """
        return self._accept(CorrectionSource.TRUTH, target)

    def accept_prediction(self, target: CorrectionTarget | None = None) -> Correction:
        """Accept the prediction at the selected error, or at another place; see `accept_truth`."""
        return self._accept(CorrectionSource.PREDICTION, target)

    def begin_painting(self, target: CorrectionTarget | None = None) -> None:
        """Begin to paint into ``corrections.corrections.labels`` at the selected error, or at another place."""
        self.finish_painting()
        corrections, target = self._require_corrections(), target or self._selected_target()
        corrections.begin_painting(target)
        self.events.painting.emit(target)

    def finish_painting(self) -> Correction | None:
        """Keep what was painted as a correction; None when nothing was."""
        if self._corrections is None or not self._corrections.is_painting:
            return None
        correction = self._corrections.finish_painting(self._settings.margin)
        if correction is not None:
            self._on_corrected(correction)
        self.events.painting.emit(None)
        return correction

    def undo(self) -> Correction | None:
        """Undo the last correction, or what is being painted; None when there is nothing to undo."""
        if self._corrections is None:
            return None
        if self._corrections.is_painting and self.finish_painting() is None:
            return None
        return self._on_corrected(self._corrections.corrections.undo())

    def redo(self) -> Correction | None:
        """Redo the correction that was undone last; None when there is none."""
        self.finish_painting()
        return None if self._corrections is None else self._on_corrected(self._corrections.corrections.redo())

    def _begin_corrections(self, comparison: Comparison, image: Any) -> None:
        """Begin the corrections of another prediction, with those that were kept of it, if any."""
        prediction = comparison.prediction
        touched = [each for each in self._kept if each.done or each.corrections.undone]
        known = next((each for each in touched if each.is_of(prediction, self._origin)), None)
        self._corrections = known or CorrectionSession(prediction, comparison.truth, self._origin)
        if image is not None:
            self._corrections.image = image
        others = [each for each in self._kept if each is not self._corrections]
        self._kept = [*others, self._corrections][-_MOST_KEPT:]

    def _accept(self, source: CorrectionSource, target: CorrectionTarget | None) -> Correction:
        self.finish_painting()
        corrections, target = self._require_corrections(), target or self._selected_target()
        correction = corrections.accept(target, source, self._settings.margin)
        self._on_corrected(correction)
        return correction

    def _require_corrections(self) -> CorrectionSession:
        if self._corrections is None:
            raise UserError("No prediction is inspected. Inspect a prediction first.")
        return self._corrections

    def _selected_target(self) -> CorrectionTarget:
        if self._selection is None or self._errors is None:
            raise UserError("No error is selected. Select one of the errors, or pass a place to correct.")
        return target_of_error(self._selection, self._errors)

    def _on_corrected(self, correction: Correction | None) -> Correction | None:
        if correction is not None:
            before, self._corrected_errors = self._corrected_errors, self._find_corrected_errors()
            seen = self._merge_notes(as_seen(self._corrected_errors.keys() - before.keys(), self._notes))
            self.events.corrected.emit(correction)
            if seen:
                self.events.notes.emit(seen)
        return correction

    def _find_corrected_errors(self) -> dict[int, str]:
        errors, corrections = self._errors, self._corrections
        if errors is None or corrections is None or not corrections.done:
            return {}
        sources = {error.number: corrections.source_at(error) for error in errors}
        return {number: source for number, source in sources.items() if source}
