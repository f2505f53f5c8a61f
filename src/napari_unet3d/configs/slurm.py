"""A training as a job of Slurm: a complete script for ``sbatch``, which goes on until the run is finished."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from napari_unet3d.configs.base import Config, setting
from napari_unet3d.configs.snippets import training_snippet
from napari_unet3d.configs.training import TrainingConfig
from napari_unet3d.configs.training_enums import Device
from napari_unet3d.errors import UserError

_SECONDS_TO_SAVE = 300
_SIGNALLED = 138  # 128 + USR1, the exit code of --on-usr1 stop on Linux
_NO_NAME = re.compile(r"[^\w.-]+", re.ASCII)


class SlurmConfig(Config):
    """What a job of Slurm is given."""

    hours: float = setting(
        24.0,
        "Time limit of the job in hours. When it is nearly over, the state of the run is saved, and the job continues "
        "in the queue.",
        minimum=0.1,
        maximum=10_000.0,
        step=1.0,
        label="hours",
    )
    sbatch_options: str = setting(
        "--cpus-per-task=4 --mem=16G",
        "Further options of sbatch, such as --partition=gpu --account=lab --mem=32G.",
        label="sbatch options",
    )

    @property
    def directives(self) -> tuple[str, ...]:
        """The options of sbatch, one by one, the time limit first.

        Raises
        ------
        UserError
            If they are no options.
        """
        try:
            words = shlex.split(self.sbatch_options)
        except ValueError as error:
            raise UserError(
                f"The sbatch options {self.sbatch_options!r} cannot be read: {error}. Close each quote."
            ) from None
        for word in words:
            if not word.startswith("--") or any(each in word for each in "\n\r\0"):
                raise UserError(
                    f"{word!r} among the sbatch options is none. Write long options with =, such as --partition=gpu."
                )
        minutes = max(1, round(self.hours * 60))
        return (f"--time={minutes // 60:02}:{minutes % 60:02}:00", *words)


def slurm_script(
    dataset: Path,
    run_folder: Path,
    config: TrainingConfig | None,
    job: SlurmConfig,
    *,
    start_from: Path | None = None,
    program: Sequence[str] = (),
) -> str:
    """Return a script for ``sbatch`` that trains on a dataset folder.

    Slurm sends USR1 before the time of the job is over; the training saves its state and ends, and the script puts the
    job back into the queue. The same happens when the job is preempted or its node fails, where Slurm allows it. Each
    time the run continues where its state was saved.

    Parameters
    ----------
    dataset, run_folder : Path
        The dataset and the folder for the run, which the nodes must see under these paths.
    config : TrainingConfig or None
        The settings; None for those of the run that is resumed.
    job : SlurmConfig
        What the job is given.
    start_from : Path, optional
        The model that the run starts from.
    program : sequence of str, optional
        The command and its first arguments; by default this package in the Python of this process.

    Raises
    ------
    UserError
        If a path cannot stand in a script, or an option is none.
    """
    snippet = training_snippet(dataset, run_folder, config, start_from=start_from, resume=True)
    if "\n" in (text := snippet.command) or "\r" in text:
        raise UserError("A path with a line break cannot stand in a script. Rename the folder.")
    seconds = round(min(_SECONDS_TO_SAVE, job.hours * 3600 / 4))
    gpus = () if config is not None and config.device is Device.CPU else ("--gres=gpu:1",)
    given = {word.partition("=")[0] for word in job.directives}
    directives = (
        f"--job-name={job_name(run_folder)}",
        *(each for each in gpus if not any(name.startswith(("--gres", "--gpus")) for name in given)),
        *job.directives,
        "--ntasks=1",
        "--requeue",
        "--open-mode=append",
        f"--signal=USR1@{seconds}",
    )
    program = tuple(program) or (sys.executable, "-P", "-m", "napari_unet3d")
    return _SCRIPT.format(
        directives="\n".join(f"#SBATCH {_quoted(each)}" for each in directives),
        program=shlex.join(program),
        arguments=shlex.join([*snippet.arguments[1:], "--on-usr1", "stop"]),
        seconds=seconds,
        code=_SIGNALLED,
    )


def job_name(run_folder: Path) -> str:
    """Return a name for a job: that of the run folder, without what Slurm does not take.

    >>> job_name(Path("runs/my run 1"))
    'my_run_1'
    """
    return _NO_NAME.sub("_", run_folder.name).strip("_.-")[:60] or "training"


def _quoted(option: str) -> str:
    return option if re.fullmatch(r"[\w@%+=:,./-]+", option, re.ASCII) else shlex.quote(option)


_SCRIPT = """\
#!/bin/bash
{directives}

# The program on the nodes, which see the dataset and the run folder under the paths below.
program=({program})

srun "${{program[@]}}" {arguments}
code=$?

# {seconds} seconds before the time is over, Slurm sends USR1: the state is saved, and the job continues in the queue.
if [ "$code" -eq {code} ]; then
    exec scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""
