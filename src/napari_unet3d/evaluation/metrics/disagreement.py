"""Where two predictions of the same volume disagree and, if ground truth is available, which of them is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.label_values import check_same_shape
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.differences import EXTRA, MISSED, WRONG_CLASS, difference_labels
from napari_unet3d.evaluation.metrics.score import MetricOptions, score

FIRST = EXTRA
"""Label of voxels where only the first prediction is foreground or, with ground truth, only the first is right."""
SECOND = MISSED
"""Label of voxels where only the second prediction is foreground or, with ground truth, only the second is right."""
BOTH = WRONG_CLASS
"""Label of voxels where both are foreground of different classes or, with ground truth, both are wrong differently."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """How two predictions of one volume differ.

    Attributes
    ----------
    labels : ndarray of uint8, shape (z, y, x)
        `FIRST`, `SECOND` or `BOTH` where they differ; 0 where they agree and where nothing is annotated.
    n_compared : int
        Voxels that were compared: all, or only the annotated ones.
    n_first, n_second, n_both : int
        Voxels of each kind.
    dice : float
        Dice between the two, 0 to 1; of classes the mean over those that either of them has.
    first_dice, second_dice : float or None
        Dice of each with the ground truth, 0 to 1; None without ground truth.
    """

    labels: NDArray[np.uint8]
    n_compared: int
    n_first: int
    n_second: int
    n_both: int
    dice: float
    first_dice: float | None = None
    second_dice: float | None = None

    @property
    def fraction(self) -> float:
        """Fraction of the compared voxels on which they differ, 0 to 1."""
        return (self.n_first + self.n_second + self.n_both) / max(1, self.n_compared)


def compare_predictions(
    first: NDArray[Any], second: NDArray[Any], task: Task = Task.BINARY, truth: GroundTruth | None = None
) -> Disagreement:
    """Return where and how much two predictions disagree.

    Parameters
    ----------
    first, second : ndarray of integers or bool, shape (z, y, x)
        Labels of the same volume; everything above 0 is foreground.
    task : Task
        Of classes the values are compared; ids of instances are not.
    truth : GroundTruth, optional
        With it, the labels show which of the two is right, and only annotated voxels count.

    Raises
    ------
    UserError
        When the shapes differ.
    """
    if first.shape != second.shape:
        raise UserError(
            f"The two predictions have shapes {first.shape} and {second.shape}; choose two of the same volume."
        )
    if truth is not None:
        check_same_shape(first, truth.labels, "the two predictions")
    if truth is None:
        labels = difference_labels(first, GroundTruth(second), task)
    else:
        labels = _right_ones(first, second, task, truth)
    annotated = None if truth is None else truth.label_mask
    n_first, n_second, n_both = (int(np.count_nonzero(labels == kind)) for kind in (FIRST, SECOND, BOTH))
    options = MetricOptions(task, fast=True)
    return Disagreement(
        labels,
        labels.size if annotated is None else int(np.count_nonzero(annotated)),
        n_first,
        n_second,
        n_both,
        dice=score(first, GroundTruth(second, annotated), "", options=options).dice,
        first_dice=None if truth is None else score(first, truth, "", options=options).dice,
        second_dice=None if truth is None else score(second, truth, "", options=options).dice,
    )


def _right_ones(first: NDArray[Any], second: NDArray[Any], task: Task, truth: GroundTruth) -> NDArray[np.uint8]:
    one, other, target = (labels if task is Task.SEMANTIC else labels > 0 for labels in (first, second, truth.labels))
    differ = one != other
    if truth.label_mask is not None:
        differ &= truth.label_mask
    labels = np.zeros(first.shape, np.uint8)
    labels[differ] = BOTH
    labels[differ & (one == target)] = FIRST
    labels[differ & (other == target)] = SECOND
    return labels
