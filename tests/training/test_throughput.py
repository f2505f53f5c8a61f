from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
import torch

from napari_unet3d.training.events import Throughput
from napari_unet3d.training.throughput import ThroughputMeter, gpu_memory

T, R = TypeVar("T"), TypeVar("R")


class HandClock:
    """Seconds that only move by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def step(meter: ThroughputMeter, batches: Iterator[T], train: Callable[[T], R], *, is_idle: bool = True) -> R:
    with meter.waiting(lambda: is_idle):
        batch = next(batches)
    with meter.computing():
        return train(batch)


def test_a_step_that_fails_does_not_count() -> None:
    clock = HandClock()
    meter = ThroughputMeter(clock, torch.device("cpu"))

    def fail(_: int) -> None:
        clock.seconds += 5.0
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        step(meter, iter([1]), fail)
    clock.seconds += 1.0
    assert meter.report(1) is None


def test_steps_and_waiting_are_told_once_a_second() -> None:
    clock = HandClock()
    meter = ThroughputMeter(clock, torch.device("cpu"))

    def batches():
        while True:
            clock.seconds += 0.1  # the data takes a quarter of a step
            yield "batch"

    def learn(batch: str) -> float:
        clock.seconds += 0.3
        return 0.5

    data, told = batches(), []
    for _ in range(10):
        assert step(meter, data, learn) == 0.5
        told.append(meter.report(3))
    assert [throughput is not None for throughput in told] == [False, False, True] * 3 + [False]
    first = told[2]
    assert isinstance(first, Throughput)
    assert (first.epoch, round(first.steps_per_second, 6), round(first.waiting, 6)) == (3, 2.5, 0.25)
    assert first.gpu_bytes is None


def test_what_lies_between_steps_does_not_count() -> None:
    clock = HandClock()
    meter = ThroughputMeter(clock, torch.device("cpu"))

    def learn(_: int) -> float:
        clock.seconds += 0.5
        return 0.0

    data = iter(range(9))
    step(meter, data, learn)
    clock.seconds += 60  # a validation
    step(meter, data, learn)
    throughput = meter.report(1)
    assert throughput is not None
    assert throughput.steps_per_second == 2
    assert throughput.waiting == 0
    assert meter.report(1) is None


def test_a_device_that_is_still_at_work_does_not_wait_for_data() -> None:
    """The batch takes 1 s, queueing 0 s and reading the last loss 3 s; every second batch comes too late."""
    clock = HandClock()
    meter = ThroughputMeter(clock, torch.device("cpu"))

    def batches():
        while True:
            clock.seconds += 1.0
            yield "batch"

    def read() -> None:
        clock.seconds += 3.0

    data = batches()
    for is_idle in (False, True) * 2:
        step(meter, data, lambda batch: None, is_idle=is_idle)
        with meter.reading():
            read()
    throughput = meter.report(1)
    assert throughput is not None
    assert (throughput.steps_per_second, throughput.waiting) == (1 / 4, 2 / 16)


def test_a_cpu_has_no_memory_of_its_own() -> None:
    assert gpu_memory(torch.device("cpu")) is None
