"""Scores as files: JSON with all metrics, and CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.metric import Scope
from napari_unet3d.evaluation.metrics.table import columns_of
from napari_unet3d.evaluation.metrics.types import ClassScores, Scores
from napari_unet3d.files import write_json, write_text
from napari_unet3d.text_files import csv_cell

_BOM = "\ufeff"  # the byte order mark (BOM), without which Excel assumes the encoding of the country


def write_metrics(path: Path | str, volumes: Sequence[Scores], mean: Scores | None = None) -> None:
    """Write scores as CSV or as JSON, by the suffix of the file.

    CSV has a row per volume and, for classes, one more per class below it; the last row is the mean. A metric that
    is not defined is an empty cell. Distances are in the unit of the column ``distance_unit``: µm, or voxels where
    the voxel size is unknown. The column ``seen_in`` says whether the model has seen the volume: in ``training``,
    in ``validation``, ``never``, or ``unknown``. Where a mean leaves out volumes or classes in which a metric is
    not defined, ``METRIC_left_out`` counts them, and ``n_absent`` the volumes without a class. JSON has also the
    scores of instances at each IoU threshold.

    Parameters
    ----------
    path : Path or str
        A file ending in ``.csv`` or ``.json``.
    volumes : sequence of Scores
        The volumes, all of the same task.
    mean : Scores, optional
        Their mean, if it is to be written too.

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
    """Return the heading and the rows of the CSV of `write_metrics`; what is not defined is None."""
    every = [*volumes, *([] if mean is None else [mean])]
    with_classes = any(each.classes for each in every)
    columns = columns_of(Scope.VOXELS)
    if any(each.instances is not None for each in every):
        columns += columns_of(Scope.INSTANCES)
    parts: list[Scores | ClassScores] = [*every, *(each for scores in every for each in scores.classes)]
    incomplete = [metric for metric in columns if any(part.n_left_out(metric) for part in parts)]
    with_absent = any(each.n_absent for scores in every for each in scores.classes)
    heading = ["volume", *(["class"] if with_classes else []), *(metric.column for metric in columns)]
    heading += ["distance_unit", "seen_in"]
    heading += [f"{metric.column}_left_out" for metric in incomplete] + ["n_absent"] * with_absent
    rows: list[list[Any]] = []
    for scores in every:
        shared = scores.distance_unit or None, scores.seen_in.value
        counts = [*map(scores.n_left_out, incomplete), *([0] if with_absent else [])]
        rows.append([scores.name, *([None] if with_classes else []), *map(scores.of, columns), *shared, *counts])
        for each in scores.classes:
            counts = [*map(each.n_left_out, incomplete), *([each.n_absent] if with_absent else [])]
            rows.append([scores.name, each.name, *map(each.of, columns), *shared, *counts])
    return heading, rows


def write_table(path: Path, heading: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file that spreadsheets open correctly: UTF-8 with a BOM, commas, points; None is an empty cell.

    Names that a spreadsheet would take for formulas get an apostrophe in front.

    Raises
    ------
    UserError
        If the disk is full or the folder cannot be written to.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows([*map(csv_cell, row)] for row in rows)
    write_text(path, _BOM + table.getvalue())
