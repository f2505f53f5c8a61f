"""The table of scores that the command prints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_unet3d.cli.score_table import score_table
from napari_unet3d.configs import Task
from napari_unet3d.data.geometry import UNKNOWN, Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.seen_content import SeenIn
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.evaluation.metrics.types import Scores, mean_scores

EMPTY = {"dice": 0.0, "iou": 0.0, "precision": 0.0, "recall": 0.0, "hd95": None, "nsd": 0.0}
CUBES = Geometry((1.0, 1.0, 1.0))
LONG = "2026-01-01 a scan of a sample with a name that says all there is to know about it, left half"


def of_task(task: Task, name: str = "bone", geometry: Geometry = CUBES) -> Scores:
    truth, prediction = np.zeros((3, 4, 9), np.uint8), np.zeros((3, 4, 9), np.uint8)
    truth[1, 1, :4], truth[2, 2, 3:9] = 1, 3
    prediction[1, 1, :4], prediction[2, 2, 3:7] = 1, 3
    return score(
        prediction, GroundTruth(truth), name, geometry, MetricOptions(task, {1: "cortex", 2: "canal", 3: "marrow"})
    )


def cells(line: str) -> list[str]:
    return line.split()


def test_foreground() -> None:
    scores = [of_task(Task.BINARY), Scores("empty", EMPTY, distance_unit="µm", seen_in=SeenIn.NEVER)]
    head, bone, empty, mean = score_table(scores, mean_scores(scores)).splitlines()
    assert cells(head) == ["volume", "Dice", "IoU", "Precision", "Recall", "HD95", "µm", "NSD", "seen"]
    assert cells(bone) == ["bone", "0.8889", "0.8000", "1.0000", "0.8000", "1.55", "0.9444", "?"]
    assert cells(empty) == ["empty", "0.0000", "0.0000", "0.0000", "0.0000", "–", "0.0000", "never"]
    assert cells(mean) == [
        "mean",
        "0.4444",
        "0.4000",
        "0.5000",
        "0.4000",
        "1.55",
        "(1",
        "left",
        "out)",
        "0.4722",
        "mixed",
    ]
    assert len({len(line) for line in (head, bone, empty, mean)}) == 1


def test_a_volume_that_was_seen_in_training_is_said_beside_its_score_and_below() -> None:
    seen = [SeenIn.TRAINING, SeenIn.VALIDATION, SeenIn.NEVER]
    scores = [replace(of_task(Task.BINARY, f"v{n}"), seen_in=each) for n, each in enumerate(seen)]
    _, *lines, mean, notice = score_table(scores, mean_scores(scores)).splitlines()
    assert [cells(line)[-1] for line in (*lines, mean)] == ["train", "val", "never", "mixed"]
    assert notice.startswith("The model was trained on 'v0'")
    never = scores[2:]
    assert len(score_table(never, mean_scores(never)).splitlines()) == 3


def test_classes_have_a_line_each() -> None:
    scores = of_task(Task.SEMANTIC)
    _, bone, cortex, canal, marrow, *mean = score_table([scores], mean_scores([scores])).splitlines()
    assert cells(bone)[:2] == ["bone", "0.9000"]
    assert cells(cortex)[:3] == ["cortex", "1.0000", "1.0000"]
    assert cells(canal) == ["canal", *["–"] * 6]
    assert cells(marrow)[:2] == ["marrow", "0.8000"]
    assert len(mean) == 4


def test_instances() -> None:
    scores = of_task(Task.INSTANCE)
    head, bone, _ = score_table([scores], mean_scores([scores])).splitlines()
    assert cells(head)[-8:] == ["F1", "AP", "True", "Found", "Extra", "Splits", "Merges", "seen"]
    # The second instance has an IoU of 4/6, which is enough for 0.5 to 0.65.
    assert cells(bone)[-8:] == ["1.0000", f"{(4 * 1 + 6 / 3) / 10:.4f}", "2", "2", "0", "0", "0", "?"]


@pytest.mark.parametrize("task", list(Task))
def test_long_names_lose_their_middle(task: Task) -> None:
    scores = of_task(task, LONG)
    table = score_table([scores], mean_scores([scores]))
    assert max(map(len, table.splitlines())) == 108
    line = table.splitlines()[1]
    assert line.startswith("2026-01")
    assert "left half " in line
    assert "…" in line


def test_distances_of_unknown_voxel_size_are_in_voxels() -> None:
    scores = [of_task(Task.BINARY, geometry=UNKNOWN)]
    head, bone, mean = score_table(scores, mean_scores(scores)).splitlines()
    assert cells(head)[5:8] == ["HD95", "voxels", "NSD"]
    assert cells(bone)[-3:] == cells(mean)[-3:] == ["1.55", "0.9444", "?"]


@pytest.mark.parametrize("task", list(Task))
def test_distances_in_different_units_are_not_averaged(task: Task) -> None:
    """Both have their unit, and there is no mean."""
    scores = [of_task(task, "plain", UNKNOWN), of_task(task, "sized", Geometry((2.0, 2.0, 2.0)))]
    assert scores[1].hd95 == pytest.approx(2 * scores[0].hd95)
    mean = mean_scores(scores)
    assert (mean.hd95, mean.nsd, mean.distance_unit) == (None, None, "")
    assert mean.dice == pytest.approx(scores[0].dice)
    table = score_table(scores, mean)
    assert " HD95 " in table.splitlines()[0]
    assert f" {scores[0].hd95:.2f} voxels" in table
    assert f" {scores[1].hd95:.2f} µm" in table
    notice = "Surface distance (HD95) and Surface match (NSD) have no mean: distances are in voxels for 'plain'"
    assert table.splitlines()[-1].startswith(notice)
    assert len(max(table.splitlines()[:-1], key=len)) <= 108
