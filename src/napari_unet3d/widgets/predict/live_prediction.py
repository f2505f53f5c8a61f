"""The prediction in view: it follows the settings of labels at once, without the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from napari.layers import Labels
from qtpy.QtCore import QObject, Signal

from napari_unet3d.configs import PostProcessing
from napari_unet3d.session.comparison import Comparison, add_slow_metrics, repostprocess
from napari_unet3d.widgets.jobs.latest_only import LatestOnly
from napari_unet3d.widgets.predict.show import update_comparison
from napari_unet3d.widgets.viewer.layers import Reference

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.qt_dock import QtDock as Dock


@dataclass(frozen=True, slots=True)
class VisiblePrediction:
    """What is in view: an outcome, where it lies, the layer with its truth, and that of its labels."""

    comparison: Comparison
    place: Reference
    truth: Labels | None
    labels: Labels


class LivePrediction(QObject):
    """Holds the outcome that is in view and makes its labels again whenever the settings change.

    Labels, difference and quick scores come from one job, the scores that take long from another one when nothing
    else is asked for. Both run beside the viewer; the newest settings win.

    Parameters
    ----------
    dock : Dock
        Its viewer, jobs and message line.

    Attributes
    ----------
    changed : Signal(object)
        The `Outcome` that is in view from now on, with other labels or more scores.
    relabelled : Signal()
        Emitted after the labels were made again.
    shown : Shown or None
        What is in view.
    """

    changed = Signal(object)
    relabelled = Signal()

    def __init__(self, dock: Dock) -> None:
        super().__init__(dock)
        self.shown: VisiblePrediction | None = None
        self._viewer = dock.viewer
        self._settings = PostProcessing()
        self._labels, self._scores = LatestOnly(self, dock.jobs, "labels"), LatestOnly(self, dock.jobs, "measure")
        for work in (self._labels, self._scores):
            work.failed.connect(dock.show_failure)
        self._labels.settled.connect(self._on_settled)

    @property
    def is_working(self) -> bool:
        """Whether labels are being made."""
        return self._labels.is_busy

    def forget(self) -> None:
        """Let go of the outcome; what still runs for it is not shown."""
        self._labels.cancel()
        self._scores.cancel()
        self.shown = None

    def show(self, shown: VisiblePrediction, made_with: PostProcessing) -> None:
        """Follow another outcome, which is in the viewer already.

        Parameters
        ----------
        shown : Shown
            The outcome and its layers.
        made_with : PostProcessing
            The settings that its labels were made with; they are made again if others stand in the dock.
        """
        self.forget()
        self.shown = shown
        self.changed.emit(shown.comparison)
        if self._settings != made_with:
            self._relabel()

    def follow(self, settings: PostProcessing) -> None:
        """Make the labels again with other settings, now or when an outcome is shown."""
        self._settings = settings
        if self.shown is not None:
            self._relabel()

    def _relabel(self) -> None:
        assert self.shown is not None
        outcome = self.shown.comparison
        title = f"Labels of {outcome.prediction.name}"
        self._labels.request(title, partial(repostprocess, outcome, self._settings), self._take_labels)
        self.changed.emit(outcome)

    def _take_labels(self, outcome: Comparison) -> None:
        assert self.shown is not None  # else it would have been cancelled
        if outcome.prediction is self.shown.comparison.prediction:  # which may have got its scores meanwhile
            return
        labels = update_comparison(self._viewer, outcome, self.shown.place, self.shown.labels)
        self.shown = replace(self.shown, comparison=outcome, labels=labels)
        self.changed.emit(outcome)

    def labels_layer(self) -> Labels:
        """Return the layer of the labels in view, which is made again when the user has removed it."""
        assert self.shown is not None
        if self.shown.labels not in self._viewer.layers:
            labels = update_comparison(self._viewer, self.shown.comparison, self.shown.place, self.shown.labels)
            self.shown = replace(self.shown, labels=labels)
        return self.shown.labels

    def _on_settled(self) -> None:
        if self.shown is None:
            return
        outcome = self.shown.comparison
        self.changed.emit(outcome)
        self.relabelled.emit()
        if not outcome.is_measured:
            title = f"Measuring {outcome.prediction.name}"
            self._scores.request(title, partial(add_slow_metrics, outcome), partial(self._take_scores, outcome))

    def _take_scores(self, of: Comparison, measured: Comparison) -> None:
        if self.shown is not None and self.shown.comparison is of:  # else the labels were made again meanwhile
            self.shown = replace(self.shown, comparison=measured)
            self.changed.emit(measured)
