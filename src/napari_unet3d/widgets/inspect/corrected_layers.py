"""The layers in which corrections are seen: the corrected labels, and the difference, from which errors vanish."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.boxes import MaskedBox
from napari_unet3d.data.corrections import Correction
from napari_unet3d.evaluation.colours import CORRECTED_COLOUR
from napari_unet3d.evaluation.errors.types import ErrorSet
from napari_unet3d.session.correction import CorrectionTarget
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.inspect.volume_layers import InspectionLayers
from napari_unet3d.widgets.viewer.label_colours import other_colours
from napari_unet3d.widgets.viewer.layers import find_layer, show_labels, show_on_top
from napari_unet3d.widgets.viewer.view_state import kept_selection

_OPACITY = 0.6
_LARGEST_BRUSH = 20


def corrected_layer_name(name: str) -> str:
    """Return the name of the layer with the corrected labels of a volume."""
    return f"{name} corrected"


class CorrectedLayers:
    """Shows the corrections of an inspection, and lets the user paint.

    Parameters
    ----------
    session : InspectionSession
        Whose corrections are shown.
    context : Context
        The viewer.
    layers : InspectionLayers
        The layers of prediction and difference.
    """

    def __init__(self, session: InspectionSession, context: Context, layers: InspectionLayers) -> None:
        self._session, self._viewer, self._layers = session, context.viewer, layers
        self._original: NDArray[Any] | None = None  # the data of the difference, without corrections
        self._n_displayed = 3
        session.events.errors.connect(self._on_errors)
        session.events.corrected.connect(self._on_corrected)
        session.events.painting.connect(self._on_painting)

    def show(self) -> Labels:
        """Show the corrected labels in the layer ``NAME corrected``, which shares its memory with the session."""
        session, predicted = self._session, self._layers.prediction
        assert session.corrections is not None
        name, labels = corrected_layer_name(session.origin.name), session.corrections.corrections.labels
        layer: Labels | None = find_layer(self._viewer, name, Labels)
        if layer is not None and layer.data is labels:
            layer.refresh()
            return layer
        with kept_selection(self._viewer):
            task = Task.BINARY if session.prediction is None else session.prediction.task
            looks = {"opacity": _OPACITY, **other_colours(task, CORRECTED_COLOUR)}
            layer = show_labels(self._viewer, name, labels, self._layers.reference, **looks)
        if predicted is not None:
            predicted.visible = False  # it would be seen where something is erased
        self._move_below_difference(layer)
        return layer

    def _on_errors(self, _errors: ErrorSet) -> None:
        difference, corrections = self._layers.difference, self._session.corrections
        self._original = None if difference is None else difference.data
        for correction in [] if corrections is None else corrections.done:
            self._show_correction(correction)

    def _on_corrected(self, correction: Correction) -> None:
        self._layers.remove_outline()
        self._show_correction(correction)

    def _show_correction(self, correction: Correction) -> None:
        """Show the corrected labels and, in the layer of the difference, what is left of the errors there."""
        layer, original, corrections = self._layers.difference, self._original, self._session.corrections
        if corrections is not None and layer is not None and original is not None and layer in self._viewer.layers:
            if layer.data is original:  # the session has it, too
                layer.data = original.copy()
            left = original[correction.box].copy()
            left[corrections.corrections.annotated_mask(correction.box)] = 0
            layer.data[correction.box] = left
            layer.refresh()
        self._show_instead_of_plain_labels(self.show())

    def _on_painting(self, target: CorrectionTarget | None) -> None:
        if target is None:
            self._end_painting()
        else:
            self._begin_painting(target)

    def _begin_painting(self, target: CorrectionTarget) -> None:
        """Set up painting of the label that is likely right, or erasing, in slices with a suitable brush."""
        assert self._session.corrections is not None
        self._layers.remove_outline()
        layer, label = self.show(), self._session.corrections.label_to_paint(target)
        self._show_instead_of_plain_labels(layer)
        show_on_top(self._viewer, layer)  # so that nothing covers what is painted
        self._n_displayed = self._viewer.dims.ndisplay
        self._viewer.dims.ndisplay = 2
        self._viewer.layers.selection.active = layer
        layer.selected_label = label
        layer.brush_size = brush_size(target.region)
        layer.mode = "paint" if label else "erase"

    def _end_painting(self) -> None:
        layer = self.show()
        layer.mode = "pan_zoom"
        self._move_below_difference(layer)
        self._viewer.dims.ndisplay = self._n_displayed

    def _show_instead_of_plain_labels(self, layer: Labels) -> None:
        """Show the corrected labels instead of ground truth and prediction, whose colours would mix with them."""
        plain = [each for each in (self._layers.truth, self._layers.prediction) if each is not None and each.visible]
        for each in plain:
            each.visible = False
        if plain:
            layer.visible = True

    def _move_below_difference(self, layer: Labels) -> None:
        layers, difference = self._viewer.layers, self._layers.difference
        if difference in layers and layers.index(layer) > layers.index(difference):
            layers.move(layers.index(layer), layers.index(difference))


def brush_size(region: MaskedBox) -> int:
    """Return the diameter in voxels of a brush that suits a region."""
    sides = sorted(side.stop - side.start for side in region.box)
    return int(np.clip(sides[1] // 2, 1, _LARGEST_BRUSH))
