"""Runs recorded in TensorBoard, MLflow and trackio, also over stops, and trainings that go on when a tracker fails."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.training.events import EpochFinished, TrainEvent, TrainingFinished
from napari_unet3d.training.loop import train

NAMES = {"loss/training", "loss/validation", "dice/validation", "learning_rate", "seconds"}


def config(**values: Any) -> TrainingConfig:
    return TrainingConfig(
        **{
            "epochs": 3,
            "steps_per_epoch": 1,
            "patch": 8,
            "batch_size": 1,
            "device": "cpu",
            "val_fraction": 0.34,
            **values,
        }
    )


def run_until(events: Iterator[TrainEvent], n_epochs: int) -> list[TrainEvent]:
    """Go on until some epochs are finished, then stop the training."""
    found = []
    while n_epochs:
        found.append(next(events))
        n_epochs -= isinstance(found[-1], EpochFinished)
    events.close()  # type: ignore[attr-defined]
    return found


def of_tensorboard(run: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(run / "tensorboard")).Reload()
    return {name: [(each.step, each.value) for each in found.Scalars(name)] for name in found.Tags()["scalars"]}


def test_a_run_is_recorded_in_tensorboard_over_a_stop_and_is_the_same(samples: list[Sample], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    tracked = config(track="tensorboard")
    run_until(train(samples, tmp_path / "run", tracked), 2)
    events = list(train(samples, tmp_path / "run", tracked, resume=True))
    plain = list(train(samples, tmp_path / "plain", config()))

    epochs = [each for each in plain if isinstance(each, EpochFinished)]
    found = of_tensorboard(tmp_path / "run")
    assert set(found) == NAMES
    for name, of in {
        "loss/training": "train_loss",
        "loss/validation": "val_loss",
        "dice/validation": "val_dice",
    }.items():
        assert [step for step, _ in found[name]] == [1, 2, 3]
        assert [value for _, value in found[name]] == pytest.approx([getattr(each, of) for each in epochs])
    assert [value for _, value in found["learning_rate"]] == pytest.approx([each.learning_rate for each in epochs])
    assert not [each for each in events if isinstance(each, Notice) and "racking" in each.message]
    one, other = (load_checkpoint(tmp_path / name / "last.safetensors").weights for name in ("run", "plain"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not (tmp_path / "plain" / "tracking.json").exists()

    list(train(samples, tmp_path / "run", config(track="tensorboard", epochs=1), overwrite=True))
    assert [step for step, _ in of_tensorboard(tmp_path / "run")["loss/training"]] == [1]  # nothing of the one before


def test_tracking_may_begin_later_and_has_the_earlier_epochs(samples: list[Sample], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run_until(train(samples, tmp_path, config()), 2)
    list(train(samples, tmp_path, TrainingConfig(track="tensorboard"), resume=True))
    found = of_tensorboard(tmp_path)
    assert [step for step, _ in found["loss/training"]] == [1, 2, 3]
    assert [step for step, _ in found["learning_rate"]] == [3]  # the history has none
    assert json.loads((tmp_path / "tracking.json").read_text()) == {"tensorboard": {"id": "tensorboard", "epochs": 3}}


@pytest.mark.filterwarnings("default")  # of libraries that MLflow uses
def test_mlflow_has_one_run_with_settings_and_numbers(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    from mlflow.tracking import MlflowClient

    tracked = config(track="mlflow")
    stopped = train(samples, tmp_path / "run", tracked)
    run_until(stopped, 2)
    client = MlflowClient()
    experiment = client.get_experiment_by_name("napari-unet3d").experiment_id
    assert [each.info.status for each in client.search_runs([experiment])] == ["KILLED"]

    list(train(samples, tmp_path / "run", tracked, resume=True))
    (run,) = client.search_runs([experiment])
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.params["epochs"] == "3"
    assert run.data.params["patch"] == "8 8 8"
    assert set(run.data.metrics) == NAMES
    assert [each.step for each in client.get_metric_history(run.info.run_id, "loss/training")] == [1, 2, 3]


def test_trackio_has_one_run_and_stdout_nothing(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # which it reads when it is imported
    trackio = pytest.importorskip("trackio")
    tracked = config(track="trackio")
    run_until(train(samples, tmp_path / "run", tracked), 2)
    list(train(samples, tmp_path / "run", tracked, resume=True))
    assert capfd.readouterr().out == ""
    (run,) = trackio.Api().runs("napari-unet3d")
    assert run.name.startswith("run 2")


def test_a_tracker_that_fails_does_not_end_the_training(samples: list[Sample], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run_until(train(samples, tmp_path, config(track="tensorboard")), 1)
    shutil.rmtree(tmp_path / "tensorboard")
    (tmp_path / "tensorboard").write_text("a file is where the folder was")
    events = list(train(samples, tmp_path, None, resume=True))
    messages = [each.message for each in events if isinstance(each, Notice) and "racking" in each.message]
    assert len(messages) == 1
    assert messages[0].startswith("Tracking with TensorBoard has failed: ")
    assert messages[0].endswith("The training continues without it.")
    assert isinstance(events[-1], TrainingFinished)


def test_a_missing_package_is_said_before_anything_is_done(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as if it were not installed
    with pytest.raises(UserError, match=r"needs mlflow\. Install it with: pip install 'napari-unet3d\[mlflow\]'"):
        next(train(samples, tmp_path / "run", config(track=("mlflow", "mlflow"))))
    assert not (tmp_path / "run" / "config.json").exists()
