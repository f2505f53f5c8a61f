"""The time points of a predicted series, scored one after another, so that the worst can be inspected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.session.comparison import compare, decode
from napari_unet3d.session.inspection_input import InspectionInput, labels_as_prediction


@dataclass(frozen=True, slots=True)
class TimePointScored:
    """The fast scores of a time point, which is not inspected yet.

    Attributes
    ----------
    scores : Scores
        Agreement with the ground truth.
    n_done, n_times : int
        Time points that are scored, and all that are to be.
    """

    scores: Scores
    n_done: int
    n_times: int


def score_time_points(
    read: Callable[[int], InspectionInput], times: Sequence[int], *, ignore_border: bool = False
) -> Iterator[TimePointScored]:
    """Compare time points of a series with their ground truth, one in memory at a time.

    Parameters
    ----------
    read : callable
        Returns the labels of a time point.
    times : sequence of int
        The time points.
    ignore_border : bool
        Whether objects at the border of the volume are left out.
    """
    for n_done, time in enumerate(times, start=1):
        given = read(time)
        prediction = labels_as_prediction(given.prediction, given.origin, given.geometry, given.probability)
        truth = decode(given.truth, prediction, given.annotated)
        scores = compare(prediction, truth, fast=True, ignore_border=ignore_border).scores
        if scores is not None:
            yield TimePointScored(scores, n_done, len(times))
