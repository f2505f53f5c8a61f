from __future__ import annotations

from collections.abc import Generator

import pytest

from napari_unet3d.training.throughput import ActiveTimer


class Hands:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def test_only_the_time_of_work_counts() -> None:
    hands = Hands()
    clock = ActiveTimer(hands)
    seen = []

    def work() -> Generator[int]:
        for number in range(3):
            hands.time += 2  # of work
            seen.append(clock.seconds)
            yield number

    for _ in clock.measure(work()):
        before = clock.seconds
        hands.time += 500  # of a pause
        assert clock.seconds == before

    assert seen == [2, 4, 6]
    assert clock.seconds == 6


def test_earlier_sessions_count() -> None:
    hands = Hands()
    clock = ActiveTimer(hands)
    clock.add(60.5)

    def work() -> Generator[None]:
        hands.time += 2
        clock.add(10)  # in the midst of it, when the file of an earlier session is read
        yield

    list(clock.measure(work()))

    assert clock.seconds == 72.5


@pytest.mark.parametrize("ending", ["close", "throw"])
def test_the_work_is_closed_with_its_measuring(ending: str) -> None:
    clock, closed = ActiveTimer(Hands()), []

    def work() -> Generator[int]:
        try:
            yield 1
        finally:
            closed.append(True)

    events = clock.measure(work())
    next(events)
    if ending == "close":
        events.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            events.throw(KeyboardInterrupt())

    assert closed == [True]
