"""A run folder that is removed, renamed or emptied during the training: an error, and the weights in a named place."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.errors import UserError
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.runs.snapshots import open_snapshots
from napari_unet3d.training.events import EpochFinished, RunStarted, SnapshotSaved, StepFinished
from napari_unet3d.training.loop import train
from napari_unet3d.training.run_lock import LOCK_FILE
from napari_unet3d.training.save_schedule import SaveRequests


def config(**values: Any) -> TrainingConfig:
    return TrainingConfig(**{"epochs": 3, "device": "cpu", "val_fraction": 0.34, "preset": "xsmall", **values})


def until(events: Iterator[Any], kind: type, epoch: int = 1) -> Any:
    return next(each for each in events if isinstance(each, kind) and getattr(each, "epoch", epoch) == epoch)


def rename(run: Path) -> None:
    run.rename(run.with_name("renamed"))


def empty(run: Path) -> None:
    for path in run.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def remake(run: Path) -> None:
    shutil.rmtree(run)
    run.mkdir()


def swap(run: Path) -> None:
    """Another training has the place of the run by now."""
    rename(run)
    run.mkdir()
    (run / LOCK_FILE).write_text("{}")
    (run / "config.json").write_text("{}")


@pytest.mark.parametrize("change", [shutil.rmtree, rename, empty, remake, swap])
def test_the_weights_are_written_to_a_named_place(samples: Any, tmp_path: Path, change: Callable[[Path], None]) -> None:
    run = tmp_path / "run"
    events = train(samples, run, config())
    until(events, EpochFinished)
    change(run)
    before = [path.name for path in run.iterdir()] if run.exists() else []
    with pytest.raises(UserError) as caught:
        list(events)
    rescued = tmp_path / "run-rescued"
    assert str(caught.value) == (
        f"The run folder {run} was removed, renamed or emptied during the training. The weights after epoch 1 and the "
        f"settings are in {rescued}; start a new run from them. If it was renamed, it can be resumed under its new "
        "name."
    )
    after = [path.name for path in run.iterdir()] if run.exists() else []
    assert sorted(after) == sorted(before), "nothing is made again"
    checkpoint = load_checkpoint(rescued)
    assert checkpoint.epoch == 1
    with (rescued / "history.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1"]
    list(train(samples, tmp_path / "next", config(epochs=1), start_from=rescued))


def test_a_renamed_run_is_resumed_with_the_same_bits(samples: Any, tmp_path: Path) -> None:
    list(train(samples, tmp_path / "whole", config()))
    events = train(samples, tmp_path / "run", config())
    until(events, SnapshotSaved)
    rename(tmp_path / "run")
    with pytest.raises(UserError, match="it can be resumed under its new name"):
        list(events)
    list(train(samples, tmp_path / "renamed", config(), resume=True))
    whole, resumed = (load_checkpoint(tmp_path / name).weights for name in ("whole", "renamed"))
    assert all(torch.equal(weights, resumed[name]) for name, weights in whole.items())


def test_a_folder_that_is_removed_in_the_first_epoch_and_a_run_that_is_stopped(samples: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    events = train(samples, run, config())
    until(events, StepFinished)
    shutil.rmtree(run)
    with pytest.raises(UserError, match="weights after epoch 0 and the settings are in"):
        events.close()
    assert load_checkpoint(tmp_path / "run-rescued").epoch == 0
    assert not run.exists()


def test_a_folder_that_is_removed_in_the_last_epoch(samples: Any, tmp_path: Path) -> None:
    events = train(samples, tmp_path / "run", config(epochs=1, save_snapshots=False))
    until(events, EpochFinished)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(UserError, match="weights after epoch 1 "):
        list(events)


def test_a_state_is_not_saved_to_a_folder_that_was_removed(samples: Any, tmp_path: Path) -> None:
    requests = SaveRequests()
    events = train(samples, tmp_path / "run", config(steps_per_epoch=9), save_requests=requests)
    until(events, StepFinished)
    shutil.rmtree(tmp_path / "run")
    requests.request(ends=False)
    with pytest.raises(UserError, match="weights after epoch 0 "):
        list(events)
    assert not (tmp_path / "run").exists()


def test_the_whole_place_is_gone(samples: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = tmp_path / "share" / "run"
    events = train(samples, run, config())
    until(events, EpochFinished)
    shutil.rmtree(tmp_path / "share")
    with pytest.raises(UserError) as caught:
        list(events)
    found = re.search(r"settings are in (.*?);", str(caught.value))
    assert found is not None
    assert Path(found[1]) == tmp_path / "run-rescued"
    assert load_checkpoint(tmp_path / "run-rescued").epoch == 1
    assert not (tmp_path / "share").exists()


def test_a_lock_that_somebody_has_removed_does_not_end_the_run(samples: Any, tmp_path: Path) -> None:
    events = train(samples, tmp_path / "run", config())
    until(events, RunStarted)
    (tmp_path / "run" / LOCK_FILE).unlink()
    list(events)
    assert load_checkpoint(tmp_path / "run").history[-1].epoch == 3


def test_settings_that_somebody_has_removed_are_written_again(samples: Any, tmp_path: Path) -> None:
    events = train(samples, tmp_path / "run", config(epochs=2))
    until(events, EpochFinished)
    before = (tmp_path / "run" / "config.json").read_bytes()
    (tmp_path / "run" / "config.json").unlink()
    list(events)
    assert (tmp_path / "run" / "config.json").read_bytes() == before


@pytest.mark.parametrize("epochs", [2, 3])
def test_a_snapshot_that_a_kill_has_prevented_is_made_up(samples: Any, tmp_path: Path, epochs: int) -> None:
    """Also of a run that has nothing left to train."""
    list(train(samples, tmp_path / "whole", config(epochs=epochs)))
    events = train(samples, tmp_path / "run", config(epochs=epochs))
    until(events, EpochFinished, epoch=2)
    events.close()  # the state is saved, the snapshot is not
    interrupted = open_snapshots(tmp_path / "run")
    assert interrupted is not None
    assert interrupted.epochs() == (1,)
    found = [
        each.epoch
        for each in train(samples, tmp_path / "run", config(epochs=epochs), resume=True)
        if isinstance(each, SnapshotSaved)
    ]
    assert found == list(range(2, epochs + 1))
    names = {path.name for path in (tmp_path / "whole" / "snapshots").iterdir()}
    assert names == {path.name for path in (tmp_path / "run" / "snapshots").iterdir()}
    for name in (name for name in names if name.startswith("epoch-") and name.endswith(".npz")):
        one, other = ((tmp_path / run / "snapshots" / name).read_bytes() for run in ("whole", "run"))
        assert one == other
    one, other = (load_checkpoint(tmp_path / name).weights for name in ("whole", "run"))
    assert all(torch.equal(weights, other[name]) for name, weights in one.items())
