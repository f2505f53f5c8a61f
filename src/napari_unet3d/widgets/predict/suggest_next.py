"""The button that leads from one uncertain place of a prediction to the next."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtWidgets import QPushButton

from napari_unet3d.evaluation.metrics.uncertainty import UncertainLocation, uncertain_locations
from napari_unet3d.widgets.components.keys import bind_key
from napari_unet3d.widgets.jobs.latest_only import LatestOnly
from napari_unet3d.widgets.viewer.navigation import jump_to, mark_points

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_unet3d.data.sample import VoxelSize
    from napari_unet3d.inference.events import Prediction
    from napari_unet3d.widgets.components.qt_dock import QtDock as Dock
    from napari_unet3d.widgets.predict.live_prediction import LivePrediction

_KEY = "N"
_EXPLANATION = (
    "<qt>Go to the place where the prediction is least sure, then to the next one: labels painted there help most. "
    "Voxels that are annotated already are left out when the model was trained with an ignore label. "
    f"Key: {_KEY}, after a click into the image.</qt>"
)
_NOTHING_YET = (
    "<qt>Tick 'Uncertainty' in the settings and predict: then this leads to the least sure places. "
    f"Key: {_KEY}, after a click into the image.</qt>"
)


class SuggestNextAnnotation(QPushButton):
    """Moves slices and camera to the most uncertain place of the prediction in view, worst first.

    The places are found once for each prediction. After the last one they are looked for again, around what was
    annotated meanwhile.

    Parameters
    ----------
    dock : Dock
        Its viewer, jobs and message line.
    live : LivePrediction
        The prediction in view.
    """

    def __init__(self, dock: Dock, live: LivePrediction) -> None:
        super().__init__("Annotate here next")
        self._dock, self._live = dock, live
        self._search = LatestOnly(self, dock.jobs, "places")
        self._search.failed.connect(self._on_failed)
        self._uncertainty: NDArray[np.float32] | None = None
        self._places: tuple[UncertainLocation, ...] = ()
        self._n_visited = 0
        self.clicked.connect(self.go_on)
        live.changed.connect(self._on_shown)
        bind_key(dock, _KEY, "Go to the next place that the prediction is least sure of", self.go_on)
        self.refresh()

    def refresh(self) -> None:
        """Start again with the prediction in view, if there is one."""
        shown = self._live.shown
        self._uncertainty = None if shown is None else shown.comparison.prediction.uncertainty
        self._places, self._n_visited = (), 0
        self._search.cancel()
        self.setEnabled(self._uncertainty is not None)
        self.setToolTip(_NOTHING_YET if self._uncertainty is None else _EXPLANATION)

    def go_on(self, *_: Any) -> None:
        """Go to the next place that is not annotated yet."""
        if not self.isEnabled():
            return
        annotated = self._annotated()
        while self._n_visited < len(self._places):
            place = self._places[self._n_visited]
            self._n_visited += 1
            if annotated is None or not annotated[place.position_zyx]:
                self._go_to(place)
                return
        self._look_for_places(annotated)

    def _look_for_places(self, annotated: NDArray[np.bool_] | None) -> None:
        assert self._live.shown is not None
        prediction = self._live.shown.comparison.prediction
        self.setEnabled(False)
        self._search.request(
            f"Uncertain places of {prediction.name}", partial(_find_places, prediction, annotated), self._take
        )

    def _take(self, places: tuple[UncertainLocation, ...]) -> None:
        self.setEnabled(True)
        self._places, self._n_visited = places, 0
        if places:
            self.go_on()
        else:
            self._dock.message.show_message("There is no uncertain place that is not annotated.")

    def _go_to(self, place: UncertainLocation) -> None:
        assert self._live.shown is not None
        viewer, prediction = self._dock.viewer, self._live.shown.comparison.prediction
        painted, active = self._annotation(), self._dock.viewer.layers.selection.active
        positions = [each.position_zyx for each in self._places]
        marks = mark_points(
            viewer,
            f"{prediction.name} to annotate",
            positions,
            self._n_visited - 1,
            self._live.shown.place,
            prediction.probability.shape,
        )
        if painted is not None:  # ready for the brush
            painted.visible, active = True, painted
        if active is not None:
            viewer.layers.selection.active = active  # a new layer takes the selection
        jump_to(viewer, marks, place.position_zyx)
        voxel = ", ".join(f"{axis}\u00a0{index}" for axis, index in zip("zyx", place.position_zyx, strict=True))
        self._dock.message.show_message(
            f"Place {self._n_visited} of {len(positions)}, the least sure first: voxel {voxel}; "
            f"mean uncertainty there {place.score:.2f}."
        )

    def _annotation(self) -> Labels | None:
        """Return the layer that the truth is painted in, when it has an ignore label."""
        shown, layers = self._live.shown, list(self._dock.viewer.layers)
        plan = None if shown is None else shown.comparison.prediction.plan
        if shown is None or plan is None or plan.ignore_label is None:
            return None
        prediction = shown.comparison.prediction
        painted = [
            layer
            for layer in layers
            if isinstance(layer, Labels)
            and (layer is shown.truth or layer.name == f"{prediction.name} labels")
            and np.shape(layer.data) == prediction.labels.shape
        ]
        return shown.truth if shown.truth in painted else next(iter(painted), None)

    def _annotated(self) -> NDArray[np.bool_] | None:
        shown, layer = self._live.shown, self._annotation()
        plan = None if shown is None else shown.comparison.prediction.plan
        return None if layer is None or plan is None else np.asarray(layer.data) != plan.ignore_label

    def _on_shown(self) -> None:
        shown = self._live.shown
        if shown is not None and shown.comparison.prediction.uncertainty is not self._uncertainty:
            self.refresh()

    def _on_failed(self, message: str) -> None:
        self.setEnabled(True)
        self._dock.message.show_message(message, "error")


def _find_places(
    prediction: Prediction, annotated: NDArray[np.bool_] | None
) -> Iterator[tuple[UncertainLocation, ...]]:
    assert prediction.uncertainty is not None
    voxel_size_um: VoxelSize = prediction.voxel_size_um
    yield uncertain_locations(prediction.uncertainty, voxel_size_um, annotated=annotated)
