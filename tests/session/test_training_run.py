"""The record of a run: it takes events, and tells its listeners what has changed."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from napari_unet3d import TrainingConfig, train
from napari_unet3d.data.events import Notice
from napari_unet3d.data.issues import Issue
from napari_unet3d.model.plan import Plan
from napari_unet3d.runs.history import EpochRecord
from napari_unet3d.session.training_run import TrainingRun, load_run
from napari_unet3d.training.events import (
    Busy,
    EndReason,
    EpochFinished,
    RunStarted,
    SnapshotSaved,
    StepFinished,
    Throughput,
    TrainingFinished,
    VolumeChecked,
)


@pytest.fixture
def run(tmp_path: Path) -> TrainingRun:
    return TrainingRun(tmp_path)


def started(run: TrainingRun, **values: Any) -> RunStarted:
    return RunStarted(
        **{
            "run_folder": run.run_folder,
            "device": "CPU (1 thread), fp32",
            "train_names": ("a", "b"),
            "val_names": ("c",),
            "n_epochs": 5,
            "n_steps_per_epoch": 2,
            "n_parameters": 100,
            "plan": Plan(strides=((2, 2, 2),)),
            "config": TrainingConfig(),
            "volume_shape_zyx": (8, 9, 10),
            **values,
        }
    )


def listen(run: TrainingRun) -> list[tuple[str, Any]]:
    """Collect name and new value of each change."""
    changes: list[tuple[str, Any]] = []

    def collector(name: str) -> Callable[[Any], None]:
        return lambda value: changes.append((name, value))

    for field in fields(run):
        getattr(run.events, field.name).connect(collector(field.name))
    return changes


class TestSignals:
    def test_each_event_changes_what_it_is_about(self, run: TrainingRun) -> None:
        changes = listen(run)
        run.add(VolumeChecked("a", 1, 3))
        run.add(Notice("Mind this."))
        assert changes == [("status", "Checking volume 1 of 3 …"), ("notices", ("Mind this.",))]
        changes.clear()
        run.add(start := started(run))
        assert [name for name, _ in changes] == ["history", "status", "started"]
        assert changes[-1] == ("started", start)
        changes.clear()
        run.add(Throughput(1, 2.5, 0.1))
        assert changes == [("throughput", Throughput(1, 2.5, 0.1))]
        changes.clear()
        run.add(epoch := EpochFinished(1, 0.8, 0.7, 0.6, True, 12.5))
        assert [name for name, _ in changes] == ["n_epochs_done", "best_epoch", "status", "progress", "latest_epoch"]
        assert dict(changes)["latest_epoch"] is epoch
        changes.clear()
        run.add(SnapshotSaved(run.run_folder, 1, 1))
        run.add(end := TrainingFinished(run.run_folder, run.run_folder / "model.safetensors", 1, 0.7, 0.6))
        assert changes == [("latest_snapshot", SnapshotSaved(run.run_folder, 1, 1)), ("finished", end)]

    def test_what_changes_nothing_emits_nothing(self, run: TrainingRun) -> None:
        run.add(Notice("Mind this."))
        run.add(started(run))
        changes = listen(run)
        run.add(Notice("Mind this."))
        run.add(Busy("Reading"))
        assert changes == []

    def test_steps_and_epochs_reach_the_listeners_of_the_curves(self, run: TrainingRun) -> None:
        run.add(started(run))
        steps: list[tuple[int, int, float]] = []
        epochs: list[EpochRecord] = []
        run.history.step_added.connect(lambda *step: steps.append(step))
        run.history.epoch_added.connect(epochs.append)
        run.add(StepFinished(1, 1, 0.9))
        run.add(StepFinished(1, 2, 0.7))
        run.add(EpochFinished(1, 0.8, None, None, True, 0.0))
        assert steps == [(1, 1, 0.9), (1, 2, 0.7)]
        assert epochs == [EpochRecord(1, 0.8)]

    def test_listeners_of_an_epoch_see_it_in_the_curves(self, run: TrainingRun) -> None:
        seen: list[tuple[int, int | None, int]] = []
        run.events.latest_epoch.connect(
            lambda: seen.append((len(run.history.records), run.best_epoch, run.n_epochs_done))
        )
        run.add(started(run))
        run.add(EpochFinished(1, 0.8, 0.7, 0.6, True, 1.0))
        assert seen == [(1, 1, 1)]


def test_steps_are_counted_and_the_engines_estimate_is_taken(run: TrainingRun) -> None:
    run.add(started(run))
    assert run.progress is None
    run.add(StepFinished(1, 1, 0.9))
    assert run.progress.fraction == pytest.approx(0.1)
    run.add(EpochFinished(1, 0.8, 0.7, 0.6, True, 12.5))
    assert (run.progress.fraction, run.progress.seconds_left) == (pytest.approx(0.2), 12.5)
    run.add(StepFinished(2, 1, 0.9))
    assert run.progress.seconds_left == pytest.approx(12.5 * 7 / 8)
    assert run.status == "Epoch 1 of 5: training loss 0.800, validation loss 0.700, Dice 0.600"


def test_the_end_is_described_with_the_place_of_the_model(run: TrainingRun, tmp_path: Path) -> None:
    assert "no model" in run.describe_end(stopped=True, failed=False)
    assert run.describe_end(stopped=False, failed=True) == ""
    (tmp_path / "model.safetensors").touch()
    assert "first epoch" in run.describe_end(stopped=True, failed=False)
    run.add(EpochFinished(1, 0.8, 0.7, 0.6, True, 1.0))
    run.add(EpochFinished(2, 0.7, 0.9, 0.5, False, 0.0))
    stopped, failed = (run.describe_end(stopped=not fails, failed=fails) for fails in (False, True))
    assert stopped.startswith("Stopped after epoch 2. The best model, of epoch 1,")
    assert failed.startswith("The training failed after epoch 2.")
    run.add(TrainingFinished(tmp_path, tmp_path / "model.safetensors", 1, 0.7, 0.6))
    assert run.describe_end(stopped=False, failed=False).startswith("Training is finished.")
    assert str(tmp_path) in run.describe_end(stopped=False, failed=False)
    run.add(EpochFinished(3, 0.7, 0.1, math.nan, True, 0.0))
    assert "The last model, of epoch 3," in run.describe_end(stopped=False, failed=False)


@pytest.mark.parametrize(
    ("reason", "words"), [(EndReason.STALLED, "stopped improving"), (EndReason.TIME, "time limit is reached")]
)
def test_the_reason_of_an_early_end_is_named(run: TrainingRun, tmp_path: Path, reason: EndReason, words: str) -> None:
    (tmp_path / "model.safetensors").touch()
    for epoch in (1, 2, 3):
        run.add(EpochFinished(epoch, 0.8, 0.7 + epoch / 10, 0.6, epoch == 1, 1.0))
    run.add(TrainingFinished(tmp_path, tmp_path / "model.safetensors", 1, 0.8, 0.6, reason))
    text = run.describe_end(stopped=False, failed=False)
    assert text.startswith("Training ended after epoch 3: ")
    assert words in text


def test_many_warnings_are_shortened(run: TrainingRun) -> None:
    for number in range(7):
        run.add(Issue.warning(f"Warning {number}."))
        run.add(Notice(f"Warning {number}."))
        run.add(Issue.info("Good to know."))
    lines = run.notices_text.split("\n")
    assert lines == [*(f"Warning {n}." for n in range(3)), "… and 4 more; press Check to see all."]


def test_a_run_that_ends_before_it_starts_has_no_status(run: TrainingRun) -> None:
    run.end()
    assert run.status == ""
    run.add(started(run))
    run.end()
    assert run.status == "First of 5 epochs …"


def test_a_notebook_follows_a_training_and_loads_it_later(dataset: Path, tmp_path: Path) -> None:
    run = TrainingRun(tmp_path / "run")
    statuses: list[str] = []
    run.events.status.connect(statuses.append)
    for event in train(dataset, run.run_folder, TrainingConfig(epochs=2, device="cpu", val_fraction=0.34)):
        run.add(event)
    assert statuses[0] == "First of 2 epochs …"
    assert [status.split(":")[0] for status in statuses[1:]] == ["Epoch 1 of 2", "Epoch 2 of 2"]
    assert run.finished is not None
    loaded = load_run(run.run_folder)
    assert loaded.is_loaded
    assert loaded.history.records == run.history.records
    assert (loaded.best_epoch, loaded.n_epochs_done) == (run.best_epoch, 2)


def test_the_record_needs_no_qt_and_no_torch() -> None:
    program = (
        "import sys; import napari_unet3d.session.training_run; "
        "heavy = {'torch', 'monai', 'qtpy', 'napari', 'magicgui'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
