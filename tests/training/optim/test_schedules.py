from __future__ import annotations

import math

import pytest
import torch

from napari_unet3d.configs import LRSchedule
from napari_unet3d.runs.history import EpochRecord
from napari_unet3d.training.optim.schedules import PLATEAU_PATIENCE, count_plateaus, lr_factor


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (LRSchedule.CONSTANT, [1, 1, 1, 1]),
        (LRSchedule.COOLDOWN, [1, 1, 0.75, 0.3]),
        (LRSchedule.COSINE, [1, 0.5, 0.146447, 0.024472]),
        (LRSchedule.POLY, [1, 0.535887, 0.287175, 0.125893]),
        (LRSchedule.PLATEAU, [1, 1, 1, 1]),
    ],
)
def test_rates_by_hand_at_the_start_the_half_three_quarters_and_nine_tenths(
    schedule: LRSchedule, expected: list[float]
) -> None:
    assert [lr_factor(schedule, part) for part in (0, 0.5, 0.75, 0.9)] == pytest.approx(expected, abs=1e-5)


def test_one_cycle_is_that_of_torch() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1, total_steps=1001, final_div_factor=400)
    expected = []
    for _ in range(1001):
        expected.append(cycle.get_last_lr()[0])
        optimizer.step()
        if len(expected) < 1001:
            cycle.step()

    # torch's rise ends one step early, at step 299.3 of 1000
    assert [lr_factor(LRSchedule.ONE_CYCLE, n / 1000) for n in range(1000)] == pytest.approx(expected[:-1], abs=5e-3)


def test_every_plateau_halves_the_rate() -> None:
    assert [lr_factor(LRSchedule.PLATEAU, 0.5, n) for n in range(4)] == [1, 0.5, 0.25, 0.125]


def history_of(*val_losses: float | None) -> list[EpochRecord]:
    return [EpochRecord(epoch, 1 / epoch, loss) for epoch, loss in enumerate(val_losses, start=1)]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([], 0),
        ([0.5] * PLATEAU_PATIENCE, 0),
        ([0.5] * (PLATEAU_PATIENCE + 1), 1),
        ([0.5] * (2 * PLATEAU_PATIENCE), 1),
        ([0.5] * (2 * PLATEAU_PATIENCE + 1), 2),
        ([0.5] * PLATEAU_PATIENCE + [0.4] * PLATEAU_PATIENCE, 0),
        ([0.5, 0.4] + [0.45] * PLATEAU_PATIENCE, 1),
        ([math.nan] * (PLATEAU_PATIENCE - 1) + [0.5], 0),
        ([0.5, *[None, 0.6] * PLATEAU_PATIENCE], 1),
        ([0.5, *[None, 0.6] * (PLATEAU_PATIENCE - 1), None], 0),
    ],
)
def test_plateaus_are_counted(losses: list[float | None], expected: int) -> None:
    assert count_plateaus(history_of(*losses)) == expected


def test_without_validation_the_training_loss_counts() -> None:
    falling = history_of(*[None] * 30)
    stalled = [EpochRecord(epoch, 0.5) for epoch in range(1, 12)]
    assert (count_plateaus(falling), count_plateaus(stalled)) == (0, 1)
