"""The network with its optimiser and its loss: optimizer steps, and outputs and scores for validation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.errors import UserError
from napari_unet3d.model.devices import ComputeDevice, to
from napari_unet3d.model.network import build_network, init_output_bias, to_device
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.loading.targets import IGNORE_INDEX
from napari_unet3d.training.optim.ema import EMA
from napari_unet3d.training.optim.losses import NetworkOutput, dice_of_counts, make_loss, overlap_counts
from napari_unet3d.training.optim.step import OptimizerStep, PendingStep
from napari_unet3d.training.processes import Processes

_MAX_SKIPPED_STEPS = 10
Outputs = tuple[torch.Tensor, torch.Tensor]
"""Logits (n, output, z, y, x) and targets (n, channel, z, y, x), on the device of the network."""


@dataclass(frozen=True, slots=True)
class DataStatistics:
    """What a new learner needs to know of the training data.

    Attributes
    ----------
    fractions : tuple of float
        Fraction of the annotated training voxels that each output of the network stands for.
    weights : tuple of float or None
        Weights of background and of each class in the loss; None for equal ones.
    n_steps : int
        Length of the run in steps, which the betas of Adam depend on.
    """

    fractions: tuple[float, ...]
    weights: tuple[float, ...] | None
    n_steps: int


class Learner:
    """The network of a run with its optimiser and its loss.

    Parameters
    ----------
    config : TrainingConfig
        Network, loss and optimiser.
    plan : Plan
        Strides, outputs, patch and batch size.
    hardware : ComputeDevice
        Device and number type.
    statistics : DataStatistics
        Frequencies, class weights and length of the run.
    processes : Processes, optional
        The processes that train together, of which each is given its part of the batch.

    Attributes
    ----------
    task : Task
        What the outputs mean.
    network : Module
        The network, in the layout of its device.
    stepper : OptimizerStep
        The optimiser.
    ema : EMA or None
        Moving average of the weights; None without it.
    n_parameters : int
        Number of trainable parameters.
    n_steps : int
        Optimiser steps so far that were not skipped.
    """

    def __init__(
        self,
        config: TrainingConfig,
        plan: Plan,
        hardware: ComputeDevice,
        statistics: DataStatistics,
        processes: Processes | None = None,
    ) -> None:
        network = build_network(config, plan)
        init_output_bias(network, config, statistics.fractions, is_softmax=plan.task is Task.SEMANTIC)
        self._config, self._statistics, self.task = config, statistics, plan.task
        self._hardware, self._processes = hardware, processes
        self.network = to_device(network, hardware)
        self.set_plan(plan)
        self.stepper = OptimizerStep(self.network.parameters(), config, hardware, statistics.n_steps, processes)
        self.ema = EMA(self.network, config.ema_decay) if config.ema_decay else None
        self._n_skipped = self._n_skipped_in_a_row = self.n_steps = 0
        self.n_parameters = sum(weights.numel() for weights in self.network.parameters())

    def set_plan(self, plan: Plan) -> None:
        """Continue with patches and batches of another size."""
        self._loss = make_loss(self._config, plan, self._statistics.weights, self.device)

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Load the weights of a network of the same shape; the moving average restarts from them."""
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                tensor.copy_(weights[name])  # in place, so that the memory layout stays
        if self.ema is not None:
            self.ema = EMA(self.network, self._config.ema_decay)

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return self._hardware.device

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimiser."""
        return self.stepper.optimizer

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.optimizer.param_groups[0]["lr"] = value

    def step(self, images: torch.Tensor, targets: torch.Tensor) -> PendingStep:
        """Queue an optimiser step on one batch without waiting for a GPU; a step into NaN is skipped.

        Parameters
        ----------
        images : Tensor of float32, shape (n, 1, z, y, x)
            Normalised intensities.
        targets : Tensor of uint8, shape (n, channel, z, y, x)
            See `make_targets`.
        """
        self.network.train()
        pending = self.stepper.step(self._loss(*self._of_all_processes(*self._forward(images, targets))))
        if self.ema is not None:
            self.ema.update()
        return pending

    def wait(self, pending: PendingStep) -> float:
        """Wait until a step is finished, count it, and return its loss; call it for each step in order.

        Raises
        ------
        UserError
            If loss or gradients were NaN or infinite for many steps in a row.
        """
        loss, norm = pending.read()
        # With fp16 the scaler finds its scale by gradients that overflow.
        is_finite = math.isfinite(loss) and (self.stepper.is_scaled or math.isfinite(norm))
        self.n_steps += is_finite
        self._n_skipped += not is_finite
        self._n_skipped_in_a_row = 0 if is_finite else self._n_skipped_in_a_row + 1
        if self._n_skipped_in_a_row >= _MAX_SKIPPED_STEPS:
            raise UserError(
                f"The loss has been NaN or infinite for {_MAX_SKIPPED_STEPS} steps; the learning rate of "
                f"{self.learning_rate:g} is too high or the intensities are extreme. Choose a lower learning rate "
                "or another normalisation. The models of the epochs so far are kept."
            )
        return loss

    @contextmanager
    def eval_mode(self) -> Iterator[None]:
        """Put the network into evaluation mode for a block, with the average of the weights if there is one."""
        self.network.eval()
        with self.ema.applied() if self.ema is not None else nullcontext():
            yield

    def forward(self, images: torch.Tensor, targets: torch.Tensor) -> Outputs:
        """Return logits for images (n, 1, z, y, x), and their targets, both on the device, in evaluation mode."""
        with torch.no_grad():
            logits, targets = self._forward(images, targets)
        if not isinstance(logits, torch.Tensor):
            raise TypeError("The network returns several outputs; call it within `eval_mode`.")
        return logits, targets

    def score(self, outputs: Sequence[Outputs]) -> tuple[float, float] | None:
        """Return loss and Dice over all tiles of a volume; None if nothing is annotated."""
        if not outputs:
            return None
        # All tiles at once: the Dice of a tile with little foreground tells nothing about its volume.
        logits, targets = (torch.cat(tiles) for tiles in zip(*outputs, strict=True))
        if not (targets[:, 0] != IGNORE_INDEX).any():
            return None
        counts = overlap_counts(logits, targets, self.task)
        return self._loss(logits, targets).item(), dice_of_counts(counts)

    def model_weights(self) -> dict[str, torch.Tensor]:
        """Return the weights to save as model, on the CPU: the moving average if there is one, else the raw ones.

        They are a copy, which later steps do not change.
        """
        return self.raw_weights() if self.ema is None else self.ema.weights()

    def raw_weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of the weights that the next step starts from, not averaged, on the CPU."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}

    def notice_of_skipped_steps(self, epoch: int, step: int) -> Notice | None:
        """Return a notice if the step that was waited for last was skipped, as the first of the run."""
        if self._n_skipped != 1 or self._n_skipped_in_a_row != 1:
            return None
        return Notice(
            f"The loss or its gradient was NaN or infinite in epoch {epoch}, step {step}; the step was skipped. "
            "If this continues, choose a lower learning rate."
        )

    def _of_all_processes(self, output: NetworkOutput, targets: torch.Tensor) -> tuple[NetworkOutput, torch.Tensor]:
        """Return the output for the whole batch of a step, and its targets."""
        if self._processes is None:
            return output, targets
        whole = self._processes.whole
        return whole(output) if isinstance(output, torch.Tensor) else tuple(map(whole, output)), whole(targets)

    def _forward(self, images: torch.Tensor, targets: torch.Tensor) -> tuple[NetworkOutput, torch.Tensor]:
        device = self._hardware.device
        with self._hardware.autocast():
            output: NetworkOutput = self.network(to(images, device))
        return output, to(targets, device)
