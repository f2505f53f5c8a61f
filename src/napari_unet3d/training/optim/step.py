"""One step downhill, in which the device is asked nothing, so that a GPU never waits for the next one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from napari_unet3d.configs import Optimizer, TrainingConfig
from napari_unet3d.model.devices import ComputeDevice


@dataclass(frozen=True, slots=True)
class PendingStep:
    """A step that was queued, and what it will say.

    Attributes
    ----------
    numbers : Tensor of float32, shape (2,)
        Loss and length of the gradient, on the CPU; they are there once `arrived` has happened.
    arrived : torch.cuda.Event or None
        None where they are there at once.
    """

    numbers: torch.Tensor
    arrived: torch.cuda.Event | None

    @property
    def is_over(self) -> bool:
        """Whether the device has made it."""
        return self.arrived is None or self.arrived.query()

    def read(self) -> tuple[float, float]:
        """Wait for it, and give its loss and the length of its gradient; not finite when it was left out."""
        if self.arrived is not None:
            self.arrived.synchronize()
        loss, length = self.numbers.tolist()
        return loss, length


class OptimizerStep:
    """Moves weights against their gradients; a step whose loss or gradient is not a number is left out.

    The device leaves it out by itself: such a loss or gradient makes every gradient NaN, which torch's `GradScaler`
    finds and its fused optimisers obey. Only RMSprop, and every optimiser on an Apple GPU, has no fused form with
    this, and reads one number in each step.

    Parameters
    ----------
    weights : iterable of Parameter
        What moves.
    config : TrainingConfig
        Optimiser, and the longest gradient.
    hardware : Hardware
        Where the weights are, and in which number type gradients are computed.
    n_steps : int
        Length of the run.

    Attributes
    ----------
    optimizer : Optimizer
        The rule of the steps.
    scaler : GradScaler
        Finds what is not a number. For half precision, which loses small gradients, it also makes the loss larger.
    is_scaled : bool
        Whether it does that; then a gradient that is too large is a part of finding the scale.
    """

    def __init__(
        self, weights: Iterable[torch.nn.Parameter], config: TrainingConfig, hardware: ComputeDevice, n_steps: int
    ) -> None:
        self._weights = list(weights)
        self._clip = config.max_grad_norm or math.inf
        self._one = torch.ones((), device=hardware.device)
        self.optimizer = make_optimizer(self._weights, config, n_steps)
        self.is_scaled = hardware.dtype is torch.float16
        self.scaler = torch.amp.GradScaler(hardware.device.type, init_scale=2.0**16 if self.is_scaled else 1.0)

    def step(self, loss: torch.Tensor) -> PendingStep:
        """Queue a step down the gradient of a loss, a number."""
        scale = self.scaler.scale(self._one)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss * scale)
        length = get_total_norm([weights.grad for weights in self._weights if weights.grad is not None]) / scale
        length = length + (length + loss.detach()) * 0  # NaN if one of them is not finite, and else as it was
        clip_grads_with_norm_(self._weights, self._clip, length)
        self.scaler.step(self.optimizer)
        self.scaler.update(None if self.is_scaled else 1.0)
        return _to_host(torch.stack([loss.detach(), length]))


def _to_host(numbers: torch.Tensor) -> PendingStep:
    if numbers.device.type != "cuda":
        return PendingStep(numbers.cpu(), None)
    there = numbers.to("cpu", non_blocking=True)  # into pinned memory, which torch takes by itself
    return PendingStep(there, torch.cuda.current_stream().record_event())


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
