"""What the jobs of the Inspect dock work on, and how far they have come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from napari_unet3d.evaluation.errors.types import SearchProgress
from napari_unet3d.session.progress import Progress, prediction_progress
from napari_unet3d.widgets.inspect.inspection import VolumeLayers
from napari_unet3d.widgets.inspect.source import ChosenVolumes


@dataclass(frozen=True, slots=True, eq=False)
class InspectionRequest:
    """What a job works on, told as its first event to every dock that shows the job.

    Attributes
    ----------
    shown : Shown or None
        The layers whose prediction and truth are compared.
    chosen : ChosenVolumes or None
        The volumes that are predicted.
    is_of_set : bool
        Whether they are of the set that is in the table of scores already.
    """

    layers: VolumeLayers | None = None
    chosen: ChosenVolumes | None = None
    is_of_set: bool = False


def with_request(order: InspectionRequest, events: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Return an order, and then the events of the work on it."""
    yield order
    yield from events()


def measure_progress(event: Any) -> Progress | None:
    """Say how far a search for errors or a prediction has come."""
    if isinstance(event, SearchProgress):
        return Progress(event.n_done, event.n_total)
    return prediction_progress(event)
