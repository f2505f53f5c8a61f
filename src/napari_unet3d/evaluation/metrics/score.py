"""How well a prediction agrees with the truth: voxels shared, surfaces apart, and per class or single object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import VoxelSize, check_same_shape
from napari_unet3d.evaluation.metrics.instances import score_instances
from napari_unet3d.evaluation.metrics.surfaces import compare_surfaces
from napari_unet3d.evaluation.metrics.types import ClassScores, Scores, means


@dataclass(frozen=True, slots=True)
class MetricOptions:
    """What is compared, and how.

    Attributes
    ----------
    task : Task
        What the labels are.
    classes : dict of int to str
        Label values and names of the classes that the model knows. Other values that are there are scored as well.
    tolerance_um : float
        Distance in µm within which two surfaces count as the same.
    fast : bool
        Leave out surfaces and objects, which take longer than the rest.
    """

    task: Task = Task.BINARY
    classes: dict[int, str] = field(default_factory=dict)
    tolerance_um: float = 1.0
    fast: bool = False


_DEFAULTS = MetricOptions()


def score(
    prediction: NDArray[Any],
    truth: GroundTruth,
    name: str,
    voxel_size_um: VoxelSize = (1.0, 1.0, 1.0),
    rules: MetricOptions = _DEFAULTS,
) -> Scores:
    """Compare a prediction with the truth, where that is annotated.

    With TP shared, FP extra and FN missed voxels: Dice = 2 TP / (2 TP + FP + FN), IoU = TP / (TP + FP + FN),
    precision = TP / (TP + FP), recall = TP / (TP + FN). When both are empty they agree, and all four are 1.
    When only one of them is empty all four are 0, also the one whose denominator is 0: a volume that is
    wrong throughout shall not raise a mean. HD95 and NSD are those of `compare_surfaces`, single objects those of
    `score_instances`.

    Parameters
    ----------
    prediction : ndarray of integers or bool, shape (z, y, x)
        Labels; everything above 0 is foreground, or a class, or an object.
    truth : Truth
        What it should be; voxels that are not annotated do not count.
    name : str
        Name of the volume.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    rules : MetricOptions
        Task, classes and tolerance.

    Raises
    ------
    UserError
        When the shapes differ.
    """
    check_same_shape(prediction, truth.labels, name)
    if rules.task is Task.SEMANTIC:
        return _score_classes(prediction, truth, name, voxel_size_um, rules)
    objects = None
    if rules.task is Task.INSTANCE and not rules.fast:
        objects = score_instances(prediction, truth.labels, truth.label_mask)
    return Scores(name, **_compare(prediction, truth, None, voxel_size_um, rules), instances=objects)


def _score_classes(
    prediction: NDArray[Any], truth: GroundTruth, name: str, voxel_size_um: VoxelSize, rules: MetricOptions
) -> Scores:
    found, true = (_values_in(labels, truth.label_mask) for labels in (prediction, truth.labels))
    classes = []
    for value in sorted({*rules.classes, *found, *true}):
        class_name = rules.classes.get(value, str(value))
        if value in found or value in true:
            numbers = _compare(prediction, truth, value, voxel_size_um, rules)
            classes.append(ClassScores(value, class_name, **numbers))
        else:
            classes.append(ClassScores(value, class_name))
    if all(each.dice is None for each in classes):  # nothing is there and nothing was found
        return Scores(name, **_compare(prediction, truth, None, voxel_size_um, rules), classes=tuple(classes))
    return Scores(name, **means(classes), classes=tuple(classes))


def _compare(
    prediction: NDArray[Any], truth: GroundTruth, value: int | None, voxel_size_um: VoxelSize, rules: MetricOptions
) -> dict[str, Any]:
    """Return the six numbers for one label value, or for everything above 0."""
    n_shared = n_predicted = n_true = 0
    for found, wanted in _planes(prediction, truth, value):
        n_shared += int(np.count_nonzero(found & wanted))
        n_predicted += int(np.count_nonzero(found))
        n_true += int(np.count_nonzero(wanted))
    if n_predicted == n_true == 0:
        numbers: dict[str, Any] = dict.fromkeys(("dice", "iou", "precision", "recall"), 1.0)
    else:
        numbers = {
            "dice": 2 * n_shared / (n_predicted + n_true),
            "iou": n_shared / (n_predicted + n_true - n_shared),
            "precision": n_shared / n_predicted if n_predicted else 0.0,
            "recall": n_shared / n_true if n_true else 0.0,
        }
    if rules.fast:
        return numbers
    predicted, true = _mask(prediction, value), _mask(truth.labels, value)
    surfaces = compare_surfaces(predicted, true, voxel_size_um, rules.tolerance_um, truth.label_mask)
    return {
        **numbers,
        "hd95_um": None if isnan(surfaces.hd95_um) else surfaces.hd95_um,
        "nsd": surfaces.nsd,
    }


def _planes(
    prediction: NDArray[Any], truth: GroundTruth, value: int | None
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    for index, (found, wanted) in enumerate(zip(prediction, truth.labels, strict=True)):
        masks = _mask(found, value), _mask(wanted, value)
        if truth.label_mask is not None:
            masks = masks[0] & truth.label_mask[index], masks[1] & truth.label_mask[index]
        yield masks


def _mask(labels: NDArray[Any], value: int | None) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = labels > 0 if value is None else labels == value
    return mask


def _values_in(labels: NDArray[Any], annotated: NDArray[np.bool_] | None) -> set[int]:
    """Find the label values above 0 where it is annotated, plane by plane."""
    values: set[int] = set()
    for index, plane in enumerate(labels):
        values.update(np.unique(plane if annotated is None else plane[annotated[index]]).tolist())
    return values - {0}
