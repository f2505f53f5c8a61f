"""What one dock passes on to another one, so that this works on the same run, dataset or volume."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari.layers import Image, Labels

from napari_unet3d.session.comparison import Comparison


@dataclass(frozen=True, slots=True, eq=False)
class HandOver:
    """What a dock is opened for; what is None stays as the user has left it there.

    Attributes
    ----------
    run : Path or None
        A run folder or model file.
    dataset : Path or None
        A dataset folder.
    prediction, truth : Labels or None
        The layers of predicted labels and of ground truth. They are in the viewer, whatever their names.
    image, probability : Image or None
        The layers that belong to the prediction.
    channels : tuple of Image
        The layers of further channels of the image.
    comparison : Comparison or None
        The comparison of the prediction with its ground truth, where no layer holds that as it was painted.
    """

    run: Path | None = None
    dataset: Path | None = None
    prediction: Labels | None = None
    truth: Labels | None = None
    image: Image | None = None
    probability: Image | None = None
    channels: tuple[Image, ...] = ()
    comparison: Comparison | None = None
