"""What the Predict dock was asked to predict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari.layers import Labels

from napari_unet3d.configs import FourthAxis, PostProcessing
from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.widgets.viewer.layers import Reference
from napari_unet3d.widgets.viewer.time_layers import LayerSeries


class Target(ChoiceEnum):
    """What a model is applied to."""

    LAYER = "layer"
    FILES = "files"
    TEST_SET = "test-set"


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """What is predicted, for the dock that shows the result.

    Attributes
    ----------
    model : Path
        The model or run folder.
    post_processing : PostProcessing
        The settings that labels are made with.
    image, truth : layer or None
        The layers that are predicted and compared with.
    files : tuple of Path
        The files that are predicted.
    out : Path or None
        The folder for results.
    dataset : Path or None
        The dataset whose test set is predicted.
    series : LayerSeries or None
        The time points of the layers, if they have several.
    fourth_axis : FourthAxis
        What the fourth axis of files is.
    """

    model: Path
    post_processing: PostProcessing
    image: Reference | None = None
    truth: Labels | None = None
    files: tuple[Path, ...] = ()
    out: Path | None = None
    dataset: Path | None = None
    series: LayerSeries | None = None
    fourth_axis: FourthAxis = FourthAxis.AUTO
