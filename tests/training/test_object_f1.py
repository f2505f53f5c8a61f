"""Validation counts single objects: F1 is in events, history and curves, and may choose the best epoch."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_unet3d.cli import main
from napari_unet3d.configs import Augmentation, PredictionConfig, Task, TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.events import Notice
from napari_unet3d.data.issues import Severity
from napari_unet3d.data.sample import Sample
from napari_unet3d.evaluation.metrics.instances import match_instances
from napari_unet3d.inference.predict import predict
from napari_unet3d.model.plan import Plan
from napari_unet3d.runs.history import EpochRecord, best_record, read_history
from napari_unet3d.session.loss_history import make_loss_history
from napari_unet3d.training.events import EpochFinished, TrainingFinished
from napari_unet3d.training.loading import instance_window
from napari_unet3d.training.loading.validation import Validation
from napari_unet3d.training.loading.volumes import prepare_volume
from napari_unet3d.training.loop import train
from napari_unet3d.training.preflight import preflight

SHAPE = (16, 24, 28)


def boxes(name: str, seed: int = 0, shape=SHAPE) -> Sample:
    """Bright boxes, some of which touch."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    for number, (y, x) in enumerate([(2, 2), (2, 9), (12, 3), (13, 17)], start=1):
        labels[3 + number : 11, y : y + 8, x : x + 7] = number
    image = rng.normal(50, 5, shape) + 100 * (labels > 0)
    return Sample(name, image.astype(np.float32), labels)


