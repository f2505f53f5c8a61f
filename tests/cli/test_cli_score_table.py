"""The table of scores that the command prints."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.cli.score_table import score_table
from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.evaluation.metrics.types import Scores, mean_scores

EMPTY = {"dice": 0.0, "iou": 0.0, "precision": 0.0, "recall": 0.0, "hd95_um": None, "nsd": 0.0}
LONG = "2026-01-01 a scan of a sample with a name that says all there is to know about it, left half"


def of_task(task: Task, name: str = "bone") -> Scores:
    truth, prediction = np.zeros((3, 4, 9), np.uint8), np.zeros((3, 4, 9), np.uint8)
    truth[1, 1, :4], truth[2, 2, 3:9] = 1, 3
    prediction[1, 1, :4], prediction[2, 2, 3:7] = 1, 3
    return score(
        prediction, GroundTruth(truth), name, options=MetricOptions(task, {1: "cortex", 2: "canal", 3: "marrow"})
    )


def cells(line: str) -> list[str]:
    return line.split()


def test_foreground() -> None:
    scores = [of_task(Task.BINARY), Scores("empty", EMPTY)]
    head, bone, empty, mean = score_table(scores, mean_scores(scores)).splitlines()
    assert cells(head) == ["volume", "Dice", "IoU", "Precision", "Recall", "HD95", "µm", "NSD"]
    assert cells(bone) == ["bone", "0.8889", "0.8000", "1.0000", "0.8000", "1.55", "0.9444"]
    assert cells(empty) == ["empty", "0.0000", "0.0000", "0.0000", "0.0000", "–", "0.0000"]
    assert cells(mean) == ["mean", "0.4444", "0.4000", "0.5000", "0.4000", "1.55", "(1", "left", "out)", "0.4722"]
    assert len({len(line) for line in (head, bone, empty, mean)}) == 1


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
    assert cells(head)[-7:] == ["F1", "AP", "True", "Found", "Extra", "Splits", "Merges"]
    # The second instance has an IoU of 4/6, which is enough for 0.5 to 0.65.
    assert cells(bone)[-7:] == ["1.0000", f"{(4 * 1 + 6 / 3) / 10:.4f}", "2", "2", "0", "0", "0"]


@pytest.mark.parametrize("task", list(Task))
def test_long_names_lose_their_middle(task: Task) -> None:
    scores = of_task(task, LONG)
    table = score_table([scores], mean_scores([scores]))
    assert max(map(len, table.splitlines())) == 100
    line = table.splitlines()[1]
    assert line.startswith("2026-01")
    assert "left half " in line
    assert "…" in line
