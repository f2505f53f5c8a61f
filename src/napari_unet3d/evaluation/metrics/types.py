"""The numbers that tell how well a prediction agrees with the truth, and their means over volumes.

They stand apart from what computes them, so that events and tables load no scipy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from statistics import fmean
from typing import Any

IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""The thresholds that AP is averaged over: 0.5, 0.55, …, 0.95."""
METRIC_NAMES = ("dice", "iou", "precision", "recall", "hd95_um", "nsd")
"""The six numbers of a volume, and of a class."""


@dataclass(frozen=True, slots=True)
class InstanceScores:
    """Agreement of predicted and true objects; in a mean, each number is the mean over the volumes.

    Attributes
    ----------
    f1 : float
        2 TP / (2 TP + FP + FN) at IoU 0.5, where TP are the matched pairs.
    precision, recall : float
        Part of the predicted objects that is right, and of the true ones that is found, at IoU 0.5.
    ap : float
        TP / (TP + FP + FN), averaged over `IOU_THRESHOLDS`. This is what StarDist and Cellpose call average
        precision; it is not the area under a curve that COCO gives this name.
    n_true, n_predicted : float
        How many objects count.
    n_found : float
        How many true objects are matched at IoU 0.5.
    n_split, n_merged : float
        True objects that two or more predicted ones lie in, and predicted objects that two or more true ones lie in.
        An object lies in another one if that covers more than half of its volume.
    f1_at_iou, ap_at_iou : tuple of float
        F1 and TP / (TP + FP + FN) at each of `IOU_THRESHOLDS`.
    """

    f1: float
    precision: float
    recall: float
    ap: float
    n_true: float
    n_predicted: float
    n_matched: float
    n_split: float
    n_merged: float
    f1_at_iou: tuple[float, ...]
    ap_at_iou: tuple[float, ...]

    @property
    def n_extra(self) -> float:
        """How many predicted objects match no true one at IoU 0.5."""
        return self.n_predicted - self.n_matched

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by their names, the thresholds as text, as they stand in `metrics.json`."""
        numbers = asdict(self)
        for name in ("f1_at_iou", "ap_at_iou"):
            numbers[name] = {f"{iou:.2f}": value for iou, value in zip(IOU_THRESHOLDS, numbers[name], strict=True)}
        return numbers


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Agreement of prediction and truth for one class; all None when neither of them has the class.

    Attributes
    ----------
    value : int
        The label value.
    name : str
        Name of the class.
    dice, iou, precision, recall, hd95_um, nsd : float or None
        As in `Scores`, with this class as the foreground.
    """

    value: int
    name: str
    dice: float | None = None
    iou: float | None = None
    precision: float | None = None
    recall: float | None = None
    hd95_um: float | None = None
    nsd: float | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """Agreement of prediction and truth for one volume, or the mean over several.

    Attributes
    ----------
    name : str
        Name of the volume, or ``"mean"``.
    dice : float
        Twice the shared foreground divided by the sum of both foregrounds, from 0 (none) to 1 (perfect).
    iou : float
        Shared foreground divided by the foreground of either (intersection over union, Jaccard index).
    precision : float
        Part of the predicted foreground that is right.
    recall : float
        Part of the true foreground that was found.
    hd95_um : float or None
        95th percentile of the distances between the surfaces in µm; None when only one has a surface, or when
        surfaces were not asked for.
    nsd : float or None
        Normalised surface Dice: part of the surfaces within the tolerance, from 0 to 1; None when surfaces were not
        asked for.
    objects : InstanceScores or None
        Single objects; None for other tasks.
    classes : tuple of ClassScores
        Each class; empty for other tasks. The six numbers are then the means over the classes that prediction or
        truth have.
    """

    name: str
    dice: float
    iou: float
    precision: float
    recall: float
    hd95_um: float | None = None
    nsd: float | None = None
    instances: InstanceScores | None = None
    classes: tuple[ClassScores, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return name and numbers as they stand in `metrics.json`."""
        return {"name": self.name, **self.numbers()}

    def numbers(self) -> dict[str, Any]:
        """Return the numbers by their names, and those of the classes and of the objects if there are any."""
        numbers: dict[str, Any] = {name: getattr(self, name) for name in METRIC_NAMES}
        if self.instances is not None:
            numbers["objects"] = self.instances.as_dict()
        if self.classes:
            numbers["classes"] = [asdict(each) for each in self.classes]
        return numbers


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """Average each number over the volumes, every volume with the same weight; there must be one at least.

    HD95 is averaged over the volumes that have one, and a class over those with the class in prediction or truth.
    """
    objects = [each.instances for each in scores if each.instances is not None]
    by_value: dict[int, list[ClassScores]] = {}
    for each in scores:
        for of_class in each.classes:
            by_value.setdefault(of_class.value, []).append(of_class)
    return Scores(
        "mean",
        **means(scores),
        instances=mean_instance_scores(objects) if objects else None,
        classes=tuple(
            ClassScores(value, by_value[value][0].name, **means(by_value[value])) for value in sorted(by_value)
        ),
    )


def mean_instance_scores(scores: Sequence[InstanceScores]) -> InstanceScores:
    """Average each number over the volumes, every volume with the same weight; there must be one at least."""
    means: dict[str, Any] = {}
    for each in fields(InstanceScores):
        values = [getattr(score, each.name) for score in scores]
        if isinstance(values[0], tuple):
            means[each.name] = tuple(fmean(column) for column in zip(*values, strict=True))
        else:
            means[each.name] = fmean(values)
    return InstanceScores(**means)


def means(scores: Sequence[Scores] | Sequence[ClassScores]) -> dict[str, Any]:
    """Average each of the six numbers over those that have it; None when none has."""
    means: dict[str, Any] = {}
    for name in METRIC_NAMES:
        numbers = [getattr(each, name) for each in scores if getattr(each, name) is not None]
        means[name] = fmean(numbers) if numbers else None
    return means
