"""Histories made by hand, each with the diagnosis of a person."""

from __future__ import annotations

import math

import pytest

from napari_unet3d.runs.diagnosis import Diagnosis, diagnose
from napari_unet3d.runs.history import EpochRecord


def history(train: list[float], val: list[float | None], dice: float = 0.8) -> list[EpochRecord]:
    return [
        EpochRecord(epoch, one, other, None if other is None else dice)
        for epoch, (one, other) in enumerate(zip(train, val, strict=True), start=1)
    ]


def falling(n: int, start: float = 1.0, factor: float = 0.95) -> list[float]:
    return [start * factor**i for i in range(n)]


def test_a_run_that_learns_needs_no_hint() -> None:
    losses = falling(60)
    assert diagnose(history(losses, [1.1 * loss for loss in losses])) is None
    assert diagnose([]) is None


def test_noise_around_a_falling_loss_needs_no_hint() -> None:
    train = [loss * (1.1 if i % 2 else 0.9) for i, loss in enumerate(falling(60))]
    val = [loss * (1.15 if i % 3 else 0.85) for i, loss in enumerate(falling(60))]
    assert diagnose(history(train, val)) is None


def test_validation_that_rises_while_training_falls_is_learning_by_heart() -> None:
    train = falling(30)
    val = [*falling(18), *[falling(18)[-1] * 1.02**i for i in range(1, 13)]]
    hint = diagnose(history(train, val))
    assert hint is not None
    assert hint.diagnosis is Diagnosis.OVERFITS
    assert "not improved for 12 epochs while training still does" in hint.message
    assert "model of epoch 18" in hint.message
    assert "augmentation" in hint.message


def test_a_short_rise_of_validation_says_nothing_yet() -> None:
    val = [*falling(18), *[falling(18)[-1] * 1.02**i for i in range(1, 5)]]
    assert diagnose(history(falling(22), val)) is None


def test_epochs_without_validation_are_passed_over() -> None:
    val: list[float | None] = [None] * 40
    for epoch in range(5, 41, 5):
        val[epoch - 1] = 0.5 if epoch <= 10 else 0.5 + epoch / 100
    val[4] = 0.6
    hint = diagnose(history(falling(40), val))
    assert hint is not None
    assert hint.diagnosis is Diagnosis.OVERFITS
    assert "30 epochs" in hint.message
    assert "model of epoch 10" in hint.message


def test_losses_that_stall_are_reported_with_what_to_do() -> None:
    train, val = [0.8, 0.5, 0.4, *[0.3] * 20], [0.8, 0.5, 0.4, *[0.35] * 20]
    hint = diagnose(history(train, val))
    assert hint is not None
    assert hint.diagnosis is Diagnosis.STALLS
    assert "not improved for 19 epochs" in hint.message
    assert "may have converged" in hint.message
    poor = diagnose(history(train, val, dice=0.02))
    assert poor is not None
    assert "check the labels" in poor.message


def test_without_validation_the_training_loss_is_looked_at() -> None:
    hint = diagnose(history([0.8, *[0.3] * 20], [None] * 21))
    assert hint is not None
    assert hint.message.startswith("The training loss has not improved for 19 epochs")


@pytest.mark.parametrize("last", [math.nan, math.inf])
def test_a_loss_that_is_nan_is_reported_at_once(last: float) -> None:
    hint = diagnose(history([0.8, 0.5, last], [0.8, 0.5, math.nan]))
    assert hint is not None
    assert hint.diagnosis is Diagnosis.DIVERGES
    assert "lower learning rate" in hint.message
    assert "the model of epoch 2 was saved" in hint.message


def test_a_loss_that_explodes_is_reported_and_a_single_peak_is_not() -> None:
    exploded = history([0.8, 0.5, 0.4, 1.9, 7.0], [0.8, 0.5, 0.4, 1.5, 6.0])
    hint = diagnose(exploded)
    assert hint is not None
    assert hint.diagnosis is Diagnosis.DIVERGES
    assert "from 0.4 to 7" in hint.message
    assert diagnose(history([0.8, 0.5, 0.4, 7.0, 0.4], [0.8, 0.5, 0.4, 6.0, 0.4])) is None
    assert diagnose(history([0.01, 0.02, 0.05], [0.01, 0.02, 0.05])) is None, "small losses wobble by factors"
