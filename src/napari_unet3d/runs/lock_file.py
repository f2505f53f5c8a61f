"""The lock file of a run folder: which process trains in it, and when it was last active.

`napari_unet3d.training.run_lock` writes it; others only read it.
"""

from __future__ import annotations

import getpass
import os
import platform
import time
from contextlib import suppress
from io import FileIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated

import psutil
from pydantic import BaseModel, Field, ValidationError

from napari_unet3d.errors import UserError
from napari_unet3d.text_files import read_limited

LOCK_FILE = ".training.lock"
SECONDS_UNTIL_STALE = 600.0
"""Age of a lock file from which on its process has probably crashed; a busy disk may delay its renewal."""
_MAX_BYTES = 2**16
_MAX_DIGITS = 9


class Holder(BaseModel):
    """The process that holds a lock, as written to the lock file."""

    host: str
    process: Annotated[int, Field(ge=0, lt=2**31)]
    started: float  # seconds since 1970; process ids are reused
    user: str = ""
    job: str = ""  # of Slurm, with its cluster
    n_requeues: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @classmethod
    def this(cls) -> Holder:
        """Return this process."""
        job, cluster = os.environ.get("SLURM_JOB_ID", ""), os.environ.get("SLURM_CLUSTER_NAME", "")
        n_requeues = os.environ.get("SLURM_RESTART_COUNT", "")
        return cls(
            host=platform.node(),
            process=os.getpid(),
            started=psutil.Process().create_time(),
            user=current_user(),
            job=f"{job}@{cluster}" if job else "",
            n_requeues=int(n_requeues) if n_requeues.isdecimal() and len(n_requeues) < _MAX_DIGITS else 0,
        )

    @property
    def description(self) -> str:
        """Its process, and its user if that is another one."""
        of = f" of the user {self.user}" if self.user not in ("", current_user()) else ""
        return f"process {self.process}{of}"

    def has_replaced(self, other: Holder) -> bool:
        """Return whether this is a job of Slurm that was requeued, so that its earlier process has ended."""
        return bool(self.job) and self.job == other.job and self.n_requeues > other.n_requeues

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this computer."""
        return self.host == platform.node()

    @property
    def is_alive(self) -> bool:
        """Whether the process is running; valid only for processes of this computer."""
        try:
            process = psutil.Process(self.process)
            is_same = bool(abs(process.create_time() - self.started) < 1)
            return is_same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


def current_user() -> str:
    """Return the name of the user; empty for an id without a name, as in containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def read_holder(file: FileIO) -> Holder | None:
    """Read from an open lock file who holds the lock; None if the file is empty or incomplete."""
    file.seek(0)
    return _holder_in(file.read(_MAX_BYTES))


def holder_of(folder: Path) -> Holder | None:
    """Read who holds the lock of a run folder; None without a lock, or if it cannot be read.

    The lock itself is not touched, so that no training that starts meanwhile is refused.
    """
    try:
        return _holder_in(read_limited(folder / LOCK_FILE, _MAX_BYTES))
    except UserError:
        return None


def _holder_in(content: bytes) -> Holder | None:
    try:
        return Holder.model_validate_json(content)
    except ValidationError:
        return None


def seconds_since_beat(path: Path) -> float:
    """Return the age of a lock file by the clock of its disk, which may differ from that of this computer."""
    now = time.time()
    with suppress(OSError), TemporaryFile(dir=path.parent) as file:
        now = os.fstat(file.fileno()).st_mtime
    try:
        return max(0.0, now - path.stat().st_mtime)
    except OSError:  # it was removed meanwhile
        return 0.0
