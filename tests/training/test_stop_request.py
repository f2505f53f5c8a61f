"""A training that is asked in its run folder to stop saves its state, ends, and goes on there with the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_unet3d.cli import main
from napari_unet3d.cli.progress_loops import follow_train
from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.sample import Sample
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.runs.status import RunPhase, read_status, read_status_file
from napari_unet3d.runs.stop_request import STOP_FILE, request_stop
from napari_unet3d.session.training_run import TrainingRun
from napari_unet3d.training.event_json import event_of
from napari_unet3d.training.events import EndReason, EpochFinished, RunStarted, StepFinished, TrainingFinished
from napari_unet3d.training.loop import train

CONFIG = TrainingConfig(
    epochs=3, steps_per_epoch=4, patch=8, batch_size=1, device="cpu", val_fraction=0.34, dropout=0.2
)


@pytest.fixture(autouse=True)
def _looks_at_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_unet3d.training.save_schedule._SECONDS_BETWEEN_LOOKS", 0.0)


def stop_after(samples: list[Sample], run: Path, epoch: int, step: int) -> TrainingFinished:
    for event in train(samples, run, CONFIG):
        if isinstance(event, StepFinished) and (event.epoch, event.step) == (epoch, step):
            request_stop(run)
    assert isinstance(event, TrainingFinished)
    return event


@pytest.mark.parametrize(("epoch", "step"), [(1, 1), (2, 2), (2, 4)])
def test_it_goes_on_with_the_bits_of_a_run_that_was_not_stopped(
    samples: list[Sample], tmp_path: Path, epoch: int, step: int
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    list(train(samples, whole, CONFIG))
    end = stop_after(samples, parts, epoch, step)

    assert end.reason is EndReason.REQUESTED
    assert end.best_epoch <= epoch
    assert load_checkpoint(parts).epoch == end.best_epoch, "there is a model, also within the first epoch"
    assert not (parts / STOP_FILE).exists()
    status = read_status(parts)
    assert (status.phase, status.message) == (RunPhase.STOPPED, "a stop was requested")

    started, *_ = list(train(samples, parts, resume=True))
    assert isinstance(started, RunStarted)
    assert len(started.history) in (epoch - 1, epoch)
    one, other = (load_checkpoint(run / "last.safetensors").weights for run in (whole, parts))
    assert all(torch.equal(weights, other[name]) for name, weights in one.items())
    assert read_status(parts).phase is RunPhase.FINISHED


def test_a_request_for_an_earlier_training_does_not_stop_the_next(samples: list[Sample], tmp_path: Path) -> None:
    request_stop(tmp_path)
    assert [type(event) for event in train(samples, tmp_path, CONFIG)].count(EpochFinished) == 3


def test_the_status_says_how_far_a_run_is_and_why_it_ends(samples: list[Sample], tmp_path: Path) -> None:
    events = train(samples, tmp_path, CONFIG)
    started = next(event for event in events if isinstance(event, RunStarted))
    written = read_status_file(tmp_path)
    assert written is not None
    assert event_of(written.start) == started
    assert read_status(tmp_path).phase is RunPhase.RUNNING
    next(event for event in events if isinstance(event, EpochFinished))
    events.close()
    status = read_status(tmp_path)
    assert (status.phase, len(status.records), status.n_epochs) == (RunPhase.STOPPED, 1, 3)

    events = train(samples, tmp_path, CONFIG, resume=True)
    next(events)
    (tmp_path / "last.safetensors").unlink()
    (tmp_path / "last.safetensors").mkdir()  # which cannot be replaced by a file
    with pytest.raises(Exception, match=r"last\.safetensors"):
        list(events)
    status = read_status(tmp_path)
    assert status.phase is RunPhase.FAILED
    assert "last.safetensors" in status.message


def test_the_dock_says_that_it_was_stopped(samples: list[Sample], tmp_path: Path) -> None:
    run = TrainingRun(tmp_path)
    for event in train(samples, tmp_path, CONFIG):
        run.add(event)
        if isinstance(event, EpochFinished) and event.epoch == 2:
            request_stop(tmp_path)
    assert run.describe_end(stopped=False, failed=False).startswith("Stopped after epoch 2. The best model")


def test_the_command_ends_as_by_ctrl_c(samples: list[Sample], tmp_path: Path) -> None:
    events = train(samples, tmp_path, CONFIG)
    started = next(events)
    request_stop(tmp_path)

    def all_events():
        yield started
        yield from events

    with pytest.raises(KeyboardInterrupt, match=r"Stopped after 0 of 3 epochs.*in epoch 1 after step 1; --resume"):
        follow_train(all_events())


def test_stop_of_a_run_that_has_ended_says_how(
    samples: list[Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_after(samples, tmp_path, 1, 1)
    assert main(["stop", str(tmp_path)]) == 0
    assert "stopped after 0 of 3 epochs" in capsys.readouterr().out
    assert not (tmp_path / STOP_FILE).exists()
    assert main(["stop", str(tmp_path), "--wait", "-1"]) == 1


def test_stop_that_waits_in_vain_says_so(
    samples: list[Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = train(samples, tmp_path, CONFIG)
    next(events)
    assert main(["stop", str(tmp_path), "--wait", "0"]) == 1
    assert "is asked to stop, but has not ended within 0 s" in capsys.readouterr().err
    assert (tmp_path / STOP_FILE).exists()
    events.close()
