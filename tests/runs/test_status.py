"""What a run folder says about its training: running, ended, or without a sign of life."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import psutil
import pytest

from napari_unet3d.cli.run_commands import describe
from napari_unet3d.errors import UserError
from napari_unet3d.files import HISTORY_FILE
from napari_unet3d.runs.lock_file import LOCK_FILE
from napari_unet3d.runs.status import STATUS_FILE, RunPhase, read_status

NOBODY = 2**22 + 1  # higher than process ids are


def holder(**values: Any) -> dict[str, Any]:
    this = psutil.Process()
    return {"host": platform.node(), "process": this.pid, "started": this.create_time(), **values}


def write(folder: Path, *, lock: dict[str, Any] | None = None, **status: Any) -> None:
    """Write the files of a run with two finished epochs of three."""
    rows = "1,0.9,0.8,0.5,0.001,2.0,,loss\n2,0.7,0.6,0.75,0.001,2.0,,loss\n"
    (folder / HISTORY_FILE).write_text(
        f"epoch,train_loss,val_loss,val_dice,learning_rate,seconds,val_f1,best_by\n{rows}"
    )
    (folder / "config.json").write_text('{"epochs": 3}')
    times = {"started": "2026-01-02T03:04:05Z", "updated": "2026-01-02T04:04:05Z"}
    values = {"phase": "running", "holder": holder(), "epoch": 2, "n_epochs": 3, "step": 4, "n_steps_per_epoch": 5}
    (folder / STATUS_FILE).write_text(json.dumps(times | values | status))
    if lock is not None:
        (folder / LOCK_FILE).write_text(json.dumps(lock))


def test_a_run_of_a_live_process_is_running(tmp_path: Path) -> None:
    write(tmp_path, lock=holder())
    status = read_status(tmp_path)
    assert status.phase is RunPhase.RUNNING
    assert status.best is not None
    assert (status.best.epoch, status.step, status.n_epochs) == (2, 4, 3)
    first, second = describe(status).splitlines()
    assert f"running, epoch 3 of 3, step 4 of 5, on {platform.node()} (process {os.getpid()}), since 2026-01-0" in first
    assert second == "best epoch 2: loss 0.6000, validation Dice 0.7500"


def test_a_process_that_is_gone_was_killed(tmp_path: Path) -> None:
    write(tmp_path, lock=holder(process=NOBODY), holder=holder(process=NOBODY))
    status = read_status(tmp_path)
    assert status.phase is RunPhase.KILLED
    assert "ended without saying why, as a killed process does, after 2 of 3 epochs" in describe(status)
    (tmp_path / LOCK_FILE).unlink()
    assert read_status(tmp_path).phase is RunPhase.KILLED


@pytest.mark.parametrize(("age", "phase"), [(30, RunPhase.RUNNING), (3600, RunPhase.SILENT)])
def test_of_another_computer_the_last_sign_of_life_counts(tmp_path: Path, age: int, phase: RunPhase) -> None:
    other = holder(host="node7", process=NOBODY, job="12@main")
    write(tmp_path, lock=other, holder=other)
    then = (tmp_path / LOCK_FILE).stat().st_mtime - age
    os.utime(tmp_path / LOCK_FILE, (then, then))
    status = read_status(tmp_path)
    assert status.phase is phase
    assert status.is_running
    assert f"on node7 (process {NOBODY}, Slurm job 12)" in describe(status)
    assert ("remove" in describe(status)) is (phase is RunPhase.SILENT)


def test_what_an_earlier_process_has_written_is_not_that_of_the_one_that_prepares(tmp_path: Path) -> None:
    write(tmp_path, lock=holder(), phase="failed", message="the disk is full", holder=holder(process=NOBODY))
    status = read_status(tmp_path)
    assert (status.phase, status.message, status.started) == (RunPhase.RUNNING, "", None)
    assert "not yet started to train" in describe(status)


@pytest.mark.parametrize("phase", ["finished", "stopped", "failed"])
def test_the_end_of_a_run_is_told_with_its_reason(tmp_path: Path, phase: str) -> None:
    write(tmp_path, phase=phase, message="the reason")
    text = describe(read_status(tmp_path))
    assert f"{phase} after 2 of 3 epochs, 2026-01-02" in text
    assert ": the reason" in text
    found = read_status(tmp_path).as_json()
    assert (found["state"], found["epoch"], found["n_epochs"], found["best_val_dice"]) == (phase, 2, 3, 0.75)


def test_runs_without_a_status_are_told_by_their_epochs(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / STATUS_FILE).unlink()
    assert read_status(tmp_path).phase is RunPhase.STOPPED
    (tmp_path / "config.json").write_text('{"epochs": 2}')
    assert read_status(tmp_path).phase is RunPhase.FINISHED


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="holds no run, and no training is running in it"):
            read_status(folder)
