"""Signals of a cluster's scheduler and of a terminal that is closed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.training.event_json import load
from napari_unet3d.training.events import StateSaved
from napari_unet3d.training.resume_state import load_run_state

if sys.platform == "win32":
    pytest.skip("Windows has no such signals", allow_module_level=True)

SHORT = ("--steps-per-epoch", 40, "--patch", 8, "--batch-size", 1, "--val-fraction", 0.4, "--device", "cpu")
LONG = ("--epochs", 100_000, "--steps-per-epoch", 100_000, "--patch", 8, "--batch-size", 1, "--val-fraction", 0.4)


def command(*tokens: object) -> list[str]:
    return [sys.executable, "-m", "napari_unet3d", *map(str, tokens)]


def start(dataset: Path, *options: object, **pipes: int) -> subprocess.Popen[str]:
    words = command("train", dataset, "--run", dataset.parent / "run", "--device", "cpu", *options)
    return _start(words, **{"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, **pipes})


def _start(words: list[str], **pipes: int) -> subprocess.Popen[str]:
    """Start a process that HUP ends, also when the tests themselves were started with nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        return subprocess.Popen(words, text=True, **pipes)
    finally:
        signal.signal(signal.SIGHUP, before)


def read_until(process: subprocess.Popen[str], part: str) -> str:
    assert process.stderr is not None
    while part not in (line := process.stderr.readline()):
        assert line, "the run ended by itself"
    return line


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


def test_usr1_saves_and_the_training_goes_on(dataset: Path) -> None:
    with start(dataset, *LONG) as process:
        read_until(process, "training on")
        for _ in range(2):
            process.send_signal(signal.SIGUSR1)
            line = read_until(process, "The state is saved")
            assert "--resume continues there" in line
            assert load_run_state(dataset.parent / "run" / "resume.safetensors").header.n_steps_done >= 1
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
    assert not leftovers(dataset.parent / "run")


def test_usr1_saves_and_stops_and_the_run_continues_there(dataset: Path) -> None:
    run = dataset.parent / "run"
    with start(dataset, *LONG, "--on-usr1", "stop") as process:
        read_until(process, "training on")
        process.send_signal(signal.SIGUSR1)
        assert process.stderr is not None
        *_, last = process.stderr.read().splitlines()
        assert process.wait() == 128 + signal.SIGUSR1
    n_steps = load_run_state(run / "resume.safetensors").header.n_steps_done
    assert last.startswith("napari-unet3d: Stopped after 0 of 100000 epochs; the best model so far is ")
    assert last.endswith(f"The state is saved in epoch 1 after step {n_steps}; --resume continues there.")
    assert load_checkpoint(run).epoch == 0
    with start(dataset, "--resume", "--on-usr1", "stop") as process:
        assert f"resumes in epoch 1 after step {n_steps}" in read_until(process, "training on")
        process.send_signal(signal.SIGUSR1)
        process.communicate()
    assert load_run_state(run / "resume.safetensors").header.n_steps_done > n_steps


def test_usr1_reaches_a_program_that_follows_the_lines(dataset: Path) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with start(dataset, *LONG, "--json-lines", "--on-usr1", "stop", **pipes) as process:
        assert process.stdout is not None
        events = []
        for line in process.stdout:
            events.append(load(line))
            if type(events[-1]).__name__ == "RunStarted":
                process.send_signal(signal.SIGUSR1)
        assert process.wait() == 128 + signal.SIGUSR1
    assert isinstance(events[-1], StateSaved)
    assert events[-1].ends


def test_usr1_reaches_all_processes_of_a_job_with_workers(dataset: Path) -> None:
    words = command("train", dataset, "--run", dataset.parent / "run", *LONG, "--device", "cpu", "--num-workers", 1)
    with subprocess.Popen(words, text=True, stderr=subprocess.PIPE, start_new_session=True) as process:
        read_until(process, "training on")
        process.send_signal(signal.SIGUSR1)
        read_until(process, "The state is saved")  # a worker has made a batch
        os.killpg(process.pid, signal.SIGUSR1)
        read_until(process, "The state is saved")
        process.send_signal(signal.SIGTERM)
        process.communicate()
        assert process.returncode == 143


def test_a_first_epoch_that_is_killed_does_not_begin_anew(dataset: Path) -> None:
    run = dataset.parent / "run"
    with start(dataset, *LONG, "--checkpoint-minutes", 1e-5) as process:
        read_until(process, "training on")
        read_until(process, "The state is saved")
        process.kill()
        process.communicate()
    n_steps = load_run_state(run / "resume.safetensors").header.n_steps_done
    assert n_steps >= 1
    with start(dataset, "--resume") as process:
        assert f"resumes in epoch 1 after step {n_steps}" in read_until(process, "training on")
        process.send_signal(signal.SIGTERM)
        process.communicate()


def test_hup_ends_a_training_as_term_does(dataset: Path) -> None:
    run = dataset.parent / "run"
    with start(dataset, *LONG) as process:
        read_until(process, "training on")
        process.send_signal(signal.SIGUSR1)
        read_until(process, "The state is saved")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGHUP)
        _, rest = process.communicate()
        assert process.returncode == 128 + signal.SIGHUP
    assert "Traceback" not in rest
    assert rest.splitlines()[-1].startswith("napari-unet3d: Stopped after 0 of 100000 epochs")
    assert load_checkpoint(run).epoch == 0
    assert not leftovers(run)


def test_a_terminal_that_is_closed_leaves_nothing_behind(dataset: Path) -> None:
    import pty

    run = dataset.parent / "run"
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.execv(sys.executable, command("train", dataset, "--run", run, *LONG, "--device", "cpu"))
    told = b""
    while b"step" not in told and b"training on" not in told:
        told += os.read(terminal, 65536)
    os.close(terminal)  # its processes get HUP, and cannot write to it
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert not leftovers(run)


def test_nohup_is_respected(dataset: Path) -> None:
    words = ["nohup", *command("train", dataset, "--run", dataset.parent / "run", *LONG, "--device", "cpu")]
    with subprocess.Popen(
        words, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        read_until(process, "training on")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGUSR1)
        read_until(process, "The state is saved")
        process.send_signal(signal.SIGTERM)
        process.communicate()
        assert process.returncode == 143


def test_hup_ends_an_evaluation_without_leftovers(dataset: Path) -> None:
    from napari_unet3d import TrainingConfig, train

    run, out = dataset.parent / "run", dataset.parent / "out"
    list(train(dataset, run, TrainingConfig(epochs=1, device="cpu", val_fraction=0)))
    subprocess.run(command("evaluate", run, dataset, "--out", out), check=True, capture_output=True)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    slow = command("evaluate", run, dataset, "--out", out, "--device", "cpu", "--tta", "--overlap", 0.9)
    with _start(slow, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        read_until(process, "CPU")
        process.send_signal(signal.SIGHUP)
        process.communicate()
        assert process.returncode in (128 + signal.SIGHUP, 0)  # it may have been faster
    if process.returncode:
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert not leftovers(dataset.parent)
