from __future__ import annotations

import pytest
import torch

from napari_unet3d.configs import Optimizer, TrainingConfig
from napari_unet3d.training.optim.step import make_optimizer


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
