"""The metrics: what each is called, how it is computed, averaged and written.

`score`, means, `metrics.json`, `metrics.csv`, the tables of the command and of the docks, and the report read this
table. To add a metric, write the function that computes it from a `LabelPair` and add a row to `METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, Flag, auto
from statistics import fmean
from typing import Any, TypeAlias

from napari_unet3d.evaluation.metrics.pair import LabelPair

Value: TypeAlias = float | tuple[float, ...] | None


class Scope(Enum):
    """What a metric is computed for."""

    VOXELS = auto()  # the foreground, or each class
    INSTANCES = auto()  # the instances of a volume


class Direction(Enum):
    """Which values of a metric are better."""

    HIGHER = "Higher is better."
    LOWER = "Lower is better."
    NONE = ""


class Table(Flag):
    """The tables that are too narrow for all metrics when instances are scored."""

    NONE = 0
    COMMAND = auto()
    DOCK = auto()
    ALL = COMMAND | DOCK


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How the numbers of a metric are written.

    Attributes
    ----------
    spec : str
        Format specification for the command and the report.
    short : callable
        Write a number for the narrow table of a dock.
    """

    spec: str
    short: Callable[[float], str]


def _short_distance(value: float) -> str:
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _short_count(value: float) -> str:
    return f"{value:.{0 if value == round(value) else 1}f}"  # a mean may be no whole number


FRACTION = NumberFormat(".4f", "{:.3f}".format)
DISTANCE = NumberFormat(".2f", _short_distance)
COUNT = NumberFormat(".4g", _short_count)


