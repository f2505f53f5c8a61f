"""An optimiser step that reads nothing back from the device, so that a GPU never waits for the next one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from napari_unet3d.configs import Optimizer, TrainingConfig
from napari_unet3d.model.devices import ComputeDevice
from napari_unet3d.training.processes import Processes


@dataclass(frozen=True, slots=True)
class PendingStep:
    """A step that is queued on a device, and its result.

    Attributes
    ----------
    numbers : Tensor of float32, shape (2,)
        Loss and gradient norm, on the CPU; they are valid once `arrived` has happened.
    arrived : torch.cuda.Event or None
        None if they are valid at once.
    """

    numbers: torch.Tensor
    arrived: torch.cuda.Event | None

    @property
    def is_over(self) -> bool:
        """Whether the device has finished it."""
        return self.arrived is None or self.arrived.query()

    def read(self) -> tuple[float, float]:
        """Wait for the step, and return its loss and gradient norm; one is not finite if the step was skipped."""
        if self.arrived is not None:
            self.arrived.synchronize()
        loss, norm = self.numbers.tolist()
        return loss, norm


class OptimizerStep:
    """The optimiser of a run, with gradient clipping; a step whose loss or gradient is not finite is skipped.

    The device skips it by itself: such a loss or gradient makes every gradient NaN, which torch's `GradScaler` detects
    and its fused optimisers respect. Only RMSprop, and every optimiser on an Apple GPU, has no fused implementation
    with this, and reads one number in each step.

    Parameters
    ----------
    weights : iterable of Parameter
        Weights to optimise.
    config : TrainingConfig
        Optimiser, and the largest gradient norm.
    hardware : ComputeDevice
        Device of the weights, and number type of the gradients.
    n_steps : int
        Length of the run in steps.
    processes : Processes, optional
        The processes that train together, whose gradients are added up.

    Attributes
    ----------
    optimizer : Optimizer
        The optimiser.
    scaler : GradScaler
        Detects what is not finite. For half precision, which loses small gradients, it also scales up the loss.
    is_scaled : bool
        Whether it scales; then an overflowing gradient is part of finding the scale.
    """

    def __init__(
        self,
        weights: Iterable[torch.nn.Parameter],
        config: TrainingConfig,
        hardware: ComputeDevice,
        n_steps: int,
        processes: Processes | None = None,
    ) -> None:
        self._weights, self._processes = list(weights), processes
        self._clip = config.max_grad_norm or math.inf
        self._one = torch.ones((), device=hardware.device)
        self.optimizer = make_optimizer(self._weights, config, n_steps)
        self.is_scaled = hardware.dtype is torch.float16
        self.scaler = torch.amp.GradScaler(hardware.device.type, init_scale=2.0**16 if self.is_scaled else 1.0)

    def step(self, loss: torch.Tensor) -> PendingStep:
        """Queue a step for a scalar loss."""
        scale = self.scaler.scale(self._one)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss * scale)
        gradients = [weights.grad for weights in self._weights if weights.grad is not None]
        if self._processes is not None:
            self._processes.add_up(gradients)
        norm = get_total_norm(gradients) / scale
        norm = norm + (norm + loss.detach()) * 0  # NaN if one of them is not finite, and else unchanged
        clip_grads_with_norm_(self._weights, self._clip, norm)
        self.scaler.step(self.optimizer)
        self.scaler.update(None if self.is_scaled else 1.0)
        return _to_host(torch.stack([loss.detach(), norm]))


def _to_host(numbers: torch.Tensor) -> PendingStep:
    if numbers.device.type != "cuda":
        return PendingStep(numbers.cpu(), None)
    copied = numbers.to("cpu", non_blocking=True)  # into pinned memory, which torch allocates by itself
    return PendingStep(copied, torch.cuda.current_stream().record_event())


_FUSED_ON = ("cpu", "cuda")  # devices on which fused optimisers can skip a step
IMPLEMENTATION = ("fused", "foreach", "capturable")
"""Settings of torch's optimisers that affect how they compute, not what."""


def make_optimizer(
    weights: Iterable[torch.nn.Parameter], config: TrainingConfig, n_steps: int
) -> torch.optim.Optimizer:
    """Make the optimiser of a configuration for the given weights and number of steps.

    The beta2 of Adam and AdamW averages squared gradients over a tenth of the run, from 10 to 1000 steps (0.9 to the
    usual 0.999; Kingma & Ba 2015, section 2). With 0.999 in a run of 100 steps, the large gradients of its beginning
    would keep all steps small.

    All but RMSprop are torch's fused implementations, which skip a step when their `found_inf` is set, without reading
    it back from the device (see `torch.amp.GradScaler`).
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
        # The fused form allocates it uninitialised, and does not fill it when its first step is skipped.
        for tensor in weights:
            optimizer.state[tensor]["momentum_buffer"] = torch.zeros_like(tensor)
    return optimizer
