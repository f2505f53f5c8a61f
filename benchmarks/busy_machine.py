"""Time training steps while other programs use the same cores, with threads that spin and with threads that sleep.

    python benchmarks/busy_machine.py [--preset xxsmall] [--side 64] [--seconds 5] [--repeats 2]

One busy process per core takes half of the processor; a step should then take about twice as long. Each way of waiting
has a process, and both are measured in turns. With the rights of root on Linux, steps on a quiet machine run at
real-time priority, so that other programs do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from statistics import median

from table import Row, spread, table

# The default of GNU's OpenMP, and what the package chooses.
WAITING = {"spinning": {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}, "sleeping": {"OMP_WAIT_POLICY": "PASSIVE"}}
_N_CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Steps:
    """Seconds of a training step, and those that its threads spent on the processor."""

    seconds: float
    cpu_seconds: float


class Training:
    """A training in a separate process, which makes steps when it is told to.

    Parameters
    ----------
    waiting : str
        One of `WAITING`.
    preset, side : str and int
        Network and side of its patches, in voxels.
    """

    def __init__(self, waiting: str, preset: str, side: int) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
        words = [sys.executable, __file__, "--measure", "--preset", preset, "--side", str(side)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            words, env=environment | WAITING[waiting], stdin=pipe, stdout=pipe, text=True, encoding="utf-8"
        )

    def __enter__(self) -> Training:
        self.measure("busy", 0)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def measure(self, machine: str, seconds: float) -> Steps:
        """Make steps for so long, at least two, on a ``"quiet"`` or ``"busy"`` machine."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{machine} {seconds}\n")
        self._process.stdin.flush()
        return Steps(**json.loads(self._process.stdout.readline()))


def make_steps(preset: str, side: int) -> None:
    """Train; make steps on the machine and for the seconds of each line of stdin, and print their time."""
    from napari_unet3d import SyntheticConfig, TrainingConfig, train
    from napari_unet3d.data.synthetic.generate import generate_volume
    from napari_unet3d.training.events import StepFinished

    *_, event = generate_volume(SyntheticConfig(shape=(96, 96, 96), objects=5, seed=0))
    config = TrainingConfig(
        preset=preset, patch=(side,) * 3, batch_size=1, val_fraction=0, epochs=100_000, save_snapshots=False
    )
    with tempfile.TemporaryDirectory() as folder:
        steps = (each for each in train([event.sample], folder, config) if isinstance(each, StepFinished))
        for _ in range(3):  # warm up
            next(steps)
        for line in sys.stdin:
            machine, wanted = line.split()
            set_real_time(machine == "quiet")
            n_steps, before, started = 0, cpu_seconds(), time.perf_counter()
            while n_steps < 2 or time.perf_counter() - started < float(wanted):
                next(steps)
                n_steps += 1
            seconds = (time.perf_counter() - started) / n_steps
            print(json.dumps({"seconds": seconds, "cpu_seconds": (cpu_seconds() - before) / n_steps}), flush=True)
        steps.close()


def set_real_time(is_real_time: bool) -> None:
    """Prefer all threads of this process to other programs, if this user may do so, or no longer."""
    with suppress(OSError, AttributeError):  # not permitted, or not on this system
        policy, priority = (os.SCHED_RR, 1) if is_real_time else (os.SCHED_OTHER, 0)
        for thread in os.listdir("/proc/self/task"):
            os.sched_setscheduler(int(thread), policy, os.sched_param(priority))


def cpu_seconds() -> float:
    """Return the processor time of all threads of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextmanager
def busy_cores() -> Iterator[None]:
    """Keep every core busy with a process."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(_N_CORES)]
    try:
        yield
    finally:
        for each in busy:
            each.kill()
            each.wait()


def rows(preset: str = "xxsmall", side: int = 64, seconds: float = 5, repeats: int = 3) -> list[Row]:
    """Measure steps on a quiet and on a busy machine."""
    quiet: dict[str, list[Steps]] = {name: [] for name in WAITING}
    busy: dict[str, list[Steps]] = {name: [] for name in WAITING}
    with ExitStack() as stack:
        trainings = {name: stack.enter_context(Training(name, preset, side)) for name in WAITING}
        for _ in range(repeats):
            for name, training in trainings.items():
                quiet[name].append(training.measure("quiet", seconds))
                with busy_cores():
                    busy[name].append(training.measure("busy", seconds))
    factor = median(each.seconds for each in busy["sleeping"]) / median(each.seconds for each in quiet["sleeping"])
    what = f"a step on 1 × {side}³, {preset}"
    return [
        row(f"{what}, on a quiet machine", quiet),
        row(f"{what}, beside a busy process per core", busy, f"at most 2.5 × the quiet one ({factor:.2f} ×)", factor),
    ]


def row(what: str, steps: dict[str, list[Steps]], goal: str = "", factor: float | None = None) -> Row:
    """Compare threads that sleep with threads that spin."""
    words = {
        name: f"{spread([each.seconds for each in measured], 1e3, 'ms')}, "
        f"{1e3 * median(each.cpu_seconds for each in measured):.3g} ms of processor time"
        for name, measured in steps.items()
    }
    middle = {name: median(each.seconds for each in measured) for name, measured in steps.items()}
    ratio = middle["spinning"] / middle["sleeping"]
    reached = None if factor is None else factor <= 2.5
    return Row(what, "threads that spin", words["sleeping"], words["spinning"], ratio, goal, reached)


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="xxsmall")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        make_steps(given.preset, given.side)
        return
    sys.stdout.write(table(rows(given.preset, given.side, given.seconds, given.repeats)))


if __name__ == "__main__":
    main()
