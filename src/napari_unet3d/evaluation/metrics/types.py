"""Scores of a prediction against its ground truth, and their means over volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from napari_unet3d.data.seen_content import SeenIn
from napari_unet3d.evaluation.metrics.instances import IOU_THRESHOLDS
from napari_unet3d.evaluation.metrics.metric import Metric, Scope, Value
from napari_unet3d.evaluation.metrics.table import metrics_of


@dataclass(frozen=True, slots=True)
class InstanceScores:
    """Agreement of predicted and true instances; each metric is also an attribute, such as `f1`.

    Attributes
    ----------
    values : mapping of str to float or tuple of float
        Values of the metrics of instances by their names; those of ``…_at_iou`` have one value for each of
        `IOU_THRESHOLDS`.
    left_out : mapping of str to int
        Of a mean: in how many volumes a metric is not defined, by its name; empty if all are.
    """

    values: Mapping[str, Value]
    left_out: Mapping[str, int] = field(default_factory=dict, compare=False)

    def __getattr__(self, name: str) -> float:
        """Return the value of a metric."""
        return cast(float, _value(self, name, Scope.INSTANCES))

    def as_dict(self) -> dict[str, Any]:
        """Return the values by their names, with the thresholds as text, as they are in `metrics.json`."""
        numbers: dict[str, Any] = {
            name: {f"{iou:.2f}": each for iou, each in zip(IOU_THRESHOLDS, value, strict=True)}
            if isinstance(value, tuple)
            else value
            for name, value in self.values.items()
        }
        return {**numbers, **_counts(self.left_out)}


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Agreement of prediction and ground truth for one class; each metric is also an attribute, such as `dice`.

    Attributes
    ----------
    value : int
        The label value.
    name : str
        Name of the class.
    values : mapping of str to float or None
        Values of the metrics by their names, with this class as the foreground; empty if neither prediction nor
        ground truth has the class.
    left_out : mapping of str to int
        Of a mean: in how many volumes with the class a metric is not defined, by its name; empty if all are.
    n_absent : int
        Of a mean: the number of volumes where neither has the class.
    """

    value: int
    name: str
    values: Mapping[str, Value] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict, compare=False)
    n_absent: int = 0

    @property
    def title(self) -> str:
        """Name of the class for tables, with the number of volumes that do not have it."""
        return f"{self.name} (absent from {self.n_absent})" if self.n_absent else self.name

    def __getattr__(self, name: str) -> float | None:
        """Return the value of a metric, or None where it has none."""
        return cast("float | None", _value(self, name, Scope.VOXELS))

    def of(self, metric: Metric) -> Value:
        """Return the value of a metric, or None where it has none."""
        return self.values.get(metric.name) if metric.scope is Scope.VOXELS else None

    def n_left_out(self, metric: Metric) -> int:
        """Return in how many volumes that a mean is taken over a metric is not defined."""
        return self.left_out.get(metric.name, 0) if metric.scope is Scope.VOXELS else 0

    def as_dict(self) -> dict[str, Any]:
        """Return value, name and metrics as they are in `metrics.json`."""
        absent = {"n_absent": self.n_absent} if self.n_absent else {}
        return {"value": self.value, "name": self.name, **_all_values(self.values), **_counts(self.left_out), **absent}


@dataclass(frozen=True, slots=True)
class Scores:
    """Agreement of prediction and ground truth for one volume, or the mean over several.

    Each metric of voxels is also an attribute, such as `hd95`, which is None where it is not defined or was not
    computed.

    Attributes
    ----------
    name : str
        Name of the volume, or ``"mean"``.
    values : mapping of str to float or None
        Values of the metrics of voxels by their names; slow ones are missing if they were not computed. Of a
        semantic segmentation they are the means over the classes that prediction or ground truth have.
    instances : InstanceScores or None
        Agreement of instances; None for other tasks.
    classes : tuple of ClassScores
        Each class; empty for other tasks.
    left_out : mapping of str to int
        Of a mean over volumes or classes: in how many of them a metric is not defined, by its name. The mean leaves
        them out; HD95, for example, is not defined where a structure was missed.
    distance_unit : str
        Unit of distances: ``"µm"``, or ``"voxels"`` where the voxel size is unknown; of a mean over volumes with
        both, empty.
    seen_in : SeenIn
        Whether the model has seen the volume, or a part of it, in training or in validation.
    """

    name: str
    values: Mapping[str, Value]
    instances: InstanceScores | None = None
    classes: tuple[ClassScores, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict, compare=False)
    distance_unit: str = "voxels"
    seen_in: SeenIn = SeenIn.UNKNOWN

    def __getattr__(self, name: str) -> float | None:
        """Return the value of a metric, or None where it has none."""
        return cast("float | None", _value(self, name, Scope.VOXELS))

    @property
    def dice(self) -> float:
        """Dice, which is always computed."""
        return cast(float, self.values["dice"])

    def of(self, metric: Metric) -> Value:
        """Return the value of a metric of any scope, or None where it has none."""
        if metric.scope is Scope.VOXELS:
            return self.values.get(metric.name)
        return None if self.instances is None else self.instances.values.get(metric.name)

    def n_left_out(self, metric: Metric) -> int:
        """Return in how many volumes or classes that a mean is taken over a metric is not defined."""
        if metric.scope is Scope.VOXELS:
            return self.left_out.get(metric.name, 0)
        return 0 if self.instances is None else self.instances.left_out.get(metric.name, 0)

    def as_dict(self) -> dict[str, Any]:
        """Return name and values as they are in `metrics.json`."""
        return {"name": self.name, **self.numbers()}

    def numbers(self) -> dict[str, Any]:
        """Return the values by their names, and those of the classes and of the instances if there are any."""
        numbers = {
            **_all_values(self.values),
            "distance_unit": self.distance_unit or None,
            "seen_in": self.seen_in.value,
            **_counts(self.left_out),
        }
        if self.instances is not None:
            numbers["instances"] = self.instances.as_dict()
        if self.classes:
            numbers["classes"] = [each.as_dict() for each in self.classes]
        return numbers


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """Average each metric over the volumes, every volume with the same weight; there must be at least one.

    Volumes where a metric is not defined are left out of its mean, and so are those of a class that neither
    prediction nor ground truth have; `Scores.left_out` and `ClassScores.n_absent` count them. Metrics that depend on
    distances have no mean over volumes of which only some have a known voxel size; see `unit_notice`.
    """
    mixed = len({each.distance_unit for each in scores}) > 1
    instances = [each.instances for each in scores if each.instances is not None]
    by_value: dict[int, list[ClassScores]] = {}
    for each in scores:
        for of_class in each.classes:
            by_value.setdefault(of_class.value, []).append(of_class)
    classes = tuple(_mean_of_class(same, len(scores), mixed_units=mixed) for _, same in sorted(by_value.items()))
    structures = [part for each in scores for part in (each.classes or (each,))]
    return Scores(
        "mean",
        mean_values(Scope.VOXELS, [each.values for each in scores], mixed_units=mixed),
        instances=_mean_of_instances(instances) if instances else None,
        classes=classes,
        left_out=count_undefined(Scope.VOXELS, structures),
        distance_unit="" if mixed else scores[0].distance_unit,
        seen_in=SeenIn.of_all(each.seen_in for each in scores),
    )


