"""What training makes small. Nothing counts where the targets are `IGNORED`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.losses.dice import DiceLoss
from monai.losses.focal_loss import FocalLoss
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from napari_unet3d.configs import ClassWeighting, Loss, Task, TrainingConfig
from napari_unet3d.errors import UserError
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.loading.targets import FULL_DISTANCE, IGNORE_INDEX

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def make_loss(
    config: TrainingConfig,
    plan: Plan,
    weights: Sequence[float] | None = None,
    device: torch.device | str = "cpu",
) -> LossFunction:
    """Make the loss of a run, with MONAI's settings, so that values can be compared with other users of it.

    Parameters
    ----------
    config : TrainingConfig
        Cross-entropy, Dice, Focal, or the sum of Dice and cross-entropy.
    plan : Plan
        The task: sigmoid for foreground, softmax for classes (where Dice leaves background out), and for objects
        the loss of the foreground, that of the boundary, and the mean absolute error of the distance. Dice sums over
        the patches of a batch, as single ones may hold no foreground, but not over whole volumes.
    weights : sequence of float, optional
        How much background and each class count in cross-entropy and Focal; all the same without it.
    device : torch.device or str
        Where logits and targets will be.

    Returns
    -------
    callable
        From logits (n, output, z, y, x) and targets (n, channel, z, y, x), see `make_targets`, to a number. It
        computes in float32, since sums over a volume overflow half precision.
    """
    # On the device once and for all: a copy in each step would let the CPU wait for the GPU.
    counting = None if weights is None else torch.tensor(weights, device=device)
    parts = _parts(config.loss, plan.task is Task.SEMANTIC, counting, sum_over_batch=plan.patch_zyx is not None)

    def total(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torch.stack([part(logits, target) for part in parts]).sum()

    if plan.task is Task.INSTANCE:
        return lambda logits, targets: _instance_loss(total, logits.float(), targets)
    return lambda logits, targets: total(logits.float(), targets)


def _parts(loss: Loss, is_softmax: bool, weights: torch.Tensor | None, *, sum_over_batch: bool) -> list[LossFunction]:
    dice = DiceLoss(
        sigmoid=not is_softmax,
        softmax=is_softmax,
        to_onehot_y=is_softmax,
        include_background=not is_softmax,
        batch=sum_over_batch,
        ignore_index=IGNORE_INDEX,
    )
    entropy = _softmax_entropy(weights) if is_softmax else _sigmoid_entropy(weights)
    match loss:
        case Loss.BCE:
            return [entropy]
        case Loss.DICE:
            return [dice]
        case Loss.FOCAL:
            return [_focal(is_softmax, weights)]
        case Loss.DICE_CE:
            return [dice, entropy]


def _sigmoid_entropy(weights: torch.Tensor | None) -> LossFunction:
    background, foreground = (1.0, 1.0) if weights is None else weights

    def entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        holds = target != IGNORE_INDEX
        truth = torch.where(holds, target, 0).float()
        each = binary_cross_entropy_with_logits(logits, truth, reduction="none")
        counts = holds * (background + (foreground - background) * truth)
        return (each * counts).sum() / counts.sum().clamp(min=1e-6)

    return entropy


def _softmax_entropy(weights: torch.Tensor | None) -> LossFunction:
    def entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        classes = target[:, 0].long()
        total = cross_entropy(logits, classes, weights, ignore_index=IGNORE_INDEX, reduction="sum")
        holds = classes != IGNORE_INDEX
        counts = holds if weights is None else holds * weights[torch.where(holds, classes, 0)]
        return total / counts.sum().clamp(min=1e-6)  # torch's own mean is NaN where nothing is annotated

    return entropy


def _focal(is_softmax: bool, weights: torch.Tensor | None) -> LossFunction:
    if not is_softmax:
        alpha: Any = None if weights is None else weights[1] / weights.sum()  # MONAI takes tensors, but does not say so
        return FocalLoss(alpha=alpha, ignore_index=IGNORE_INDEX)
    each = FocalLoss(to_onehot_y=True, use_softmax=True, ignore_index=IGNORE_INDEX, reduction="none")
    scale = 1.0 if weights is None else (weights / weights.max()).view(1, -1, 1, 1, 1)

    def focal(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        # MONAI weighs the same way, but asks the device in each step whether a weight is negative.
        total: torch.Tensor = (each(logits, target) * scale).sum()
        return total / (target != IGNORE_INDEX).sum().clamp(min=1e-6) / logits.shape[1]

    return focal


def _instance_loss(foreground_loss: LossFunction, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Add the losses of foreground, boundary and distance, in the way of NucMM (arXiv 2107.05840)."""
    holds = targets[:, :1] != IGNORE_INDEX
    boundary = torch.where(holds, targets[:, 1:2], IGNORE_INDEX)
    distance_error = (torch.sigmoid(logits[:, 2:]) - targets[:, 2:].float() / FULL_DISTANCE).abs()
    return (
        foreground_loss(logits[:, :1], targets[:, :1])
        + foreground_loss(logits[:, 1:2], boundary)
        + (distance_error * holds).sum() / holds.sum().clamp(min=1)
    )


