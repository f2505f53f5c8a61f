"""Validation after an epoch, on the same tiles of the validation volumes every time."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

from napari_unet3d.model.devices import TorchState
from napari_unet3d.training.events import Validating
from napari_unet3d.training.loading.patch_sampler import Tile
from napari_unet3d.training.loading.validation import Validation
from napari_unet3d.training.optim.learner import Learner, Outputs
from napari_unet3d.training.optim.losses import predicted_labels
from napari_unet3d.training.snapshot_writer import SnapshotWriter


class ValidationScores(NamedTuple):
    """Mean loss, Dice and F1 of objects over the validation volumes; None where they were not computed."""

    loss: float | None = None
    dice: float | None = None
    f1: float | None = None


def validate(
    epoch: int,
    learner: Learner,
    validation: Validation,
    torch_state: TorchState,
    snapshots: SnapshotWriter | None = None,
) -> Generator[Validating, None, ValidationScores]:
    """Compute the mean loss and the mean Dice over the validation volumes, and the mean F1 of single objects.

    Parameters
    ----------
    epoch : int
        The epoch that was trained last.
    learner : Learner
        The network; if there is a moving average of the weights (EMA), that is validated.
    validation : Validation
        Batches of tiles, volume by volume.
    torch_state : TorchState
        Torch's threads and random state, applied during computation.
    snapshots : SnapshotWriter, optional
        Collects the predicted labels.

    Yields
    ------
    Validating
        After every batch.

    Returns
    -------
    ValidationScores
        The means; None if nothing is annotated in any validation volume.
    """
    if snapshots is not None:
        snapshots.reset()
    scores: list[tuple[float, float]] = []
    f1_scores: list[float] = []
    n_done, n_total = 0, len(validation)
    with learner.eval_mode():
        for number, batches in enumerate(validation):
            outputs: list[Outputs] = []  # of all tiles of one volume
            tiles: list[Tile] = []
            while True:
                with torch_state.applied():
                    if (batch := next(batches, None)) is None:
                        break
                    outputs.append(learner.forward(batch.images, batch.targets))
                    tiles += batch.tiles
                    if snapshots is not None:
                        logits, _ = outputs[-1]
                        snapshots.add(number, batch.tiles, predicted_labels(logits, learner.task).cpu().numpy())
                n_done += 1
                yield Validating(epoch, n_done, n_total)
            with torch_state.applied():
                if (score := learner.score(outputs)) is not None:
                    scores.append(score)
                    if (window := validation.instance_windows[number]) is not None:
                        f1_scores.append(window.f1([logits for logits, _ in outputs], tiles))
    if not scores:
        return ValidationScores()
    losses, dice = zip(*scores, strict=True)
    f1 = sum(f1_scores) / len(f1_scores) if f1_scores else None
    return ValidationScores(sum(losses) / len(losses), sum(dice) / len(dice), f1)
