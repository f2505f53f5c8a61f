"""Starts trainings that do not end with the viewer: a process in the background, or a job of Slurm."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from napari_unet3d.configs.slurm import SlurmConfig, slurm_script
from napari_unet3d.configs.snippets import training_snippet
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.files import write_text
from napari_unet3d.runs.lock_file import Holder
from napari_unet3d.runs.status import now
from napari_unet3d.session.launch_record import LOG_FILE, LaunchPlace, LaunchRecord, run_program
from napari_unet3d.session.subprocess_training import find_python
from napari_unet3d.session.training_job import TrainingRequest

SCRIPT_FILE = "job.sh"


class Launcher(Protocol):
    """Starts trainings in one place."""

    def launch(self, request: TrainingRequest, dataset: Path) -> LaunchRecord:
        """Start a training whose run folder exists; its output goes to the log in there.

        Raises
        ------
        UserError
            If it cannot be started.
        """


def program() -> tuple[str, ...]:
    """Return the command of this package in this environment.

    Raises
    ------
    UserError
        If there is no Python interpreter.
    """
    return (find_python(), "-P", "-m", "napari_unet3d")  # -P: do not import modules from the current folder


@dataclass(frozen=True, slots=True)
class BackgroundLauncher:
    """Starts a process of this computer that goes on when the viewer is closed.

    Attributes
    ----------
    prefix : str
        A command that is put in front of that of the training, such as ``srun -G1`` or ``nice``.
    """

    prefix: str = ""

    def launch(self, request: TrainingRequest, dataset: Path) -> LaunchRecord:
        """Start a training, see `Launcher`."""
        snippet = training_snippet(
            dataset, request.run_folder, request.config, start_from=request.start_from, resume=request.resume
        )
        command = [*self._words(), *program(), *snippet.arguments[1:]]
        moment = now()
        log = request.run_folder / LOG_FILE
        with explain_os_errors(log, "write"), log.open("ab") as output:
            try:
                process = _start(command, output.fileno())
            except OSError as error:
                raise UserError(f"The command {command[0]!r} cannot be run: {error.strerror}. Check it.") from None
        # Else it would stay in the list of processes after its end.
        threading.Thread(target=process.wait, name="end of the training", daemon=True).start()
        try:
            holder = Holder.this().model_copy(
                update={"process": process.pid, "started": psutil.Process(process.pid).create_time()}
            )
        except psutil.Error:  # it has ended already
            holder = Holder.this().model_copy(update={"process": process.pid, "started": 0.0})
        return LaunchRecord(place=LaunchPlace.BACKGROUND, moment=moment, process=holder)

    def _words(self) -> list[str]:
        try:
            return shlex.split(self.prefix, posix=os.name != "nt")
        except ValueError as error:
            raise UserError(
                f"The command in front, {self.prefix!r}, cannot be read: {error}. Close each quote."
            ) from None


def _start(command: list[str], output: int) -> subprocess.Popen[bytes]:
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONUTF8": "1"},
        start_new_session=True,  # neither Ctrl-C nor the end of the terminal reaches it
        creationflags=flags,
    )


@dataclass(frozen=True, slots=True)
class SlurmLauncher:
    """Submits a job to Slurm, whose nodes see dataset and run folder under the same paths.

    Attributes
    ----------
    job : SlurmConfig
        What the job is given.
    """

    job: SlurmConfig = field(default_factory=SlurmConfig)

    def launch(self, request: TrainingRequest, dataset: Path) -> LaunchRecord:
        """Write the script to the run folder and submit it, see `Launcher`."""
        folder = request.run_folder.absolute()
        script = slurm_script(
            dataset, folder, request.config, self.job, start_from=request.start_from, program=program()
        )
        write_text(folder / SCRIPT_FILE, script)
        moment = now()
        log = str(folder / LOG_FILE).replace("%", "%%")
        answer = run_program("sbatch", "--parsable", f"--output={log}", SCRIPT_FILE, folder=folder)
        job = answer.stdout.strip().partition(";")[0]
        if answer.returncode or not job.isdecimal():
            reason = " ".join(answer.stderr.split()).removeprefix("sbatch: error: ") or "it has given no job number"
            raise UserError(f"Slurm has not taken the job: {reason.rstrip('.')}. Change the sbatch options.")
        return LaunchRecord(place=LaunchPlace.SLURM, moment=moment, job=job)
