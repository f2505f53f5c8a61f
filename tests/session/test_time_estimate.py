"""The time left is estimated as soon as the speed of a job is steady, and not before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.session.progress import TimeEstimate
from napari_unet3d.training.limits import RunLimits
from napari_unet3d.training.started_epoch import EpochInProgress
from napari_unet3d.training.throughput import ActiveTimer


@given(
    startup=st.floats(0, 1e4),
    durations=st.lists(st.floats(0.75, 1.25), min_size=4, max_size=300),
)
def test_an_estimate_is_right_within_a_factor_of_two_whatever_came_before(startup, durations):
    """Each part takes about a second; loading a model before the first of them does not count."""
    estimate, now, total = TimeEstimate(), startup, len(durations)
    for done, seconds in enumerate(durations, start=1):
        now += seconds
        left = estimate.seconds_left(now, done / total)
        truth = sum(durations[done:])
        assert left is None or truth / 2 <= left <= 2 * truth or done == total
        assert done < 4 or left is not None, "three parts at a steady speed are enough"


def test_there_is_no_estimate_before_the_speed_is_steady_and_a_slow_beginning_is_forgotten():
    """Ten seconds for the first hundredth, then four hundredths a second."""
    estimate = TimeEstimate()
    assert [estimate.seconds_left(*mark) for mark in ((0, 0.01), (10, 0.02), (11, 0.06))] == [None, None, None]
    left = [estimate.seconds_left(second, 0.02 + 0.04 * (second - 10)) for second in range(12, 34)]
    known = [(second, seconds) for second, seconds in zip(range(12, 34), left, strict=True) if seconds is not None]
    assert known[0][0] <= 20
    assert all((34.5 - second) / 2 <= seconds <= 2 * (34.5 - second) for second, seconds in known)
    assert estimate.seconds_left(34.5, 1) == 0


def test_ten_times_as_many_marks_as_are_kept_change_nothing():
    estimate = TimeEstimate()
    for second in range(1, 2001):
        left = estimate.seconds_left(float(second), second / 4000)
    assert left == pytest.approx(2000, rel=0.01)


@pytest.mark.parametrize(
    ("seconds", "is_steady", "left"),
    [
        ([10.0], False, None),  # the first epoch also loaded libraries
        ([10.0], True, 90.0),
        ([10.0, 2.0], False, 16.0),  # the first epoch no longer counts
        ([10.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0], True, 7.2),  # the mean of the latest five is 2.4
        ([10.0] + [2.0] * 9, False, 0.0),
    ],
)
def test_a_run_estimates_without_its_first_epoch(seconds, is_steady, left):
    limits = RunLimits(TrainingConfig(epochs=10), ActiveTimer())
    assert limits.seconds_left(seconds, is_steady) == (left if left is None else pytest.approx(left))


def test_a_run_of_one_epoch_has_no_time_left():
    assert RunLimits(TrainingConfig(epochs=1), ActiveTimer()).seconds_left([5.0], False) == 0


@pytest.mark.parametrize(("ends", "is_steady"), [((1, 2, 3, 4), True), ((5, 6, 7, 8), False), ((3,), False)])
def test_an_epoch_is_steady_when_its_halves_take_about_the_same_time(ends, is_steady):
    epoch = EpochInProgress(1, 0.1, began=0.0)
    for end in ends:
        epoch.add_loss(1.0, len(ends), float(end))
    assert epoch.is_steady(float(ends[-1])) is is_steady
