"""The rules that turn gradients into steps."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from napari_unet3d.configs import Optimizer, TrainingConfig


def make_optimizer(
    weights: Iterable[torch.nn.Parameter], config: TrainingConfig, n_steps: int
) -> torch.optim.Optimizer:
    """Make the optimiser of a configuration for the given weights and a run of so many steps.

    Adam and AdamW remember squared gradients for a tenth of the run, from 10 to 1000 steps (`beta2` from 0.9 to
    the usual 0.999; Kingma & Ba 2015, section 2). With 1000 in a run of 100 steps, the large gradients of its
    beginning would keep all its steps small.
    """
    rate, decay = config.learning_rate, config.weight_decay
    betas = 0.9, 1 - 1 / min(max(n_steps / 10, 10.0), 1000.0)
    match config.optimizer:
        case Optimizer.ADAM:
            return torch.optim.Adam(weights, lr=rate, betas=betas, weight_decay=decay)
        case Optimizer.ADAMW:
            return torch.optim.AdamW(weights, lr=rate, betas=betas, weight_decay=decay)
        case Optimizer.SGD:
            return torch.optim.SGD(weights, lr=rate, weight_decay=decay, momentum=config.momentum)
        case Optimizer.RMSPROP:
            return torch.optim.RMSprop(weights, lr=rate, weight_decay=decay, momentum=config.momentum)
