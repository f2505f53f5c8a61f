"""The first steps with the plugin: what each is about, and which of them were really done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from psygnal import Signal


@dataclass(frozen=True, slots=True)
class StepText:
    """The words of a step.

    Attributes
    ----------
    title : str
        Its heading.
    sentence : str
        What it is about.
    action : str
        The text of its button.
    tooltip : str
        What the button does.
    """

    title: str
    sentence: str
    action: str
    tooltip: str


class TourStep(Enum):
    """The steps, in their order."""

    SAMPLE = StepText(
        "Open a sample",
        "A small synthetic volume of blobs, with labels that say where each blob is.",
        "Open sample",
        "Open the sample 'Synthetic blobs': an image and its labels.",
    )
    TRAIN = StepText(
        "Train a network",
        "A network learns to find the blobs: press Train there and, when the curves have fallen for some epochs, "
        "'Stop and keep model'.",
        "Open Train",
        "Open the dock Train with the image and its labels.",
    )
    PREDICT = StepText(
        "Predict",
        "Apply the model to a volume: press Predict there. Scores on a volume that the model was trained on are better "
        "than on a new one.",
        "Open Predict",
        "Open the dock Predict with the trained model.",
    )
    INSPECT = StepText(
        "Inspect the errors",
        "List where the prediction differs from the labels, and go from one error to the next.",
        "Inspect the prediction",
        "Open the dock Inspect with the latest prediction and its labels, and find the errors.",
    )
    CORRECT = StepText(
        "Correct one of them",
        "Decide who is right: 'Use ground truth', 'Use prediction', or paint.",
        "Go to an error",
        "Open the dock Inspect, and go to an error that was not seen yet.",
    )
    OWN_DATA = StepText(
        "Open your own data",
        "Open a 3D image; files and folders can also be dragged onto the viewer.",
        "Open files…",
        "Choose files, and open them with their voxel size.",
    )
    ANNOTATE = StepText(
        "Annotate it",
        "Without labels, paint some background and some objects; then 'Train on this' leads back to step 2.",
        "Open Annotate",
        "Open the dock Annotate with your image.",
    )


class Tour:
    """Which steps were done.

    Attributes
    ----------
    changed : Signal()
        Emitted after a step was done.
    done : frozenset of TourStep
        The steps that were done; they stay done.
    """

    changed = Signal()

    def __init__(self) -> None:
        self.done: frozenset[TourStep] = frozenset()

    @property
    def next_step(self) -> TourStep | None:
        """The first step that was not done, or None after the last one."""
        return next((step for step in TourStep if step not in self.done), None)

    def record(self, *steps: TourStep) -> None:
        """Record steps that were done."""
        if not self.done.issuperset(steps):
            self.done |= frozenset(steps)
            self.changed.emit()
