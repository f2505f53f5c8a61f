"""What can be done with the prediction in view: keep it, and go to the places where annotations help most."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from magicgui.widgets import PushButton
from napari.layers import Labels, Layer
from numpy.typing import NDArray

from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.time_points import series_of
from napari_unet3d.evaluation.metrics.uncertainty import UncertainLocation, uncertain_locations
from napari_unet3d.model.plan import Plan
from napari_unet3d.session.annotation_classes import IGNORE_LABEL
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.keys import bind_key
from napari_unet3d.widgets.jobs.latest_only import LatestOnly
from napari_unet3d.widgets.predict.live_prediction import LivePrediction, VisiblePrediction
from napari_unet3d.widgets.viewer.annotation_info import annotation_info
from napari_unet3d.widgets.viewer.annotation_layers import annotations_of
from napari_unet3d.widgets.viewer.layer_metadata import copy_origin, mark_origin
from napari_unet3d.widgets.viewer.layers import find_layer, show_labels
from napari_unet3d.widgets.viewer.navigation import jump_to, mark_points
from napari_unet3d.widgets.viewer.places import TimePoint
from napari_unet3d.widgets.viewer.series_layers import copy_series, find_series
from napari_unet3d.widgets.viewer.time_layers import layers_at
from napari_unet3d.widgets.viewer.view_state import select

_GENERAL_NAMES = ("model", "last", "best")  # of files; the name of their run folder says more
_KEY = "N"
_KEY_HINT = f"Key: {_KEY}, after a click into the image.</qt>"
_TOOLTIP = (
    "<qt>Go to the most uncertain place of the prediction, then to the next one: labels painted there help most. "
    f"Annotated voxels are skipped when the model was trained with an ignore label. {_KEY_HINT}"
)
_TOOLTIP_WITHOUT = (
    f"<qt>Check 'Uncertainty' in the settings and predict; then go to the most uncertain places. {_KEY_HINT}"
)


class KeepPrediction(PushButton):
    """Copies the predicted labels in view to a layer ``NAME – MODEL``, which no later prediction changes.

    Parameters
    ----------
    live : LivePrediction
        The prediction in view.
    context : Context
        Viewer and message line.
    """

    def __init__(self, live: LivePrediction, context: Context) -> None:
        super().__init__(
            text="Keep this prediction",
            tooltip="<qt>Keep a copy of the predicted labels as a layer of its own, named after the model. Then "
            "predict with another model, and compare the two in the dock Inspect.</qt>",
        )
        self._live, self._context = live, context
        self.clicked.connect(self.keep)
        live.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the button while there is a prediction to keep."""
        self.visible = self._live.shown is not None

    def keep(self) -> None:
        """Copy the predicted labels in view to a layer of its own."""
        if self._live.shown is None:
            return
        viewer, name, origin = self._context.viewer, self._live.shown.name, self._live.shown.origin
        position = self._live.shown.position
        is_series = isinstance(position, TimePoint)
        name = series_of(name) if is_series else name
        layer: Labels | None = (find_series if is_series else find_layer)(viewer, f"{name} prediction", Labels)
        if layer is None:  # the user has removed it
            self._context.message.show_error(f"The layer '{name} prediction' was removed; predict again.")
            return
        selected, names = set(viewer.layers.selection), {layer.name for layer in viewer.layers}
        new_name = _unique_name(f"{name} – {_model_name(origin.run)}", names)
        if is_series:
            kept = copy_series(viewer, new_name, layer)
        else:
            kept = show_labels(viewer, new_name, np.array(layer.data), layer, opacity=layer.opacity, visible=False)
        kept.features = layer.features
        mark_origin([kept], origin)  # unless the layer knows more
        copy_origin(layer, kept)
        select(viewer, selected)
        self._context.message.show_message(
            f"The prediction is kept as '{new_name}'; compare it with another in Inspect."
        )


def _model_name(model: Path | None) -> str:
    if model is None:
        return "kept"
    return model.parent.name if os.path.isfile(model) and model.stem in _GENERAL_NAMES else model.stem


def _unique_name(name: str, taken: set[str]) -> str:
    number, unique = 2, name
    while unique in taken:
        unique, number = f"{name} ({number})", number + 1
    return unique


