"""What follows an inspection while it is looked through: its slower scores, and its errors with another tolerance."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_unet3d.session.comparison import Comparison, add_slow_metrics
from napari_unet3d.widgets.inspect.inspection import InspectionResult, inspect_comparison
from napari_unet3d.widgets.jobs.latest_only import LatestOnly

if TYPE_CHECKING:
    from napari_unet3d.widgets.inspect.dock import InspectDock


class BackgroundAnalysis(QObject):
    """Works on the inspection of a dock in the background; what is newer replaces what is not done yet.

    Parameters
    ----------
    dock : InspectDock
        Its inspection, tolerance and scores.
    """

    def __init__(self, dock: InspectDock) -> None:
        super().__init__(dock)
        self._dock = dock
        self._search = LatestOnly(dock, dock.jobs, "inspect-errors", stops=True)
        self._scores = LatestOnly(dock, dock.jobs, "inspect-scores", stops=True)
        for work in (self._search, self._scores):
            work.failed.connect(dock.show_failure)
        dock.tolerance_box.valueChanged.connect(self.search_again)

    def cancel(self) -> None:
        """Look for no errors and measure nothing any more."""
        self._search.cancel()
        self._scores.cancel()

    def search_again(self, *_: Any) -> None:
        """Look for the errors with the tolerance of the box, while the old ones stay in view."""
        dock, inspection = self._dock, self._dock.inspection
        if inspection is None or dock.jobs.running(dock.kind) is not None:
            return
        tolerance_um = dock.tolerance_box.value()
        if tolerance_um == inspection.errors.tolerance_um:
            self._search.cancel()
            return
        events = partial(inspect_comparison, inspection.comparison, tolerance_um)
        self._search.request(f"Errors of {inspection.name}", events, self._take_errors)

    def measure(self) -> None:
        """Measure what was not ready at once."""
        inspection = self._dock.inspection
        assert inspection is not None
        if not inspection.comparison.is_measured:
            work = partial(add_slow_metrics, inspection.comparison)
            self._scores.request(f"Measuring {inspection.name}", work, self._take_scores)

    def _take_errors(self, event: Any) -> None:
        inspection = self._dock.inspection
        if isinstance(event, InspectionResult) and inspection is not None:
            self._dock.show_inspected(replace(event, comparison=inspection.comparison), inspection)

    def _take_scores(self, outcome: Comparison) -> None:
        dock = self._dock
        if dock.inspection is not None and outcome.scores is not None:
            dock.inspection = replace(dock.inspection, comparison=outcome)
            dock.scores.show_scores(outcome.scores)
