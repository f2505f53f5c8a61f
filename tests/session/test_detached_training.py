"""A training that goes on when the viewer is closed is started, found again and stopped, by its run folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.configs.slurm import SlurmConfig
from napari_unet3d.data.dataset import Subset, read_samples
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.runs.status import RunPhase, read_status
from napari_unet3d.session.detached_training import DetachedTraining
from napari_unet3d.session.launch_record import LaunchPlace, LaunchRecord, last_words, read_launch, write_launch
from napari_unet3d.session.launchers import BackgroundLauncher, SlurmLauncher
from napari_unet3d.session.recent_runs import detached_runs, forget_detached, unfinished_run
from napari_unet3d.session.run_follower import RunFollower
from napari_unet3d.session.training_job import TrainingRequest
from napari_unet3d.training.events import (
    Busy,
    EndReason,
    EpochFinished,
    RunStarted,
    SnapshotSaved,
    StepFinished,
    TrainingFinished,
)
from napari_unet3d.training.loop import train

CONFIG = TrainingConfig(epochs=2, steps_per_epoch=2, patch=8, batch_size=1, device="cpu", val_fraction=0.34)
LONG = CONFIG.model_copy(update={"epochs": 100_000})


@pytest.fixture
def samples(dataset: Path) -> list[Sample]:
    """The training volumes of the dataset."""
    return list(read_samples(dataset, Subset.TRAIN))


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    for folder in detached_runs():
        forget_detached(folder)


def until(events: Iterator[Any], kind: type) -> Any:
    return next(event for event in events if isinstance(event, kind))


def news(events: Iterator[Any]) -> list[Any]:
    """Return the events up to the next look at the folder."""
    found = []
    for event in events:
        if event is None:
            return found
        found.append(event)
    return found


def test_files_tell_what_the_events_of_the_training_do(samples: list[Sample], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("napari_unet3d.session.run_follower._SECONDS_BETWEEN_EVENTS", 2.0)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("napari_unet3d.training.status_writer._SECONDS_BETWEEN_WRITES", 0.0)
    training, seen = train(samples, tmp_path, CONFIG), RunFollower(tmp_path).events()
    started = until(training, RunStarted)
    assert news(seen) == [started]
    step = until(training, StepFinished)
    assert news(seen) == [step]
    epoch = until(training, EpochFinished)
    assert news(seen) == [replace(epoch, learning_rate=None, seconds=None)]
    snapshot = until(training, SnapshotSaved)
    assert news(seen) == [snapshot]
    second, third, *_, finished = list(training)
    assert (second.step, third.step) == (1, 2)
    *_, last_epoch, last_snapshot, end = list(seen)
    assert isinstance(last_epoch, EpochFinished)
    assert isinstance(last_snapshot, SnapshotSaved)
    assert last_epoch.epoch == last_snapshot.epoch == 2
    assert end == finished


def test_a_run_that_was_stopped_or_killed_is_told_so(samples: list[Sample], tmp_path: Path) -> None:
    stopped = train(samples, tmp_path / "stopped", CONFIG)
    until(stopped, EpochFinished)
    stopped.close()
    *_, end = RunFollower(tmp_path / "stopped").events()
    assert (end.reason, end.best_epoch) == (EndReason.REQUESTED, 1)

    status = (tmp_path / "stopped" / "status.json").read_text()
    (tmp_path / "stopped" / "status.json").write_text(status.replace('"stopped"', '"running"'))
    with pytest.raises(UserError, match="as a process does that is killed"):
        list(RunFollower(tmp_path / "stopped").events())


def test_it_outlives_the_viewer_is_found_again_and_stopped(dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = DetachedTraining(run, TrainingRequest(dataset, run, LONG), BackgroundLauncher())
    events = first.events()
    started = until(events, RunStarted)
    assert started.config.epochs == 100_000
    until(events, EpochFinished)
    events.close()  # as closing the viewer does

    assert read_status(run).phase is RunPhase.RUNNING
    assert detached_runs() == [run]
    assert unfinished_run() is None, "it is not offered for resuming while it runs"

    again = DetachedTraining(run)
    events = again.events()
    n_before = len(until(events, RunStarted).history)
    assert n_before >= 1
    until(events, EpochFinished)
    again.stop()
    end = until(events, TrainingFinished)
    assert list(events) == []
    assert end.reason is EndReason.REQUESTED
    assert read_status(run).phase is RunPhase.STOPPED
    assert detached_runs() == []
    offered = unfinished_run()
    assert offered is not None
    assert (offered.folder, offered.dataset) == (run, dataset)
    assert last_words(run).startswith("Stopped after ")


def test_a_training_that_cannot_begin_says_why(tmp_path: Path) -> None:
    run = tmp_path / "run"
    training = DetachedTraining(run, TrainingRequest(tmp_path / "no data", run, CONFIG), BackgroundLauncher())
    with pytest.raises(UserError, match=r"has ended before it began\. Its last message: .*no data.*training\.log"):
        list(training.events())
    assert detached_runs() == []


@pytest.mark.parametrize(("prefix", "message"), [("no-such-program -x", "'no-such-program'"), ("a 'b", "Close each")])
def test_a_command_in_front_that_cannot_be_run_is_refused(tmp_path: Path, prefix: str, message: str) -> None:
    run = tmp_path / "run"
    training = DetachedTraining(run, TrainingRequest(tmp_path, run, CONFIG), BackgroundLauncher(prefix))
    with pytest.raises(UserError, match=message):
        list(training.events())
    assert read_launch(run) is None


def test_a_stop_before_the_start_starts_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    training = DetachedTraining(run, TrainingRequest(tmp_path, run, CONFIG), BackgroundLauncher())
    training.stop()
    assert not [event for event in training.events() if not isinstance(event, Busy)]
    assert not run.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Slurm runs on Unix")
class TestSlurm:
    """Programs stand in for those of Slurm; `tools/check_slurm.py` uses a real one."""

    @pytest.fixture
    def slurm(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        programs = tmp_path / "bin"
        programs.mkdir()
        monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
        return programs

    def program(self, folder: Path, name: str, body: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)

    def test_a_job_is_submitted_waited_for_and_cancelled(self, slurm: Path, dataset: Path, tmp_path: Path) -> None:
        run, taken = tmp_path / "run 100%", tmp_path / "taken.txt"
        self.program(slurm, "sbatch", f'printf "%s\\n" "$@" > "{taken}"; echo "42;cluster"')
        self.program(slurm, "squeue", f'[ -e "{tmp_path}/gone" ] || echo "PENDING Priority"')
        self.program(slurm, "scancel", f'echo "$1" > "{tmp_path}/gone"')
        training = DetachedTraining(
            run, TrainingRequest(dataset, run, CONFIG), SlurmLauncher(SlurmConfig(sbatch_options=""))
        )
        events = training.events()
        while (event := until(events, Busy)).message == "Starting the training":
            pass
        assert event.message == "Waiting in the queue (job 42: pending, priority)"
        assert taken.read_text().splitlines() == ["--parsable", f"--output={tmp_path}/run 100%%/training.log", "job.sh"]
        assert f"--run '{run}'" in (run / "job.sh").read_text()
        assert detached_runs() == [run]
        training.stop()
        assert not [each for each in events if isinstance(each, TrainingFinished)]
        assert (tmp_path / "gone").read_text() == "42\n"

    def test_what_slurm_refuses_is_said(self, slurm: Path, dataset: Path, tmp_path: Path) -> None:
        self.program(slurm, "sbatch", "echo 'sbatch: error: invalid partition specified: gpu' >&2; exit 1")
        run = tmp_path / "run"
        training = DetachedTraining(run, TrainingRequest(dataset, run, CONFIG), SlurmLauncher())
        with pytest.raises(UserError, match=r"has not taken the job: invalid partition specified: gpu\. Change"):
            list(training.events())

    def test_a_job_that_was_preempted_is_waited_for(
        self, slurm: Path, samples: list[Sample], tmp_path: Path, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("napari_unet3d.session.run_follower._SECONDS_BETWEEN_QUESTIONS", 0.0)
        self.program(slurm, "squeue", "echo 'PENDING BeginTime'")
        interrupted = train(samples, tmp_path, CONFIG)
        until(interrupted, EpochFinished)
        record = LaunchRecord(place=LaunchPlace.SLURM, moment="2026-01-01T00:00:00Z", job="42")
        write_launch(tmp_path, record)
        follower = RunFollower(tmp_path, record)
        events = follower.events()
        until(events, EpochFinished) if not until(events, RunStarted).history else None
        interrupted.close()
        assert "Waiting in the queue" in until(events, Busy).message
        continued = train(samples, tmp_path, CONFIG, resume=True)
        until(continued, EpochFinished)
        assert len(until(events, RunStarted).history) in (1, 2)
        list(continued)
        self.program(slurm, "squeue", "exit 0")
        assert until(events, TrainingFinished).reason is EndReason.EPOCHS
