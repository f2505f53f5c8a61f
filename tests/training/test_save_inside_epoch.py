"""The state is saved inside an epoch, and a run that is resumed there ends with the bits of one that never stopped."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.session.recent_runs import run_progress
from napari_unet3d.session.training_run import TrainingRun
from napari_unet3d.training.events import (
    RunStarted,
    StateSaved,
    StepFinished,
    TrainEvent,
    TrainingFinished,
)
from napari_unet3d.training.loop import train
from napari_unet3d.training.resume_state import load_run_state
from napari_unet3d.training.save_schedule import SaveRequests, SaveSchedule
from napari_unet3d.training.throughput import ActiveTimer

PATCHES: dict[str, Any] = {"patch": (8, 6, 10), "steps_per_epoch": 5, "dropout": 0.2, "augmentation": "moderate"}
RUNS: dict[str, dict[str, Any]] = {
    "patches": PATCHES,
    "whole volumes": {"patch": "whole", "batch_size": 1, "steps_per_epoch": 5, "dropout": 0.2, "augmentation": "heavy"},
    "averaged": {**PATCHES, "ema_decay": 0.9, "lr_schedule": "one-cycle", "optimizer": "adamw"},
    "momentum": {**PATCHES, "optimizer": "sgd", "momentum": 0.9, "lr_schedule": "poly"},
    "objects": {**PATCHES, "task": "instance", "optimizer": "rmsprop"},
    "without validation": {**PATCHES, "val_fraction": 0},
}


def config(**values: Any) -> TrainingConfig:
    return TrainingConfig(**{"epochs": 3, "device": "cpu", "val_fraction": 0.34, **values})


def stop_inside(events: Iterator[TrainEvent], requests: SaveRequests, epoch: int, step: int) -> StateSaved:
    """Request to save before a step, and close the run when it has saved and gone on for a moment."""
    for event in events:
        if isinstance(event, StepFinished) and (event.epoch, event.step) == (epoch, step - 1):
            requests.request()
        if isinstance(event, RunStarted) and (len(event.history) + 1, event.n_steps_done) == (epoch, step - 1):
            requests.request()
        if isinstance(event, StateSaved):
            if step < 5:  # else the epoch would end
                next(events)
            events.close()  # type: ignore[attr-defined]
            return event
    raise AssertionError("nothing was saved")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return [{name: cell for name, cell in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def assert_same_end(found: Path, expected: Path) -> None:
    for name in ("model.safetensors", "last.safetensors"):
        one, other = load_checkpoint(found / name), load_checkpoint(expected / name)
        assert replace(one, weights={}) == replace(other, weights={})
        assert all(torch.equal(tensor, other.weights[key]) for key, tensor in one.weights.items())
    assert rows(found) == rows(expected)
    ours, theirs = (load_run_state(folder / "resume.safetensors") for folder in (found, expected))
    times = {"seconds": (), "seconds_spent": 0.0}
    assert ours.header.model_copy(update=times) == theirs.header.model_copy(update=times)
    assert torch.equal(ours.random_state, theirs.random_state)
    for one, other in ((ours.weights, theirs.weights), (ours.ema, theirs.ema), (ours.moments, theirs.moments)):
        assert one.keys() == other.keys()
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize(("epoch", "step"), [(1, 2), (2, 3), (2, 5)])
def test_a_run_resumed_inside_an_epoch_ends_with_the_same_bits(
    kind: str, epoch: int, step: int, samples: list[Sample], tmp_path: Path
) -> None:
    settings, requests = config(**RUNS[kind]), SaveRequests()
    list(train(samples, tmp_path / "whole", settings))
    saved = stop_inside(train(samples, tmp_path / "parts", settings, save_requests=requests), requests, epoch, step)
    assert (saved.epoch, saved.step, saved.ends) == (epoch, step, False)
    torch.rand(3)

    started, *rest = train(samples, tmp_path / "parts", resume=True)

    assert isinstance(started, RunStarted)
    assert (len(started.history), started.n_steps_done) == (epoch - 1, step)
    steps = [(event.epoch, event.step) for event in rest if isinstance(event, StepFinished)]
    assert steps == [(number, each) for number in range(1, 4) for each in range(1, 6) if (number, each) > (epoch, step)]
    assert_same_end(tmp_path / "parts", tmp_path / "whole")


def test_saving_changes_no_bits_of_a_run_that_goes_on(samples: list[Sample], tmp_path: Path) -> None:
    list(train(samples, tmp_path / "whole", config(**PATCHES)))
    requests = SaveRequests()
    for event in train(samples, tmp_path / "saved", config(**PATCHES), save_requests=requests):
        if isinstance(event, StepFinished):
            requests.request()
    assert_same_end(tmp_path / "saved", tmp_path / "whole")


def test_a_run_can_be_interrupted_again_and_again(samples: list[Sample], tmp_path: Path) -> None:
    list(train(samples, tmp_path / "whole", config(**PATCHES)))
    for epoch, step in ((1, 1), (1, 4), (2, 2), (2, 3), (3, 5)):
        requests = SaveRequests()
        events = train(samples, tmp_path / "parts", config(**PATCHES), resume=True, save_requests=requests)
        assert (saved := stop_inside(events, requests, epoch, step)).step == step, saved
    list(train(samples, tmp_path / "parts", resume=True))
    assert_same_end(tmp_path / "parts", tmp_path / "whole")


def test_minutes_between_saves_are_those_of_the_run(samples: list[Sample], tmp_path: Path, monkeypatch: Any) -> None:
    """First all time passes in pauses, which do not count, then a second passes whenever the time is read."""
    now = [0.0]
    monkeypatch.setattr("napari_unet3d.training.loop.ActiveTimer", partial(ActiveTimer, lambda: now[0]))
    saved = []
    for event in train(samples, tmp_path, config(**PATCHES, checkpoint_minutes=0.001)):
        now[0] += 36_000
        saved += [(event.epoch, event.step)] if isinstance(event, StateSaved) else []
    assert saved == []

    seconds = iter(range(10**9))
    monkeypatch.setattr("napari_unet3d.training.loop.ActiveTimer", partial(ActiveTimer, lambda: float(next(seconds))))
    events = train(samples, tmp_path, config(**PATCHES, checkpoint_minutes=0.001), overwrite=True)
    saved = [(event.epoch, event.step) for event in events if isinstance(event, StateSaved)]
    assert saved == [(epoch, step) for epoch in (1, 2, 3) for step in range(1, 6)]


def test_the_schedule_counts_from_the_last_save() -> None:
    now = [0.0]
    timer = ActiveTimer(lambda: now[0])
    schedule = SaveSchedule(2, timer)
    for seconds, is_due in ((119, False), (1, True), (10, True)):
        timer.add(seconds)
        assert schedule.is_due is is_due
    schedule.note_saved()
    assert not schedule.is_due
    schedule.requests.request(ends=True)
    schedule.requests.request()
    assert schedule.is_due
    assert schedule.requests.take()
    assert not schedule.is_due
    assert not SaveSchedule(0, timer).is_due


def test_a_request_to_end_is_passed_on(samples: list[Sample], tmp_path: Path) -> None:
    requests = SaveRequests()
    requests.request(ends=True)
    for event in train(samples, tmp_path, config(**PATCHES), save_requests=requests):
        if isinstance(event, StateSaved):
            assert event == StateSaved(1, 1, ends=True)
            break
    assert load_run_state(tmp_path / "resume.safetensors").header.n_steps_done == 1


def test_a_request_during_validation_is_served_at_the_end_of_the_epoch(samples: list[Sample], tmp_path: Path) -> None:
    requests = SaveRequests()
    events = train(samples, tmp_path, config(**PATCHES), save_requests=requests)
    for event in events:
        if isinstance(event, StepFinished) and event.step == 5:
            next(events)  # Validating
            requests.request(ends=True)
        if isinstance(event, StateSaved):
            assert event == StateSaved(2, 0, ends=True)
            break
    header = load_run_state(tmp_path / "resume.safetensors").header
    assert (header.epoch, header.started_epoch) == (1, None)


def test_the_model_of_the_first_epoch_is_not_needed_but_later_ones_are(samples: list[Sample], tmp_path: Path) -> None:
    requests = SaveRequests()
    stop_inside(train(samples, tmp_path, config(**PATCHES), save_requests=requests), requests, 1, 2)
    progress = run_progress(tmp_path)
    assert progress is not None
    assert (progress.n_done, progress.n_epochs) == (0, 3)
    for name in ("model.safetensors", "last.safetensors", "history.csv"):
        (tmp_path / name).unlink()  # as after a kill
    assert run_progress(tmp_path) is not None
    *_, finished = train(samples, tmp_path, resume=True)
    assert isinstance(finished, TrainingFinished)
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert (environment["resumed_after_epoch"], environment["resumed_after_step"]) == (0, 2)
    (tmp_path / "model.safetensors").unlink()
    assert run_progress(tmp_path) is None


def test_a_full_disk_does_not_end_the_training(samples: list[Sample], tmp_path: Path) -> None:
    requests = SaveRequests()
    events = train(samples, tmp_path, config(**PATCHES), save_requests=requests)
    next(events)
    requests.request(ends=True)
    (tmp_path / "resume.safetensors").mkdir()
    notices = []
    for event in events:
        notices += [event.message] if isinstance(event, Notice) else []
        if isinstance(event, StepFinished) and (event.epoch, event.step) == (1, 2):
            (tmp_path / "resume.safetensors").rmdir()
    assert any("The state of the run was not saved; the training continues." in message for message in notices)


def test_the_record_says_where_a_run_is_resumed(samples: list[Sample], tmp_path: Path) -> None:
    requests = SaveRequests()
    stop_inside(train(samples, tmp_path, config(**PATCHES), save_requests=requests), requests, 2, 3)
    run = TrainingRun(tmp_path)
    for event in train(samples, tmp_path, resume=True):
        run.add(event)
        if isinstance(event, RunStarted):
            assert run.status == "Resuming in epoch 2 after step 3 …"
    assert run.n_epochs_done == 3


def test_losses_that_are_not_finite_come_back(samples: list[Sample], tmp_path: Path) -> None:
    broken = replace(samples[0], image=np.asarray(samples[0].image, np.float32) * np.float32(1e36))
    settings = config(**{**PATCHES, "normalisation": "none", "dropout": 0.0})
    requests = SaveRequests()
    data = [broken, *samples[1:]]
    list(train(data, tmp_path / "whole", settings))
    stop_inside(train(data, tmp_path / "parts", settings, save_requests=requests), requests, 2, 3)
    list(train(data, tmp_path / "parts", resume=True))
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
