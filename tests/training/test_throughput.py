from __future__ import annotations

import torch

from napari_unet3d.training.events import Throughput
from napari_unet3d.training.throughput import ThroughputMeter, gpu_memory


class HandClock:
    """Seconds that only move by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


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
        assert meter.step(data, learn) == 0.5
        told.append(meter.report(3))
    assert [pace is not None for pace in told] == [False, False, True] * 3 + [False]
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
    meter.step(data, learn)
    clock.seconds += 60  # a validation
    meter.step(data, learn)
    pace = meter.report(1)
    assert pace is not None
    assert pace.steps_per_second == 2
    assert pace.waiting == 0
    assert meter.report(1) is None


def test_a_device_that_is_still_at_work_does_not_wait_for_data() -> None:
    """The batch takes 1 s, queueing 0 s and hearing of the last step 3 s; every second batch comes too late."""
    clock = HandClock()
    meter = ThroughputMeter(clock, torch.device("cpu"))

    def batches():
        while True:
            clock.seconds += 1.0
            yield "batch"

    def read() -> float:
        clock.seconds += 3.0
        return 0.5

    data = batches()
    for is_idle in (False, True) * 2:
        assert meter.step(data, lambda batch: batch * 2, lambda is_idle=is_idle: is_idle) == "batchbatch"
        assert meter.read(read) == 0.5
    pace = meter.report(1)
    assert pace is not None
    assert (pace.steps_per_second, pace.waiting) == (1 / 4, 2 / 16)


def test_a_cpu_has_no_memory_of_its_own() -> None:
    assert gpu_memory(torch.device("cpu")) is None
