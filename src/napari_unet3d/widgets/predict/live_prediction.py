"""The prediction in view: its labels follow the post-processing settings at once, without the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from napari.layers import Image, Labels
from qtpy.QtCore import QObject, Signal

from napari_unet3d.configs import PostProcessing
from napari_unet3d.session.comparison import Comparison, add_slow_metrics, repostprocess
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.predict.show import update_comparison
from napari_unet3d.widgets.viewer.layer_metadata import companion_of
from napari_unet3d.widgets.viewer.layers import Reference


@dataclass(frozen=True, slots=True)
class VisiblePrediction:
    """What is in view: a comparison, the image or voxel size of its position, its layers, and where it comes from."""

    comparison: Comparison
    position: Reference
    truth: Labels | None
    labels: Labels
    origin: VolumeOrigin

    @property
    def name(self) -> str:
        """The name of the volume."""
        return self.comparison.prediction.name


class LivePrediction(QObject):
    """Holds the prediction in view, and computes its labels again whenever the settings change.

    Labels, difference and fast metrics are computed in one job, the slow metrics in another one when no newer settings
    wait. Both run in the background.

    Parameters
    ----------
    parent : QObject
        The widget that it belongs to.
    context : Context
        Viewer, jobs and message line.

    Attributes
    ----------
    changed : Signal(Comparison or None)
        Emitted with the comparison in view whenever its labels or scores change, and with None when it is forgotten.
    relabelled : Signal()
        Emitted after the labels were computed again.
    shown : VisiblePrediction or None
        What is in view.
    """

    changed = Signal(object)
    relabelled = Signal()

    def __init__(self, parent: QObject, context: Context) -> None:
        super().__init__(parent)
        self.shown: VisiblePrediction | None = None
        self._viewer = context.viewer
        self._settings = PostProcessing()
        self._labels = context.latest_only(self, "labels")
        self._scores = context.latest_only(self, "measure")
        self._labels.settled.connect(self._on_settled)

    @property
    def is_busy(self) -> bool:
        """Whether labels are being computed."""
        return self._labels.is_busy

    def forget(self) -> None:
        """Forget the prediction; what is still computed for it is not shown."""
        self._cancel()
        self.shown = None
        self.changed.emit(None)

    def show(self, shown: VisiblePrediction, post_processing: PostProcessing) -> None:
        """Follow another prediction, which is in the viewer already.

        Parameters
        ----------
        shown : VisiblePrediction
            The prediction and its layers.
        post_processing : PostProcessing
            The settings that its labels were made with; they are computed again if others are set in the dock.
        """
        self._cancel()
        self.shown = shown
        self.changed.emit(shown.comparison)
        if self._settings != post_processing:
            self._relabel()

    def follow(self, settings: PostProcessing) -> None:
        """Compute the labels again with other settings, now or when a prediction is shown."""
        self._settings = settings
        if self.shown is not None:
            self._relabel()

    def labels_layer(self) -> Labels:
        """Return the layer of the labels in view; it is created again when the user has removed it."""
        assert self.shown is not None
        if self.shown.labels not in self._viewer.layers:
            self._update_layers(self.shown.comparison)
        return self.shown.labels

    def subject(self) -> HandOver:
        """Return what is in view, for another dock; layers that the user has removed are left out."""
        assert self.shown is not None
        labels, layers, shown = self.labels_layer(), self._viewer.layers, self.shown
        image, probability = shown.position, companion_of(labels, "probability")
        truth = shown.truth if shown.truth in layers else None
        return HandOver(
            run=shown.origin.run,
            dataset=shown.origin.dataset,
            prediction=labels,
            truth=truth,
            image=image if isinstance(image, Image) and image in layers else None,
            probability=probability if isinstance(probability, Image) else None,
            comparison=shown.comparison if truth is None and shown.comparison.truth is not None else None,
        )

    def _cancel(self) -> None:
        self._labels.cancel()
        self._scores.cancel()

    def _relabel(self) -> None:
        assert self.shown is not None
        comparison = self.shown.comparison
        work = partial(repostprocess, comparison, self._settings)
        self._labels.request(f"Labels of {self.shown.name}", work, self._on_labels)
        self.changed.emit(comparison)

    def _on_labels(self, comparison: Comparison) -> None:
        assert self.shown is not None  # else it would have been cancelled
        if comparison.prediction is not self.shown.comparison.prediction:  # else only the scores may be new
            self._update_layers(comparison)
            self.changed.emit(comparison)

    def _update_layers(self, comparison: Comparison) -> None:
        assert self.shown is not None
        labels = update_comparison(self._viewer, comparison, self.shown.position, self.shown.labels)
        self.shown = replace(self.shown, comparison=comparison, labels=labels)

    def _on_settled(self) -> None:
        if self.shown is None:
            return
        comparison = self.shown.comparison
        self.changed.emit(comparison)
        self.relabelled.emit()
        if not comparison.is_measured:
            work = partial(add_slow_metrics, comparison)
            self._scores.request(f"Measuring {self.shown.name}", work, partial(self._on_scores, comparison))

    def _on_scores(self, of: Comparison, measured: Comparison) -> None:
        if self.shown is not None and self.shown.comparison is of:  # else the labels have changed meanwhile
            self.shown = replace(self.shown, comparison=measured)
            self.changed.emit(measured)
