"""Sees in layers and jobs of the viewer, not in clicks, which of the first steps were done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from napari.layers import Image, Labels
from qtpy.QtCore import QObject

from napari_unet3d.session.tour import Tour, TourStep
from napari_unet3d.session.training_run import TrainingRun
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dock_window import plugin_dock
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.viewer.annotation_info import annotation_info
from napari_unet3d.widgets.viewer.connections import connect_while_alive
from napari_unet3d.widgets.viewer.layer_metadata import is_helper, is_ours

_PLUGIN = "napari-unet3d"
_STEPS_OF_JOBS = {"predict": TourStep.PREDICT, "inspect": TourStep.INSPECT}


class TourObserver(QObject):
    """Records the steps of a tour as they are done, whichever way.

    Parameters
    ----------
    parent : QObject
        It observes as long as this exists.
    tour : Tour
        Where steps are recorded.
    context : Context
        Viewer and jobs.
    """

    def __init__(self, parent: QObject, tour: Tour, context: Context) -> None:
        super().__init__(parent)
        self._tour, self._context = tour, context
        self._corrected: Any = None  # the signal of the inspection that is followed
        connect_while_alive(parent, context.viewer.layers.events.inserted, self._on_inserted)
        parent.destroyed.connect(self._disconnect)
        context.jobs.started.connect(self._follow)
        for kind in ("train", *_STEPS_OF_JOBS):
            if (job := context.jobs.latest(kind)) is not None:
                self._follow(job)
        self._on_inserted()

    def follow_corrections(self) -> None:
        """Follow the corrections of the dock Inspect, if it is open."""
        dock = plugin_dock(self._context.viewer, "Inspect")
        corrected = None if dock is None else dock.session.events.corrected
        if corrected is not self._corrected:
            self._disconnect()
            self._corrected = corrected
            if corrected is not None:
                corrected.connect(self._on_corrected)
        if dock is not None and dock.session.corrections is not None and dock.session.corrections.done:
            self._on_corrected()

    def trained_run(self) -> TrainingRun | None:
        """Return the latest training of this viewer, if it has a model."""
        job = self._context.jobs.latest("train")
        runs = [] if job is None else [event for event in job.replayed if isinstance(event, TrainingRun)]
        return next((run for run in runs if run.has_model), None)

    def _on_inserted(self, *_: Any) -> None:
        self._tour.record(*self._steps_of_layers())
        self.follow_corrections()

    def _steps_of_layers(self) -> Iterator[TourStep]:
        for layer in self._context.viewer.layers:
            if is_sample(layer):
                yield TourStep.SAMPLE
            elif is_own_volume(layer):
                yield TourStep.OWN_DATA
            elif isinstance(layer, Labels) and (info := annotation_info(layer)) is not None:
                image = info.image()
                if image is not None and is_own_volume(image):
                    yield TourStep.ANNOTATE

    def _follow(self, job: Job) -> None:
        if job.is_running:
            job.ended.connect(lambda: self._on_ended(job))
        else:
            self._on_ended(job)

    def _on_ended(self, job: Job) -> None:
        if job.kind == "train" and self.trained_run() is not None:
            self._tour.record(TourStep.TRAIN)
        elif job.kind in _STEPS_OF_JOBS and job.message is None and not job.stopped:
            self._tour.record(_STEPS_OF_JOBS[job.kind])

    def _on_corrected(self, *_: Any) -> None:
        self._tour.record(TourStep.CORRECT)

    def _disconnect(self, *_: Any) -> None:
        if self._corrected is not None:
            self._corrected.disconnect(self._on_corrected)
            self._corrected = None


def is_sample(layer: Any) -> bool:
    """Return whether a layer is from a sample of this plugin."""
    return bool(layer.source.sample) and layer.source.sample[0] == _PLUGIN


def is_own_volume(layer: Any) -> bool:
    """Return whether a layer is an image with three axes or more that is neither a sample nor made by the plugin."""
    is_volume = isinstance(layer, Image) and layer.ndim >= 3 and not layer.rgb
    return is_volume and not (layer.source.sample or is_ours(layer) or is_helper(layer))
