"""Starts the jobs of the Inspect dock, and passes their results on to the session and the list of volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from napari_unet3d.configs import EvaluationConfig
from napari_unet3d.inference.events import EvaluationFinished, VolumeEvaluated
from napari_unet3d.session.comparison import Comparison, InspectionResult, inspect_comparison, inspect_input
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.preferences import load_evaluation_config
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.inspect.errors_panel import ToleranceBox
from napari_unet3d.widgets.inspect.inspect_jobs import (
    InspectionRequest,
    measure_progress,
    predict_volumes,
    with_request,
)
from napari_unet3d.widgets.inspect.source import InspectSource, SourceKind
from napari_unet3d.widgets.inspect.volume_layers import InspectionLayers, VolumeLayers
from napari_unet3d.widgets.inspect.volume_list import VolumeList


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
            self._find_errors(comparison, replace(chosen.volume_layers(), origin=chosen.origin))
        elif self._source.kind.value is SourceKind.LAYERS:
            given, request = chosen.read(), InspectionRequest(layers=chosen.volume_layers())
            self._tolerance.suit(given.voxel_size_um)
            search = partial(inspect_input, given, self._session.tolerance_um, self._session.ignore_border)
            self._run(f"Inspecting {given.origin.name}", request, search)
        else:
            volumes = self._source.volumes.chosen()
            events = partial(predict_volumes, volumes, self._evaluation_config())
            self._run("Predicting", InspectionRequest(chosen=volumes), events)

    def open(self, name: str) -> None:
        """Show a listed volume and find its errors; predict it again when its prediction was not kept."""
        self.opens_next = ""
        assert self._volumes.chosen is not None
        kept, config = self._volumes.kept(name), self._evaluation_config()
        if kept is None:
            chosen = replace(self._volumes.chosen, pairs=(self._volumes.pair(name),))
            request = InspectionRequest(chosen=chosen, is_listed=True)
            self._run(f"Predicting {name}", request, partial(predict_volumes, chosen, config))
        else:
            layers, comparison = self._volumes.show(self._context.viewer, kept, config.tolerance_um)
            self._find_errors(comparison, layers, is_listed=True)

    def take(self, event: Any) -> None:
        """Take one event of a search or a prediction."""
        match event:
            case InspectionRequest():
                self._request, self.opens_next = event, ""
                if not event.is_listed:
                    self._volumes.begin(event.chosen)
            case VolumeEvaluated():
                self._volumes.add(event)
            case EvaluationFinished():
                is_listed = self._request.is_listed
                self.opens_next = event.volumes[0].name if is_listed else self._volumes.finish(event)
            case InspectionResult():
                layers = self._request.layers
                assert layers is not None
                self._layers.follow(layers)
                self._session.show(event, layers.origin, None if layers.image is None else layers.image.data)

    def _find_errors(self, comparison: Comparison, layers: VolumeLayers, *, is_listed: bool = False) -> None:
        self._tolerance.suit(comparison.prediction.voxel_size_um)
        search = partial(inspect_comparison, comparison, self._session.tolerance_um, self._session.ignore_border)
        request = InspectionRequest(layers=layers, is_listed=is_listed)
        self._run(f"Inspecting {comparison.prediction.name}", request, search)

    def _evaluation_config(self) -> EvaluationConfig:
        """Return the settings that were used last in the Predict dock, with the choice for objects at the border."""
        return load_evaluation_config().model_copy(update={"ignore_border_objects": self._session.ignore_border})

    def _run(self, title: str, request: InspectionRequest, events: Callable[[], Iterator[Any]]) -> None:
        work = partial(with_request, request, events)
        self._context.jobs.start("inspect", title, work, progress=measure_progress, replay=(InspectionRequest,))
