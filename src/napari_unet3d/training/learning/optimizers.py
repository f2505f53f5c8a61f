"""The rules that turn gradients into steps."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from napari_unet3d.configs import Optimizer, TrainingConfig

_FUSED_ON = ("cpu", "cuda")  # where fused optimisers can leave out a step
IMPLEMENTATION = ("fused", "foreach", "capturable")
"""Settings of torch's optimisers that say how they compute, not what."""


def make_optimizer(
    weights: Iterable[torch.nn.Parameter], config: TrainingConfig, n_steps: int
) -> torch.optim.Optimizer:
    """Make the optimiser of a configuration for the given weights and a run of so many steps.

    Adam and AdamW remember squared gradients for a tenth of the run, from 10 to 1000 steps (`beta2` from 0.9 to
    the usual 0.999; Kingma & Ba 2015, section 2). With 1000 in a run of 100 steps, the large gradients of its
    beginning would keep all its steps small.

    All but RMSprop, which torch has not fused, compute a step in one go, and leave it out when their `found_inf`
    says so, without asking the device (see `torch.amp.GradScaler`).
    """
    weights = list(weights)
    rate, decay = config.learning_rate, config.weight_decay
    fused = all(tensor.device.type in _FUSED_ON for tensor in weights)
    betas = 0.9, 1 - 1 / min(max(n_steps / 10, 10.0), 1000.0)
    match config.optimizer:
        case Optimizer.ADAM:
            return torch.optim.Adam(weights, lr=rate, betas=betas, weight_decay=decay, fused=fused)
        case Optimizer.ADAMW:
            return torch.optim.AdamW(weights, lr=rate, betas=betas, weight_decay=decay, fused=fused)
        case Optimizer.SGD:
            return _sgd(weights, config, fused=fused)
        case Optimizer.RMSPROP:
            return torch.optim.RMSprop(weights, lr=rate, weight_decay=decay, momentum=config.momentum)


def _sgd(weights: list[torch.nn.Parameter], config: TrainingConfig, *, fused: bool) -> torch.optim.SGD:
    rate, decay = config.learning_rate, config.weight_decay
    optimizer = torch.optim.SGD(weights, lr=rate, weight_decay=decay, momentum=config.momentum, fused=fused)
    if config.momentum:
        # The fused form takes memory for it uncleared, and does not fill it when its first step is left out.
        for tensor in weights:
            optimizer.state[tensor]["momentum_buffer"] = torch.zeros_like(tensor)
    return optimizer
