"""Train as a job of a real Slurm, which preempts and signals it, and compare with a run that nothing has disturbed.

    python tools/check_slurm.py FOLDER --preempted main --preempting urgent

needs ``sbatch``, a partition whose jobs are preempted with requeue, and one that preempts it, for the same node.
The job is started and followed as the dock Train does. It is preempted once, and gets USR1 once, as before the end of
its time. At the end its weights must be those of the undisturbed run, bit by bit; the exit code is 1 if they are not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the number of threads changes the last bits

from napari_unet3d import SyntheticConfig, TrainingConfig, generate, train
from napari_unet3d.configs.slurm import SlurmConfig
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.session.detached_training import DetachedTraining
from napari_unet3d.session.launch_record import read_launch
from napari_unet3d.session.launchers import SlurmLauncher
from napari_unet3d.session.training_job import TrainingRequest
from napari_unet3d.training.events import EpochFinished, RunStarted, StepFinished, TrainingFinished


def main() -> int:
    """Run the check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder that Slurm's nodes see; its contents are replaced")
    parser.add_argument("--preempted", default="main", help="partition of the training")
    parser.add_argument("--preempting", default="urgent", help="partition whose jobs preempt it")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=150, help="steps per epoch")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    for name in ("data", "undisturbed", "job"):
        shutil.rmtree(folder / name, ignore_errors=True)
    config = SyntheticConfig(shape=(24, 24, 24), objects=3, object_shape_min=(6,) * 3, object_shape_max=(9,) * 3)
    list(generate(folder / "data", config, n_train=3, n_test=1))
    settings = TrainingConfig(
        epochs=arguments.epochs, steps_per_epoch=arguments.steps, patch=16, batch_size=1, device="cpu", num_workers=0
    )
    say("training without disturbance")
    list(train(folder / "data", folder / "undisturbed", settings))
    say("training as a job")
    disturbed(folder, settings, arguments.preempted, arguments.preempting)
    one, other = (load_checkpoint(folder / run / "last.safetensors") for run in ("undisturbed", "job"))
    is_same = one.epoch == other.epoch and all(
        (weights == other.weights[name]).all() for name, weights in one.weights.items()
    )
    say(f"weights after epoch {other.epoch}: {'the same bits' if is_same else 'DIFFERENT'}")
    return 0 if is_same else 1


def disturbed(folder: Path, settings: TrainingConfig, preempted: str, preempting: str) -> None:
    """Train as a job that is preempted after its first epoch, and gets USR1 in the epoch after that."""
    run = folder / "job"
    launcher = SlurmLauncher(SlurmConfig(sbatch_options=f"--partition={preempted} --exclusive"))
    request = TrainingRequest(folder / "data", run, settings)
    events = DetachedTraining(run, request, launcher).events()
    until(events, EpochFinished)
    launch = read_launch(run)
    assert launch is not None
    say(f"job {launch.job}: preempted")
    shell("sbatch", f"--partition={preempting}", "--exclusive", "--output=/dev/null", "--wrap", "sleep 5")
    say(f"continued after epoch {len(until(events, RunStarted).history)}")
    until(events, StepFinished)
    shell("scancel", "--signal=USR1", launch.job)
    again = until(events, RunStarted)
    say(f"signalled, continued in epoch {len(again.history) + 1} after step {again.n_steps_done}")
    say(f"ended: {until(events, TrainingFinished).reason}")


def until(events: Iterator[Any], kind: type) -> Any:
    """Return the next event of a kind; each change of what is waited for is printed."""
    said = ""
    for event in events:
        if (text := getattr(event, "message", "")) and text != said:
            said = text
            say(f"  {text}")
        if isinstance(event, kind):
            return event
    raise SystemExit(f"the job has ended before a {kind.__name__}")


def shell(*words: str) -> None:
    """Run a program; its failure ends the check."""
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
