"""What fine-tuning has improved: a model before and after, on the corrected volume and on a test set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_unet3d.data.seen_content import SeenIn
from napari_unet3d.formatting import format_count
from napari_unet3d.inference.events import Prediction
from napari_unet3d.session.correction import CorrectionSession


@dataclass(frozen=True, slots=True)
class ModelScore:
    """How good a model is.

    Attributes
    ----------
    n_errors : int
        Errors in the volume that was corrected.
    dice : float
        Dice there.
    test_dice : float or None
        Mean Dice of the test set, if there is one.
    """

    n_errors: int
    dice: float
    test_dice: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ModelsCompared:
    """Both models were applied to the corrected volume and to the test set.

    Attributes
    ----------
    before, after : ModelScore
        The model that made the errors, and the one that learned the corrections.
    prediction : Prediction
        The prediction of the new model.
    run : Path
        Its run folder.
    n_test : int
        Number of test volumes.
    learned : tuple of str
        The test volumes that the new model has learned from: training volumes show them, in whole or in part.
    seen_in : SeenIn
        What the new model has seen all the test volumes in.
    corrections : CorrectionSession or None
        The corrections that it learned.
    """

    before: ModelScore
    after: ModelScore
    prediction: Prediction
    run: Path
    n_test: int
    learned: tuple[str, ...] = ()
    seen_in: SeenIn = SeenIn.UNKNOWN
    corrections: CorrectionSession | None = None

    @property
    def summary(self) -> str:
        """The improvement in a few sentences."""
        before, after = self.before, self.after
        sentences = [
            f"'{self.prediction.name}', {self._reference}: {format_count(before.n_errors, 'error')} before, "
            f"{after.n_errors} after fine-tuning on the corrections; Dice {before.dice:.3f}, now {after.dice:.3f}."
        ]
        if before.test_dice is not None and after.test_dice is not None:
            volumes = format_count(self.n_test, "test volume")
            change = after.test_dice - before.test_dice
            verdict = "better than" if change > 0 else "worse than" if change < 0 else "as good as"
            sentences.append(
                f"On the {volumes}{self._seen_text}: Dice {before.test_dice:.3f}, now {after.test_dice:.3f}, "
                f"{verdict} before."
            )
            if self.learned:
                sentences.append(self._optimistic)
        else:
            sentences.append("There is no test set to show how it performs on other volumes.")
        return "\n".join(sentences)

    @property
    def has_truth(self) -> bool:
        """Whether there is ground truth of the corrected volume; else only its corrected places were compared."""
        return self.corrections is None or self.corrections.corrections.has_truth

    @property
    def _reference(self) -> str:
        """What both predictions were compared with."""
        return "against the ground truth with the corrections" if self.has_truth else "at the corrected places alone"

    @property
    def _seen_text(self) -> str:
        """What is known of the test volumes, to stand after their number."""
        it = "it" if self.n_test == 1 else "them"
        match self.seen_in:
            case SeenIn.NEVER:
                return ", which it never saw"
            case SeenIn.VALIDATION:
                return f", which it saw in validation (its best epoch was chosen on {it})"
            case SeenIn.UNKNOWN:
                return f" (whether the model saw {it} in training is not known)"
            case SeenIn.TRAINING:
                return ", seen in training"
        return ", of which it saw some" if self.learned else ", of which it saw some in validation"

    @property
    def _optimistic(self) -> str:
        names = ", ".join(f"'{name}'" for name in self.learned)
        which, them = ("is", "it") if len(self.learned) == 1 else ("are", "them")
        return (
            f"This gain is optimistic: {names} {which} among the volumes scored, and the new model learned from {them} "
            "through corrections or copies among the training volumes."
        )