def cells(name: str, seed: int = 0) -> Sample:
    """Cells that touch everywhere, with dark borders between them: the whole volume is foreground."""
    rng = np.random.default_rng(seed)
    _, y, x = np.indices(SHAPE)
    labels = (1 + (y // 8) * 4 + x // 7).astype(np.uint8)
    border = (y % 8 == 0) | (x % 7 == 0)
    return Sample(name, (rng.normal(150, 5, SHAPE) - 100 * border).astype(np.float32), labels)


def config(**values: object) -> TrainingConfig:
    given = {"task": "instance", "preset": "xsmall", "epochs": 3, "device": "cpu", "val_fraction": 0.34, **values}
    return TrainingConfig(**given)


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("patch", ["whole", (8, 16, 16)])
def test_f1_is_that_of_a_prediction_with_default_settings(patch: object, tmp_path: Path) -> None:
    samples = [boxes(str(seed), seed) for seed in range(3)]
    settings = config(epochs=12, patch=patch, val_volumes="1", learning_rate=0.02)
    events = list(train(samples, tmp_path, settings))
    epochs = [event for event in events if isinstance(event, EpochFinished)]
    assert all(event.val_f1 is not None and 0 <= event.val_f1 <= 1 for event in epochs)
    finished = events[-1]
    assert isinstance(finished, TrainingFinished)
    assert finished.best_val_f1 == epochs[finished.best_epoch - 1].val_f1
    assert [float(row["val_f1"]) for row in rows(tmp_path)] == pytest.approx([event.val_f1 for event in epochs])
    assert [record.val_f1 for record in read_history(tmp_path / "history.csv")] == [event.val_f1 for event in epochs]
    if patch == "whole":
        *_, prediction = predict(tmp_path, samples[1], PredictionConfig(device="cpu"))
        assert finished.best_val_f1 == match_instances(prediction.labels, samples[1].labels).f1
        assert finished.best_val_f1 > 0


def logits_of(ids: np.ndarray) -> torch.Tensor:
    """A perfect output: objects with a centre, and boundaries where they touch."""
    from napari_unet3d.training.loading.instance_targets import instance_targets

    boundary, distance = instance_targets(ids, (1.0, 1.0, 1.0)).astype(np.float32)
    maps = np.stack([ids > 0, boundary, distance / 255]).clip(1e-4, 1 - 1e-4)
    return torch.logit(torch.from_numpy(maps.astype(np.float32)))


@pytest.mark.parametrize("patch", [None, (8, 12, 16)])
@pytest.mark.parametrize("most", [2**20, 2000])
def test_tiles_are_put_together(patch: tuple[int, int, int] | None, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_window, "_MAX_VOXELS", most)
    plan = Plan(task=Task.INSTANCE, strides=((2, 2, 2),), patch_zyx=patch, batch_size=3)
    sample = boxes("a", shape=(15, 24, 27))
    volume = prepare_volume(sample, config(patch="whole" if patch is None else patch), plan, validates=True)
    validation = Validation([volume], plan, Augmentation.NONE)
    (window,), (batches,) = validation.instance_windows, validation
    tiles = [tile for batch in batches for tile in batch.tiles]
    perfect, side = logits_of(volume.instances), patch or volume.shape
    boxes_of_tiles = [tuple(slice(a, a + b) for a, b in zip(tile.start, side, strict=True)) for tile in tiles]
    crops = [perfect[(slice(None), *box)][None] for box in boxes_of_tiles]
    assert window.f1(crops, tiles) == 1
    assert window.f1([-crop.abs() for crop in crops], tiles) == 0
    merged = [crop.clone() for crop in crops]
    for crop in merged:
        crop[:, 1] = -9
        crop[:, 2] = torch.where(crop[:, 0] > 0, 9.0, -9.0)
    assert 0 < window.f1(merged, tiles) < 1  # two of the objects touch


def test_other_tasks_have_none(tmp_path: Path) -> None:
    samples = [boxes(str(seed), seed) for seed in range(3)]
    events = list(train(samples, tmp_path, config(task="binary", epochs=1)))
    assert [event.val_f1 for event in events if isinstance(event, EpochFinished)] == [None]
    assert {row["val_f1"] for row in rows(tmp_path)} == {""}


def test_the_best_epoch_by_f1() -> None:
    history = [
        EpochRecord(1, 0.9, 0.5, 0.9, 0.2, "f1"),
        EpochRecord(2, 0.8, 0.7, 0.9, 0.8, "f1"),
        EpochRecord(3, 0.7, 0.4, 0.9, 0.8, "f1"),
        EpochRecord(4, 0.6, None, None, None, "f1"),
    ]
    assert best_record(history).epoch == 2
    by_loss = [EpochRecord(r.epoch, r.train_loss, r.val_loss, r.val_dice, r.val_f1) for r in history]
    assert best_record(by_loss).epoch == 3
    curves = make_loss_history(history)
    assert curves.best[0] == 2
    assert curves.f1.xy[1].tolist() == [0.2, 0.8, 0.8]
    assert curves.f1_of(3) == 0.8


def test_the_setting_chooses_the_model_and_patience_follows_it(tmp_path: Path) -> None:
    samples = [boxes(str(seed), seed) for seed in range(3)]
    settings = config(epochs=10, best_metric="f1", patience=3, learning_rate=0.02, save_snapshots=False)
    *_, finished = train(samples, tmp_path, settings)
    history = read_history(tmp_path / "history.csv")
    scores = [record.val_f1 for record in history]
    assert finished.best_epoch == scores.index(max(scores)) + 1 == best_record(history).epoch
    assert len(history) == min(10, finished.best_epoch + 3)


@pytest.mark.parametrize("task", ["instance", "binary"])
def test_cells_that_touch_everywhere(task: str, tmp_path: Path) -> None:
    samples = [cells(str(seed), seed) for seed in range(3)]
    events = list(train(samples, tmp_path, config(task=task, epochs=2)))
    epochs = [event for event in events if isinstance(event, EpochFinished)]
    assert [event.val_dice for event in epochs] == [None, None]
    assert all((event.val_f1 is None) is (task == "binary") for event in epochs)
    message = "Nearly all annotated voxels are foreground, so Dice is nearly 1"
    assert sum(isinstance(event, Notice) and message in event.message for event in events) == 1
    assert {row["val_dice"] for row in rows(tmp_path)} == {""}
    *_, check = preflight(samples, config(task=task), timed=False)
    warnings = [issue.message for issue in check.of(Severity.WARNING)]
    expected = message if task == "instance" else "No voxel has label 0, so there is no background"
    assert sum(expected in warning for warning in warnings) == 1
    *_, ordinary = preflight([boxes("a"), boxes("b", 1)], config(), timed=False)
    assert not any(message in issue.message for issue in ordinary.issues)


def test_the_command_prints_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        add_sample(tmp_path / "data", cells(str(seed), seed), Subset.TRAIN)
    given = ["--task", "instance", "--epochs", "1", "--device", "cpu", "--best-metric", "f1", "--val-volumes", "1"]
    assert main(["train", str(tmp_path / "data"), "--run", str(tmp_path / "run"), *given]) == 0
    told = capfd.readouterr()
    assert "best epoch 1: object F1 " in told.out
    assert "validation on 1" in told.err
    assert "object F1" in told.err
    assert main(["train", str(tmp_path / "data"), "--run", str(tmp_path / "x"), *given[:-1], "7"]) == 1
    assert "No training volume is named '7', so it cannot validate; there are '0', '1', '2'." in capfd.readouterr().err
    assert not (tmp_path / "x").exists()
