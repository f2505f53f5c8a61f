"""Scores as files: JSON with every number, and CSV for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.types import METRIC_NAMES, ClassScores, InstanceScores, Scores
from napari_unet3d.files import write_json, write_text

_SPREADSHEET_MARK = "\ufeff"  # without it Excel takes UTF-8 for the encoding of the country
_OBJECTS = {
    "object_f1": "f1",
    "object_ap": "ap",
    "object_precision": "precision",
    "object_recall": "recall",
    "objects_true": "n_true",
    "objects_predicted": "n_predicted",
    "objects_found": "n_found",
    "objects_extra": "n_extra",
    "objects_split": "n_split",
    "objects_merged": "n_merged",
}


def write_metrics(path: Path | str, volumes: Sequence[Scores], mean: Scores | None = None) -> None:
    """Write scores as CSV or as JSON, by the suffix of the file.

    CSV has a row per volume and, for classes, one more per class below it; the last row is the mean. A number that
    there is not is an empty cell. Distances are in µm, as the heading says. JSON has also what single objects score at
    each threshold of the IoU.

    Parameters
    ----------
    path : Path or str
        A file ending in ``.csv`` or ``.json``.
    volumes : sequence of Scores
        The volumes, all of the same task.
    mean : Scores, optional
        Their mean; left out when there is no need for one.

    Raises
    ------
    UserError
        When the file ends otherwise, or cannot be written.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".csv":
            write_table(path, *metrics_table(volumes, mean))
        case ".json":
            content: dict[str, Any] = {"volumes": [each.as_dict() for each in volumes]}
            write_json(path, content if mean is None else {**content, "mean": mean.numbers()})
        case _:
            raise UserError(f"Metrics cannot be written as '{path.name}'; choose a name that ends in .csv or .json.")


def metrics_table(volumes: Sequence[Scores], mean: Scores | None = None) -> tuple[list[str], list[list[Any]]]:
    """Lay scores out as the heading and the rows of `write_metrics`; what is missing is None."""
    every = [*volumes, *([] if mean is None else [mean])]
    with_classes = any(each.classes for each in every)
    with_objects = any(each.instances is not None for each in every)
    heading = ["volume", *(["class"] if with_classes else []), *METRIC_NAMES, *(_OBJECTS if with_objects else [])]
    rows: list[list[Any]] = []
    for scores in every:
        of_objects = _object_numbers(scores.instances) if with_objects else []
        rows.append([scores.name, *([None] if with_classes else []), *_numbers(scores), *of_objects])
        rows += [[scores.name, each.name, *_numbers(each), *([None] * len(of_objects))] for each in scores.classes]
    return heading, rows


def write_table(path: Path, heading: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file that spreadsheets open as it is: UTF-8 with its mark, commas, points; None is an empty cell.

    Raises
    ------
    UserError
        If the disk is full or the folder cannot be written to.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows(rows)
    write_text(path, _SPREADSHEET_MARK + table.getvalue())


def _numbers(scores: Scores | ClassScores) -> list[float | None]:
    return [getattr(scores, name) for name in METRIC_NAMES]


def _object_numbers(scores: InstanceScores | None) -> list[float | None]:
    return [None if scores is None else getattr(scores, name) for name in _OBJECTS.values()]
