"""Where a training was started that does not end with its viewer, as noted in its run folder."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import psutil
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from napari_unet3d.errors import UserError
from napari_unet3d.files import write_json
from napari_unet3d.runs.lock_file import Holder
from napari_unet3d.text_files import parse_json, read_end, read_limited

LAUNCH_FILE, LOG_FILE = "launch.json", "training.log"
_MAX_BYTES, _LOG_BYTES, _MAX_LINE = 2**20, 4096, 300
_SECONDS = 60.0
_WAITS = ("PENDING", "REQUEUE", "SUSPENDED")


class LaunchPlace(StrEnum):
    """What runs the training."""

    BACKGROUND = "background"
    SLURM = "slurm"


class LaunchRecord(BaseModel):
    """How a training was started.

    Attributes
    ----------
    place : LaunchPlace
        What runs it.
    moment : datetime
        When it was started.
    earlier : datetime or None
        When an earlier training in the folder last wrote its status, to tell one from the other.
    process : Holder or None
        The process that was started in the background.
    job : str
        The number of the job of Slurm.
    """

    model_config = ConfigDict(frozen=True)

    place: LaunchPlace
    moment: AwareDatetime
    earlier: AwareDatetime | None = None
    process: Holder | None = None
    job: Annotated[str, StringConstraints(pattern=r"^[0-9]{0,20}$")] = ""

    @property
    def description(self) -> str:
        """Where it was started, such as ``Slurm job 42``."""
        if self.place is LaunchPlace.SLURM:
            return f"Slurm job {self.job}"
        return "a process in the background" if self.process is None else f"process {self.process.process}"


def write_launch(run_folder: Path, record: LaunchRecord) -> None:
    """Note in a run folder how its training was started.

    Raises
    ------
    UserError
        If the folder cannot be written to.
    """
    write_json(run_folder / LAUNCH_FILE, record.model_dump(mode="json"))


def read_launch(run_folder: Path) -> LaunchRecord | None:
    """Read how the training of a run folder was started; None if that is not noted, or damaged."""
    try:
        return LaunchRecord.model_validate(parse_json(read_limited(run_folder / LAUNCH_FILE, _MAX_BYTES)))
    except (UserError, ValidationError, ValueError):
        return None


def describe_wait(record: LaunchRecord) -> str | None:
    """Return what a training is waiting for that was started, but gives no sign of life.

    Returns
    -------
    str or None
        Empty if it has ended; None if that cannot be known on this computer.
    """
    if record.place is LaunchPlace.SLURM:
        return _describe_job(record.job)
    process = record.process
    if process is None or process.host != platform.node():
        return None
    return f"Starting ({record.description})" if process.is_alive else ""


def _describe_job(job: str) -> str | None:
    if shutil.which("squeue") is None:
        return None
    answer = run_program("squeue", "--noheader", f"--jobs={job}", "--format=%T %r")
    if answer.returncode and "invalid job id" not in answer.stderr.lower():
        return None  # the controller of Slurm does not answer
    state, _, reason = answer.stdout.strip().partition(" ")
    if not state:
        return ""
    if state == "PENDING" and reason not in ("", "None"):
        state = f"{state}, {reason}"
    doing = "Waiting in the queue" if state.startswith(_WAITS) else "In Slurm"
    return f"{doing} (job {job}: {state.lower()})"


def cancel_launch(record: LaunchRecord) -> bool:
    """Cancel a training that has not begun to train; return whether that could be asked for on this computer."""
    if record.place is LaunchPlace.SLURM:
        return shutil.which("scancel") is not None and not run_program("scancel", record.job).returncode
    process = record.process
    if process is None or process.host != platform.node() or not process.is_alive:
        return False
    with suppress(psutil.Error, OSError):
        psutil.Process(process.process).terminate() if os.name == "nt" else os.kill(process.process, signal.SIGTERM)
        return True
    return False


def last_words(run_folder: Path) -> str:
    """Return the last line that a training has written to its log; empty if there is none."""
    try:
        text = read_end(run_folder / LOG_FILE, _LOG_BYTES).decode("utf-8", errors="replace")
    except UserError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("napari-unet3d: ")[:_MAX_LINE] if lines else ""


def run_program(name: str, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program of Slurm, and return what it has written.

    Raises
    ------
    UserError
        If it is not there, or gives no answer within a minute.
    """
    no_window = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # of Windows
    try:
        return subprocess.run(
            [name, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
            creationflags=no_window,
        )
    except OSError as error:
        raise UserError(f"The program {name} cannot be run: {error.strerror}. Is Slurm installed here?") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"The program {name} has given no answer for a minute. Try again later.") from None
