"""Evaluate predictions that are files, such as those of other tools, as `evaluate` does with those of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import EvaluationConfig, Task
from napari_unet3d.data.dataset import read_pair
from napari_unet3d.data.events import Notice
from napari_unet3d.data.formats.registry import volume_name
from napari_unet3d.data.ground_truth import decode_labels
from napari_unet3d.data.label_reading import read_labels_like
from napari_unet3d.data.matching import bare_name
from napari_unet3d.data.pairs import Pair, Subset, match_to_pairs, pairing_notice, volumes_in
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.inference.evaluate import absolute_path, folder_of_results, volumes_to_test
from napari_unet3d.inference.events import EvaluateEvent, Prediction, VolumeEvaluated
from napari_unet3d.inference.large_volumes import compare_large, is_large
from napari_unet3d.inference.results_folder import ResultsFolder
from napari_unet3d.inference.write import KINDS, check_names_differ, names
from napari_unet3d.model.plan import LabelClass, Plan

_DEFAULTS = EvaluationConfig()
_SCORING = {"tolerance", "ignore_border_objects", "figure_axis", "figure_slices"}


def evaluate_predictions(  # noqa: PLR0913 - what a model would say of its labels is said here
    predictions: Path | str,
    dataset: Path | str,
    *,
    out: Path | str | None = None,
    task: Task | str = Task.BINARY,
    ignore_label: int | None = None,
    class_names: Sequence[str] = (),
    config: EvaluationConfig = _DEFAULTS,
) -> Iterator[EvaluateEvent]:
    """Compare predicted labels in files with the ground truth of a test set.

    A prediction belongs to the test volume whose image or labels have its name, apart from endings such as ``_labels``
    or ``_seg``; its format may be another one. It has the shape of the image; where both files have an orientation,
    swapped and flipped axes are turned onto the image. Whatever the ignore label, 0 is background in predictions.

    Parameters
    ----------
    predictions : Path or str
        The folder of the predictions: labels with a file per test volume. Files that `predict` writes beside labels,
        ``NAME_probability`` and ``NAME_uncertainty``, are ignored.
    dataset : Path or str
        The dataset folder with test/images and test/labels.
    out : Path or str, optional
        Output folder, as for `evaluate`.
    task : Task
        What the labels are: one foreground (binary), classes (semantic) or single objects (instance).
    ignore_label : int, optional
        Value in the ground truth of voxels that are not annotated.
    class_names : sequence of str
        Names of the classes 1, 2, …; without them, classes are called by their values.
    config : EvaluationConfig
        Surface tolerance, border objects and figures; the other settings belong to predicting with a model.

    Yields
    ------
    Notice
        Something that may impair the result.
    VolumeEvaluated
        A volume is scored and written.
    BlockDone, LargeVolumeEvaluated
        The same for a volume that does not fit into memory, which is scored block by block: its prediction is not
        copied, and it has no figure and no pictures of errors.
    EvaluationFinished
        Metrics of all volumes and their mean; always the last event.

    Raises
    ------
    UserError
        If a test volume has no prediction or no labels, a prediction does not fit its volume or has values that are not
        labels, or a setting of a model is set.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from napari_unet3d import write_volume
    >>> labels = np.zeros((4, 8, 8), np.uint8)
    >>> labels[1:3, 2:6, 2:6] = 1
    >>> with TemporaryDirectory() as folder:
    ...     test, other = Path(folder, "data", "test"), Path(folder, "other tool")
    ...     for file in (test / "images" / "a.tif", test / "labels" / "a.tif", other / "a_seg.nii.gz"):
    ...         write_volume(file, labels)
    ...     *_, evaluation = evaluate_predictions(other, test.parent)
    >>> [(scores.name, scores.dice) for scores in evaluation.volumes]
    [('a', 1.0)]
    """
    _check_settings(config)
    plan = _plan(Task(task), ignore_label, class_names)
    pairs = [volume for volume in volumes_to_test(dataset) if isinstance(volume, Pair)]
    check_names_differ([pair.name for pair in pairs], "test volumes")
    files, extra = _match(Path(predictions), pairs)
    out = None if out is None else Path(out)
    about = {
        "model": "",
        "predictions": absolute_path(predictions),
        "dataset": absolute_path(dataset),
        "labels": {"task": plan.task.value, "ignore_label": ignore_label, "class_names": list(class_names)},
        "volumes": [pair.name for pair in pairs],
    }
    with folder_of_results(out) as folder:
        results = ResultsFolder(folder, config, plan, about)
        notices = [pairing_notice(dataset, Subset.TEST), _extra_notice(extra, pairs)]
        yield from (Notice(message) for message in notices if message)
        for index, (pair, file) in enumerate(zip(pairs, files, strict=True), start=1):
            if is_large(pair, plan):
                yield from compare_large(file, pair, plan, results, (index - 1, len(pairs)))
                continue
            sample = read_pair(pair)
            truth = decode_labels(np.asarray(sample.labels), plan.task, ignore_label, sample.label_mask, name=pair.name)
            prediction, found = _read(file, pair, sample, plan)
            yield from (Notice(message) for message in found)
            scores = results.add(sample, prediction, truth, pair.image)
            counts = index, len(pairs)
            yield VolumeEvaluated(scores, sample.image, truth, prediction, *counts, config.ignore_border_objects)
    yield from results.notices()
    yield results.finished_event(out)


def _check_settings(config: EvaluationConfig) -> None:
    if others := sorted(config.model_fields_set - _SCORING):
        options = ", ".join(name.replace("_", "-") for name in others)
        raise UserError(f"Predictions that are files are scored as they are, without {options}. Leave these out.")


def _plan(task: Task, ignore_label: int | None, class_names: Sequence[str]) -> Plan:
    if class_names and task is not Task.SEMANTIC:
        raise UserError(f"Class names belong to the task semantic, not {task}. Choose that task, or leave them out.")
    classes = tuple(LabelClass(value=value, name=name) for value, name in enumerate(class_names, start=1))
    return Plan(task=task, ignore_label=ignore_label, strides=(), classes=classes)


def _match(folder: Path, pairs: Sequence[Pair]) -> tuple[list[Path], list[Path]]:
    """Return the prediction of each volume, and the files that belong to none."""
    with explain_os_errors(folder, "read"):
        folder.iterdir()  # raises what is wrong with it
    maps = {f"{pair.name}_{kind}" for pair in pairs for kind in KINDS[1:]}  # of probability and uncertainty
    found = [path for path in volumes_in(folder) if volume_name(path) not in maps]
    volumes = [pair for pair in pairs if pair.time is None]
    matched = match_to_pairs(found, volumes) | _match_time_points(found, pairs)
    if missing := [pair.name for pair in pairs if pair.name not in matched]:
        listed = ", ".join(missing[:10]) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
        there = names(found) if found else "no volume"
        raise UserError(
            f"{folder} has no prediction for {listed} of the test set; it contains {there}. Add a file with the name "
            "of each volume, or remove the volumes from the test set."
        )
    return [matched[pair.name] for pair in pairs], [path for path in found if path not in matched.values()]


def _match_time_points(files: Sequence[Path], pairs: Sequence[Pair]) -> dict[str, Path]:
    """Return the prediction of each time point: a file of its own, or that of the whole series."""
    by_name = {bare_name(path): path for path in reversed(files)}
    matched = {}
    for pair in pairs:
        if pair.time is not None and pair.image is not None:
            names = pair.name.casefold(), bare_name(pair.image)
            if (path := next((by_name[name] for name in names if name in by_name), None)) is not None:
                matched[pair.name] = path
    return matched


def _extra_notice(extra: Sequence[Path], pairs: Sequence[Pair]) -> str | None:
    if not extra:
        return None
    return f"{len(extra)} predictions belong to none of the {len(pairs)} test volumes and are left out: {names(extra)}."


def _read(file: Path, pair: Pair, sample: Sample, plan: Plan) -> tuple[Prediction, list[str]]:
    """Read a prediction and check that it fits its volume; return it and what may be wrong with it."""
    volume = read_labels_like(file, str(pair.image), sample.geometry, time=pair.time)
    labels = volume.array
    if labels.shape != sample.shape:
        raise UserError(
            f"The prediction {file} has shape {labels.shape}, its image {pair.image} {sample.shape}. Predict the whole "
            "volume on the grid of its image."
        )
    if (lowest := int(labels.min(initial=0))) < 0:
        raise UserError(
            f"The prediction {file} goes down to {lowest}; in predictions 0 is background and labels are above it. "
            "Number them again."
        )
    probability = np.broadcast_to(np.float32(np.nan), labels.shape)  # takes no memory
    notices = [*sample.notices, *volume.notices, *_doubts(labels, sample, plan)]
    return Prediction(pair.name, labels, probability, sample.geometry, plan), notices


def _doubts(labels: NDArray[Any], sample: Sample, plan: Plan) -> list[str]:
    """Return what suggests that the labels mean something else than the task says."""
    doubts = []
    if plan.ignore_label == 0 and labels.size and labels.min() > 0:
        doubts.append(
            f"The prediction of '{sample.name}' has no voxel of 0, which is background in predictions, also with the "
            "ignore label 0. Renumber it if 1 is its background."
        )
    if plan.task is Task.BINARY and len(values := np.unique(labels[labels > 0])) > 1:
        doubts.append(
            f"The prediction of '{sample.name}' has {len(values)} labels, which count as one foreground. Choose the "
            "task semantic if they are classes, or instance if they are single objects."
        )
    return doubts
