"""What training makes small, by which rule, and the Dice that it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from monai.losses.dice import DiceCELoss, DiceLoss
from monai.losses.focal_loss import FocalLoss

from napari_unet3d.configs import Loss, Optimizer, TrainingConfig

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def make_loss(loss: Loss) -> LossFunction:
    """Make a loss of logits and truth, with MONAI's settings, so that values can be compared with other users of it.

    Parameters
    ----------
    loss : Loss
        Binary cross-entropy, Dice, Focal, or the sum of Dice and cross-entropy.

    Returns
    -------
    callable
        From logits and truth, both of shape (volume, 1, z, y, x), the truth 0 or 1, to a number. It computes in
        float32, since sums over a volume overflow half precision.
    """
    function: torch.nn.Module
    match loss:
        case Loss.BCE:
            function = torch.nn.BCEWithLogitsLoss()
        case Loss.DICE:
            function = DiceLoss(sigmoid=True)
        case Loss.FOCAL:
            function = FocalLoss()
        case Loss.DICE_CE:
            function = DiceCELoss(sigmoid=True)
    return lambda logits, truth: function(logits.float(), truth.float())


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


def mean_dice(logits: torch.Tensor, truth: torch.Tensor) -> float:
    """Give the mean Dice of the volumes of a batch at probability 0.5; 1 where both are empty.

    Parameters
    ----------
    logits, truth : Tensor, shape (volume, 1, z, y, x)
        Output of the network, and 0 or 1.
    """
    predicted, true = (logits >= 0).flatten(1), (truth > 0).flatten(1)
    overlap = 2 * (predicted & true).sum(1)
    both = predicted.sum(1) + true.sum(1)
    return float(torch.where(both > 0, overlap / both.clamp(min=1), 1.0).mean())
