"""One evaluation of the learner at the fixed places of the validation volumes."""

from __future__ import annotations

from collections.abc import Generator

from napari_unet3d.model.devices import TorchState
from napari_unet3d.training.events import Validating
from napari_unet3d.training.loading.validation import Validation
from napari_unet3d.training.optim.learner import Learner, Outputs
from napari_unet3d.training.optim.losses import predicted_labels
from napari_unet3d.training.snapshot_writer import SnapshotWriter

Scores = tuple[float | None, float | None]


def validate(
    epoch: int, learner: Learner, validation: Validation, settings: TorchState, watch: SnapshotWriter | None = None
) -> Generator[Validating, None, Scores]:
    """Judge a learner, and let its answers be watched.

    Parameters
    ----------
    epoch : int
        After which epoch.
    learner : Learner
        Who answers.
    validation : Validation
        Where.
    settings : TorchState
        Threads of the run.
    watch : Watch, optional
        Takes in the predicted labels.

    Yields
    ------
    Validating
        After every batch.

    Returns
    -------
    tuple of float or None
        Mean loss and mean Dice over the volumes; None for both where nothing is annotated in any volume.
    """
    if watch is not None:
        watch.reset()
    scores: list[tuple[float, float]] = []
    n_done, n_total = 0, len(validation)
    with learner.eval_mode():
        for number, batches in enumerate(validation):
            answers: list[Outputs] = []
            while True:
                with settings.applied():
                    if (batch := next(batches, None)) is None:
                        break
                    answers.append(learner.forward(batch.images, batch.targets))
                    if watch is not None:
                        labels = predicted_labels(answers[-1][0], learner.task)
                        watch.add(number, batch.tiles, labels.cpu().numpy())
                n_done += 1
                yield Validating(epoch, n_done, n_total)
            with settings.applied():
                if (score := learner.score(answers)) is not None:
                    scores.append(score)
    if not scores:
        return None, None
    losses, dice = zip(*scores, strict=True)
    return sum(losses) / len(losses), sum(dice) / len(dice)
