"""What follows an inspection in the background: its slow scores, and its errors with another tolerance or border."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from qtpy.QtCore import QObject

from napari_unet3d.session.comparison import Comparison, InspectionResult, add_slow_metrics, inspect_comparison
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.jobs.latest_only import LatestOnly

_INSPECT = "inspect"  # the kind of the jobs that inspect another prediction


class BackgroundAnalysis(QObject):
    """Analyses what a session inspects, in jobs; a later request replaces one that is not finished yet.

    Parameters
    ----------
    session : InspectionSession
        What is inspected; it gets the results.
    context : Context
        The jobs and the message line.
    parent : QObject
        The dock.
    """

    def __init__(self, session: InspectionSession, context: Context, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._context = session, context
        self._search = LatestOnly(self, context.jobs, "inspect-errors", stops=True)
        self._scores = LatestOnly(self, context.jobs, "inspect-scores", stops=True)
        for work in (self._search, self._scores):
            work.failed.connect(partial(context.message.show_message, kind="error"))
        session.events.tolerance_um.connect(self._find_errors)
        session.events.ignore_border.connect(self._find_errors)
        session.events.comparison.connect(self._measure)

    def cancel(self) -> None:
        """Cancel what is not finished."""
        self._search.cancel()
        self._scores.cancel()

    def _find_errors(self, _changed: float | bool) -> None:
        """Find the errors in another way, while the old ones stay in view."""
        comparison, errors = self._session.comparison, self._session.errors
        tolerance_um, ignore_border = self._session.tolerance_um, self._session.ignore_border
        if comparison is None or errors is None or self._context.jobs.running(_INSPECT) is not None:
            return
        if (tolerance_um, ignore_border) == (errors.tolerance_um, errors.ignores_border):
            self._search.cancel()
            return
        events = partial(inspect_comparison, comparison, tolerance_um, ignore_border)
        self._search.request(f"Errors of {self._session.origin.name}", events, self._take_errors)

    def _measure(self, comparison: Comparison) -> None:
        """Compute the scores that are missing."""
        if not comparison.is_measured:
            title = f"Measuring {comparison.prediction.name}"
            self._scores.request(title, partial(add_slow_metrics, comparison), partial(self._take_scores, comparison))

    def _take_errors(self, event: Any) -> None:
        comparison = self._session.comparison  # which may have got its scores meanwhile
        if isinstance(event, InspectionResult) and comparison is not None:
            is_same = event.comparison.ignore_border == comparison.ignore_border
            self._session.show(replace(event, comparison=comparison) if is_same else event)

    def _take_scores(self, of: Comparison, _measured: Comparison) -> None:
        if self._session.comparison is of:
            self._session.measure()  # which was done
