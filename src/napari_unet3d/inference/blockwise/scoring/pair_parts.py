"""Prediction and ground truth of a volume, read box by box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.boxes import Box
from napari_unet3d.data.ground_truth import GroundTruth, decode_labels
from napari_unet3d.data.label_values import round_labels
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.errors import UserError

Reader = Callable[[Box], NDArray[Any]]
Ids = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class PairParts:
    """Prediction and ground truth, of which boxes are read.

    Attributes
    ----------
    name : str
        Name of the volume, for messages.
    shape : tuple of int
        Its shape (z, y, x).
    prediction, labels : callable
        Return a box (z, y, x) of the predicted and of the annotated labels.
    mask : callable or None
        Returns a box of the mask, which is 0 where nothing is annotated.
    task, ignore_label : Task, int or None
        As for `decode_labels`.
    left_out : tuple of ndarray, or None
        Ids of predicted and of true instances that do not count; see `border.without_border`.
    numbered : tuple of ndarray, or None
        All predicted and all true ids, ascending; the boxes have the places of ids in them instead of large ids.
    """

    name: str
    shape: Shape3D
    prediction: Reader
    labels: Reader
    mask: Reader | None = None
    task: Task = Task.BINARY
    ignore_label: int | None = None
    left_out: tuple[Ids, Ids] | None = None
    numbered: tuple[Ids, Ids] | None = None

    def read(self, box: Box) -> tuple[NDArray[Any], GroundTruth]:
        """Read a box.

        Parameters
        ----------
        box : tuple of slice
            Along z, y, x, within the volume.

        Returns
        -------
        ndarray of unsigned integers, GroundTruth
            Prediction, which is 0 and 1 for the task binary, and ground truth.

        Raises
        ------
        UserError
            If a value is not a label.
        """
        predicted = _whole_numbers(self.prediction(box), self.name)
        if (lowest := int(predicted.min(initial=0))) < 0:
            raise UserError(
                f"The prediction of '{self.name}' goes down to {lowest}; in predictions 0 is background and labels are "
                "above it. Number them again."
            )
        if self.task is Task.BINARY:
            predicted = (predicted > 0).view(np.uint8)
        elif predicted.dtype.kind == "i":
            predicted = predicted.view(predicted.dtype.str.replace("i", "u"))
        annotated = None if self.mask is None else self.mask(box) > 0
        labels = _whole_numbers(self.labels(box), self.name)
        truth = decode_labels(labels, self.task, self.ignore_label, annotated, name=self.name)
        if self.left_out is not None:
            truth = _without(predicted, truth, *self.left_out)
        if self.numbered is not None:
            predicted, labels = map(np.searchsorted, self.numbered, (predicted, truth.labels))
            truth = GroundTruth(labels.view(np.uint64), truth.label_mask)
        return predicted, truth


def _whole_numbers(values: NDArray[Any], name: str) -> NDArray[Any]:
    if values.dtype.kind == "f":
        return round_labels(name, values)[0].astype(np.int64)
    return values.view(np.uint8) if values.dtype.kind == "b" else values


def _without(predicted: NDArray[Any], truth: GroundTruth, ids: Ids, true_ids: Ids) -> GroundTruth:
    """Return ground truth in which some instances do not count, as `border.without_border` does."""
    is_out = np.isin(truth.labels, true_ids) | (np.isin(predicted, ids) & (truth.labels == 0))
    return GroundTruth(truth.labels, ~is_out if truth.label_mask is None else truth.label_mask & ~is_out)
