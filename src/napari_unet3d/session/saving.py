"""What docks save: metrics, a figure of slices, the report on a run, pictures, and the frames of a turntable."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from napari_unet3d.configs import Axis, Device, EvaluationConfig
from napari_unet3d.data.pairs import Subset, list_pairs
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.types import Scores, mean_scores
from napari_unet3d.evaluation.reports.score_files import write_metrics
from napari_unet3d.files import atomic_write
from napari_unet3d.runs.run_files import read_run_files
from napari_unet3d.session.comparison import Comparison

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_MOST_BYTES = 2**30  # of the frames of a turntable


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
    if dataset is None or not os.path.isdir(dataset):
        return None
    try:
        pairs = list_pairs(dataset, Subset.TEST)
    except UserError:
        return None
    return dataset if pairs and all(pair.image and pair.labels for pair in pairs) else None


def report_on_run(run: Path, dataset: Path | None, path: Path, device: Device = Device.AUTO) -> Iterator[Any]:
    """Yield the events of the evaluation on a device, if there is a dataset for it, and finally `FileSaved`."""
    from napari_unet3d.evaluation.reports.report import EVALUATION_FOLDER, check_page_name, write_report

    check_page_name(path)
    if dataset is not None:
        from napari_unet3d.inference.evaluate import evaluate

        yield from evaluate(run, dataset, out=run / EVALUATION_FOLDER, config=EvaluationConfig(device=device))
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
        comparison.truth, comparison.prediction.labels, axis, n_slices, comparison.prediction.spacing, title
    )
    write_figure(path, figure)
    yield FileSaved("figure is", path)


@dataclass(frozen=True, slots=True)
class TurntableSettings:
    """A full turn about the vertical axis of the view.

    Attributes
    ----------
    seconds : float
        Duration in seconds.
    frames_per_second : int
        Frames per second.
    width, height : int
        Size of a frame in pixels.
    """

    seconds: float
    frames_per_second: int
    width: int
    height: int

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return max(1, round(self.seconds * self.frames_per_second))

    @property
    def degrees(self) -> list[float]:
        """The angles of the frames; the one after the last would be the first again."""
        return [360 * number / self.n_frames for number in range(self.n_frames)]

    def check_memory(self) -> None:
        """Raise a `UserError` when the frames are too many to keep until they are written."""
        if self.n_frames * self.width * self.height * 3 > _MOST_BYTES:
            raise UserError(
                f"{self.n_frames} frames of {self.width} × {self.height} pixels are more than a gigabyte. "
                "Choose a smaller size, fewer seconds or fewer frames per second."
            )


def write_picture(path: Path, pixels: NDArray[Any]) -> None:
    """Write a picture in the format of the file suffix.

    Raises
    ------
    UserError
        When the suffix is none of `PICTURE_SUFFIXES`, or the file cannot be written.
    """
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise UserError(f"A picture cannot be written as '{path.name}'; choose a name that ends in .png, .jpg or .tif.")
    with atomic_write(path) as beside:
        Image.fromarray(pixels).save(beside)
