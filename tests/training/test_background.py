"""Work that takes long still lets its caller stop."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from napari_unet3d.errors import UserError
from napari_unet3d.training import background
from napari_unet3d.training.background import iterate_in_background, raise_if_cancelled, run_in_background
from napari_unet3d.training.events import Busy


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_SECONDS_BETWEEN_EVENTS", 0.01)


def result_of(events: Generator[Busy, None, Any]) -> Any:
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def test_long_work_gives_events_until_its_result() -> None:
    gate = threading.Event()
    events = run_in_background(lambda: gate.wait(120), "Waiting")
    assert [next(events), next(events)] == [Busy("Waiting")] * 2
    gate.set()
    assert result_of(events) is True


def test_what_the_work_raises_is_raised_and_frees_what_it_held() -> None:
    class Volume:
        pass

    held: list[weakref.ref[Volume]] = []

    def fail() -> None:
        volume = Volume()
        held.append(weakref.ref(volume))
        raise UserError("Too dark.")

    with pytest.raises(UserError, match=r"Too dark\."):
        result_of(run_in_background(fail, "Reading"))
    gc.disable()
    try:
        assert held[0]() is None
    finally:
        gc.enable()


def test_abandoned_work_ends_at_its_next_question() -> None:
    gate, begun, after = threading.Event(), threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def work() -> None:
        threads.append(threading.current_thread())
        begun.set()
        gate.wait(120)
        raise_if_cancelled()
        after.set()

    events = run_in_background(work, "Preparing")
    next(events)
    assert begun.wait(120)
    events.close()
    gate.set()
    threads[0].join(120)
    assert not threads[0].is_alive()
    assert not after.is_set()
    raise_if_cancelled()  # here nothing was abandoned


def test_an_iterator_is_read_step_by_step() -> None:
    def volumes(count: int, on_step: Callable[[int], None]) -> Iterator[int]:
        for number in range(count):
            on_step(number)
            yield number

    seen: list[int] = []
    assert result_of(iterate_in_background(volumes(3, seen.append), "Reading")) == [0, 1, 2]
    assert seen == [0, 1, 2]
    assert result_of(iterate_in_background(iter([None, 0]), "Reading")) == [None, 0]


def test_a_process_ends_after_the_work_that_it_cancelled() -> None:
    """Python aborts with a signal if a thread is inside of torch when the interpreter ends."""
    program = """
import sys, torch
from napari_unet3d.training.background import run_in_background
square = torch.ones(1500, 1500)
def work():
    for _ in range(12):
        square @ square
    print("finished", flush=True)
events = run_in_background(work, "Computing")
next(events)
events.close()
sys.exit(3)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "finished\n", "")
