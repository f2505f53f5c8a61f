"""Two predictions of one volume, such as those of two models: where they differ, in numbers and in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import decode_labels
from napari_unet3d.evaluation.metrics.disagreement import BOTH, FIRST, SECOND, Disagreement, compare_predictions


@dataclass(frozen=True, slots=True)
class PredictionPair:
    """Two predictions that are compared, and the ground truth if there is any.

    Attributes
    ----------
    names : tuple of str
        What the two are called.
    task : Task
        What their labels are.
    ignore_label : int or None
        The label value of voxels that are not annotated in the ground truth.
    has_truth : bool
        Whether there is ground truth, which shows which of the two is right.
    """

    names: tuple[str, str]
    task: Task
    ignore_label: int | None
    has_truth: bool

    @property
    def meanings(self) -> dict[int, str]:
        """What the values of `Disagreement.labels` mean."""
        one, other = self.names
        if self.has_truth:
            return {
                FIRST: f"only {one} is right",
                SECOND: f"only {other} is right",
                BOTH: "both are wrong, differently",
            }
        return {FIRST: f"only {one} has something", SECOND: f"only {other} has something", BOTH: "different classes"}

    def compare(
        self,
        first: NDArray[Any],
        second: NDArray[Any],
        painted: NDArray[Any] | None,
        annotated: NDArray[np.bool_] | None = None,
    ) -> Iterator[Disagreement]:
        """Find where they differ; the only event is the result.

        Parameters
        ----------
        first, second : ndarray of integers, shape (z, y, x)
            The predicted labels.
        painted : ndarray of integers, shape (z, y, x), or None
            The ground truth as it was annotated.
        annotated : ndarray of bool, shape (z, y, x), optional
            Its mask.
        """
        truth = None if painted is None else decode_labels(painted, self.task, self.ignore_label, annotated)
        yield compare_predictions(first, second, self.task, truth)

    def describe(self, found: Disagreement) -> list[tuple[int | None, str]]:
        """Return how much they differ, line by line, each with the value of `Disagreement.labels` that it is about."""
        one, other = self.names
        where = "voxels" if found.n_compared == found.labels.size else "annotated voxels"
        lines: list[tuple[int | None, str]] = [
            (None, f"They differ in {found.fraction:.2%} of the {where}; Dice between them {found.dice:.3f}.")
        ]
        if found.first_dice is not None and found.second_dice is not None:
            dice = f"{one} {found.first_dice:.3f}, {other} {found.second_dice:.3f}"
            lines.append((None, f"Dice with the ground truth: {dice}."))
        counts = {FIRST: found.n_first, SECOND: found.n_second, BOTH: found.n_both}
        for value, count in counts.items():
            if count or value != BOTH:
                lines.append((value, f"{self.meanings[value]}: {count / max(1, found.n_compared):.2%}"))
        return lines
