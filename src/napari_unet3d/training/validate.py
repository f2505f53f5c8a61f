"""Validation after an epoch, on the same tiles of the validation volumes every time."""

from __future__ import annotations

from collections.abc import Generator

from napari_unet3d.model.devices import TorchState
from napari_unet3d.training.events import Validating
from napari_unet3d.training.loading.validation import Validation
from napari_unet3d.training.optim.learner import Learner, Outputs
from napari_unet3d.training.optim.losses import predicted_labels
from napari_unet3d.training.snapshot_writer import SnapshotWriter

LossAndDice = tuple[float | None, float | None]


def validate(
    epoch: int,
    learner: Learner,
    validation: Validation,
    torch_state: TorchState,
    snapshots: SnapshotWriter | None = None,
) -> Generator[Validating, None, LossAndDice]:
    """Compute the mean loss and the mean Dice over the validation volumes.

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
    tuple of float or None
        Mean loss and mean Dice; (None, None) if nothing is annotated in any validation volume.
    """
    if snapshots is not None:
        snapshots.reset()
    scores: list[tuple[float, float]] = []
    n_done, n_total = 0, len(validation)
    with learner.eval_mode():
        for number, batches in enumerate(validation):
            outputs: list[Outputs] = []  # of all tiles of one volume
            while True:
                with torch_state.applied():
                    if (batch := next(batches, None)) is None:
                        break
                    outputs.append(learner.forward(batch.images, batch.targets))
                    if snapshots is not None:
                        logits, _ = outputs[-1]
                        snapshots.add(number, batch.tiles, predicted_labels(logits, learner.task).cpu().numpy())
                n_done += 1
                yield Validating(epoch, n_done, n_total)
            with torch_state.applied():
                if (score := learner.score(outputs)) is not None:
                    scores.append(score)
    if not scores:
        return None, None
    losses, dice = zip(*scores, strict=True)
    return sum(losses) / len(losses), sum(dice) / len(dice)
