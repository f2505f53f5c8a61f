"""A hot pixel changes no result, and is said wherever it matters."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from box_samples import make_sample

from napari_unet3d.cli import main
from napari_unet3d.configs import EvaluationConfig, PredictionConfig, TrainingConfig
from napari_unet3d.data.checks import check_dataset
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.events import Notice
from napari_unet3d.data.issues import Severity
from napari_unet3d.data.sample import Sample
from napari_unet3d.inference.evaluate import evaluate
from napari_unet3d.inference.predict import predict
from napari_unet3d.training.loop import train
from napari_unet3d.training.preflight import preflight

SETTINGS = {"epochs": 25, "device": "cpu", "val_fraction": 0, "augmentation": "none", "patch": "whole", "seed": 1}


def plain(name: str, seed: int) -> Sample:
    sample = make_sample(name, seed, (18, 24, 28))
    return replace(sample, image=sample.image.astype(np.uint16), labels=(sample.labels > 0).astype(np.uint8))


def hot(sample: Sample, n: int = 1) -> Sample:
    image = sample.image.copy()
    image.ravel()[np.random.default_rng(0).choice(image.size, n, replace=False)] = 65535
    return replace(sample, image=image)


def dice(run: Path, test: Sample) -> float:
    *_, finished = evaluate(run, [test], config=EvaluationConfig(device="cpu"))
    return float(finished.mean.dice)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    list(train([plain("a", 1), plain("b", 2)], folder, TrainingConfig(**SETTINGS)))
    return folder


@pytest.mark.parametrize("n", [1, 10])
def test_hot_voxels_in_the_test_image(run: Path, n: int) -> None:
    test = plain("t", 5)
    assert dice(run, test) > 0.9
    assert dice(run, hot(test, n)) == pytest.approx(dice(run, test), abs=0.01)
    *_, prediction = predict(run, hot(test), PredictionConfig(device="cpu"))
    *_, without = predict(run, test, PredictionConfig(device="cpu"))
    assert np.abs(prediction.probability - without.probability).mean() < 0.005


def test_hot_voxels_in_a_training_volume(run: Path, tmp_path: Path) -> None:
    events = list(train([hot(plain("a", 1)), plain("b", 2)], tmp_path, TrainingConfig(**SETTINGS)))
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert sum("1 voxel of 'a' is far outside the range of the others: up to 65535" in each for each in notices) == 1
    assert dice(tmp_path, plain("t", 5)) == pytest.approx(dice(run, plain("t", 5)), abs=0.02)


def warnings_of(sample: Sample, **settings: object) -> list[str]:
    config = TrainingConfig(device="cpu", **settings)
    *_, result = preflight([sample, plain("other", 3)], config, timed=False)
    return [issue.message for issue in result.of(Severity.WARNING) if "far outside" in issue.message]


def test_the_check_names_volume_value_and_remedy() -> None:
    (message,) = warnings_of(hot(plain("a", 1), 3))
    assert message.startswith("3 voxels of 'a' are far outside the range of the others: up to 65535, while nearly all")
    assert "They are clipped to" in message
    (message,) = warnings_of(hot(plain("a", 1)), normalisation="min-max")
    assert "Set the normalisation to z-score or percentile" in message
    assert warnings_of(plain("a", 1)) == []
    assert warnings_of(hot(plain("a", 1)), percentiles=(0, 100)) == []


def test_dataset_check_and_prediction_name_it_too(run: Path, tmp_path: Path) -> None:
    add_sample(tmp_path, hot(plain("a", 1)), Subset.TRAIN)
    assert sum("1 voxel of 'train/images/a.tif' is far" in issue.message for issue in check_dataset(tmp_path)) == 1
    notices = [
        event.message
        for event in predict(run, hot(plain("t", 5)), PredictionConfig(device="cpu"))
        if isinstance(event, Notice)
    ]
    assert any("1 voxel of 't' is far outside the range" in notice for notice in notices)


def test_percentiles_are_an_option_and_stay_with_the_model(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for sample in (plain("a", 1), plain("b", 2)):
        add_sample(tmp_path / "data", sample, Subset.TRAIN)
    given = ["train", str(tmp_path / "data"), "--run", str(tmp_path / "run"), "--epochs", "1", "--device", "cpu"]
    assert main([*given, "--percentiles", "99", "1"]) == 1
    assert "two percentiles from 0 to 100, the lower one first" in capfd.readouterr().err
    assert main([*given, "--percentiles", "1", "101"]) == 1
    assert main([*given, "--normalisation", "percentile", "--percentiles", "5", "95"]) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["percentiles"] == [5, 95]
    test = plain("t", 5)
    *_, found = predict(tmp_path / "run", test, PredictionConfig(device="cpu"))
    *_, hotter = predict(tmp_path / "run", hot(test), PredictionConfig(device="cpu"))
    assert np.abs(found.probability - hotter.probability).mean() < 0.01