def class_weights(config: TrainingConfig, n_voxels: Sequence[int]) -> tuple[float, ...] | None:
    """Find how much background and each class count.

    Parameters
    ----------
    config : TrainingConfig
        Weights by hand, or the balance.
    n_voxels : sequence of int
        Annotated training voxels of background and of each class.

    Returns
    -------
    tuple of float or None
        None when all count the same. Automatic ones are the square root of median frequency balancing (Eigen &
        Fergus 2015), whose plain form lets classes of a few voxels drown the others, with a mean of 1.

    Raises
    ------
    UserError
        If another number of weights is given than there are classes, or all of them are 0.
    """
    if config.class_weights:
        if len(config.class_weights) != len(n_voxels) or not any(config.class_weights):
            raise UserError(
                f"{len(config.class_weights)} class weights are given ({', '.join(map(str, config.class_weights))}), "
                f"but there are {len(n_voxels)} classes with background. Give one for each, at least one above 0."
            )
        return config.class_weights
    if config.class_weighting is ClassWeighting.NONE:
        return None
    counts = torch.tensor(n_voxels, dtype=torch.float64).clamp(min=1)
    weights = (counts.median() / counts).sqrt()
    return tuple((weights / weights.mean()).tolist())


def predicted_labels(logits: torch.Tensor, task: Task) -> torch.Tensor:
    """Return the number of the most likely class, or 1 for foreground at a probability of 0.5 or more.

    Parameters
    ----------
    logits : Tensor, shape (n, output, z, y, x)
        Output of the network.
    task : Task
        Of objects only the foreground counts.

    Returns
    -------
    Tensor of uint8, shape (n, z, y, x)
        On the device of the logits.
    """
    return (logits.argmax(1) if task is Task.SEMANTIC else logits[:, 0] >= 0).byte()


def overlap_counts(logits: torch.Tensor, targets: torch.Tensor, task: Task) -> torch.Tensor:
    """Count shared, predicted and true voxels of each class at probability 0.5, or of the most likely class.

    Parameters
    ----------
    logits : Tensor, shape (n, output, z, y, x)
        Output of the network.
    targets : Tensor of uint8, shape (n, channel, z, y, x)
        See `make_targets`.
    task : Task
        Objects count as foreground.

    Returns
    -------
    Tensor of int64, shape (3, class)
        Without background.
    """
    true, holds = targets[:, 0], targets[:, 0] != IGNORE_INDEX
    predicted = predicted_labels(logits, task)
    n_classes = logits.shape[1] - 1 if task is Task.SEMANTIC else 1
    rows = [
        torch.stack([((predicted == n) & (true == n)).sum(), ((predicted == n) & holds).sum(), (true == n).sum()])
        for n in range(1, n_classes + 1)
    ]
    return torch.stack(rows, dim=1) if rows else torch.zeros(3, 0, dtype=torch.int64)


def dice_of_counts(counts: torch.Tensor) -> float:
    """Return the mean Dice of classes that are there or were predicted; 1 where there are none."""
    shared, predicted, true = counts.cpu().double()
    there = predicted + true > 0
    return float((2 * shared[there] / (predicted + true)[there]).mean()) if there.any() else 1.0
