"""Training on volumes that do not fit into memory gives the same model and leaves no temporary files."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch
from box_samples import make_sample

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.events import Notice
from napari_unet3d.errors import UserError
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.training.events import StepFinished
from napari_unet3d.training.loop import train
from napari_unet3d.training.preflight import check_then_train


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for number, shape in enumerate([(17, 18, 20), (24, 18, 22), (16, 30, 20)]):
        add_sample(tmp_path / "data", make_sample(str(number), number, shape), Subset.TRAIN)
    return tmp_path / "data"


def config(**values: Any) -> TrainingConfig:
    return TrainingConfig(epochs=2, device="cpu", val_fraction=0.34, steps_per_epoch=3, **values)


@pytest.mark.parametrize(
    "settings",
    [{"patch": (16, 12, 20), "task": "instance"}, {"patch": "whole", "num_workers": 2}],
    ids=["patches", "whole"],
)
def test_the_model_is_the_same(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    list(train(dataset, tmp_path / "memory", config(**{**settings, "num_workers": 0})))
    monkeypatch.setattr("napari_unet3d.data.memmap._FRACTION_OF_MEMORY", 0)  # nothing fits into memory any more

    events = []
    for event in train(dataset, tmp_path / "disk", config(**settings)):
        events.append(event)
        if isinstance(event, StepFinished):
            assert len(list((tmp_path / "disk").glob(".volumes-*"))) == 1
            assert not multiprocessing.active_children()  # each would hold all volumes in memory

    notices = [event.message for event in events if isinstance(event, Notice)]
    assert sum("do not fit into memory and are read from temporary files" in notice for notice in notices) == 1
    one, other = (load_checkpoint(tmp_path / name).weights for name in ("memory", "disk"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not list((tmp_path / "disk").glob(".*"))


def test_a_checked_training_writes_the_same_temporary_files_and_gives_the_same_model(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_unet3d.data.memmap._FRACTION_OF_MEMORY", 0)
    sizes = []
    for name, training in (("trained", train), ("checked", check_then_train)):
        events = list(training(dataset, tmp_path / name, config(patch=(16, 12, 20), task="instance")))
        notices = (event.message for event in events if isinstance(event, Notice))
        sizes += [notice.split(" GB")[0] for notice in notices if "temporary files" in notice]
        assert not list((tmp_path / name).glob(".*"))
    assert len(sizes) == 2
    assert sizes[0] == sizes[1]  # each volume is written once
    one, other = (load_checkpoint(tmp_path / name).weights for name in ("trained", "checked"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_data_that_cannot_be_trained_on_leaves_nothing_in_the_run_folder(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_unet3d.data.memmap._FRACTION_OF_MEMORY", 0)
    (dataset / "train/labels/2.tif").unlink()
    events = check_then_train(dataset, tmp_path / "run", config())
    with pytest.raises(UserError, match=r"no partner for 2\.tif"):
        list(events)
    assert not (tmp_path / "run").exists()


def test_stopping_removes_the_temporary_files(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_unet3d.data.memmap._FRACTION_OF_MEMORY", 0)
    for n_events in (1, 3):
        events = train(dataset, tmp_path / "run", config(), overwrite=True)
        for _ in range(n_events):
            next(events)
        assert list((tmp_path / "run").glob(".*"))
        events.close()
        assert not list((tmp_path / "run").glob(".*"))
