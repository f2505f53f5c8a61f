"""A prediction and its ground truth, and what several metrics compute from them, each computed once at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.instances import InstanceMatches, match_instances
from napari_unet3d.evaluation.metrics.surfaces import SurfaceScores, compare_surfaces


@dataclass(frozen=True, slots=True)
class VoxelCounts:
    """How many voxels two masks have, and how many they share.

    With TP shared, FP extra and FN missed voxels: Dice = 2 TP / (2 TP + FP + FN), IoU = TP / (TP + FP + FN),
    precision = TP / (TP + FP), recall = TP / (TP + FN). When both masks are empty they agree, and all four are 1.
    When only one of them is empty all four are 0, also the one whose denominator is 0: a volume that is entirely
    wrong must not raise a mean.

    Attributes
    ----------
    n_shared, n_predicted, n_true : int
        Voxels in both masks, in the prediction, and in the ground truth.
    """

    n_shared: int
    n_predicted: int
    n_true: int

    @property
    def is_same(self) -> bool:
        """Whether the masks have the same voxels."""
        return self.n_shared == self.n_predicted == self.n_true

    @property
    def dice(self) -> float:
        """Twice the shared voxels divided by the sum of both masks."""
        return self._ratio(2 * self.n_shared, self.n_predicted + self.n_true)

    @property
    def iou(self) -> float:
        """Shared voxels divided by the voxels of either mask."""
        return self._ratio(self.n_shared, self.n_predicted + self.n_true - self.n_shared)

    @property
    def precision(self) -> float:
        """Shared voxels divided by the predicted ones."""
        return self._ratio(self.n_shared, self.n_predicted)

    @property
    def recall(self) -> float:
        """Shared voxels divided by the true ones."""
        return self._ratio(self.n_shared, self.n_true)

    def _ratio(self, part: int, whole: int) -> float:
        if self.n_predicted == self.n_true == 0:
            return 1.0
        return part / whole if whole else 0.0


@dataclass(frozen=True, eq=False)
class LabelPair:
    """Prediction and ground truth of a volume, from which a metric computes its value.

    Attributes
    ----------
    prediction : ndarray of integers or bool, shape (z, y, x)
        Labels; everything above 0 is foreground, or a class, or an instance.
    truth : GroundTruth
        Labels of the same shape; voxels that are not annotated do not count.
    value : int or None
        The label value that is the foreground; None if that is everything above 0.
    spacing : tuple of float
        Size of a voxel along z, y, x, in the unit of the distances.
    tolerance : float
        Distance within which two surfaces count as the same.
    ignore_border : bool
        Whether instances that touch the border of the volume are left out of the metrics of instances.
    """

    prediction: NDArray[Any]
    truth: GroundTruth
    value: int | None = None
    spacing: VoxelSize = (1.0, 1.0, 1.0)
    tolerance: float = 1.0
    ignore_border: bool = False

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """Return the predicted foreground, also where nothing is annotated; shape (z, y, x)."""
        return _mask(self.prediction, self.value)

    @property
    def target(self) -> NDArray[np.bool_]:
        """Return the foreground of the ground truth; shape (z, y, x)."""
        return _mask(self.truth.labels, self.value)

    @cached_property
    def counts(self) -> VoxelCounts:
        """Voxels of the two masks where they are annotated."""
        counts = np.zeros(3, np.int64)
        for predicted, target in self._planes():
            counts += [np.count_nonzero(mask) for mask in (predicted & target, predicted, target)]
        return VoxelCounts(*counts.tolist())

    @cached_property
    def surfaces(self) -> SurfaceScores:
        """Distances between the surfaces of the two masks."""
        return compare_surfaces(self.predicted, self.target, self.spacing, self.tolerance, self.truth.label_mask)

    @cached_property
    def matches(self) -> InstanceMatches:
        """Predicted and true instances, matched one to one."""
        mask = self.truth.label_mask
        return match_instances(self.prediction, self.truth.labels, mask, ignore_border=self.ignore_border)

    def _planes(self) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        for index, labels in enumerate(zip(self.prediction, self.truth.labels, strict=True)):
            predicted, target = (_mask(plane, self.value) for plane in labels)
            if self.truth.label_mask is not None:
                predicted, target = (mask & self.truth.label_mask[index] for mask in (predicted, target))
            yield predicted, target


class CountedPair(LabelPair):
    """Prediction and ground truth that were counted block by block, since they do not fit into memory.

    Metrics of `counts`, `surfaces` and `matches` are computed from it as from a `LabelPair`; it has no voxels.

    Parameters
    ----------
    counts : VoxelCounts
        Voxels of the two masks.
    surfaces : SurfaceScores or None
        Distances between their surfaces; None if they are not needed.
    matches : InstanceMatches or None
        Matched instances; None for other tasks.
    """

    def __init__(self, counts: VoxelCounts, surfaces: SurfaceScores | None, matches: InstanceMatches | None) -> None:
        self.__dict__.update(counts=counts, surfaces=surfaces, matches=matches)

    def __getattr__(self, name: str) -> NoReturn:
        """Raise a `UserError` for a metric that reads voxels."""
        raise UserError(
            f"A metric reads the {name} of a volume that does not fit into memory. Compute it from counts, surfaces or "
            "matches, or leave it out of the table of metrics."
        )


def _mask(labels: NDArray[Any], value: int | None) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = labels > 0 if value is None else labels == value
    return mask
