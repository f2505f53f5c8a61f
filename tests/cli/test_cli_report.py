"""The command that writes a page about a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d import TrainingConfig
from napari_unet3d.cli import main
from napari_unet3d.data.dataset import read_samples
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.reading import read_volume
from napari_unet3d.evaluation.errors.find import list_errors
from napari_unet3d.evaluation.tolerance import default_tolerance
from napari_unet3d.training.loop import train


@pytest.fixture
def run(dataset: Path, tmp_path: Path) -> Path:
    list(train(dataset, tmp_path / "run", TrainingConfig(epochs=2, device="cpu", patch=(8, 8, 8))))
    return tmp_path / "run"


def test_a_page_with_and_without_a_test_set(
    run: Path, dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert main(["report", str(run), "--out", str(page)]) == 0
    assert capfd.readouterr().out == f"report: {page}\n"
    words = page.read_text(encoding="utf-8")
    assert "was not evaluated" in words
    assert "--epochs 2 --device cpu" in words

    assert main(["report", str(run), "--out", str(page), "--dataset", str(dataset)]) == 0
    words = page.read_text(encoding="utf-8")
    metrics = json.loads((run / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
    assert f'title="{metrics["mean"]["dice"]!r}"' in words
    (sample,) = read_samples(dataset, Subset.TEST)
    labels = read_volume(run / "evaluation" / "predictions" / "t_labels.tif").array
    errors = list_errors(
        labels,
        GroundTruth(np.asarray(sample.labels)),
        geometry=sample.geometry,
        tolerance=default_tolerance(sample.geometry.spacing),
    )
    rows = (run / "evaluation" / "errors.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(rows) == len(errors.errors)
    assert words.count('alt="Slice through error') == min(12, len(rows))


def test_an_evaluation_elsewhere(run: Path, dataset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    assert main(["evaluate", str(run), str(dataset), "--out", str(folder)]) == 0
    assert main(["report", str(run), "--out", str(tmp_path / "p.html"), "--evaluation", str(folder)]) == 0
    assert "The lowest Dice has" in (tmp_path / "p.html").read_text(encoding="utf-8")
    assert not (run / "evaluation").exists()


def test_what_is_no_run_is_said_before_anything_is_evaluated(
    dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(dataset), "--out", str(tmp_path / "p.html"), "--dataset", str(dataset)]) == 1
    assert "is no run folder" in capfd.readouterr().err
    assert main(["report", str(dataset), "--out", str(tmp_path / "p.pdf")]) == 1
    assert "choose a name that ends in .html" in capfd.readouterr().err
