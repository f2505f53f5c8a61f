from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_unet3d.configs import Loss, Optimizer, Schedule, TrainingConfig
from napari_unet3d.data.annotation import Truth
from napari_unet3d.evaluation.metrics import score
from napari_unet3d.training.losses import learning_rate, make_loss, make_optimizer, mean_dice

# Two voxels with probabilities 0.75 and 0.25, of which the first is foreground.
LOGITS = torch.tensor([math.log(3), -math.log(3)]).reshape(1, 1, 1, 1, 2)
TRUTH = torch.tensor([1, 0], dtype=torch.uint8).reshape(1, 1, 1, 1, 2)
CROSS_ENTROPY = -math.log(0.75)
DICE = 1 - 2 * 0.75 / (1 + 1)  # the sum of probabilities is 1, that of the truth is 1


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (Loss.BCE, CROSS_ENTROPY),
        (Loss.DICE, DICE),
        (Loss.FOCAL, 0.25**2 * CROSS_ENTROPY),
        (Loss.DICE_CE, DICE + CROSS_ENTROPY),
    ],
)
def test_losses_by_hand(loss: Loss, expected: float) -> None:
    assert make_loss(loss)(LOGITS, TRUTH).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("loss", list(Loss))
def test_losses_of_half_precision_are_sums_in_float32(loss: Loss) -> None:
    logits = torch.full((1, 1, 48, 48, 48), 4.0, dtype=torch.float16)
    truth = torch.ones(1, 1, 48, 48, 48, dtype=torch.uint8)  # 110,592 voxels: more than float16 can count

    value = make_loss(loss)(logits, truth)

    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(make_loss(loss)(logits.double(), truth).item(), abs=1e-4)


def test_dice_agrees_with_the_evaluation() -> None:
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(size=(3, 1, 4, 5, 6)), rng.integers(0, 2, (3, 1, 4, 5, 6))

    expected = np.mean(
        [
            score((one > 0).astype(np.uint8), Truth(other), "").dice
            for one, other in zip(logits[:, 0], truth[:, 0], strict=True)
        ]
    )

    assert mean_dice(torch.from_numpy(logits), torch.from_numpy(truth)) == pytest.approx(expected)


def test_nothing_found_where_nothing_is_counts_as_perfect() -> None:
    assert mean_dice(torch.full((2, 1, 3, 4, 5), -1.0), torch.zeros(2, 1, 3, 4, 5)) == 1


@pytest.mark.parametrize(
    ("optimizer", "kind"),
    [
        (Optimizer.ADAM, torch.optim.Adam),
        (Optimizer.ADAMW, torch.optim.AdamW),
        (Optimizer.SGD, torch.optim.SGD),
        (Optimizer.RMSPROP, torch.optim.RMSprop),
    ],
)
def test_optimizers_take_rate_decay_and_momentum(optimizer: Optimizer, kind: type[torch.optim.Optimizer]) -> None:
    config = TrainingConfig(optimizer=optimizer, learning_rate=0.25, weight_decay=0.125, momentum=0.5)

    made = make_optimizer([torch.nn.Parameter(torch.zeros(2))], config, n_steps=500)

    assert type(made) is kind
    assert made.defaults["lr"] == 0.25
    assert made.defaults["weight_decay"] == 0.125
    assert made.defaults.get("momentum", 0.5) == 0.5
    assert made.defaults.get("betas", (0.9, 0.98)) == pytest.approx((0.9, 0.98))


@pytest.mark.parametrize(("n_steps", "beta2"), [(1, 0.9), (100, 0.9), (200, 0.95), (10_000, 0.999), (10**6, 0.999)])
def test_adam_remembers_a_tenth_of_the_run(n_steps: int, beta2: float) -> None:
    made = make_optimizer([torch.nn.Parameter(torch.zeros(2))], TrainingConfig(), n_steps)

    assert made.defaults["betas"] == pytest.approx((0.9, beta2))


def test_cooldown_falls_in_the_last_third() -> None:
    config = TrainingConfig(learning_rate=0.1, epochs=9, schedule=Schedule.COOLDOWN)

    rates = [learning_rate(config, epoch) for epoch in range(1, 10)]

    assert rates == pytest.approx([0.1] * 7 + [0.1 * 2 / 3, 0.1 / 3])
    assert learning_rate(TrainingConfig(learning_rate=0.1, epochs=1), 1) == 0.1


def test_cosine_falls_from_the_rate_to_nearly_nothing() -> None:
    config = TrainingConfig(learning_rate=0.1, epochs=4, schedule=Schedule.COSINE)

    rates = [learning_rate(config, epoch) for epoch in (1, 2, 3, 4)]

    assert rates == pytest.approx([0.1, 0.1 * (1 + math.sqrt(0.5)) / 2, 0.05, 0.1 * (1 - math.sqrt(0.5)) / 2])


def test_constant_stays() -> None:
    config = TrainingConfig(learning_rate=0.1, epochs=4, schedule=Schedule.CONSTANT)

    assert [learning_rate(config, epoch) for epoch in (1, 4)] == [0.1, 0.1]
