"""Several processes that torchrun starts train the network that a single one trains with the same whole batch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.errors import UserError
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.model.plan import Plan
from napari_unet3d.model.torchrun import ProcessNumber, process_number
from napari_unet3d.training.loop import train
from napari_unet3d.training.planning import check_parts

SETTINGS = {"patch": (8, 16, 16), "batch_size": 4, "steps_per_epoch": 3, "val_fraction": 0.34, "device": "cpu"}
OPTIONS = [
    *("--patch", "8", "16", "16", "--batch-size", "4", "--steps-per-epoch", "3"),
    *("--val-fraction", "0.34", "--device", "cpu"),
]


def torchrun(n: int, *tokens: object) -> subprocess.CompletedProcess[str]:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n), "-m", "--"]
    command = [*start, "napari_unet3d", *map(str, tokens)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def largest_difference(one: Path, other: Path) -> float:
    first, second = (load_checkpoint(run / "last.safetensors").weights for run in (one, other))
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def test_two_train_what_one_trains_and_one_continues_it(dataset: Path, tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    done = torchrun(2, "train", dataset, "--run", together, "--epochs", 2, *OPTIONS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("model: ") == 1  # only the first process reports
    assert "2 × CPU" in done.stderr
    assert {path.name for path in together.glob(".*")} == set()

    list(train(dataset, alone, TrainingConfig(epochs=2, **SETTINGS)))
    assert largest_difference(alone, together) < 1e-5
    losses = [load_checkpoint(run / "last.safetensors").history for run in (alone, together)]
    for of_one, of_two in zip(*losses, strict=True):
        assert (of_two.train_loss, of_two.val_loss) == pytest.approx((of_one.train_loss, of_one.val_loss), abs=1e-5)

    earlier = load_checkpoint(together / "last.safetensors").weights
    for run in (alone, together):  # by a single process
        list(train(dataset, run, TrainingConfig(epochs=3), resume=True))
    assert largest_difference(alone, together) < 1e-5
    later = load_checkpoint(together / "last.safetensors").weights
    assert any(not torch.equal(later[name], tensor) for name, tensor in earlier.items())


def test_batches_that_cannot_be_divided_are_refused() -> None:
    plan = Plan(task=Task.BINARY, strides=((2, 2, 2),), patch_zyx=(8, 8, 8), batch_size=4)
    check_parts(plan, 2)
    with pytest.raises(UserError, match="A batch of 4 patches cannot be divided equally among 3 processes"):
        check_parts(plan, 3)
    with pytest.raises(UserError, match=re.escape("on patches only, not on whole volumes. Set --patch.")):
        check_parts(plan.model_copy(update={"patch_zyx": None}), 2)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}, None),
        ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}, ProcessNumber(3, 4, 1)),
        ({"RANK": "", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}, None),
        ({"WORLD_SIZE": "4"}, None),  # as other launchers set it
    ],
)
def test_the_variables_of_torchrun_are_read(variables, expected, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500", **variables}.items():
        monkeypatch.setenv(name, value)
    assert process_number() == expected
