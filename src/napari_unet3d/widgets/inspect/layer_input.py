"""Labels to compare, read from layers; of layers of several time points one of these."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from napari.layers import Image, Labels

from napari_unet3d.data.time_points import time_point_name
from napari_unet3d.session.inspection_input import InspectionInput
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.places import TimePoint, array_of, data_on, labels_onto
from napari_unet3d.widgets.viewer.time_layers import layers_at


@dataclass(frozen=True, slots=True, eq=False)
class LayerInput:
    """A prediction, its ground truth and its probability in layers.

    Attributes
    ----------
    prediction, truth : Labels
        The layers.
    probability : Image or None
        The layer of the probability, if there is one.
    origin : VolumeOrigin
        The volume, or the series.
    at : TimePoint or None
        The time point of the prediction to read; None if it has a single one.
    images : sequence of Image
        The layers of the channels of the image, to find out whether the model has seen it; empty if it is not known.
    """

    prediction: Labels
    truth: Labels
    probability: Image | None
    origin: VolumeOrigin
    at: TimePoint | None
    images: Sequence[Image] = ()

    def read(self) -> InspectionInput:
        """Read the layers.

        Raises
        ------
        UserError
            If they are of different volumes, or have other time points.
        """
        prediction, truth, origin = self.prediction, self.truth, self.origin
        if self.at is not None:
            prediction, truth = layers_at(self.at, prediction, truth)
            origin = replace(origin, name=time_point_name(origin.name, self.at.time))
        sample, true = sample_from_layers(prediction), labels_onto(prediction, truth)
        return InspectionInput(
            origin=origin,
            prediction=sample.image,
            truth=true.labels,
            geometry=sample.geometry,
            probability=self._read_probability(sample.image.shape),
            annotated=true.label_mask,
            notices=true.notices,
            image=self._read_image(sample.image.shape),
        )

    def read_time(self, time: int) -> InspectionInput:
        """Read another time point of a series; raises as `read`."""
        assert self.at is not None, "it is a series"
        return replace(self, at=TimePoint(self.at.layer, self.at.axis, time)).read()

    def other_times(self) -> list[int]:
        """Return the other time points of a series; none of a single volume."""
        at = self.at
        return [] if at is None else [time for time in range(np.shape(at.layer.data)[at.axis]) if time != at.time]

    def _read_image(self, shape: tuple[int, ...]) -> Any:
        """Return the image with all its channels; None without one, or if it is of another volume."""
        layers = [layer for layer in self.images if not layer.multiscale and not layer.rgb]
        if self.at is not None and layers:
            _, *layers = layers_at(self.at, self.prediction, *layers)
        arrays = [array_of(layer) for layer in layers]
        fitting = [array for array in arrays if math.prod(array.shape[-3:]) == math.prod(shape)]
        return np.stack(fitting) if len(fitting) > 1 else next(iter(fitting), None)

    def _read_probability(self, shape: tuple[int, ...]) -> Any:
        layer, prediction = self.probability, self.prediction
        if layer is None:
            return None
        if self.at is not None:
            prediction, layer = layers_at(self.at, prediction, layer)
        values = np.asarray(data_on(prediction, layer))
        return values if values.shape == shape and values.dtype.kind == "f" else None
