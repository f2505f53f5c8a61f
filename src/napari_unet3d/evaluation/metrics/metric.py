"""What a metric is: how it is computed, averaged, written and called."""

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


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes
    ----------
    name : str
        Its key in ``metrics.json`` and its column in ``metrics.csv`` (of instances with ``instance_`` before it).
    heading : str
        Heading of its column in tables: a plain name.
    explanation : str
        One sentence on what it means, for tooltips; it begins with the term, where there is one.
    compute : callable
        Compute its value; None where it is not defined.
    scope : Scope
        Whether it is computed for the voxels of the foreground and of each class, or for instances.
    format : NumberFormat or None
        How its value is written; None if it is a tuple with a value for each IoU threshold, only for ``metrics.json``.
    has_unit : bool
        Whether its values are distances: in µm, or in voxels where the voxel size is unknown.
    is_of_distances : bool
        Whether it depends on the unit of distances, so that volumes with different units have no mean.
    direction : Direction
        Which values are better.
    average : callable
        Average the values of several volumes or classes, of those where it is defined.
    is_slow : bool
        Whether it takes so long to compute that live comparisons leave it out at first.
    term : str
        What the literature calls it, where the plain name is another one; the narrow table of the command has it.
    short_heading : str
        Heading in the narrow table of a dock, if it is another one.
    beside_instances : Table
        Which of the narrow tables have it when instances are scored.
    alone : Table
        Which of them have it when no instances are scored.
    out_of : str
        Name of the metric that it is a part of; docks write both, as in ``3/5``.
    """

    name: str
    heading: str
    explanation: str
    compute: Callable[[LabelPair], Value]
    scope: Scope = Scope.VOXELS
    format: NumberFormat | None = FRACTION
    has_unit: bool = False
    is_of_distances: bool = False
    direction: Direction = Direction.HIGHER
    average: Callable[[Sequence[Any]], Value] = fmean
    is_slow: bool = False
    term: str = ""
    short_heading: str = ""
    beside_instances: Table = Table.ALL
    alone: Table = Table.ALL
    out_of: str = ""

    @property
    def column(self) -> str:
        """Its column in ``metrics.csv``."""
        return self.name if self.scope is Scope.VOXELS else f"instance_{self.name}"

    @property
    def full_name(self) -> str:
        """Its plain name, and the term where that is another one, for sentences."""
        return f"{self.heading} ({self.term})" if self.term else self.heading

    def heading_with_unit(self, distance_unit: str) -> str:
        """Return its heading, and the unit if it has one; without it where volumes have different ones."""
        return f"{self.heading} {distance_unit if self.has_unit else ''}".strip()

    def term_with_unit(self, distance_unit: str) -> str:
        """Return its term, or its heading where it has none, and the unit if it has one."""
        return f"{self.term or self.heading} {distance_unit if self.has_unit else ''}".strip()

    @property
    def tooltip(self) -> str:
        """What it means, and which values are better."""
        return f"{self.explanation} {self.direction.value}".strip()

    def text(self, value: Value, n_left_out: int = 0, distance_unit: str = "") -> str:
        """Return a value as it is written by the command and in the report, with how many a mean leaves out.

        Distances have their unit if it is given, for columns of different units.
        """
        text = format(value, self.format.spec) if self.format and isinstance(value, int | float) else "–"
        if self.has_unit and value is not None:
            text = f"{text} {distance_unit}".strip()
        return f"{text} ({n_left_out} left out)" if n_left_out else text

    def short_text(self, value: Value, n_left_out: int = 0) -> str:
        """Return a value as it is written in the narrow table of a dock, with how many a mean leaves out."""
        text = self.format.short(value) if self.format and isinstance(value, int | float) else "–"
        return f"{text} (−{n_left_out})" if n_left_out else text

    def explain_left_out(self, n_left_out: int) -> str:
        """Return for a tooltip what a mean leaves out; empty if nothing."""
        if not n_left_out:
            return ""
        return (
            f"{n_left_out} left out of this mean, where {self.full_name} is not defined: only one of prediction and "
            "ground truth has the structure."
        )
