"""The layers of an inspected volume: image, ground truth, prediction, difference, and the outline of an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_unet3d.data.geometry import UNKNOWN
from napari_unet3d.data.time_points import series_of
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.colours import NEW_PREDICTION_COLOUR
from napari_unet3d.evaluation.errors.types import ErrorSet, SegmentationError
from napari_unet3d.session.comparison import Comparison
from napari_unet3d.session.correction import CorrectionSession
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.inspection_input import labels_as_prediction
from napari_unet3d.session.models_compared import ModelsCompared
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.inspect.error_outline import error_layer_name, fit_outline, outline_error
from napari_unet3d.widgets.viewer.channel_layers import image_of_layers
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.label_colours import other_colours
from napari_unet3d.widgets.viewer.layer_metadata import is_ours, mark_companions, mark_origin
from napari_unet3d.widgets.viewer.layers import (
    Reference,
    hide_own_layers,
    remove_own,
    show_difference,
    show_labels,
    show_on_top,
)
from napari_unet3d.widgets.viewer.navigation import jump_to, zoom_to
from napari_unet3d.widgets.viewer.places import TimePoint, data_on
from napari_unet3d.widgets.viewer.series_layers import find_series, follow_time
from napari_unet3d.widgets.viewer.side_by_side import side_by_side_of
from napari_unet3d.widgets.viewer.time_layers import layers_at
from napari_unet3d.widgets.viewer.view_state import kept_selection


@dataclass(frozen=True, slots=True, eq=False)
class VolumeLayers:
    """The layers that show a prediction and what belongs to it.

    Attributes
    ----------
    origin : VolumeOrigin
        Name of the volume and, as far as they are known, its run, dataset and subset.
    reference : Layer, TimePoint or None
        Where layers that belong to it are placed; None without a prediction.
    image, truth, prediction : layer or None
        The napari layers; None where there is none. They may have been removed from the viewer since.
    further_channels : tuple of Image
        The layers of other channels of the image.
    """

    origin: VolumeOrigin
    reference: Layer | TimePoint | None
    image: Image | None
    truth: Labels | None
    prediction: Labels | None
    further_channels: tuple[Image, ...] = ()

    def image_data(self) -> Any:
        """Return the image with all its channels and the axes of the prediction; None without one."""
        image, prediction, further = self.image, self.prediction, list(self.further_channels)
        if isinstance(self.reference, TimePoint) and image is not None:
            prediction, image, *further = layers_at(self.reference, prediction, image, *further)
        if further and image is not None:
            return image_of_layers([image, *further])
        return data_on(prediction, image)

    def predicted(self) -> Labels | None:
        """Return the prediction; of a series the time point that is inspected, in a layer of its own."""
        if isinstance(self.reference, TimePoint) and self.prediction is not None:
            one: Labels = layers_at(self.reference, self.prediction)[0]
            return one
        return self.prediction


class InspectionLayers:
    """Shows an inspection in the viewer, and moves the view to the error that is selected.

    Parameters
    ----------
    session : InspectionSession
        What is shown; call `follow` before it shows another prediction.
    context : Context
        The viewer.
    chosen : callable
        Returns the layers that are chosen for the next inspection.

    Attributes
    ----------
    chosen : callable
        As passed.
    shown : VolumeLayers or None
        The layers of the prediction that is inspected.
    difference : Labels or None
        The layer that shows where it is wrong; it may have been removed from the viewer since.
    zooms : bool
        Whether to zoom to an error that is selected.
    """

    def __init__(self, session: InspectionSession, context: Context, chosen: Callable[[], VolumeLayers]) -> None:
        self.chosen = chosen
        self.shown: VolumeLayers | None = None
        self.difference: Labels | None = None
        self.zooms = True
        self._session, self._viewer = session, context.viewer
        self._reference: Reference = UNKNOWN
        self._outlined = ""  # name of the volume of which an error is outlined
        self._comparison: Comparison | None = None
        self._is_new = True
        self._layers_of: WeakKeyDictionary[CorrectionSession, VolumeLayers] = WeakKeyDictionary()
        session.events.comparison.connect(self._on_comparison)
        session.events.errors.connect(self._show_errors)
        session.events.corrections.connect(self._remember)
        session.events.selection.connect(self._go_to)

    @property
    def image(self) -> Image | None:
        """The layer of the image."""
        return None if self.shown is None else self.shown.image

    @property
    def truth(self) -> Labels | None:
        """The layer of the ground truth."""
        return None if self.shown is None else self.shown.truth

    @property
    def prediction(self) -> Labels | None:
        """The layer of the prediction."""
        return None if self.shown is None else self.shown.prediction

    @property
    def time_point(self) -> TimePoint | None:
        """The time point that is inspected; None for a single volume."""
        reference = None if self.shown is None else self.shown.reference
        return reference if isinstance(reference, TimePoint) else None

    @property
    def reference(self) -> Reference:
        """Where layers that belong to the prediction are placed."""
        return self._reference

    def present(self) -> dict[str, Labels]:
        """Return the layers of ground truth, prediction and difference that are in the viewer."""
        layers = {"truth": self.truth, "prediction": self.prediction, "difference": self.difference}
        return {name: layer for name, layer in layers.items() if layer is not None and layer in self._viewer.layers}

    def follow(self, layers: VolumeLayers) -> None:
        """Take the layers of the prediction that the session is going to show next."""
        self.shown = layers

    def open_chosen(self) -> None:
        """Open the prediction that is chosen in the session, to correct it without ground truth.

        Raises
        ------
        UserError
            When no prediction is chosen.
        """
        layers = self.chosen()
        predicted = layers.predicted()
        if predicted is None or layers.reference is None:
            raise UserError("No prediction is chosen; predict a volume, or choose the layer of predicted labels.")
        sample = sample_from_layers(predicted)
        self.follow(layers)
        self.difference, self._reference = None, layers.reference
        prediction = labels_as_prediction(sample.image, layers.origin, sample.geometry)
        self._session.open(prediction, layers.origin, layers.image_data())

    def show_new_prediction(self, compared: ModelsCompared) -> Labels:
        """Show the prediction of a fine-tuned model with its image; return its layer."""
        assert compared.corrections is not None
        shown = self._layers_of[compared.corrections]
        assert shown.reference is not None
        origin = replace(compared.corrections.origin, plan=compared.prediction.plan, run=compared.run)
        side_by_side_of(self._viewer).stop()  # its end would bring back what it had hidden
        with kept_selection(self._viewer):
            name = f"{origin.name} new prediction"
            looks = {"opacity": 0.5, **other_colours(compared.prediction.task, NEW_PREDICTION_COLOUR)}
            layer = show_labels(self._viewer, name, compared.prediction.labels, shown.reference, **looks)
            hide_own_layers(self._viewer)  # such as those that the training has shown meanwhile
            if shown.image is not None and shown.image in self._viewer.layers:
                shown.image.visible = True
            show_on_top(self._viewer, layer)
        mark_origin([layer], origin)
        mark_companions(layer, image=shown.image, truth=shown.truth)
        return layer

    def remove_outline(self) -> None:
        """Remove the outline of an error, which would hide what is corrected there."""
        remove_own(self._viewer, error_layer_name(self._outlined))

    def fit_outline(self, *_: object) -> None:
        """Draw the outline of an error as it suits slices or 3D, whichever is in view."""
        fit_outline(self._viewer, self._outlined)

    def _on_comparison(self, comparison: Comparison) -> None:
        old, self._comparison = self._comparison, comparison
        self._is_new |= old is None or old.prediction is not comparison.prediction or old.truth is not comparison.truth

    def _show_errors(self, errors: ErrorSet | None) -> None:
        """Show where the prediction is wrong: instead of prediction and ground truth, when it was not shown before."""
        if errors is None:
            self.remove_outline()
            return
        session, shown = self._session, self.shown
        assert shown is not None
        assert session.prediction is not None
        assert session.difference is not None
        self.remove_outline()
        if self._is_new:
            side_by_side_of(self._viewer).stop()  # its end would bring back the layers before
            self._hide_older()
        self._outlined, name = session.origin.name, f"{session.origin.name} difference"
        placed = shown.reference.layer if isinstance(shown.reference, TimePoint) else shown.reference
        is_there = placed is not None and placed in self._viewer.layers
        self._reference = shown.reference if is_there and shown.reference else session.prediction.geometry
        self.difference = show_difference(self._viewer, name, session.difference, self._reference)
        mark_origin([self.difference], session.origin)
        if self._is_new:
            hidden = [layer for layer in (shown.prediction, shown.truth) if layer is not None]
            if self.time_point is not None:  # the difference of the whole series is under it
                whole = find_series(self._viewer, f"{series_of(session.origin.name)} difference", Labels)
                hidden += [] if whole is None else [whole]
            show_on_top(self._viewer, self.difference, instead_of=hidden)
        self._is_new = False
        if session.corrections is not None:
            self._remember(session.corrections)

    def _hide_older(self) -> None:
        """Hide what the plugin has shown of the volume for earlier predictions, which would lie over the new ones."""
        name, shown = self._session.origin.name, self.shown
        assert shown is not None
        kept = {shown.image, shown.truth, shown.prediction, *shown.further_channels}
        for layer in self._viewer.layers:
            is_of_volume = isinstance(layer, Labels) and is_ours(layer) and layer.name.startswith(f"{name} ")
            if is_of_volume and layer not in kept:
                layer.visible = False

    def _remember(self, corrections: CorrectionSession) -> None:
        if self.shown is not None:
            self._layers_of[corrections] = self.shown

    def _go_to(self, error: SegmentationError | None) -> None:
        """Outline an error and move slices and camera to it; the angle of the camera and the selected layers stay."""
        errors = self._session.errors
        if error is None or errors is None:
            return
        with kept_selection(self._viewer):
            layer = outline_error(self._viewer, self._outlined, errors, error, self._reference)
        start = layer.metadata["start"]
        follow_time(self._viewer)
        jump_to(self._viewer, layer, tuple(np.subtract(error.position_zyx, start).tolist()))
        if self.zooms:
            size = [(end - first) * length for (first, end), length in zip(error.box_zyx, layer.scale, strict=True)]
            zoom_to(self._viewer, size, layer.scale)
