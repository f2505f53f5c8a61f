"""A training that another program follows: lines on stdout, words on stdin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch

from napari_unet3d import TrainingConfig, train
from napari_unet3d.cli import json_lines, main
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.training.event_json import RunFailed, load
from napari_unet3d.training.events import Busy, EpochFinished, StepFinished, TrainingFinished
from napari_unet3d.training.preflight import check_then_train

SETTINGS = {"epochs": 3, "val_fraction": 0.4, "device": "cpu", "seed": 5, "dropout": 0.2, "augmentation": "moderate"}


@contextmanager
def started(dataset: Path, *tokens: object, **changes: object) -> Iterator[subprocess.Popen[str]]:
    """Start the command; it is killed when the block fails."""
    settings = dataset.parent / "settings.json"
    settings.write_text(json.dumps(SETTINGS | changes))
    words = ["train", dataset, "--run", dataset.parent / "run", "--config", settings, "--json-lines", *tokens]
    # A process that is started in the background ignores SIGINT, and so would the one that it starts.
    heed = None if sys.platform == "win32" else partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "napari_unet3d", *map(str, words)]
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe, preexec_fn=heed) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until_epoch(process: subprocess.Popen[str], number: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        event = load(line)
        if isinstance(event, EpochFinished) and event.epoch == number:
            return
    pytest.fail("the run ended by itself")


def order(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{word}\n")
    process.stdin.flush()


def in_a_thread(dataset: Path, folder: Path) -> list[object]:
    """Train here in a thread, as a viewer does."""
    from concurrent.futures import ThreadPoolExecutor

    events = partial(check_then_train, dataset, folder, TrainingConfig(**SETTINGS))
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: list(events())).result()


def test_the_lines_are_the_events_of_the_same_run_and_so_are_the_bits(dataset: Path) -> None:
    with started(dataset) as process:
        assert process.stdout is not None
        told = [load(line) for line in process.stdout]
        assert process.wait() == 0
    here = in_a_thread(dataset, dataset.parent / "here")
    there = [event for event in told if not isinstance(event, Busy)]
    assert isinstance(there[-1], TrainingFinished)
    losses = [[event for event in run if isinstance(event, StepFinished)] for run in (here, there)]
    assert losses[0] == losses[1]
    for file in ("model.safetensors", "last.safetensors"):
        one, other = (load_checkpoint(dataset.parent / run / file).weights for run in ("here", "run"))
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_stop_ends_the_run_which_then_goes_on(dataset: Path) -> None:
    with started(dataset, epochs=100_000) as process:
        read_until_epoch(process, 2)
        order(process, "stop")
        assert process.wait(300) == 130
    run = dataset.parent / "run"
    n_done = load_checkpoint(run / "last.safetensors").epoch
    assert n_done >= 2
    events = train(dataset, run, TrainingConfig(epochs=n_done + 1), resume=True)
    assert [event.epoch for event in events if isinstance(event, EpochFinished)] == [n_done + 1]


@pytest.mark.parametrize("how", ["end of stdin", "SIGTERM", "SIGINT"])
def test_nobody_who_listens_and_signals_end_the_run(dataset: Path, how: str) -> None:
    with started(dataset, epochs=100_000) as process:
        read_until_epoch(process, 1)
        assert process.stdin is not None
        if how == "end of stdin":
            process.stdin.close()
        else:
            process.send_signal(signal.Signals[how])
        assert process.wait(300) == {"end of stdin": 130, "SIGTERM": 143, "SIGINT": 130}[how]
        assert process.stderr is not None
        assert process.stderr.read() == "napari-unet3d: Stopped.\n"
    assert load_checkpoint(dataset.parent / "run").epoch >= 1


def test_a_paused_run_stands_still_until_it_is_resumed(dataset: Path) -> None:
    with started(dataset, epochs=100_000) as process:
        read_until_epoch(process, 1)
        for word in ("pause", "hurry", "resume"):
            order(process, word)
        assert process.stderr is not None
        assert "Unknown command 'hurry'" in process.stderr.readline()
        read_until_epoch(process, 3)
        order(process, "pause")
        order(process, "stop")
        assert process.wait(300) == 130


def test_nothing_is_asked_of_a_paused_run() -> None:
    n_asked = 0

    def events() -> Iterator[Busy]:
        nonlocal n_asked
        for n_asked in range(1, 100_000):  # noqa: B007
            yield Busy("x")

    read, write = os.pipe()
    orders = json_lines._CommandReader()
    orders.handle("pause")
    with os.fdopen(read) as told, os.fdopen(write, "w") as lines:
        run = json_lines._Run(events, orders, lines)
        run.start()
        assert load(told.readline()) == Busy("x")
        run.join(0.3)
        assert (run.is_alive(), n_asked) == (True, 1)
        orders.handle("resume")
        assert load(told.readline()) == Busy("x")
        orders.handle("stop")
        run.join(300)
        assert not run.is_alive()
    assert not run.is_finished


def test_a_failure_is_the_last_line_and_a_sentence(dataset: Path) -> None:
    with started(dataset, val_fraction=7) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        told, words = process.stdout.read(), process.stderr.read()
        assert process.wait(300) == 1
    failure = load(told.splitlines()[-1])
    assert isinstance(failure, RunFailed)
    assert "val_fraction" in failure.message
    assert "Traceback" not in words


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"epochs": "many"}', "epochs"),
        ('{"epochs": null}', "epochs"),
        ('{"flavour": 1}', "flavour"),
        ('{"self": 1}', "self"),
        ('{"patch": {"z": 8}}', "patch"),
        ("[1]", "has no settings"),
        ("{", "Cannot read the settings"),
        (None, "does not exist"),
    ],
)
def test_bad_settings_in_a_file_are_the_last_line(
    content: str | None, words: str, dataset: Path, failure_of: Callable[..., str]
) -> None:
    file = dataset.parent / "bad.json"
    if content is not None:
        file.write_text(content)
    assert words in failure_of("train", dataset, "--run", dataset.parent / "run", "--json-lines", "--config", file)


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        (["--val-fraction", "7"], "val_fraction", 1),
        (["--epochs", "many"], "epochs", 1),
        (["--check"], "cannot be combined", 1),
        (["--nonsense"], "--nonsense", 2),
    ],
)
def test_so_are_bad_options(
    options: list[str], words: str, code: int, dataset: Path, failure_of: Callable[..., str]
) -> None:
    tokens = ("train", dataset, "--run", dataset.parent / "run", "--json-lines", *options)
    assert words in failure_of(*tokens, code=code)


@pytest.fixture
def failure_of(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command in this process; give the message of its only line, of a run that could not be started."""

    def run(*tokens: object, code: int = 1) -> str:
        try:
            ended = main([str(token) for token in tokens])
        except SystemExit as error:
            ended = error.code
        assert ended == code
        told = capfd.readouterr()
        assert "Traceback" not in told.err
        (line,) = told.out.splitlines()
        failure = load(line)
        assert isinstance(failure, RunFailed)
        return failure.message

    return run


