"""The subcommands about a training that another process runs: what it is doing, and to stop it."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_unet3d.cli.progress import Bar, print_result
from napari_unet3d.cli.training_log import format_scores
from napari_unet3d.errors import UserError
from napari_unet3d.formatting import format_duration
from napari_unet3d.runs.status import RunPhase, RunStatus, read_status
from napari_unet3d.runs.stop_request import request_stop, withdraw_stop
from napari_unet3d.session.launch_record import cancel_launch, describe_wait, read_launch

_SECONDS_BETWEEN_LOOKS = 0.5


def status(run: Path, /, *, as_json: Annotated[bool, Parameter(name="--json", negative=())] = False) -> None:
    """Print what a training is doing, or how it has ended, by the files of its run folder.

    The training may run in any process, also on another computer that shares the folder. Nothing is changed.

    Parameters
    ----------
    run : Path
        Run folder.
    as_json : bool
        Write one JSON object, for programs.
    """
    waiting = "" if as_json else _describe_launch(run)
    if waiting:
        print_result(f"{run}: {waiting[0].lower()}{waiting[1:]}")
        return
    found = read_status(run)
    print_result(json.dumps(found.as_json(), indent=2) if as_json else describe(found))


def stop(run: Path, /, *, wait: float = 120.0) -> int:
    """Stop a training: it saves its state at the next step and ends; train --resume continues it there.

    The request is a file in the run folder, so this works from any computer that shares it. The command waits until
    the training has ended; the exit code is 1 if it is still running then.

    Parameters
    ----------
    run : Path
        Run folder.
    wait : float
        Seconds to wait for the end; the training stops all the same if it takes longer.
    """
    if not 0 <= wait < 1e6:
        raise UserError(f"--wait is {wait:g}, but must be a number of seconds from 0 to 999999.")
    launch = read_launch(run)
    if launch is not None and _describe_launch(run):
        if not cancel_launch(launch):
            raise UserError(f"The training in {run}, {launch.description}, cannot be cancelled from this computer.")
        print_result(f"{run}: {launch.description} has not begun to train and is cancelled.")
        return 0
    found = read_status(run)
    if not found.is_running:
        print_result(describe(found))
        return 0
    request_stop(run)
    found = _wait_for_end(run, wait)
    if found.is_running:
        raise UserError(
            f"The training in {run} is asked to stop, but has not ended within {format_duration(wait)}. It stops after "
            "its next step, or its validation; napari-unet3d status says when it has."
        )
    withdraw_stop(run)  # it may have ended before it saw the request
    print_result(describe(found))
    return 0


def _wait_for_end(run: Path, seconds: float) -> RunStatus:
    """Wait until a training has ended, at most some seconds, and return its status."""
    began = time.monotonic()
    with Bar("s", round(seconds)) as bar:
        while True:
            found, passed = read_status(run), time.monotonic() - began
            if not found.is_running or passed >= seconds:
                return found
            bar.show(round(passed), text="waiting for the end of the training")
            time.sleep(min(seconds - passed, _SECONDS_BETWEEN_LOOKS))


def _describe_launch(run: Path) -> str:
    """Return what a training waits for that was started but does not run yet, or not again; empty otherwise."""
    if (launch := read_launch(run)) is None:
        return ""
    try:
        if (found := read_status(run)).is_running or found.phase is RunPhase.FINISHED:
            return ""
    except UserError:  # it has not begun
        pass
    return describe_wait(launch) or ""


def describe(status: RunStatus) -> str:
    """Return a status in a few lines."""
    lines = [f"{status.folder}: {_describe_phase(status)}"]
    if (best := status.best) is not None:
        scores = format_scores(best.dice, best.val_f1)
        loss = f"loss {best.loss:.4f}"
        lines.append(f"best epoch {best.epoch}: {', '.join([loss, *scores])}")
    if status.phase is RunPhase.SILENT:
        lines.append(
            "It has probably crashed. If it is no longer running, train --resume continues the run after the file "
            ".training.lock in it was removed."
        )
    return "\n".join(lines)


def _describe_phase(status: RunStatus) -> str:
    n_done, of = len(status.records), f" of {status.n_epochs}" if status.n_epochs else ""
    if not status.is_running:
        is_killed = status.phase is RunPhase.KILLED
        how = "ended without saying why, as a killed process does," if is_killed else status.phase.value
        when = "" if status.updated is None else f", {_local(status.updated)}"
        return f"{how} after {n_done}{of} epochs{when}{f': {status.message}' if status.message else ''}"
    how = "gives no sign of life" if status.phase is RunPhase.SILENT else "running"
    step = f", step {status.step} of {status.n_steps_per_epoch}" if status.step and status.n_steps_per_epoch else ""
    progress = f"epoch {n_done + 1}{of}{step}" if status.started else "not yet started to train"
    return f"{how}, {progress}, {_describe_place(status)}"


def _describe_place(status: RunStatus) -> str:
    parts = []
    if (holder := status.holder) is not None:
        job = f", Slurm job {holder.job.partition('@')[0]}" if holder.job else ""
        parts.append(f"on {holder.host} ({holder.description}{job})")
    if status.started is not None:
        parts.append(f"since {_local(status.started)}")
    if status.seconds_since_beat is not None:
        parts.append(f"last active {format_duration(status.seconds_since_beat)} ago")
    return ", ".join(parts)


def _local(moment: datetime) -> str:
    try:
        return moment.astimezone().strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):  # of the year 1 or 9999
        return moment.isoformat(timespec="minutes")
