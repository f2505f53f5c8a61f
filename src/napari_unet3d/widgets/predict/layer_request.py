"""The prediction of layers: of a volume, of a series of time points, or of a volume that is larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Image, Labels
from qtpy.QtCore import QObject

from napari_unet3d.configs import FourthAxis, PostProcessing
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.session.large_prediction import labels_file, predict_large
from napari_unet3d.session.prediction_job import files_of_layer, predict_sample, predict_series
from napari_unet3d.widgets.predict.filling_layer import ViewFocus
from napari_unet3d.widgets.predict.request import PredictionRequest
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.layer_parts import is_large, open_layers
from napari_unet3d.widgets.viewer.places import source_file
from napari_unet3d.widgets.viewer.time_layers import LayerSeries, series_of_layers

Work = Callable[[], Iterator[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class ChosenLayers:
    """The layers of a volume that is predicted.

    Attributes
    ----------
    viewer : napari.Viewer
        Their viewer.
    image, truth : Image, Labels or None
        The image and its ground truth.
    channels : sequence of Image
        Further channels of the image.
    """

    viewer: Any
    image: Image | None
    truth: Labels | None
    channels: Sequence[Image]

    @property
    def is_large(self) -> bool:
        """Whether the volume is predicted block by block, so that results need a folder."""
        return is_large(self.image)

    def request(
        self,
        widget: QObject,
        model: Path,
        config: Any,
        post_processing: PostProcessing,
        out: Path | None,
        *,
        overwrite: bool,
    ) -> tuple[PredictionRequest, Work]:
        """Return what is predicted, and the function that returns the events of it.

        Parameters
        ----------
        widget : QObject
            Follows the view for the volume that is predicted block by block.
        model, config, post_processing
            As of `PredictionTarget.request`.
        out : Path or None
            The folder for results.
        overwrite : bool
            Whether results that exist may be replaced.

        Raises
        ------
        UserError
            When no layer is chosen, or a layer is no volume.
        """
        image, truth, source = self.image, self.truth, None if self.image is None else source_file(self.image)
        if image is not None and self.is_large:
            if out is None:
                raise UserError(f"'{image.name}' is too large to be only shown. Choose a folder for the results.")
            focus, labels = ViewFocus(widget, self.viewer, image), labels_file(image.name, out)
            has_channels = config.fourth_axis is FourthAxis.CHANNELS
            volume = open_layers(image, self.channels, has_channels=has_channels)
            request = PredictionRequest(model, post_processing, image, truth, out=out)
            return request, partial(predict_large, model, volume, config, labels, focus, overwrite=overwrite)
        series = self._series(config)
        request = PredictionRequest(model, post_processing, image, truth, out=out, series=series)
        if series is not None:
            return request, partial(predict_series, model, series.sample, series.n_times, config, out, source)
        return request, partial(predict_sample, model, self._sample(config), config, out, source)

    def results(self, config: Any, out: Path) -> list[Path]:
        """Return the files that the prediction writes; raises as `request`."""
        if self.image is not None and self.is_large:
            return [labels_file(self.image.name, out)]
        series = self._series(config)
        sample = self._sample(config) if series is None else series.sample(0)
        return list(files_of_layer(sample, out, config).values())

    def _series(self, config: Any) -> LayerSeries | None:
        return series_of_layers(self.image, self.truth, self.channels, config.fourth_axis, self.viewer)

    def _sample(self, config: Any) -> Sample:
        has_channels = config.fourth_axis is FourthAxis.CHANNELS
        return sample_from_layers(self.image, self.truth, self.channels, has_channels=has_channels)
