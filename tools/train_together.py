"""Start trainings with torchrun, end one of their processes or ask them to stop, and see what happens.

    .venv/bin/python tools/train_together.py [--processes 2] [--device cpu]

Each way to end is one line of the output: how many seconds passed until all processes had ended, the exit code, and the
last sentence. After each the run is resumed by a single process. The last line compares the weights of a run of several
processes with those of one with the same whole batch, and the time of an epoch.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from napari_unet3d.configs import SyntheticConfig
from napari_unet3d.data.synthetic.dataset import generate
from napari_unet3d.model.checkpoint import load_checkpoint

_LONG = ("--epochs", "100000")
_SECONDS_TO_END = 60


def main() -> int:
    """Run all trials; return 1 if one of them did not end as it should."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2, help="processes that train together")
    parser.add_argument("--device", default="cpu", help="device of the trainings")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = SyntheticConfig(
            shape=(64, 64, 64), objects=10, object_shape_min=(12, 12, 12), object_shape_max=(20, 20, 20)
        )
        for _ in generate(folder / "data", size, n_train=4, n_test=1):
            pass
        together = _Trials(folder, options.processes, options.device)
        ends = [
            together.end(f"process {options.processes - 1} is killed", lambda p: p[-1].kill()),
            together.end("the first process is killed", lambda p: p[0].kill()),
            together.end("torchrun gets SIGTERM", lambda _: together.torchrun.send_signal(signal.SIGTERM)),
        ]
        return 0 if all(ends) and together.compare() else 1


class _Trials:
    def __init__(self, folder: Path, n_processes: int, device: str) -> None:
        self.folder, self.n_processes, self.device = folder, n_processes, device
        self.torchrun: subprocess.Popen[str]

    def start(self, run: Path, *tokens: str) -> None:
        launcher = [
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            str(self.n_processes),
            "-m",
            "--",
        ]
        command = [sys.executable, *launcher, "napari_unet3d", *self._training(run), *tokens]
        self.torchrun = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def end(self, title: str, disturb: object) -> bool:
        """End a run after its second epoch, and resume it alone."""
        run = self.folder / title.replace(" ", "-")
        self.start(run, *_LONG)
        assert self.torchrun.stderr is not None
        while not (line := self.torchrun.stderr.readline()).startswith("epoch 2/"):
            assert line, "it ended by itself"
        processes = psutil.Process(self.torchrun.pid).children()
        processes.sort(key=lambda process: int(process.environ()["RANK"]))
        began = time.monotonic()
        disturb(processes)  # type: ignore[operator]
        told = self.torchrun.communicate(timeout=_SECONDS_TO_END)[1]
        seconds = time.monotonic() - began
        left = [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
        sentences = [line for line in told.splitlines() if line.startswith("napari-unet3d: ")]
        resumed = self._alone(run, "--resume", "--epochs", "4")
        is_fine = not left and "Traceback" not in "".join(sentences) and resumed == 0
        last = sentences[-1] if sentences else "nothing was said"
        sys.stdout.write(f"{title}: {seconds:.1f} s, exit code {self.torchrun.returncode}, resumed {resumed}; {last}\n")
        return is_fine

    def compare(self) -> bool:
        """Compare a run with one of a single process, as long as both."""
        alone, together = self.folder / "alone", self.folder / "together"
        self.start(together, "--epochs", "2")
        self.torchrun.communicate()
        self._alone(alone, "--epochs", "2")
        first, second = (load_checkpoint(run / "last.safetensors").weights for run in (alone, together))
        difference = max(float((first[name] - second[name]).abs().max()) for name in first)
        times = [_seconds_of_an_epoch(run) for run in (alone, together)]
        sys.stdout.write(
            f"largest difference of a weight {difference:.1e}, {times[0] / times[1]:.2f} × the speed of one\n"
        )
        return difference < 1e-5

    def _training(self, run: Path) -> list[str]:
        settings = ["--patch", "32", "32", "32", "--batch-size", str(2 * self.n_processes), "--device", self.device]
        return ["train", str(self.folder / "data"), "--run", str(run), *settings]

    def _alone(self, run: Path, *tokens: str) -> int:
        settings = self._training(run)[:4] if "--resume" in tokens else self._training(run)
        command = [sys.executable, "-m", "napari_unet3d", *settings, *tokens]
        return subprocess.run(
            command, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
        ).returncode


def _seconds_of_an_epoch(run: Path) -> float:
    with (run / "history.csv").open(encoding="utf-8") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    return min(seconds[1:])


if __name__ == "__main__":
    sys.exit(main())
