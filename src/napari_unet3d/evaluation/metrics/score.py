"""How well a prediction agrees with the ground truth: shared voxels, distances of surfaces, classes and instances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.geometry import UNKNOWN, Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.label_values import check_same_shape
from napari_unet3d.evaluation.metrics.metric import Scope, Value
from napari_unet3d.evaluation.metrics.pair import LabelPair
from napari_unet3d.evaluation.metrics.table import compute_metrics
from napari_unet3d.evaluation.metrics.types import ClassScores, InstanceScores, Scores, count_undefined, mean_values
from napari_unet3d.evaluation.tolerance import tolerance_for


@dataclass(frozen=True, slots=True)
class MetricOptions:
    """What is compared, and how.

    Attributes
    ----------
    task : Task
        What the labels are.
    classes : dict of int to str
        Label values and names of the classes that the model knows. Other values that occur are scored as well.
    tolerance : float or None
        Distance within which two surfaces count as the same: in µm, or in voxels where the voxel size is unknown; None
        for the default for the voxels of each volume.
    fast : bool
        Leave out the metrics that take longer than the others: those of surfaces and instances.
    ignore_border : bool
        Leave instances that touch the border of the volume out of the metrics of instances; those of voxels count all.
    """

    task: Task = Task.BINARY
    classes: dict[int, str] = field(default_factory=dict)
    tolerance: float | None = None
    fast: bool = False
    ignore_border: bool = False


_DEFAULTS = MetricOptions()


def score(
    prediction: NDArray[Any],
    truth: GroundTruth,
    name: str,
    geometry: Geometry = UNKNOWN,
    options: MetricOptions = _DEFAULTS,
) -> Scores:
    """Compare a prediction with the ground truth, where that is annotated.

    `VoxelCounts` defines Dice, IoU, precision and recall, `compare_surfaces` HD95 and NSD, and `match_instances` the
    metrics of instances.

    Parameters
    ----------
    prediction : ndarray of integers or bool, shape (z, y, x)
        Labels; everything above 0 is foreground, or a class, or an instance.
    truth : GroundTruth
        Labels of the same shape; voxels that are not annotated do not count.
    name : str
        Name of the volume.
    geometry : Geometry
        Voxel size of the volume; distances are in µm if it is known, else in voxels.
    options : MetricOptions
        Task, classes and tolerance.

    Raises
    ------
    UserError
        When the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> prediction, labels = np.array([[[1, 1, 0, 0]]]), np.array([[[1, 1, 1, 0]]], np.uint8)
    >>> score(prediction, GroundTruth(labels), "cell").dice
    0.8
    """
    check_same_shape(prediction, truth.labels, name)

    spacing, tolerance = geometry.spacing, tolerance_for(geometry.spacing, options.tolerance)

    def pair_of(value: int | None) -> LabelPair:
        return LabelPair(prediction, truth, value, spacing, tolerance, options.ignore_border)

    present = frozenset[int]()
    if options.task is Task.SEMANTIC:
        present = _values_in(prediction, truth.label_mask) | _values_in(truth.labels, truth.label_mask)
    return score_pairs(pair_of, present, name, geometry, options)


def score_pairs(
    pair_of: Callable[[int | None], LabelPair],
    present: frozenset[int],
    name: str,
    geometry: Geometry = UNKNOWN,
    options: MetricOptions = _DEFAULTS,
) -> Scores:
    """Return the scores of a volume from what metrics are computed from.

    Parameters
    ----------
    pair_of : callable
        Returns the pair whose foreground is a label value, or everything above 0 for None.
    present : frozenset of int
        Of a semantic segmentation: the label values above 0 that prediction or ground truth have.
    name, geometry, options : str, Geometry, MetricOptions
        As for `score`.
    """

    def values_of(value: int | None) -> dict[str, Value]:
        return compute_metrics(Scope.VOXELS, pair_of(value), fast=options.fast)

    if options.task is Task.SEMANTIC:
        classes = tuple(
            ClassScores(value, options.classes.get(value, str(value)), values_of(value) if value in present else {})
            for value in sorted({*options.classes, *present})
        )
        # Without any class in either of them they agree.
        values = mean_values(Scope.VOXELS, [each.values for each in classes]) if present else values_of(None)
        left_out = count_undefined(Scope.VOXELS, classes)
        return Scores(name, values, classes=classes, left_out=left_out, distance_unit=geometry.unit)
    instances = None
    if options.task is Task.INSTANCE and not options.fast:
        instances = InstanceScores(compute_metrics(Scope.INSTANCES, pair_of(None)))
    return Scores(name, values_of(None), instances, distance_unit=geometry.unit)


def _values_in(labels: NDArray[Any], annotated: NDArray[np.bool_] | None) -> frozenset[int]:
    """Return the label values above 0 where it is annotated, plane by plane."""
    values: set[int] = set()
    for index, plane in enumerate(labels):
        values.update(np.unique(plane if annotated is None else plane[annotated[index]]).tolist())
    return frozenset(values - {0})
