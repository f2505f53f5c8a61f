"""Tasks for workers, which import nothing that takes long."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_unet3d.errors import UserError


@dataclass(frozen=True)
class Count:
    """Answer with numbers and the process; die before one of them as often as there is no mark in a folder."""

    folder: Path
    name: str
    n: int = 3
    dies_before: int | None = None
    deaths: int = 1

    def __call__(self, n_done: int) -> Iterator[tuple[int, int]]:
        for number in range(n_done, self.n):
            marks = len(list(self.folder.glob(f"{self.name}-*")))
            if number == self.dies_before and marks < self.deaths:
                (self.folder / f"{self.name}-{marks}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield number, os.getpid()


@dataclass(frozen=True)
class Refuse:
    """Raise an error that the user can solve."""

    def __call__(self, _n_done: int) -> Iterator[None]:
        raise UserError("The scan is damaged. Copy it again.")
        yield


@dataclass(frozen=True)
class Environment:
    """Answer with what the process was given."""

    def __call__(self, _n_done: int) -> Iterator[tuple[str | None, str | None]]:
        yield os.environ.get("OMP_NUM_THREADS"), os.environ.get("CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Wait:
    """Answer after a minute."""

    def __call__(self, _n_done: int) -> Iterator[None]:
        time.sleep(60)
        yield