def _average_each(values: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(fmean(column) for column in zip(*values, strict=True))


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes
    ----------
    name : str
        Its key in ``metrics.json`` and its column in ``metrics.csv`` (of instances with ``instance_`` before it).
    heading : str
        Heading of its column in tables.
    explanation : str
        One sentence on what it means, for tooltips.
    compute : callable
        Compute its value; None where it is not defined.
    scope : Scope
        Whether it is computed for the voxels of the foreground and of each class, or for instances.
    format : NumberFormat or None
        How its value is written; None if it is a tuple with a value for each IoU threshold, only for ``metrics.json``.
    unit : str
        Unit of its values, such as µm.
    direction : Direction
        Which values are better.
    average : callable
        Average the values of several volumes or classes, of those where it is defined.
    is_slow : bool
        Whether it takes so long to compute that live comparisons leave it out at first.
    short_heading : str
        Heading in the narrow table of a dock, if it is another one.
    beside_instances : Table
        Which of the narrow tables have it when instances are scored.
    out_of : str
        Name of the metric that it is a part of; docks write both, as in ``3/5``.
    """

    name: str
    heading: str
    explanation: str
    compute: Callable[[LabelPair], Value]
    scope: Scope = Scope.VOXELS
    format: NumberFormat | None = FRACTION
    unit: str = ""
    direction: Direction = Direction.HIGHER
    average: Callable[[Sequence[Any]], Value] = fmean
    is_slow: bool = False
    short_heading: str = ""
    beside_instances: Table = Table.ALL
    out_of: str = ""

    @property
    def column(self) -> str:
        """Its column in ``metrics.csv``."""
        return self.name if self.scope is Scope.VOXELS else f"instance_{self.name}"

    @property
    def heading_with_unit(self) -> str:
        """Its heading, and its unit if it has one."""
        return f"{self.heading} {self.unit}".strip()

    @property
    def tooltip(self) -> str:
        """What it means, and which values are better."""
        return f"{self.explanation} {self.direction.value}".strip()

    def text(self, value: Value) -> str:
        """Return a value as it is written by the command and in the report."""
        return format(value, self.format.spec) if self.format and isinstance(value, int | float) else "–"

    def short_text(self, value: Value) -> str:
        """Return a value as it is written in the narrow table of a dock."""
        return self.format.short(value) if self.format and isinstance(value, int | float) else "–"


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
        "hd95_um",
        "HD95",
        "Hausdorff distance: 95 % of each surface is at most this far from the other one, in µm.",
        lambda pair: pair.surfaces.hd95_um,
        format=DISTANCE,
        unit="µm",
        direction=Direction.LOWER,
        is_slow=True,
        beside_instances=Table.COMMAND,
    ),
    Metric(
        "nsd",
        "NSD",
        "Normalised surface Dice: the fraction of both surfaces that agrees within the tolerance.",
        lambda pair: pair.surfaces.nsd,
        is_slow=True,
        beside_instances=Table.COMMAND,
    ),
    Metric(
        "f1",
        "F1",
        "Instances: 2 found / (true + predicted), found with an IoU of at least 0.5.",
        lambda pair: pair.matches.f1,
        Scope.INSTANCES,
        is_slow=True,
    ),
    Metric(
        "ap",
        "AP",
        "Instances: found / (found + extra + missed), averaged over the IoU thresholds 0.5, 0.55, … 0.95.",
        lambda pair: pair.matches.ap,
        Scope.INSTANCES,
        is_slow=True,
    ),
    Metric(
        "precision",
        "Precision",
        "The fraction of the predicted instances that match a true one, with an IoU of at least 0.5.",
        lambda pair: pair.matches.precision,
        Scope.INSTANCES,
        is_slow=True,
        beside_instances=Table.NONE,
    ),
    Metric(
        "recall",
        "Recall",
        "The fraction of the true instances that were found, with an IoU of at least 0.5.",
        lambda pair: pair.matches.recall,
        Scope.INSTANCES,
        is_slow=True,
        beside_instances=Table.NONE,
    ),
    Metric(
        "n_true",
        "True",
        "How many instances the ground truth has.",
        lambda pair: pair.matches.n_true,
        Scope.INSTANCES,
        COUNT,
        direction=Direction.NONE,
        is_slow=True,
        beside_instances=Table.COMMAND,
    ),
    Metric(
        "n_predicted",
        "Predicted",
        "How many instances were predicted.",
        lambda pair: pair.matches.n_predicted,
        Scope.INSTANCES,
        COUNT,
        direction=Direction.NONE,
        is_slow=True,
        beside_instances=Table.NONE,
    ),
    Metric(
        "n_matched",
        "Found",
        "How many of the true instances were found, with an IoU of at least 0.5.",
        lambda pair: pair.matches.n_matched,
        Scope.INSTANCES,
        COUNT,
        is_slow=True,
        out_of="n_true",
    ),
    Metric(
        "n_extra",
        "Extra",
        "Predicted instances that match no true one, with an IoU of at least 0.5.",
        lambda pair: pair.matches.n_extra,
        Scope.INSTANCES,
        COUNT,
        direction=Direction.LOWER,
        is_slow=True,
        beside_instances=Table.COMMAND,
    ),
    Metric(
        "n_split",
        "Splits",
        "True instances that were predicted as two or more.",
        lambda pair: pair.matches.n_split,
        Scope.INSTANCES,
        COUNT,
        direction=Direction.LOWER,
        is_slow=True,
        short_heading="Split",
    ),
    Metric(
        "n_merged",
        "Merges",
        "Predicted instances that are two or more true ones.",
        lambda pair: pair.matches.n_merged,
        Scope.INSTANCES,
        COUNT,
        direction=Direction.LOWER,
        is_slow=True,
        short_heading="Merg.",
    ),
    *(
        Metric(
            f"{name}_at_iou",
            f"{name.upper()} at each IoU",
            f"{name.upper()} at each of the IoU thresholds 0.5, 0.55, … 0.95.",
            compute,
            Scope.INSTANCES,
            format=None,
            average=_average_each,
            is_slow=True,
        )
        for name, compute in (
            ("f1", lambda pair: pair.matches.f1_at_iou),
            ("ap", lambda pair: pair.matches.ap_at_iou),
        )
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
    """Return the metrics that a narrow table has: all of voxels, or those chosen for it when instances are scored."""
    if not with_instances:
        return columns_of(Scope.VOXELS)
    both = [*columns_of(Scope.VOXELS), *columns_of(Scope.INSTANCES)]
    return [metric for metric in both if table in metric.beside_instances]


def compute_metrics(scope: Scope, pair: LabelPair, *, fast: bool = False) -> dict[str, Value]:
    """Return the values of the metrics of a scope by their names; `fast` leaves out those that are slow."""
    return {metric.name: metric.compute(pair) for metric in metrics_of(scope) if not (fast and metric.is_slow)}
