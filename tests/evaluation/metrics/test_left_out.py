"""A mean that leaves out volumes or classes says how many, in tables and files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.cli.score_table import score_table
from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.evaluation.metrics.types import Scores, mean_scores
from napari_unet3d.evaluation.reports.report_evaluation import describe_evaluation
from napari_unet3d.evaluation.reports.score_files import write_metrics
from napari_unet3d.files import write_json
from napari_unet3d.runs.run_files import read_evaluation_files

CLASSES = {1: "wall", 2: "cell"}


def labels(*values: int) -> np.ndarray:
    """A row of blocks of 2 × 2 × 2 voxels with these values."""
    blocks = [np.full((2, 2, 2), value, np.uint8) for value in values]
    return np.pad(np.concatenate(blocks, axis=2), 1)


def scores(name: str, predicted: tuple[int, ...], true: tuple[int, ...], task: Task = Task.BINARY) -> Scores:
    options = MetricOptions(task, CLASSES if task is Task.SEMANTIC else {})
    return score(labels(*predicted), GroundTruth(labels(*true)), name, options=options)


@pytest.fixture
def binary() -> list[Scores]:
    """One volume that is right, one that is shifted by a block, one that is missed, one that is extra."""
    return [
        scores("right", (1, 0), (1, 0)),
        scores("shifted", (0, 1), (1, 0)),
        scores("missed", (0, 0), (1, 0)),
        scores("extra", (1, 0), (0, 0)),
    ]


@pytest.fixture
def semantic() -> list[Scores]:
    """The cell is missed in the first volume; neither has one in the second; the wall is always right."""
    return [
        scores("first", (1, 0), (1, 2), Task.SEMANTIC),
        scores("second", (1, 0), (1, 0), Task.SEMANTIC),
        scores("third", (1, 2), (1, 2), Task.SEMANTIC),
    ]


def test_means_count_the_volumes_that_they_leave_out(binary: list[Scores]) -> None:
    mean = mean_scores(binary)
    assert mean.left_out == {"hd95": 2}
    assert mean.hd95 == pytest.approx((0 + 2) / 2)  # the surfaces of the shifted blocks are 2 voxels apart at most
    assert mean.numbers()["left_out"] == {"hd95": 2}
    assert mean_scores(binary[:2]).left_out == {}
    assert "left_out" not in mean_scores(binary[:2]).numbers()


def test_means_over_classes_count_the_structures(semantic: list[Scores]) -> None:
    first, second, _ = semantic
    assert (first.left_out, second.left_out) == ({"hd95": 1}, {})
    mean = mean_scores(semantic)
    assert mean.left_out == {"hd95": 1}
    wall, cell = mean.classes
    assert (wall.left_out, wall.n_absent) == ({}, 0)
    assert (cell.left_out, cell.n_absent) == ({"hd95": 1}, 1)


def test_the_table_of_the_command_says_it_beside_the_mean(binary: list[Scores], semantic: list[Scores]) -> None:
    *_, mean = score_table(binary, mean_scores(binary)).splitlines()
    assert "1.00 (2 left out)" in mean
    assert "left out" not in score_table(binary[:2], mean_scores(binary[:2]))
    *_, mean, wall, cell = score_table(semantic, mean_scores(semantic)).splitlines()
    assert "0.00 (1 left out)" in mean
    assert "left out" not in wall
    assert cell.startswith("  cell (absent from 1)")
    assert "0.00 (1 left out)" in cell
    lengths = {len(line) for line in score_table(binary, mean_scores(binary)).splitlines()}
    assert len(lengths) == 1


def read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


def test_files_have_columns_for_it_only_where_something_is_left_out(
    binary: list[Scores], semantic: list[Scores], tmp_path: Path
) -> None:
    write_metrics(tmp_path / "m.csv", binary, mean_scores(binary))
    assert [row["hd95_left_out"] for row in read(tmp_path / "m.csv")] == ["0", "0", "0", "0", "2"]
    write_metrics(tmp_path / "all.csv", binary[:2], mean_scores(binary[:2]))
    assert list(read(tmp_path / "all.csv")[0]) == [
        "volume",
        "dice",
        "iou",
        "precision",
        "recall",
        "hd95",
        "nsd",
        "distance_unit",
        "seen_in",
    ]
    write_metrics(tmp_path / "c.csv", semantic, mean_scores(semantic))
    *_, mean, wall, cell = read(tmp_path / "c.csv")
    assert [(row["class"], row["hd95_left_out"], row["n_absent"]) for row in (mean, wall, cell)] == [
        ("", "1", "0"),
        ("wall", "0", "0"),
        ("cell", "1", "1"),
    ]
    write_metrics(tmp_path / "c.json", semantic, mean_scores(semantic))
    written = json.loads((tmp_path / "c.json").read_text())["mean"]
    assert (written["left_out"], written["classes"][1]["n_absent"]) == ({"hd95": 1}, 1)


def test_the_report_says_it(semantic: list[Scores], tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.json", semantic, mean_scores(semantic))
    write_json(tmp_path / "evaluation.json", {})
    page = describe_evaluation(read_evaluation_files(tmp_path))
    *_, mean, wall, cell = page["rows"]
    assert page["has_left_out"]
    assert "0.00 (1 left out)" in [number.text for number in mean.cells[1:]]
    assert not any("left out" in number.text for number in wall.cells[1:])
    assert cell.cells[0] == "cell (absent from 1)"
