"""What docks save in a thread: metrics, a figure of slices, and the report on a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_unet3d.configs.synthetic_enums import Axis
from napari_unet3d.data.pairs import Subset, list_pairs
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.types import Scores, mean_scores
from napari_unet3d.evaluation.reports.score_files import write_metrics
from napari_unet3d.runs.run_files import read_run_files
from napari_unet3d.session.comparison import Comparison


@dataclass(frozen=True, slots=True)
class FileSaved:
    """A file is on disk.

    Attributes
    ----------
    what : str
        What it holds, with a verb, such as ``"metrics are"``.
    path : Path
        The file.
    """

    what: str
    path: Path


def dataset_with_test_set(run: Path) -> Path | None:
    """Return the dataset of a run, if it still exists and has test volumes with labels."""
    dataset = read_run_files(run).dataset
    if dataset is None or not dataset.is_dir():
        return None
    try:
        pairs = list_pairs(dataset, Subset.TEST)
    except UserError:
        return None
    return dataset if pairs and all(pair.image and pair.labels for pair in pairs) else None


def report_on_run(run: Path, dataset: Path | None, path: Path) -> Iterator[Any]:
    """Yield the events of the evaluation, if there is one, and finally `FileSaved`."""
    from napari_unet3d.evaluation.reports.report import EVALUATION_FOLDER, check_page_name, write_report

    check_page_name(path)
    if dataset is not None:
        from napari_unet3d.inference.evaluate import evaluate

        yield from evaluate(run, dataset, out=run / EVALUATION_FOLDER)
    write_report(run, path)
    yield FileSaved("report is", path)


def save_metrics(scores: Sequence[Scores], comparison: Comparison | None, path: Path) -> Iterator[FileSaved]:
    """Write scores as CSV or JSON; slow scores that are missing of the compared volume are computed first."""
    volumes = list(scores)
    for place, each in enumerate(volumes):
        if each.nsd is None and comparison is not None and comparison.prediction.name == each.name:
            volumes[place] = comparison.measured().scores or each
    write_metrics(path, volumes, mean_scores(volumes) if len(volumes) > 1 else None)
    yield FileSaved("metrics are", path)


def save_figure(comparison: Comparison, axis: Axis, n_slices: int, path: Path) -> Iterator[FileSaved]:
    """Write slices of ground truth, prediction and their difference, side by side, as PNG, PDF or SVG."""
    from napari_unet3d.evaluation.reports.figure import slices_figure, write_figure  # imports matplotlib, which is slow

    assert comparison.truth is not None
    title = comparison.prediction.name
    if comparison.scores is not None:
        title += f" · Dice {comparison.scores.dice:.3f}"
    figure = slices_figure(
        comparison.truth, comparison.prediction.labels, axis, n_slices, comparison.prediction.voxel_size_um, title
    )
    write_figure(path, figure)
    yield FileSaved("figure is", path)
