"""The table of metrics.

`score`, means, `metrics.json`, `metrics.csv`, the tables of the command and of the docks, and the report read this
table. To add a metric, write the function that computes it from a `LabelPair` and add a row to `METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean

from napari_unet3d.evaluation.metrics.instances import InstanceMatches
from napari_unet3d.evaluation.metrics.metric import COUNT, DISTANCE, Direction, Metric, Scope, Table, Value
from napari_unet3d.evaluation.metrics.pair import LabelPair


def _average_each(values: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(fmean(column) for column in zip(*values, strict=True))


def _of_matches(value: Callable[[InstanceMatches], Value]) -> Callable[[LabelPair], Value]:
    """Return the computation of a value of matches, which is not defined if all instances were left out."""
    return lambda pair: value(pair.matches) if pair.matches.is_defined else None


_instance_metric = partial(Metric, scope=Scope.INSTANCES, is_slow=True)

METRICS: list[Metric] = [
    Metric(
        "dice",
        "Dice",
        "Twice the shared foreground divided by the sum of both: 0 is no overlap, 1 is full agreement.",
        lambda pair: pair.counts.dice,
    ),
    Metric(
        "iou",
        "IoU",
        "Shared foreground divided by the foreground of either (intersection over union, Jaccard index).",
        lambda pair: pair.counts.iou,
        beside_instances=Table.NONE,
        alone=Table.COMMAND,  # it follows from Dice
    ),
    Metric(
        "precision",
        "Precision",
        "The fraction of the predicted foreground that is correct.",
        lambda pair: pair.counts.precision,
        short_heading="Prec.",
        beside_instances=Table.NONE,
    ),
    Metric(
        "recall",
        "Recall",
        "The fraction of the true foreground that was found.",
        lambda pair: pair.counts.recall,
        beside_instances=Table.NONE,
    ),
    Metric(
        "hd95",
        "Surface distance",
        "HD95 (Hausdorff distance, 95th percentile): 95 % of each surface is at most this far from the other one, in "
        "µm, or in voxels where the voxel size is unknown.",
        lambda pair: pair.surfaces.hd95,
        format=DISTANCE,
        has_unit=True,
        is_of_distances=True,
        direction=Direction.LOWER,
        is_slow=True,
        term="HD95",
        short_heading="Surf.\ndist.",
        beside_instances=Table.COMMAND,
    ),
    Metric(
        "nsd",
        "Surface match",
        "NSD (normalised surface Dice): the fraction of both surfaces that agrees within the tolerance, which is in "
        "µm, or in voxels where the voxel size is unknown, and by default the smallest side of a voxel.",
        lambda pair: pair.surfaces.nsd,
        is_of_distances=True,
        is_slow=True,
        term="NSD",
        short_heading="Surf.\nmatch",
        beside_instances=Table.COMMAND,
    ),
    _instance_metric(
        "f1",
        "F1",
        "Instances: 2 found / (true + predicted), found with an IoU of at least 0.5.",
        _of_matches(lambda matches: matches.f1),
    ),
    _instance_metric(
        "ap",
        "Object accuracy",
        "AP (average precision): found / (found + extra + missed) objects, averaged over the IoU thresholds 0.5, 0.55, "
        "… 0.95, which ask for ever better outlines.",
        _of_matches(lambda matches: matches.ap),
        term="AP",
        beside_instances=Table.COMMAND,
    ),
    _instance_metric(
        "precision",
        "Precision",
        "The fraction of the predicted instances that match a true one, with an IoU of at least 0.5.",
        _of_matches(lambda matches: matches.precision),
        beside_instances=Table.NONE,
    ),
    _instance_metric(
        "recall",
        "Recall",
        "The fraction of the true instances that were found, with an IoU of at least 0.5.",
        _of_matches(lambda matches: matches.recall),
        beside_instances=Table.NONE,
    ),
    _instance_metric(
        "n_true",
        "True",
        "How many instances the ground truth has.",
        lambda pair: pair.matches.n_true,
        format=COUNT,
        direction=Direction.NONE,
        beside_instances=Table.COMMAND,
    ),
    _instance_metric(
        "n_predicted",
        "Predicted",
        "How many instances were predicted.",
        lambda pair: pair.matches.n_predicted,
        format=COUNT,
        direction=Direction.NONE,
        beside_instances=Table.NONE,
    ),
    _instance_metric(
        "n_matched",
        "Found",
        "How many of the true instances were found, with an IoU of at least 0.5.",
        lambda pair: pair.matches.n_matched,
        format=COUNT,
        out_of="n_true",
    ),
    _instance_metric(
        "n_extra",
        "Extra",
        "Predicted instances that match no true one, with an IoU of at least 0.5.",
        lambda pair: pair.matches.n_extra,
        format=COUNT,
        direction=Direction.LOWER,
        beside_instances=Table.COMMAND,
    ),
    _instance_metric(
        "n_split",
        "Splits",
        "True instances that were predicted as two or more.",
        lambda pair: pair.matches.n_split,
        format=COUNT,
        direction=Direction.LOWER,
        short_heading="Split",
    ),
    _instance_metric(
        "n_merged",
        "Merges",
        "Predicted instances that are two or more true ones.",
        lambda pair: pair.matches.n_merged,
        format=COUNT,
        direction=Direction.LOWER,
        short_heading="Merg.",
    ),
    _instance_metric(
        "f1_at_iou",
        "F1 at each IoU",
        "F1 at each of the IoU thresholds 0.5, 0.55, … 0.95.",
        _of_matches(lambda matches: matches.f1_at_iou),
        format=None,
        average=_average_each,
    ),
    _instance_metric(
        "ap_at_iou",
        "Object accuracy at each IoU",
        "AP (average precision) at each of the IoU thresholds 0.5, 0.55, … 0.95.",
        _of_matches(lambda matches: matches.ap_at_iou),
        format=None,
        average=_average_each,
    ),
]
"""All metrics, in the order of the tables."""


def metrics_of(scope: Scope) -> list[Metric]:
    """Return the metrics of a scope, in the order of the tables."""
    return [metric for metric in METRICS if metric.scope is scope]


def columns_of(scope: Scope) -> list[Metric]:
    """Return the metrics of a scope that are single numbers, for ``metrics.csv`` and the report."""
    return [metric for metric in metrics_of(scope) if metric.format is not None]


def narrow_columns(table: Table, *, with_instances: bool) -> list[Metric]:
    """Return the metrics that a narrow table has: of voxels, and of instances when they are scored."""
    if not with_instances:
        return [metric for metric in columns_of(Scope.VOXELS) if table in metric.alone]
    both = [*columns_of(Scope.VOXELS), *columns_of(Scope.INSTANCES)]
    return [metric for metric in both if table in metric.beside_instances]


def compute_metrics(scope: Scope, pair: LabelPair, *, fast: bool = False) -> dict[str, Value]:
    """Return the values of the metrics of a scope by their names; `fast` leaves out those that are slow."""
    return {metric.name: metric.compute(pair) for metric in metrics_of(scope) if not (fast and metric.is_slow)}
