"""Training, from top to bottom: `train` is the whole story, what stands below it are its sentences.

Everything that a run draws by chance comes from `config.seed`. The same seed, settings and volumes give the same
weights bit by bit on a CPU with the same number of threads; on a GPU they differ by the order of its sums.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from napari_unet3d.configs import Optimizer, TrainingConfig
from napari_unet3d.data.dataset import Part, read_samples
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import Split, split_samples
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.history import EpochRecord
from napari_unet3d.model.devices import Hardware, TorchSettings, choose_hardware
from napari_unet3d.model.network import build_unet, expect_foreground, place_network
from napari_unet3d.model.receptive_field import separating_gap
from napari_unet3d.training.batches import Batches
from napari_unet3d.training.events import EpochFinished, RunStarted, StepFinished, TrainEvent, TrainingFinished
from napari_unet3d.training.losses import make_loss, make_optimizer, mean_dice
from napari_unet3d.training.run_folder import RunFolder
from napari_unet3d.training.schedules import rate_factor

_MOST_SKIPPED_STEPS = 10


def train(
    data: Path | str | Sequence[Sample],
    run_folder: Path | str,
    config: TrainingConfig | None = None,
    *,
    overwrite: bool = False,
) -> Iterator[TrainEvent]:
    """Train a 3D U-Net; ask for the next event to go on, close the generator to stop.

    Whatever an event announces is on disk already. When the generator is closed, the run folder holds the best
    and the last model of the epochs so far, or the weights of the moment when the first epoch was not finished.

    Parameters
    ----------
    data : path of a dataset folder, or sequence of Sample
        Volumes with labels; every label above 0 is foreground.
    run_folder : path
        Where models, settings, history and environment are written, from the first epoch on.
    config : TrainingConfig, optional
        All settings; those of the tutorial without it.
    overwrite : bool
        Whether an older run in the folder may be replaced.

    Yields
    ------
    TrainEvent
        One `RunStarted`, a `StepFinished` per step, an `EpochFinished` per epoch, notices, and
        `TrainingFinished` at the end.

    Raises
    ------
    UserError
        For data, settings, hardware or folders that training cannot work with, and when the loss is not a
        number for many steps.
    """
    config = config or TrainingConfig()
    run = RunFolder(Path(run_folder), config, overwrite=overwrite)
    hardware = choose_hardware(config.device, config.precision)
    samples = _labelled_samples(data)
    gap_zyx = separating_gap(config, samples[0].voxel_size_um)
    split = split_samples(samples, config.val_fraction, config.seed, gap_zyx=gap_zyx, zero_is=config.zero_is)
    training = Batches(split.train, config, config.augmentation, shuffle=config.shuffle)
    validation = Batches(split.val, config, config.val_augmentation, shuffle=False)
    settings = TorchSettings(hardware, config.seed)
    with settings.lent():
        learner = Learner(config, hardware, training.foreground_fraction, config.epochs * len(training))

    run.start(split, hardware, dataset=str(data) if isinstance(data, Path | str) else "layers")
    train_names, val_names = (tuple(sample.name for sample in part) for part in (split.train, split.val))
    yield RunStarted(
        run.path, hardware.words, train_names, val_names, config.epochs, len(training), learner.n_parameters
    )
    yield from _notices(config, hardware, split)

    try:
        for epoch in range(1, config.epochs + 1):
            started = time.monotonic()
            learner.learning_rate = config.learning_rate * rate_factor(config.schedule, (epoch - 1) / config.epochs)
            batches, losses = training.epoch(epoch), []
            for step in range(1, len(training) + 1):
                with settings.lent():
                    losses.append(learner.step(*next(batches)))
                yield StepFinished(epoch, step, losses[-1])
                if notice := learner.first_skip(epoch, step):
                    yield notice

            val_loss = val_dice = None
            if split.val and (epoch % config.evaluate_every == 0 or epoch == config.epochs):
                with settings.lent():
                    val_loss, val_dice = learner.evaluate(validation.epoch(0))

            record = EpochRecord(epoch, _mean_finite(losses), val_loss, val_dice)
            is_best = run.save_epoch(record, learner.weights(), time.monotonic() - started)
            yield EpochFinished(epoch, record.train_loss, val_loss, val_dice, is_best, run.seconds_left)
    finally:
        if learner.n_steps > 0 and not run.has_model:
            run.save_started_epoch(learner.weights())

    yield TrainingFinished(run.path, run.model, run.best.epoch, run.best.val_loss, run.best.val_dice)


class Learner:
    """The network, its optimiser and its loss: one step, one evaluation.

    Parameters
    ----------
    config : TrainingConfig
        Network, loss and optimiser.
    hardware : Hardware
        Where to compute and in which number type.
    foreground_fraction : float
        Part of the training voxels that is foreground, which the untrained network starts from.
    n_steps : int
        Length of the run, which the optimiser's memory is made for.
    """

    def __init__(self, config: TrainingConfig, hardware: Hardware, foreground_fraction: float, n_steps: int) -> None:
        network = build_unet(config)
        expect_foreground(network, foreground_fraction)
        self._hardware = hardware
        self._network = place_network(network, hardware)
        self._loss = make_loss(config.loss)
        self._optimizer = make_optimizer(self._network.parameters(), config, n_steps)
        # Half precision loses small gradients, so the loss is scaled up for them; other types need no scaling.
        self._scaler = torch.amp.GradScaler(hardware.device.type, enabled=hardware.dtype is torch.float16)
        self._n_skipped = self._n_skipped_in_a_row = 0
        self.n_steps = 0
        self.n_parameters = sum(weights.numel() for weights in self._network.parameters())

    @property
    def learning_rate(self) -> float:
        """Step size of the optimiser."""
        return float(self._optimizer.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._optimizer.param_groups[0]["lr"] = value

    def step(self, images: torch.Tensor, truth: torch.Tensor) -> float:
        """Move the weights a step downhill on one batch and give its loss; a step into NaN is not made.

        Parameters
        ----------
        images : Tensor of float32, shape (volume, 1, z, y, x)
            Normalised grey values.
        truth : Tensor of uint8, shape (volume, 1, z, y, x)
            0 and 1.

        Raises
        ------
        UserError
            When loss or gradients have not been numbers for many steps in a row.
        """
        self._network.train()
        loss = self._loss(*self._answer(images, truth))
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self._scaler.scale(loss))
        self._scaler.unscale_(self._optimizer)
        value = loss.item()
        if self._is_sound(value):
            # With fp16 the scaler itself leaves out a step whose gradients overflow, and scales less from then on.
            self._scaler.step(self._optimizer)
            self.n_steps += 1
        self._scaler.update()
        return value

    def evaluate(self, batches: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> tuple[float, float]:
        """Give the mean loss and the mean Dice over the volumes of the batches; the weights stay as they are."""
        self._network.eval()
        n_volumes, loss, dice = 0, 0.0, 0.0
        with torch.no_grad():
            for images, truth in batches:
                answer = self._answer(images, truth)
                n_volumes += len(images)
                loss += len(images) * self._loss(*answer).item()
                dice += len(images) * mean_dice(*answer)
        return loss / n_volumes, dice / n_volumes

    def weights(self) -> dict[str, torch.Tensor]:
        """Give the weights as they are now, on the CPU; later steps do not change them."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self._network.state_dict().items()}

    def first_skip(self, epoch: int, step: int) -> Notice | None:
        """Give a notice when the step just made is the first of the run that was left out."""
        if self._n_skipped != 1 or self._n_skipped_in_a_row != 1:
            return None
        return Notice(
            f"The loss or its gradient was not a number in epoch {epoch}, step {step}; the step was left out. "
            "If this goes on, choose a lower learning rate."
        )

    def _answer(self, images: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        device = self._hardware.device
        with self._hardware.autocast():
            logits = self._network(images.to(device))
        return logits, truth.to(device)

    def _is_sound(self, loss: float) -> bool:
        gradients = [weights.grad for weights in self._network.parameters() if weights.grad is not None]
        is_sound = math.isfinite(loss) and (
            self._scaler.is_enabled() or math.isfinite(torch.nn.utils.get_total_norm(gradients).item())
        )
        self._n_skipped += not is_sound
        self._n_skipped_in_a_row = 0 if is_sound else self._n_skipped_in_a_row + 1
        if self._n_skipped_in_a_row >= _MOST_SKIPPED_STEPS:
            raise UserError(
                f"The loss has not been a number for {_MOST_SKIPPED_STEPS} steps; the learning rate of "
                f"{self.learning_rate:g} is too high or the grey values are extreme. Choose a lower learning rate "
                "or another normalisation. The models of the epochs so far are kept."
            )
        return is_sound


def _labelled_samples(data: Path | str | Sequence[Sample]) -> list[Sample]:
    samples = read_samples(Path(data), Part.TRAIN) if isinstance(data, Path | str) else list(data)
    if not samples:
        raise UserError("There is no volume to train on; give at least one image with labels.")
    if not any(sample.labels is not None and sample.labels.any() for sample in samples):
        raise UserError(
            f"The labels of all {len(samples)} volumes are 0: there is no foreground to learn. "
            "Label some objects first."
        )
    return samples


def _notices(config: TrainingConfig, hardware: Hardware, split: Split) -> Iterator[Notice]:
    """Say what is allowed but may not be what was meant."""
    for message in hardware.notices:
        yield Notice(message)
    if split.notice:
        yield Notice(split.notice)
    if not split.val:
        yield Notice("There is no validation: the best model is the one with the lowest training loss.")
    if config.batch_size > len(split.train):
        yield Notice(
            f"The batch size is {config.batch_size}, but {len(split.train)} volumes train; "
            f"each step takes {len(split.train)}."
        )
    if config.momentum > 0 and config.optimizer in (Optimizer.ADAM, Optimizer.ADAMW):
        yield Notice(f"{config.optimizer.words} does not use the momentum of {config.momentum:g}; it has its own.")
    for sample in (*split.train, *split.val):
        if sample.labels is not None and not sample.labels.any():
            yield Notice(f"The labels of '{sample.name}' hold no foreground; check that this is meant.")


def _mean_finite(losses: Sequence[float]) -> float:
    finite = [loss for loss in losses if math.isfinite(loss)]
    return sum(finite) / len(finite) if finite else math.nan