class SuggestNextAnnotation(PushButton):
    """Moves slices and camera to the most uncertain places of the prediction in view, the most uncertain first.

    The places are found once for each prediction. After the last one they are searched again, without what was
    annotated meanwhile.

    Parameters
    ----------
    live : LivePrediction
        The prediction in view.
    context : Context
        Viewer, jobs and message line.
    """

    def __init__(self, live: LivePrediction, context: Context) -> None:
        super().__init__(text="Suggest where to annotate")
        self._live, self._context = live, context
        self._search = LatestOnly(self.native, context.jobs, "places")
        self._search.failed.connect(self._on_failed)
        self._uncertainty: NDArray[np.float32] | None = None
        self._places: tuple[UncertainLocation, ...] = ()
        self._n_visited = 0
        self.clicked.connect(self.go_to_next)
        live.changed.connect(self._on_changed)
        bind_key(context, _KEY, "Go to the next most uncertain place of the prediction", self.go_to_next)
        self.refresh()

    def refresh(self) -> None:
        """Start again with the prediction in view, if there is one."""
        shown = self._live.shown
        self._uncertainty = None if shown is None else shown.comparison.prediction.uncertainty
        self._places, self._n_visited = (), 0
        self._search.cancel()
        self._is_shown = shown is not None
        self.visible, self.enabled = self._is_shown, self._uncertainty is not None
        self.tooltip = _TOOLTIP_WITHOUT if self._uncertainty is None else _TOOLTIP

    def go_to_next(self) -> None:
        """Go to the next place that is not annotated yet."""
        if self._uncertainty is None or self._search.is_busy:
            return
        annotated = self._annotated()
        while self._n_visited < len(self._places):
            place = self._places[self._n_visited]
            self._n_visited += 1
            if annotated is None or not annotated[place.position_zyx]:
                self._go_to(place)
                return
        self._find_places(annotated)

    def _find_places(self, annotated: NDArray[np.bool_] | None) -> None:
        assert self._live.shown is not None
        assert self._uncertainty is not None
        self.enabled = False
        voxel_size_um = self._live.shown.comparison.prediction.spacing
        search = partial(_search, self._uncertainty, voxel_size_um, annotated)
        self._search.request(f"Uncertain places of {self._live.shown.name}", search, self._on_found)

    def _on_found(self, places: tuple[UncertainLocation, ...]) -> None:
        self.enabled = True
        self._places, self._n_visited = places, min(1, len(places))
        if places:
            self._go_to(places[0])
        else:
            self._context.message.show_message("There is no uncertain place that is not annotated.")

    def _go_to(self, place: UncertainLocation) -> None:
        shown, viewer = self._live.shown, self._context.viewer
        assert shown is not None
        painted, active = self._painted_layer(), viewer.layers.selection.active
        positions = [each.position_zyx for each in self._places]
        shape = shown.comparison.prediction.probability.shape
        name = f"{shown.name} to annotate"
        marks = mark_points(viewer, name, positions, self._n_visited - 1, shown.position, shape)
        if painted is not None:  # ready to paint
            painted.visible, active = True, painted
        if active is not None:
            viewer.layers.selection.active = active  # a new layer takes the selection
        jump_to(viewer, marks, place.position_zyx)
        voxel = ", ".join(f"{axis}\u00a0{index}" for axis, index in zip("zyx", place.position_zyx, strict=True))
        self._context.message.show_message(
            f"Place {self._n_visited} of {len(positions)}, the most uncertain first: voxel {voxel}; "
            f"mean uncertainty there {place.score:.2f}."
        )

    def _painted_layer(self) -> Labels | None:
        """Return the layer that the ground truth is painted in, when it has an ignore label."""
        shown = self._live.shown
        if shown is None:
            return None
        prediction = shown.comparison.prediction
        images = [shown.position] if isinstance(shown.position, Layer) else []
        for layer in annotations_of(self._context.viewer, images):
            if np.shape(layer.data) == prediction.labels.shape:
                return layer
        if _ignore_label(prediction.plan) is None:
            return None
        painted = [
            layer
            for layer in self._context.viewer.layers
            if isinstance(layer, Labels)
            and (layer is shown.truth or layer.name == f"{_volume_of(shown)} labels")
            and np.shape(layer.data)[-3:] == prediction.labels.shape
        ]
        return shown.truth if shown.truth in painted else next(iter(painted), None)

    def _annotated(self) -> NDArray[np.bool_] | None:
        shown, layer = self._live.shown, self._painted_layer()
        if shown is None or layer is None:
            return None
        at, painted = shown.position, layer
        if isinstance(at, TimePoint):
            (painted,) = layers_at(at, layer)
        ignored = IGNORE_LABEL if annotation_info(layer) else _ignore_label(shown.comparison.prediction.plan)
        annotated: NDArray[np.bool_] = np.asarray(painted.data) != ignored
        return annotated

    def _on_changed(self) -> None:
        shown = self._live.shown  # new labels of the same prediction leave the places as they are
        if shown is None or not self._is_shown or shown.comparison.prediction.uncertainty is not self._uncertainty:
            self.refresh()

    def _on_failed(self, message: str) -> None:
        self.enabled = True
        self._context.message.show_error(message)


def _volume_of(shown: VisiblePrediction) -> str:
    """Return the name of the volume, or of the series, that is shown."""
    return series_of(shown.name) if isinstance(shown.position, TimePoint) else shown.name


def _ignore_label(plan: Plan | None) -> int | None:
    return None if plan is None else plan.ignore_label


def _search(
    uncertainty: NDArray[np.float32], voxel_size_um: VoxelSize, annotated: NDArray[np.bool_] | None
) -> Iterator[tuple[UncertainLocation, ...]]:
    yield uncertain_locations(uncertainty, voxel_size_um, annotated=annotated)
