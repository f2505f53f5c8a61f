"""The layers in which corrections are seen: the corrected state, and the difference, from which errors vanish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels

from napari_unet3d.widgets.viewer.layers import find_layer, hide_own_layers, show_labels, show_on_top
from napari_unet3d.widgets.viewer.view_state import kept_selection

if TYPE_CHECKING:
    from napari_unet3d.data.corrections import Correction, Corrections
    from napari_unet3d.widgets.inspect.inspection import VolumeLayers

_OPACITY = 0.6


def corrected_layer_name(shown: VolumeLayers) -> str:
    """Return the name of the layer with the corrected state."""
    return f"{shown.origin.name} corrected"


class CorrectedLayers:
    """Shows one prediction while it is corrected.

    Parameters
    ----------
    viewer : napari.Viewer
        Where it is shown.
    shown : Shown
        The layers of the prediction, which is hidden while its corrected state is shown.
    corrections : Corrections
        What is corrected.
    """

    def __init__(self, viewer: Any, shown: VolumeLayers, corrections: Corrections) -> None:
        self._viewer, self._corrections = viewer, corrections
        self._n_displayed = 3
        self.follow(shown, None)

    def follow(self, shown: VolumeLayers, difference: Labels | None) -> None:
        """Take over other layers of the same prediction, and show in the new difference what is left of the errors."""
        self.shown, self._difference = shown, difference
        self._as_predicted = None if difference is None else difference.data
        for correction in self._corrections.done:
            self.show_left(correction)

    def show(self) -> Labels:
        """Show the corrected state in the Labels layer ``NAME corrected``; it shares its memory with the layer."""
        name, labels = corrected_layer_name(self.shown), self._corrections.labels
        layer = find_layer(self._viewer, name, Labels)
        if layer is not None and layer.data is labels:
            layer.refresh()
            return layer
        with kept_selection(self._viewer):
            layer = show_labels(self._viewer, name, labels, self.shown.place, opacity=_OPACITY)
        if self.shown.prediction is not None:
            self.shown.prediction.visible = False
        self._lower(layer)
        return layer

    def show_left(self, changed: Correction | None) -> Labels:
        """Show the corrected state, and in the layer of the difference what is left of the errors at a correction."""
        layer, original = self._difference, self._as_predicted
        if changed is not None and layer is not None and original is not None and layer in self._viewer.layers:
            if layer.data is original:  # others look at that array, too
                layer.data = original.copy()
            left = original[changed.box].copy()
            left[self._corrections.annotated_mask(changed.box)] = 0
            layer.data[changed.box] = left
            layer.refresh()
        return self.show()

    def begin_painting(self, label: int, brush_size: int) -> None:
        """Let the user paint a label in slices, or erase when it is 0."""
        layer = self.show()
        show_on_top(self._viewer, layer)  # so that nothing covers what is painted
        self._n_displayed = self._viewer.dims.ndisplay
        self._viewer.dims.ndisplay = 2
        self._viewer.layers.selection.active = layer
        layer.selected_label = label
        layer.brush_size = brush_size
        layer.mode = "paint" if label else "erase"

    def end_painting(self, changed: Correction | None) -> None:
        """Show what was painted as it was shown before, in slices or in 3D."""
        layer = self.show_left(changed)
        layer.mode = "pan_zoom"
        self._lower(layer)
        self._viewer.dims.ndisplay = self._n_displayed

    def bring_out(self, prediction: Labels) -> None:
        """Show the image with a new prediction of it, instead of what a training has shown meanwhile."""
        hide_own_layers(self._viewer)
        image = self.shown.image
        if image is not None and image in self._viewer.layers:
            image.visible = True
        show_on_top(self._viewer, prediction)

    def _lower(self, layer: Labels) -> None:
        """Put the corrected state below the difference, which tells what is left to correct."""
        layers = self._viewer.layers
        if self._difference in layers and layers.index(layer) > layers.index(self._difference):
            layers.move(layers.index(layer), layers.index(self._difference))
