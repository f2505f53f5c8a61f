"""The task of the tutorial on volumes written by qim3d: time to a Dice of 0.97, and time per epoch with its settings.

    python benchmarks/tutorial.py --qim3d-python PYTHON [--dataset FOLDER] [--without-long]

PYTHON has ``qim3d[deep-learning,synthetic-data]==1.5.3``. Both train the same network (xxsmall) on the same four
volumes with one for validation, on all cores of this machine, one after the other. Seconds are those of the training,
from when the data are prepared until the model of the last epoch is on disk. ``--without-long`` leaves out the 30
epochs of qim3d, which take minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from table import Row, ratio, spread, table

from napari_unet3d import TrainingConfig, evaluate, train
from napari_unet3d.training.events import RunStarted

TARGET_DICE = 0.97
_REPEATS, _THEIR_EPOCHS = 5, 30
_PEER = Path(__file__).with_name("qim3d_tutorial.py")
_SHARED = {"preset": "xxsmall", "loss": "dice-ce", "weight_decay": 1e-3, "val_fraction": 0.2, "save_snapshots": False}
# Patches instead of whole volumes, and a high learning rate that decreases at the end; validation once, at the end.
# Intensities are not normalised, as in the tutorial.
FAST = {
    **_SHARED,
    "patch": (64, 64, 64),
    "batch_size": 1,
    "foreground_fraction": 0.8,
    "normalisation": "none",
    "learning_rate": 2e-2,
    "lr_schedule": "cooldown",
    "augmentation": "none",
    "epochs": 5,
    "validate_every": 1000,
}
THEIRS = {
    **_SHARED,
    "patch": "whole",
    "batch_size": 1,
    "learning_rate": 1e-2,
    "augmentation": "light",
}


@dataclass(frozen=True)
class Run:
    """Time of one training, and its Dice on the test volume."""

    seconds: float
    seconds_per_epoch: float
    dice: float


def ours(dataset: Path, seed: int, settings: dict[str, object]) -> Run:
    """Train and test."""
    config = TrainingConfig(**settings, seed=seed)
    with tempfile.TemporaryDirectory() as run:
        events = train(dataset, run, config)
        next(event for event in events if isinstance(event, RunStarted))
        started = time.perf_counter()
        for _ in events:
            pass
        seconds = time.perf_counter() - started
        *_, result = evaluate(Path(run) / "last.safetensors", dataset)
    return Run(seconds, seconds / config.epochs, result.mean.dice)


def theirs(python: str, dataset: Path, n_epochs: int) -> Run:
    """Train and test with qim3d."""
    child = subprocess.run(
        [python, str(_PEER), "train", str(dataset), str(n_epochs)], capture_output=True, text=True, check=False
    )
    lines = [line for line in child.stdout.splitlines() if line.startswith("RESULT")]
    if not lines:
        raise SystemExit(f"{python} failed:\n{child.stderr[-2000:]}")
    return Run(**json.loads(lines[-1].removeprefix("RESULT")))


def write_dataset(python: str, folder: Path) -> None:
    """Write the volumes of the tutorial with qim3d."""
    subprocess.run([python, str(_PEER), "generate", str(folder)], check=True, capture_output=True)


def rows(python: str, dataset: Path, *, is_long: bool = True) -> list[Row]:
    """Measure the task and the epochs."""
    fast = [ours(dataset, seed, FAST) for seed in range(_REPEATS)]
    dice = [run.dice for run in fast]
    seconds = [run.seconds for run in fast]
    words = f"{spread(seconds)}, Dice {median(dice):.4f} ({min(dice):.4f} to {max(dice):.4f})"
    found = []
    if is_long:
        whole = theirs(python, dataset, _THEIR_EPOCHS)
        times = ratio([whole.seconds], seconds)
        is_reached = times >= 20 and median(dice) >= TARGET_DICE
        found.append(
            Row(
                f"the task of the tutorial, xxsmall, to test Dice {TARGET_DICE}",
                f"qim3d, {_THEIR_EPOCHS} epochs, once",
                words,
                f"{spread([whole.seconds])}, Dice {whole.dice:.4f}",
                times,
                "≥ 20 ×",
                is_reached,
            )
        )
    else:
        found.append(Row(f"the task of the tutorial, xxsmall, to test Dice {TARGET_DICE}", "–", words, "–"))
    pairs = [(ours(dataset, 0, {**THEIRS, "epochs": 3}), theirs(python, dataset, 3)) for _ in range(_REPEATS)]
    mine, other = ([run.seconds_per_epoch for run in side] for side in zip(*pairs, strict=True))
    times = ratio(other, mine)
    found.append(
        Row(
            "an epoch with the settings of the tutorial",
            "qim3d",
            spread(mine),
            spread(other),
            times,
            "≥ 4 ×",
            times >= 4,
        )
    )
    return found


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qim3d-python", required=True)
    parser.add_argument("--dataset", type=Path, help="output of qim3d_tutorial.py generate; written if omitted")
    parser.add_argument("--without-long", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        dataset = arguments.dataset or Path(scratch)
        if arguments.dataset is None:
            write_dataset(arguments.qim3d_python, dataset)
        found = rows(arguments.qim3d_python, dataset, is_long=not arguments.without_long)
    sys.stdout.write(table(found))


if __name__ == "__main__":
    main()
