"""Loss functions, and Dice for validation. Voxels whose target is `IGNORE_INDEX` do not count."""

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
NetworkOutput = torch.Tensor | tuple[torch.Tensor, ...]
"""Logits (n, output, z, y, x); with deep supervision a tuple of these and of logits of lower resolution."""


def make_loss(
    config: TrainingConfig,
    plan: Plan,
    weights: Sequence[float] | None = None,
    device: torch.device | str = "cpu",
) -> Callable[[NetworkOutput, torch.Tensor], torch.Tensor]:
    """Make the loss of a run, with MONAI's settings, so that values are comparable with those of other users of MONAI.

    Parameters
    ----------
    config : TrainingConfig
        Cross-entropy, Dice, Focal, or the sum of Dice and cross-entropy.
    plan : Plan
        The task: sigmoid for binary, softmax for semantic (where Dice leaves out background), and for instance the
        loss of the foreground, that of the boundary, and the mean absolute error of the distance. Dice sums over the
        patches of a batch, as single ones may contain no foreground, but not over whole volumes.
    weights : sequence of float, optional
        Weights of background and of each class in cross-entropy and Focal; equal ones without it.
    device : torch.device or str
        Device of logits and targets.

    Returns
    -------
    callable
        Function of the output of a network and targets (n, channel, z, y, x), see `make_targets`, that returns a
        scalar. It computes in float32, since sums over a volume overflow half precision. With deep supervision, it is
        the mean of the losses of all resolutions, see `supervise_all_resolutions`.
    """
    # On the device from the start: a copy in each step would make the CPU wait for the GPU.
    class_weights_ = None if weights is None else torch.tensor(weights, device=device)
    parts = _parts(config.loss, plan.task is Task.SEMANTIC, class_weights_, sum_over_batch=plan.patch_zyx is not None)

    def total(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torch.stack([part(logits, target) for part in parts]).sum()

    if plan.task is Task.INSTANCE:
        return supervise_all_resolutions(lambda logits, targets: _instance_loss(total, logits.float(), targets))
    return supervise_all_resolutions(lambda logits, targets: total(logits.float(), targets))


def supervise_all_resolutions(loss: LossFunction) -> Callable[[NetworkOutput, torch.Tensor], torch.Tensor]:
    """Extend a loss to deep supervision, with weights 1, 1/2, 1/4, … that are normalised to a sum of 1 (nnU-Net).

    Targets are downsampled to the resolution of the logits by taking every n-th voxel, which is nearest-neighbour
    interpolation, so that ignored voxels stay ignored. (MONAI's `DeepSupervisionLoss` interpolates uint8, which torch
    cannot do on every device, and copies a number to the device in each step.)

    Parameters
    ----------
    loss : callable
        Loss of logits (n, output, z, y, x) and targets (n, channel, z, y, x) of the same resolution.
    """

    def weighted_mean(outputs: NetworkOutput, targets: torch.Tensor) -> torch.Tensor:
        if isinstance(outputs, torch.Tensor):
            return loss(outputs, targets)
        weights = [0.5**level for level in range(len(outputs))]
        losses = [
            weight / sum(weights) * loss(logits, _downsample(targets, logits))
            for weight, logits in zip(weights, outputs, strict=True)
        ]
        return torch.stack(losses).sum()

    return weighted_mean


def _downsample(targets: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Take every n-th voxel of targets (n, channel, z, y, x), from the middle of each group of n."""
    factors = (side // wanted for side, wanted in zip(targets.shape[2:], logits.shape[2:], strict=True))
    z, y, x = (slice(factor // 2, None, factor) for factor in factors)
    return targets[:, :, z, y, x]


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
        mask = target != IGNORE_INDEX
        truth = torch.where(mask, target, 0).float()
        per_voxel = binary_cross_entropy_with_logits(logits, truth, reduction="none")
        voxel_weights = mask * (background + (foreground - background) * truth)
        return (per_voxel * voxel_weights).sum() / voxel_weights.sum().clamp(min=1e-6)

    return entropy


def _softmax_entropy(weights: torch.Tensor | None) -> LossFunction:
    def entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        classes = target[:, 0].long()
        total = cross_entropy(logits, classes, weights, ignore_index=IGNORE_INDEX, reduction="sum")
        mask = classes != IGNORE_INDEX
        voxel_weights = mask if weights is None else mask * weights[torch.where(mask, classes, 0)]
        return total / voxel_weights.sum().clamp(min=1e-6)  # torch's own mean is NaN where nothing is annotated

    return entropy


def _focal(is_softmax: bool, weights: torch.Tensor | None) -> LossFunction:
    if not is_softmax:
        alpha: Any = None if weights is None else weights[1] / weights.sum()  # MONAI accepts tensors without saying so
        return FocalLoss(alpha=alpha, ignore_index=IGNORE_INDEX)
    per_voxel = FocalLoss(to_onehot_y=True, use_softmax=True, ignore_index=IGNORE_INDEX, reduction="none")
    scale = 1.0 if weights is None else (weights / weights.max()).view(1, -1, 1, 1, 1)

    def focal(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        # MONAI weights the same way, but reads from the device in each step whether a weight is negative.
        total: torch.Tensor = (per_voxel(logits, target) * scale).sum()
        return total / (target != IGNORE_INDEX).sum().clamp(min=1e-6) / logits.shape[1]

    return focal


def _instance_loss(foreground_loss: LossFunction, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Add up the losses of foreground, boundary and distance as NucMM does (arXiv 2107.05840)."""
    mask = targets[:, :1] != IGNORE_INDEX
    boundary = torch.where(mask, targets[:, 1:2], IGNORE_INDEX)
    distance_error = (torch.sigmoid(logits[:, 2:]) - targets[:, 2:].float() / FULL_DISTANCE).abs()
    return (
        foreground_loss(logits[:, :1], targets[:, :1])
        + foreground_loss(logits[:, 1:2], boundary)
        + (distance_error * mask).sum() / mask.sum().clamp(min=1)
    )


def class_weights(config: TrainingConfig, n_voxels: Sequence[int]) -> tuple[float, ...] | None:
    """Return the weights of background and of each class in the loss.

    Parameters
    ----------
    config : TrainingConfig
        Weights by hand, or the class weighting.
    n_voxels : sequence of int
        Number of annotated training voxels of background and of each class.

    Returns
    -------
    tuple of float or None
        None for equal weights. Automatic ones are the square root of median frequency balancing (Eigen &
        Fergus 2015), whose plain form lets classes of a few voxels dominate the others, with a mean of 1. A class
        without training voxels has the weight 0, and does not change those of the others.

    Raises
    ------
    UserError
        If there are not as many weights as classes, or all of them are 0.
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
    counts = torch.tensor(n_voxels, dtype=torch.float64)
    present = counts > 0
    weights = (counts[present].median() / counts[present]).sqrt()
    return tuple(torch.zeros_like(counts).masked_scatter(present, weights / weights.mean()).tolist())


def predicted_labels(logits: torch.Tensor, task: Task) -> torch.Tensor:
    """Return the index of the most likely class, or 1 for foreground at a probability of 0.5 or more.

    Parameters
    ----------
    logits : Tensor, shape (n, output, z, y, x)
        Output of the network.
    task : Task
        For the task instance, only the foreground output counts.

    Returns
    -------
    Tensor of uint8, shape (n, z, y, x)
        On the device of the logits.
    """
    return (logits.argmax(1) if task is Task.SEMANTIC else logits[:, 0] >= 0).byte()


def overlap_counts(logits: torch.Tensor, targets: torch.Tensor, task: Task) -> torch.Tensor:
    """Count correct, predicted and true voxels of each class, see `predicted_labels`.

    Parameters
    ----------
    logits : Tensor, shape (n, output, z, y, x)
        Output of the network.
    targets : Tensor of uint8, shape (n, channel, z, y, x)
        See `make_targets`.
    task : Task
        For the task instance, the foreground is the only class.

    Returns
    -------
    Tensor of int64, shape (3, class)
        Without background.
    """
    true, mask = targets[:, 0], targets[:, 0] != IGNORE_INDEX
    predicted = predicted_labels(logits, task)
    n_classes = logits.shape[1] - 1 if task is Task.SEMANTIC else 1
    rows = [
        torch.stack([((predicted == n) & (true == n)).sum(), ((predicted == n) & mask).sum(), (true == n).sum()])
        for n in range(1, n_classes + 1)
    ]
    return torch.stack(rows, dim=1) if rows else torch.zeros(3, 0, dtype=torch.int64)


def dice_of_counts(counts: torch.Tensor) -> float:
    """Return the mean Dice of the classes that are present or predicted; 1 if there are none."""
    correct, predicted, true = counts.cpu().double()
    present = predicted + true > 0
    return float((2 * correct[present] / (predicted + true)[present]).mean()) if present.any() else 1.0
