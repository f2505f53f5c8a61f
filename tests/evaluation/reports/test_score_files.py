"""Metrics as files: the numbers of the CSV are those of the JSON, and both those that were computed."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.configs import Task
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.evaluation.metrics.types import Scores, mean_scores
from napari_unet3d.evaluation.reports.score_files import write_metrics


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def bars(*values: int) -> np.ndarray:
    """A row of bars of four voxels each, with an empty voxel after each."""
    volume = np.zeros((3, 4, 5 * len(values)), np.uint8)
    for number, value in enumerate(values):
        volume[1, 1, 5 * number : 5 * number + 4] = value
    return volume


def test_numbers_by_hand(tmp_path: Path) -> None:
    half = bars(1)
    half[1, 1, 2:] = 0
    volumes = [
        score(bars(1), GroundTruth(bars(1)), "Zellkern, ä", Geometry((3, 2, 1))),
        score(half, GroundTruth(bars(1)), "half", Geometry((3, 2, 1))),
    ]
    write_metrics(tmp_path / "m.csv", volumes, mean_scores(volumes))
    whole, found_half, mean = read(tmp_path / "m.csv")
    assert [row["volume"] for row in (whole, found_half, mean)] == ["Zellkern, ä", "half", "mean"]
    assert "class" not in whole
    assert float(whole["dice"]) == 1
    assert float(found_half["dice"]) == pytest.approx(2 * 2 / (2 + 4))
    assert float(found_half["iou"]) == 0.5
    assert float(found_half["precision"]) == 1
    assert float(found_half["recall"]) == 0.5
    # The voxels at x = 0 … 3 and at x = 0, 1 are all surface: 95 % of them lie within 2 µm at most.
    assert 0 < float(found_half["hd95"]) <= 2
    assert float(mean["dice"]) == pytest.approx((1 + 2 / 3) / 2)
    assert float(mean["recall"]) == 0.75


def test_a_class_has_a_row_below_its_volume_and_what_is_missing_is_empty(tmp_path: Path) -> None:
    rules = MetricOptions(Task.SEMANTIC, {1: "wall", 2: "nucleus", 3: "vacuole"})
    volumes = [score(bars(1, 1), GroundTruth(bars(1, 2)), "cell", Geometry((1, 1, 1)), rules)]
    write_metrics(tmp_path / "m.csv", volumes, mean_scores(volumes))
    rows = read(tmp_path / "m.csv")
    assert [(row["volume"], row["class"]) for row in rows[:4]] == [
        ("cell", ""),
        ("cell", "wall"),
        ("cell", "nucleus"),
        ("cell", "vacuole"),
    ]
    assert float(rows[1]["dice"]) == pytest.approx(2 * 4 / (8 + 4))
    assert float(rows[2]["dice"]) == 0
    assert rows[2]["hd95"] == ""
    assert {rows[3][name] for name in ("dice", "iou", "hd95")} == {""}
    assert len(rows) == 8


def test_instances_have_columns_of_their_own(tmp_path: Path) -> None:
    rules = MetricOptions(Task.INSTANCE)
    volumes = [score(bars(7, 0, 9, 4), GroundTruth(bars(1, 2, 3, 0)), "beads", Geometry((1, 1, 1)), rules)]
    write_metrics(tmp_path / "m.csv", volumes)
    (row,) = read(tmp_path / "m.csv")
    numbers = {name: float(row[f"instance_n_{name}"]) for name in ("true", "predicted", "matched", "extra", "split")}
    assert numbers == {"true": 3, "predicted": 3, "matched": 2, "extra": 1, "split": 0}
    assert float(row["instance_f1"]) == pytest.approx(2 * 2 / 6)
    assert float(row["instance_ap"]) == pytest.approx(2 / 4)


def test_pandas_reads_the_numbers_of_the_json(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    volumes = [
        score(
            rng.random((4, 5, 6)) > 0.4,
            GroundTruth((rng.random((4, 5, 6)) > 0.5).astype(np.uint8)),
            name,
            Geometry((3, 2, 1)),
        )
        for name in ("1", "2", "3")
    ]
    volumes[1] = replace(volumes[1], values={**volumes[1].values, "hd95": None})
    for suffix in ("csv", "json"):
        write_metrics(tmp_path / f"m.{suffix}", volumes, mean_scores(volumes))
    content = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    table = pandas.read_csv(tmp_path / "m.csv", dtype={"volume": str})
    columns = [
        "volume",
        "dice",
        "iou",
        "precision",
        "recall",
        "hd95",
        "nsd",
        "distance_unit",
        "seen_in",
        "hd95_left_out",
    ]
    assert list(table.columns) == columns
    assert table.pop("hd95_left_out").tolist() == [0, 0, 0, 1]
    expected = [*content["volumes"], {"name": "mean", **content["mean"]}]
    for (_, row), numbers in zip(table.iterrows(), expected, strict=True):
        assert row["volume"] == numbers["name"]
        for name in table.columns[1:]:
            assert row[name] == numbers[name] or (np.isnan(row[name]) and numbers[name] is None)


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"as 'm\.xlsx'; choose a name that ends in \.csv or \.json"):
        write_metrics(tmp_path / "m.xlsx", [Scores("a", {"dice": 1})])
