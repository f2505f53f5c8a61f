"""The network, its optimiser and its loss: one step, one evaluation."""

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
from napari_unet3d.model.network import build_unet, init_output_bias, to_device
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.loading.targets import IGNORE_INDEX
from napari_unet3d.training.optim.ema import EMA
from napari_unet3d.training.optim.losses import dice_of_counts, make_loss, overlap_counts
from napari_unet3d.training.optim.step import OptimizerStep, PendingStep

_MOST_SKIPPED_STEPS = 10
Outputs = tuple[torch.Tensor, torch.Tensor]
"""Logits (n, output, z, y, x) and targets (n, channel, z, y, x), on the device of the network."""


@dataclass(frozen=True, slots=True)
class DataStatistics:
    """What the start of a run depends on beside its settings.

    Attributes
    ----------
    fractions : tuple of float
        Part of the annotated training voxels that each output of the network stands for.
    weights : tuple of float or None
        How much background and each class count in the loss; None when all count the same.
    n_steps : int
        Length of the run, which the optimiser's memory is made for.
    """

    fractions: tuple[float, ...]
    weights: tuple[float, ...] | None
    n_steps: int


class Learner:
    """What learns.

    Parameters
    ----------
    config : TrainingConfig
        Network, loss and optimiser.
    plan : Plan
        Strides, outputs, patch and batch size.
    hardware : Hardware
        Where to compute and in which number type.
    facts : DataStatistics
        Frequencies, class weights and length of the run.

    Attributes
    ----------
    task : Task
        What the answers mean.
    descent : Descent
        How the weights move.
    n_steps : int
        Steps that were made and heard of.
    """

    def __init__(self, config: TrainingConfig, plan: Plan, hardware: ComputeDevice, facts: DataStatistics) -> None:
        network = build_unet(config, plan)
        init_output_bias(network, facts.fractions, is_softmax=plan.task is Task.SEMANTIC)
        self._config, self._statistics, self.task = config, facts, plan.task
        self._hardware = hardware
        self.network = to_device(network, hardware)
        self.set_plan(plan)
        self.stepper = OptimizerStep(self.network.parameters(), config, hardware, facts.n_steps)
        self.ema = EMA(self.network, config.ema_decay) if config.ema_decay else None
        self._n_skipped = self._n_skipped_in_a_row = self.n_steps = 0
        self.n_parameters = sum(weights.numel() for weights in self.network.parameters())

    def set_plan(self, plan: Plan) -> None:
        """Go on with patches and batches of another size."""
        self._loss = make_loss(self._config, plan, self._statistics.weights, self.device)

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take the weights of another network of the same shapes; the moving average begins with them."""
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                tensor.copy_(weights[name])  # into its place: the layout of the weights stays
        if self.ema is not None:
            self.ema = EMA(self.network, self._config.ema_decay)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self._hardware.device

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The rule of the steps."""
        return self.stepper.optimizer

    @property
    def learning_rate(self) -> float:
        """Step size of the optimiser."""
        return float(self.optimizer.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.optimizer.param_groups[0]["lr"] = value

    def step(self, images: torch.Tensor, targets: torch.Tensor) -> PendingStep:
        """Move the weights a step downhill on one batch; a step into NaN is not made. A GPU is not waited for.

        Parameters
        ----------
        images : Tensor of float32, shape (n, 1, z, y, x)
            Normalised grey values.
        targets : Tensor of uint8, shape (n, channel, z, y, x)
            See `make_targets`.
        """
        self.network.train()
        made = self.stepper.step(self._loss(*self._forward(images, targets)))
        if self.ema is not None:
            self.ema.update()
        return made

    def wait(self, made: PendingStep) -> float:
        """Wait until a step is made, and give its loss; steps are heard of in their order.

        Raises
        ------
        UserError
            When loss or gradients have not been numbers for many steps in a row.
        """
        loss, length = made.read()
        # With fp16 the scaler finds its scale by gradients that overflow.
        is_number = math.isfinite(loss) and (self.stepper.is_scaled or math.isfinite(length))
        self.n_steps += is_number
        self._n_skipped += not is_number
        self._n_skipped_in_a_row = 0 if is_number else self._n_skipped_in_a_row + 1
        if self._n_skipped_in_a_row >= _MOST_SKIPPED_STEPS:
            raise UserError(
                f"The loss has not been a number for {_MOST_SKIPPED_STEPS} steps; the learning rate of "
                f"{self.learning_rate:g} is too high or the grey values are extreme. Choose a lower learning rate "
                "or another normalisation. The models of the epochs so far are kept."
            )
        return loss

    @contextmanager
    def eval_mode(self) -> Iterator[None]:
        """Let the network answer as the model would, for the length of a block.

        It is the model that is evaluated: the average of the weights, if there is one. Then its own weights are back.
        """
        self.network.eval()
        with self.ema.applied() if self.ema is not None else nullcontext():
            yield

    def forward(self, images: torch.Tensor, targets: torch.Tensor) -> Outputs:
        """Return logits for images (n, 1, z, y, x), and their targets, both on the device; nothing is learnt."""
        with torch.no_grad():
            return self._forward(images, targets)

    def score(self, answers: Sequence[Outputs]) -> tuple[float, float] | None:
        """Return loss and Dice over all parts of a volume; None where nothing is annotated."""
        if not answers:
            return None
        # All parts at once: the Dice of a part with little foreground says nothing about its volume.
        logits, targets = (torch.cat(parts) for parts in zip(*answers, strict=True))
        if not (targets[:, 0] != IGNORE_INDEX).any():
            return None
        counts = overlap_counts(logits, targets, self.task)
        return self._loss(logits, targets).item(), dice_of_counts(counts)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return what is the model now, the average if there is one, on the CPU; later steps do not change it."""
        return self.own_weights() if self.ema is None else self.ema.weights()

    def own_weights(self) -> dict[str, torch.Tensor]:
        """Return the weights that the next step starts from, on the CPU; it does not change them."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}

    def skip_notice(self, epoch: int, step: int) -> Notice | None:
        """Return a notice when the step just heard of is the first of the run that was left out."""
        if self._n_skipped != 1 or self._n_skipped_in_a_row != 1:
            return None
        return Notice(
            f"The loss or its gradient was not a number in epoch {epoch}, step {step}; the step was left out. "
            "If this goes on, choose a lower learning rate."
        )

    def _forward(self, images: torch.Tensor, targets: torch.Tensor) -> Outputs:
        device = self._hardware.device
        with self._hardware.autocast():
            logits = self.network(to(images, device))
        return logits, to(targets, device)
