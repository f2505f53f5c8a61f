"""Kill a training process again and again, resume it each time, and check that nothing is lost.

After each kill, all files must be readable, and no epoch that the process had reported may be missing. In the end, the
run must have the same weights and losses, to the last bit, as one that was never killed.

    python tools/kill_and_resume.py --kills 20
    python tools/kill_and_resume.py --kills 20 --inside-epochs

With --inside-epochs the state is saved after every step, so that most runs are resumed inside an epoch.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from napari_unet3d import SyntheticConfig, TrainingConfig, generate, train
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.training.resume_state import load_run_state

_SETTINGS = {"preset": "xsmall", "dropout": 0.1, "augmentation": "moderate", "ema_decay": 0.9, "device": "cpu"}
_EPOCHS_PER_KILL = 3  # at most, so that the run does not finish before the last kill


def main() -> int:
    """Parse the options and run the test."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--inside-epochs", action="store_true")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        check(Path(folder), arguments.kills, random.Random(arguments.seed), inside_epochs=arguments.inside_epochs)
    return 0


def check(folder: Path, n_kills: int, rng: random.Random, *, inside_epochs: bool = False) -> None:
    """Kill a run `n_kills` times, and compare its result with that of an uninterrupted run."""
    options = ("--checkpoint-minutes", "1e-7") if inside_epochs else ()
    volumes = SyntheticConfig(
        objects=3, shape=(16, 20, 24), object_shape_min=(6, 6, 6), object_shape_max=(9, 9, 9), seed=0
    )
    list(generate(folder / "data", volumes, n_train=4, n_test=0))
    n_epochs = n_kills * _EPOCHS_PER_KILL
    whole, killed = folder / "whole", folder / "killed"
    list(train(folder / "data", whole, TrainingConfig(epochs=n_epochs, **_SETTINGS)))
    seconds = [float(row["seconds"]) for row in rows(whole)]
    for number in range(1, n_kills + 1):
        n_reported = kill(start(folder / "data", killed, n_epochs, *options), rng, max(seconds))
        n_saved = check_files(killed, n_reported)
        left = [path.name for path in killed.glob(".*")] if killed.exists() else []
        print(f"kill {number}: reported epoch {n_reported}, saved {n_saved}; unfinished files: {left or 'none'}")  # noqa: T201
    process = start(folder / "data", killed, n_epochs, *options)
    process.communicate()
    assert process.returncode == 0
    check_same(killed, whole)
    print(f"{n_kills} kills, {n_epochs} epochs: bit-identical to the uninterrupted run")  # noqa: T201


def start(data: Path, run: Path, n_epochs: int, *options: str) -> subprocess.Popen[str]:
    """Start the command, which starts the run or resumes it."""
    settings = [word for name, value in _SETTINGS.items() for word in (f"--{name.replace('_', '-')}", value)]
    arguments = ["train", data, "--run", run, "--epochs", n_epochs, "--resume", *settings, *options]
    command = [sys.executable, "-m", "napari_unet3d", *map(str, arguments)]
    return subprocess.Popen(command, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def kill(process: subprocess.Popen[str], rng: random.Random, epoch_seconds: float) -> int:
    """Kill a process at a random moment, and return the last epoch that it reported, or 0."""
    assert process.stderr is not None
    # Number of lines to wait for: none (while Python starts), the start of training, ends of epochs.
    lines, n_marks = [], rng.randrange(_EPOCHS_PER_KILL + 1)
    while sum(map(is_mark, lines)) < n_marks and (line := process.stderr.readline()):
        lines.append(line)
    try:
        process.wait(timeout=rng.uniform(0, (1.5 if n_marks else 10) * epoch_seconds))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    lines += process.stderr.read().splitlines(keepends=True)
    process.stderr.close()
    assert process.wait() in (0, -signal.SIGKILL), "".join(lines)
    reported = [int(found[1]) for line in lines if (found := re.match(r"epoch (\d+)/", line))]
    return max(reported, default=0)


def is_mark(line: str) -> bool:
    """Return whether a line reports the start of training or the end of an epoch."""
    return "training on" in line or line.startswith("epoch ")


def check_files(run: Path, n_reported: int) -> int:
    """Read every file of a run, and return the number of epochs in its resume file."""
    files = {path.name: path for path in run.glob("*")} if run.exists() else {}
    header = load_run_state(files["resume.safetensors"]).header if "resume.safetensors" in files else None
    if n_reported:
        assert {"model.safetensors", "last.safetensors", "resume.safetensors", "history.csv"} <= files.keys()
        assert len(rows(run)) >= n_reported
    for name in ("model.safetensors", "last.safetensors"):
        if name in files:
            load_checkpoint(files[name])
    if "config.json" in files:
        TrainingConfig(**json.loads(files["config.json"].read_text(encoding="utf-8")))
    if header is not None and header.n_steps_done:
        print(f"saved after step {header.n_steps_done} of epoch {header.epoch + 1}")  # noqa: T201
    n_saved = header.epoch if header is not None else 0
    assert n_saved >= n_reported, f"epoch {n_reported} was reported, but {n_saved} is saved"
    return n_saved


def check_same(found: Path, expected: Path) -> None:
    """Compare two finished runs bit by bit, except for times."""
    for name in ("model.safetensors", "last.safetensors"):
        one, other = load_checkpoint(found / name), load_checkpoint(expected / name)
        assert one.history == other.history
        assert one.epoch == other.epoch
        assert all(torch.equal(tensor, other.weights[key]) for key, tensor in one.weights.items())
    without_times = [[{**row, "seconds": ""} for row in rows(run)] for run in (found, expected)]
    assert without_times[0] == without_times[1]
    assert not (left := list(found.glob(".*"))), f"unfinished files are left: {left}"


def rows(run: Path) -> list[dict[str, str]]:
    """Read the history of a run."""
    with (run / "history.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    sys.exit(main())
