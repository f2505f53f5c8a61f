"""The jobs of the Inspect dock: predictions, searches for errors, and slow scores; their results go to the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from qtpy.QtCore import QObject

from napari_unet3d.configs import EvaluationConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.time_points import series_of
from napari_unet3d.inference.events import EvaluationFinished, LargeVolumeEvaluated, VolumeEvaluated
from napari_unet3d.session.comparison import (
    Comparison,
    InspectionResult,
    add_slow_metrics,
    inspect_comparison,
    inspect_input,
)
from napari_unet3d.session.generator_thread import beginning_with
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.inspection_input import InspectionInput
from napari_unet3d.session.prediction_job import evaluate_volumes
from napari_unet3d.session.series_inspection import TimePointScored, score_time_points
from napari_unet3d.session.shared_preferences import load_evaluation_config
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.inspect.dataset_volumes import ChosenVolumes, VolumeList
from napari_unet3d.widgets.inspect.layer_input import LayerInput
from napari_unet3d.widgets.inspect.source import InspectSource, SourceKind
from napari_unet3d.widgets.inspect.tolerance_box import ToleranceBox
from napari_unet3d.widgets.inspect.volume_layers import InspectionLayers, VolumeLayers
from napari_unet3d.widgets.viewer.places import TimePoint

_KIND = "inspect"


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


class Inspector:
    """Inspects what is chosen: layers, or volumes of a dataset, of which it opens one after the other.

    Parameters
    ----------
    session : InspectionSession
        It gets the results.
    context : Context
        The viewer and its jobs.
    source : InspectSource
        What is chosen.
    volumes : VolumeList
        The volumes of a dataset that were predicted.
    layers : InspectionLayers
        The layers of what is inspected.
    tolerance : ToleranceBox
        The tolerance, which suits the voxel size of what is inspected.

    Attributes
    ----------
    opens_next : str
        Name of the volume to open when the job has ended; empty for none.
    """

    def __init__(
        self,
        session: InspectionSession,
        context: Context,
        source: InspectSource,
        volumes: VolumeList,
        layers: InspectionLayers,
        tolerance: ToleranceBox,
    ) -> None:
        self._session, self._context, self._source = session, context, source
        self._volumes, self._layers, self._tolerance = volumes, layers, tolerance
        self._request, self.opens_next = InspectionRequest(), ""
        self._chosen_tolerance: float | None = None  # these two: what somebody has set since the job was started
        self._ignore_border: bool | None = None
        session.events.tolerance.connect(self._on_tolerance)
        session.events.ignore_border.connect(self._on_ignore_border)

    def inspect(self, comparison: Comparison | None = None) -> None:
        """Start to find the errors in the chosen layers, or to predict the chosen volumes.

        Parameters
        ----------
        comparison : Comparison, optional
            The comparison of the chosen prediction, where no layer holds its ground truth as it was painted.

        Raises
        ------
        UserError
            When something is not chosen, or cannot be compared.
        """
        chosen = self._source.layers
        if comparison is not None:
            self._find_errors(comparison, chosen.volume_layers(known=True))
        elif self._source.kind.value is SourceKind.LAYERS:
            source = chosen.layer_input()
            given, request = source.read(), InspectionRequest(layers=chosen.volume_layers())
            self._tolerance.suit(given.geometry)
            scored = self._volumes.names_of_series(source.origin.name)
            times = source.other_times() if chosen.score_all.value and not scored else []
            how = self._session.tolerance, self._session.ignore_border
            search = partial(_inspect_and_score, given, source, times, *how)
            self._run(f"Inspecting {given.origin.name}", request, search)
            if given.notices:
                self._context.message.show_message(" ".join(given.notices), "warning")
        else:
            volumes = self._source.volumes.chosen()
            events = partial(evaluate_volumes, volumes.model, volumes.pairs, None, self._evaluation_config())
            self._run("Predicting", InspectionRequest(chosen=volumes), events)

    def open(self, name: str) -> None:
        """Show a listed volume and find its errors; predict it again when its prediction was not kept."""
        self.opens_next = ""
        assert self._volumes.chosen is not None
        kept, config = self._volumes.kept(name), self._evaluation_config()
        if kept is None:
            chosen = replace(self._volumes.chosen, pairs=(self._volumes.pair(name),))
            request = InspectionRequest(chosen=chosen, is_listed=True)
            self._run(
                f"Predicting {name}", request, partial(evaluate_volumes, chosen.model, chosen.pairs, None, config)
            )
        else:
            layers, comparison = self._volumes.show(self._context.viewer, kept, config.tolerance)
            self._find_errors(comparison, layers, is_listed=True)

    def take(self, event: Any) -> None:
        """Take one event of a search or a prediction."""
        match event:
            case InspectionRequest():
                if event is not self._request:  # another dock has started the job
                    self._request, self._chosen_tolerance, self._ignore_border = event, None, None
                self.opens_next = ""
                if not event.is_listed and not self._is_of_same_series(event):
                    self._volumes.begin(event.chosen)
            case TimePointScored(scores=scores):
                self._volumes.show_scores(scores, is_last=event.n_done == event.n_times)
            case Notice(message=message):
                self._context.message.show_message(message, "warning")
            case VolumeEvaluated():
                self._volumes.add(event)
            case LargeVolumeEvaluated():
                self._volumes.add_large(event)
            case EvaluationFinished():
                is_listed = self._request.is_listed
                self.opens_next = event.volumes[0].name if is_listed else self._volumes.finish(event)
            case InspectionResult():
                layers = self._request.layers
                assert layers is not None
                self._layers.follow(layers)
                wanted = self._chosen_tolerance, self._ignore_border
                self._session.show(event, layers.origin, layers.image_data())
                self._chosen_tolerance, self._ignore_border = wanted

    def _is_of_same_series(self, request: InspectionRequest) -> bool:
        """Return whether the table has the scores of other time points of what is inspected next."""
        if request.layers is None or not isinstance(request.layers.reference, TimePoint):
            return False
        return bool(self._volumes.names_of_series(series_of(request.layers.origin.name)))

    def keep_tolerance(self) -> None:
        """Find the errors as it was chosen while the job, which has ended, was looking for them."""
        if self._session.errors is None:
            return
        if self._chosen_tolerance is not None:
            self._session.tolerance = self._chosen_tolerance
        if self._ignore_border is not None:
            self._session.ignore_border = self._ignore_border

    def _on_tolerance(self, tolerance: float) -> None:
        self._chosen_tolerance = tolerance

    def _on_ignore_border(self, ignore_border: bool) -> None:
        self._ignore_border = ignore_border

    def _find_errors(self, comparison: Comparison, layers: VolumeLayers, *, is_listed: bool = False) -> None:
        self._tolerance.suit(comparison.prediction.geometry)
        search = partial(inspect_comparison, comparison, self._session.tolerance, self._session.ignore_border)
        request = InspectionRequest(layers=layers, is_listed=is_listed)
        self._run(f"Inspecting {comparison.prediction.name}", request, search)

    def _evaluation_config(self) -> EvaluationConfig:
        """Return the settings that were used last in the Predict dock, with the choice for objects at the border."""
        return load_evaluation_config().model_copy(update={"ignore_border_objects": self._session.ignore_border})

    def _run(self, title: str, request: InspectionRequest, events: Callable[[], Iterator[Any]]) -> None:
        work = beginning_with(request, events)
        self._context.jobs.start(_KIND, title, work, replay=(InspectionRequest,))
        self._request, self._chosen_tolerance, self._ignore_border = request, None, None


def _inspect_and_score(
    given: InspectionInput, source: LayerInput, times: Sequence[int], tolerance: float, ignore_border: bool
) -> Iterator[Any]:
    """Find the errors of a time point, or of a single volume, and score the other time points."""
    yield from inspect_input(given, tolerance, ignore_border)
    yield from score_time_points(source.read_time, times, ignore_border=ignore_border)


class BackgroundAnalysis(QObject):
    """Analyses what a session inspects, in jobs; a later request replaces one that is not finished yet.

    Parameters
    ----------
    session : InspectionSession
        What is inspected; it gets the results.
    context : Context
        The jobs and the message line.
    parent : QObject
        The dock.
    """

    def __init__(self, session: InspectionSession, context: Context, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._context = session, context
        self._search = context.latest_only(self, "inspect-errors", stops=True)
        self._scores = context.latest_only(self, "inspect-scores", stops=True)
        session.events.tolerance.connect(self._find_errors)
        session.events.ignore_border.connect(self._find_errors)
        session.events.comparison.connect(self._measure)

    def cancel(self) -> None:
        """Cancel what is not finished."""
        self._search.cancel()
        self._scores.cancel()

    def _find_errors(self, _changed: float | bool) -> None:
        """Find the errors in another way, while the old ones stay in view."""
        comparison, errors = self._session.comparison, self._session.errors
        tolerance, ignore_border = self._session.tolerance, self._session.ignore_border
        if comparison is None or errors is None or self._context.jobs.running(_KIND) is not None:
            return
        if (tolerance, ignore_border) == (errors.tolerance, errors.ignores_border):
            self._search.cancel()
            return
        events = partial(inspect_comparison, comparison, tolerance, ignore_border)
        self._search.request(f"Errors of {self._session.origin.name}", events, self._take_errors)

    def _measure(self, comparison: Comparison) -> None:
        """Compute the scores that are missing."""
        if not comparison.is_measured:
            title = f"Measuring {comparison.prediction.name}"
            self._scores.request(title, partial(add_slow_metrics, comparison), partial(self._take_scores, comparison))

    def _take_errors(self, event: Any) -> None:
        comparison = self._session.comparison  # which may have got its scores meanwhile
        if isinstance(event, InspectionResult) and comparison is not None:
            is_same = (event.comparison.tolerance, event.comparison.ignore_border) == (
                comparison.tolerance,
                comparison.ignore_border,
            )
            self._session.show(replace(event, comparison=comparison) if is_same else event)

    def _take_scores(self, of: Comparison, _measured: Comparison) -> None:
        if self._session.comparison is of:
            self._session.measure()  # which was done
