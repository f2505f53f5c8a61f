"""A metric is a function and a row of the table: files, the command and the report have it without further changes."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unet3d.cli.score_table import score_table
from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.evaluation.metrics.metric import Direction, Metric, Scope
from napari_unet3d.evaluation.metrics.pair import LabelPair
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.evaluation.metrics.table import METRICS
from napari_unet3d.evaluation.metrics.types import Scores, mean_scores
from napari_unet3d.evaluation.reports.report import write_report
from napari_unet3d.evaluation.reports.score_files import write_metrics
from napari_unet3d.files import write_json


def example(name: str) -> str:
    """Return a worked example of CONTRIBUTING."""
    text = (Path(__file__).parents[3] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- example: {name} -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


MODULE: dict[str, Any] = {}
exec(compile(example("a metric"), "volume_error.py", "exec"), MODULE)
ROW: Metric = eval(example("the row of a metric"), {**MODULE, "Metric": Metric, "Direction": Direction})


def n_doubled(pair: LabelPair) -> float:
    return 2.0 * pair.matches.n_true


VOLUME_ERROR = replace(ROW, average=max)
N_DOUBLED = Metric("n_doubled", "Doubled", "Twice the number of instances.", n_doubled, Scope.INSTANCES)


@pytest.fixture(autouse=True)
def toy_metrics() -> Iterator[None]:
    METRICS.extend((VOLUME_ERROR, N_DOUBLED))
    yield
    METRICS.remove(VOLUME_ERROR)
    METRICS.remove(N_DOUBLED)


def scores_of(name: str, task: Task, n_predicted: int, n_true: int) -> Scores:
    prediction, truth = np.zeros((3, 4, 9), np.uint8), np.zeros((3, 4, 9), np.uint8)
    prediction[1, 2, :n_predicted] = truth[1, 2, :n_true] = 1
    return score(prediction, GroundTruth(truth), name, options=MetricOptions(task, {1: "wall", 2: "lumen"}))


@pytest.mark.parametrize("task", list(Task))
def test_files_command_and_report_have_a_new_metric(task: Task, tmp_path: Path) -> None:
    volumes = [scores_of("thick", task, 6, 4), scores_of("thin", task, 3, 4), scores_of("none", task, 3, 0)]
    mean = mean_scores(volumes)
    assert [each.volume_error for each in (*volumes, mean)] == [0.5, -0.25, None, 0.5], "averaged as its row says"

    for suffix in ("csv", "json"):
        write_metrics(tmp_path / "e" / f"metrics.{suffix}", volumes, mean)
    with (tmp_path / "e" / "metrics.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row.get("class")]
    assert [row["volume_error"] for row in rows] == ["0.5", "-0.25", "", "0.5"]
    content = json.loads((tmp_path / "e" / "metrics.json").read_text(encoding="utf-8"))
    assert [each["volume_error"] for each in content["volumes"]] == [0.5, -0.25, None]

    head, thick, *_ = score_table(volumes, mean).splitlines()
    assert "Vol. error" in head
    assert "0.5000" in thick

    write_json(tmp_path / "run" / "config.json", TrainingConfig().model_dump(mode="json"))
    write_report(tmp_path / "run", tmp_path / "r.html", tmp_path / "e")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert 'title="How much larger the prediction is than the ground truth.">Vol. error</th>' in page
    assert 'title="-0.25">-0.2500<' in page

    if task is Task.SEMANTIC:
        assert [each.volume_error for each in volumes[0].classes] == [0.5, None]
    if task is Task.INSTANCE:
        assert [row["instance_n_doubled"] for row in rows] == ["2.0", "2.0", "0.0", str(4 / 3)]
        assert "Doubled" in head
        assert 'title="Twice the number of instances. Higher is better.">Doubled</th>' in page


def test_every_metric_of_the_table_is_explained_and_has_a_name_of_its_own() -> None:
    columns = [metric.column for metric in METRICS]
    assert len(set(columns)) == len(columns)
    assert all(metric.explanation.endswith(".") and metric.heading for metric in METRICS)
    assert {metric.out_of for metric in METRICS} <= {"", *(metric.name for metric in METRICS)}