def unit_notice(scores: Sequence[Scores]) -> str:
    """Return why distances of volumes cannot be averaged, naming the volumes; empty if they can."""
    names = [each.name for each in scores if each.distance_unit == "voxels"]
    if len(names) in (0, len(scores)):
        return ""
    metrics = " and ".join(metric.full_name for metric in metrics_of(Scope.VOXELS) if metric.is_of_distances)
    listed = ", ".join(f"'{name}'" for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return (
        f"{metrics} have no mean: distances are in voxels for {listed}, whose voxel size is unknown, and in µm for the "
        "others. Give all volumes their voxel size to average them."
    )


def seen_notice(scores: Sequence[Scores]) -> str:
    """Return what it means for scores that volumes were seen in training, naming them; empty if none was."""
    names = [each.name for each in scores if each.seen_in is SeenIn.TRAINING]
    if not names:
        return ""
    listed = ", ".join(f"'{name}'" for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return (
        f"The model was trained on {listed}, or on a part: "
        "these scores say little about new volumes. Score it on volumes that it never saw."
    )


def _mean_of_class(same: Sequence[ClassScores], n_volumes: int, *, mixed_units: bool) -> ClassScores:
    n_present = sum(bool(each.values) for each in same)
    values = mean_values(Scope.VOXELS, [each.values for each in same], mixed_units=mixed_units)
    left_out = count_undefined(Scope.VOXELS, same)
    return ClassScores(same[0].value, same[0].name, values, left_out, n_volumes - n_present if n_present else 0)


def _mean_of_instances(each: Sequence[InstanceScores]) -> InstanceScores:
    values = mean_values(Scope.INSTANCES, [scores.values for scores in each])
    return InstanceScores(values, count_undefined(Scope.INSTANCES, each))


def count_undefined(scope: Scope, scores: Sequence[InstanceScores | ClassScores | Scores]) -> dict[str, int]:
    """Return in how many volumes or classes each metric of a scope was computed and is not defined, if in any."""
    counts = {
        metric.name: sum(metric.name in each.values and each.values[metric.name] is None for each in scores)
        for metric in metrics_of(scope)
    }
    return {name: count for name, count in counts.items() if count}


def mean_values(scope: Scope, values: Sequence[Mapping[str, Value]], *, mixed_units: bool = False) -> dict[str, Value]:
    """Average each metric of a scope over those that have it; None where none is defined, or units differ."""
    means: dict[str, Value] = {}
    for metric in metrics_of(scope):
        computed = [each[metric.name] for each in values if metric.name in each]
        defined = [value for value in computed if value is not None]
        if computed:
            is_defined = defined and not (mixed_units and metric.is_of_distances)
            means[metric.name] = metric.average(defined) if is_defined else None
    return means


def _counts(left_out: Mapping[str, int]) -> dict[str, Any]:
    return {"left_out": dict(left_out)} if left_out else {}


def _all_values(values: Mapping[str, Value]) -> dict[str, Any]:
    return {metric.name: values.get(metric.name) for metric in metrics_of(Scope.VOXELS)}


def _value(scores: InstanceScores | ClassScores | Scores, name: str, scope: Scope) -> Value:
    if name not in {metric.name for metric in metrics_of(scope)}:
        raise AttributeError(f"{type(scores).__name__!r} has no attribute or metric {name!r}")
    return scores.values.get(name)
