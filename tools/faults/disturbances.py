"""Surroundings that disturb: small disks, limits of the system, clocks that jump, folders that are moved away."""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

_PATH_BYTES = 3900  # of at most 4096


@contextmanager
def mounted(folder: Path, n_bytes: int) -> Iterator[Path]:
    """Mount a disk in memory of a size in a block; only root can."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@dataclass(frozen=True)
class Disturbance:
    """What is different while a scenario runs.

    Attributes
    ----------
    before : callable
        Called in the forked process before it, with the folder.
    around : callable
        Returns the context in which it runs.
    place : callable
        Returns the folder for it, given a temporary one.
    again : bool
        Whether it must succeed without the disturbance.
    """

    before: Callable[[Path], object] = lambda folder: None
    around: Callable[[Path], AbstractContextManager[object]] = lambda folder: nullcontext()
    place: Callable[[Path], Path] = lambda root: root / "limited"
    again: bool = True


def limits(name: str, rng: random.Random) -> Iterator[tuple[str, Disturbance]]:
    """Yield the disturbances of a scenario by name, each with its own name."""
    yield "64 open files", Disturbance(lambda folder: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    yield "16 open files", Disturbance(lambda folder: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16)))
    for megabytes in (2, 8, 32, 128):
        yield f"{megabytes} MB more memory", Disturbance(lambda folder, n=megabytes: _limit_memory(n))
    for years in (-60, 50):
        yield f"a clock that jumps {years} years", Disturbance(lambda folder, n=years: _jump(n))
    yield "long paths", Disturbance(place=_long_path)
    if os.geteuid() == 0:
        yield "a read-only disk", Disturbance(around=_read_only, again=False)
    if name.startswith("train"):
        for number in range(6):
            after = rng.uniform(0.01, 1.5)
            what = ("removed", "renamed")[number % 2]
            yield (
                f"a run folder that is {what} after {after:.2f} s",
                Disturbance(lambda folder, s=after, w=what: _move_away(folder / "new", s, w), again=False),
            )


def _limit_memory(megabytes: int) -> None:
    with open("/proc/self/statm", encoding="utf-8") as file:
        in_use = int(file.read().split()[0]) * resource.getpagesize()
    most = in_use + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _jump(years: int) -> None:
    """Make the clock jump at the third look at it."""
    now, count = time.time, 0

    def jumped() -> float:
        nonlocal count
        count += 1
        return now() + (years * 365 * 86400.0 if count > 2 else 0.0)

    time.time = jumped


def _long_path(root: Path) -> Path:
    folder = root / "long"
    while len(os.fsencode(folder)) < _PATH_BYTES - 400:
        folder /= "µ" * 100
    return folder


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _move_away(folder: Path, seconds: float, what: str) -> None:
    def move() -> None:
        time.sleep(seconds)
        with suppress(OSError):  # it is not there yet, or files appear meanwhile
            shutil.rmtree(folder) if what == "removed" else folder.rename(folder.with_name("renamed"))

    threading.Thread(target=move, daemon=True).start()
