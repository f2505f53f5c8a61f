"""One evaluation of the learner at the fixed places of the validation volumes."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from napari_unet3d.model.devices import TorchSettings
from napari_unet3d.training.events import Validating
from napari_unet3d.training.learner import Answer, Learner
from napari_unet3d.training.losses import predicted_labels
from napari_unet3d.training.validation import Validation, ValidationBatch
from napari_unet3d.training.watch import Watch

Scores = tuple[float | None, float | None]


class Evaluation:
    """Judges a learner, and lets its answers be watched.

    Parameters
    ----------
    learner : Learner
        Who answers.
    validation : Validation
        Where.
    settings : TorchSettings
        Threads of the run.
    watch : Watch, optional
        Takes in the predicted labels.
    """

    def __init__(
        self, learner: Learner, validation: Validation, settings: TorchSettings, watch: Watch | None = None
    ) -> None:
        self._learner, self._validation, self._settings, self._watch = learner, validation, settings, watch

    def events(self, epoch: int) -> Generator[Validating, None, Scores]:
        """Say after every batch how far it is; return mean loss and mean Dice over the volumes.

        None stands for both where nothing is annotated in any volume.
        """
        if self._watch is not None:
            self._watch.forget()
        scores: list[tuple[float, float]] = []
        n_done, n_total = 0, len(self._validation)
        with self._learner.as_model():
            for number, batches in enumerate(self._validation):
                answers: list[Answer] = []
                while self._answered(number, batches, answers):
                    n_done += 1
                    yield Validating(epoch, n_done, n_total)
                with self._settings.lent():
                    score = self._learner.judge(answers)
                if score is not None:
                    scores.append(score)
        if not scores:
            return None, None
        losses, dice = zip(*scores, strict=True)
        return sum(losses) / len(losses), sum(dice) / len(dice)

    def _answered(self, number: int, batches: Iterator[ValidationBatch], answers: list[Answer]) -> bool:
        """Answer the next batch of a volume, if there is one."""
        with self._settings.lent():
            batch = next(batches, None)
            if batch is None:
                return False
            answers.append(self._learner.answer(batch.images, batch.targets))
            if self._watch is not None:
                labels = predicted_labels(answers[-1][0], self._learner.task)
                self._watch.see(number, batch.tiles, labels.cpu().numpy())
        return True
