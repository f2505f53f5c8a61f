"""How well a prediction and the truth overlap, counted in voxels; foreground is every label above 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.errors import UserError


@dataclass(frozen=True, slots=True)
class Scores:
    """Agreement of prediction and truth for one volume, each from 0 (none) to 1 (perfect).

    Attributes
    ----------
    name : str
        Name of the volume, or ``"mean"``.
    dice : float
        Twice the shared foreground divided by the sum of both foregrounds.
    iou : float
        Shared foreground divided by the foreground of either (intersection over union, Jaccard index).
    precision : float
        Part of the predicted foreground that is right.
    recall : float
        Part of the true foreground that was found.
    """

    name: str
    dice: float
    iou: float
    precision: float
    recall: float

    def as_dict(self) -> dict[str, str | float]:
        """Give name and numbers as they stand in `metrics.json`."""
        return {"name": self.name, **self.numbers()}

    def numbers(self) -> dict[str, float]:
        """Give the four numbers by their names."""
        return {"dice": self.dice, "iou": self.iou, "precision": self.precision, "recall": self.recall}


def score(prediction: NDArray[Any], truth: NDArray[Any], name: str) -> Scores:
    """Compare the foreground of a prediction with that of the truth.

    With TP shared, FP extra and FN missed voxels: Dice = 2 TP / (2 TP + FP + FN), IoU = TP / (TP + FP + FN),
    precision = TP / (TP + FP), recall = TP / (TP + FN). When both are empty they agree, and all four are 1.
    When only one of them is empty all four are 0, also the one whose denominator is 0: a volume that is
    wrong throughout shall not raise a mean.

    Parameters
    ----------
    prediction, truth : ndarray of integers or bool, shape (z, y, x)
        Labels; everything above 0 is foreground.
    name : str
        Name of the volume.

    Raises
    ------
    UserError
        When the shapes differ.
    """
    check_same_shape(prediction, truth, name)
    n_shared = n_predicted = n_true = 0
    for found, wanted in zip(prediction, truth, strict=True):  # plane by plane: no masks of the whole volume
        n_shared += int(np.count_nonzero((found > 0) & (wanted > 0)))
        n_predicted += int(np.count_nonzero(found > 0))
        n_true += int(np.count_nonzero(wanted > 0))
    if n_predicted == n_true == 0:
        return Scores(name, dice=1.0, iou=1.0, precision=1.0, recall=1.0)
    return Scores(
        name,
        dice=2 * n_shared / (n_predicted + n_true),
        iou=n_shared / (n_predicted + n_true - n_shared),
        precision=n_shared / n_predicted if n_predicted else 0.0,
        recall=n_shared / n_true if n_true else 0.0,
    )


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """Average each number over the volumes, every volume with the same weight; there must be one at least."""
    return Scores(
        "mean",
        dice=fmean(score.dice for score in scores),
        iou=fmean(score.iou for score in scores),
        precision=fmean(score.precision for score in scores),
        recall=fmean(score.recall for score in scores),
    )


def check_same_shape(prediction: NDArray[Any], truth: NDArray[Any], name: str) -> None:
    """Raise a `UserError` with both shapes when they differ."""
    if prediction.shape != truth.shape:
        raise UserError(
            f"The prediction of '{name}' has shape {prediction.shape}, its truth {truth.shape}; "
            "compare labels of the same volume."
        )
