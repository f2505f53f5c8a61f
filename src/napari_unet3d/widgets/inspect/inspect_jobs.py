"""The jobs of the Inspect dock: what each works on, the volumes that it predicts, and its progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from napari_unet3d.configs import EvaluationConfig
from napari_unet3d.evaluation.errors.types import SearchProgress
from napari_unet3d.inference.events import EvaluateEvent
from napari_unet3d.session.progress import Progress, prediction_progress
from napari_unet3d.widgets.inspect.source import ChosenVolumes
from napari_unet3d.widgets.inspect.volume_layers import VolumeLayers


@dataclass(frozen=True, slots=True, eq=False)
class InspectionRequest:
    """What a job works on; its first event, for every dock that shows the job.

    Attributes
    ----------
    layers : VolumeLayers or None
        The layers whose prediction and ground truth are compared.
    chosen : ChosenVolumes or None
        The volumes that are predicted.
    is_listed : bool
        Whether they are in the table of scores already.
    """

    layers: VolumeLayers | None = None
    chosen: ChosenVolumes | None = None
    is_listed: bool = False


def with_request(request: InspectionRequest, events: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Yield a request, and then the events of the work on it."""
    yield request
    yield from events()


def predict_volumes(chosen: ChosenVolumes, config: EvaluationConfig) -> Iterator[EvaluateEvent]:
    """Yield the events of `evaluate` for some volumes; torch is imported in the thread that asks for the first one."""
    from napari_unet3d.inference.evaluate import evaluate

    yield from evaluate(chosen.model, chosen.pairs, config=config)


def measure_progress(event: Any) -> Progress | None:
    """Return the progress of a search for errors or of a prediction; None for other events."""
    if isinstance(event, SearchProgress):
        return Progress(event.n_done, event.n_total)
    return prediction_progress(event)