def test_all_that_is_wrong_with_the_data_is_in_the_failure(dataset: Path) -> None:
    for file in sorted((dataset / "train" / "labels").iterdir())[:2]:
        file.write_bytes(b"no volume")
    with started(dataset) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        assert process.wait(300) == 1
    failure = load(told.splitlines()[-1])
    assert isinstance(failure, RunFailed)
    assert len(failure.message.splitlines()) == 2
    assert not (dataset.parent / "run").exists()


def test_what_others_print_does_not_stand_between_the_lines(dataset: Path) -> None:
    program = (
        "import os, sys\n"
        "from napari_unet3d.cli import json_lines\n"
        "from napari_unet3d.training.events import Busy\n"
        "def events():\n"
        "    print('from Python'); os.write(1, b'from C\\n')\n"
        "    yield Busy('x')\n"
        "json_lines.train_in_lines(events)\n"
        "print('after')\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.read() == '{"event": "Busy", "message": "x"}\nafter\n'
        assert process.stderr is not None
        assert sorted(process.stderr) == ["from C\n", "from Python\n"]


@pytest.mark.parametrize("other", ["--check", "--summary"])
def test_lines_go_alone(dataset: Path, other: str) -> None:
    with started(dataset, other) as process:
        _, words = process.communicate(timeout=300)
        assert process.returncode == 1
    assert "cannot be combined with --check or --summary" in words
