"""Leads to the places where annotating helps most: where the image looks different, or where a model is unsure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_unet3d.data.events import Notice
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import ModelLoaded
from napari_unet3d.session.annotation_places import (
    PlacesFound,
    SuggestedPlace,
    find_different_places,
    find_uncertain_places,
)
from napari_unet3d.session.shared_preferences import shared_preferences
from napari_unet3d.widgets.annotate.annotation_link import AnnotationLink
from napari_unet3d.widgets.components.containers import Panel, column
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.components.keys import bind_key
from napari_unet3d.widgets.forms.paths import ModelPicker
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.layer_metadata import HELPER
from napari_unet3d.widgets.viewer.navigation import jump_to, mark_points, zoom_to
from napari_unet3d.widgets.viewer.places import array_of

SUGGEST_KEY = "Shift-X"
_PART_IN_VIEW = 0.25  # of the volume, around a place


class SuggestPanel(Panel):
    """A button that goes to the next place, and the model that decides which.

    Parameters
    ----------
    link : AnnotationLink
        The annotation.
    context : Context
        Viewer, jobs and message line.
    channels : callable
        Returns the layers of the image.

    Attributes
    ----------
    model : ModelPicker
        The model; without one, places are chosen by what the image looks like.
    job_bar : JobBar
        The button and, while places are searched, the progress.
    """

    kind = "annotate"

    def __init__(self, link: AnnotationLink, context: Context, channels: Callable[[], list[Image]]) -> None:
        super().__init__()
        self._link, self._context, self._channels = link, context, channels
        self._places: tuple[SuggestedPlace, ...] = ()
        self._n_visited = 0
        self._uncertainty: tuple[tuple[Any, ...], NDArray[np.float32] | None] = ((), None)
        tooltip = (
            "<qt>Without a model, places are suggested that look different from what is annotated. With one, the image "
            "is predicted, and places where the model is unsure are suggested.</qt>"
        )
        self.model = ModelPicker("No model", takes_newest=False, label="Model", tooltip=tooltip)
        self.job_bar = JobBar(
            "Suggest where to annotate",
            "<qt>Go to a place where annotating helps most, then to the next one: away from the border and from what "
            f"is annotated. Key: {SUGGEST_KEY}, after a click into the image.</qt>",
            self.go_to_next,
            (self.model,),
            "Cancel",
        )
        self.lay_out(column(self.model, labels=True), self.job_bar)
        self.model.changed.connect(self._forget)
        link.layer_changed.connect(self._forget)
        bind_key(context, SUGGEST_KEY, "Go to the next place to annotate", self.go_to_next)

    def go_to_next(self) -> None:
        """Go to the next suggested place that is not annotated; after the last one, search again."""
        with self._context.message.explaining():
            if self._link.session is None:
                raise UserError("There is no annotation yet: press 'Annotate' first.")
            if self._context.jobs.running(self.kind) is not None:
                return
            if not self._visit_next():
                self._search()

    def on_event(self, event: Any) -> None:
        """Show one event of the search."""
        match event:
            case ModelLoaded(device=device):
                self._context.message.show_message(f"Predicting on {device} …")
            case Notice(message=message):
                self._context.message.show_message(message, "warning")
            case (key, PlacesFound(places=places, uncertainty=uncertainty)):
                self._on_found(key, places, uncertainty)

    def _visit_next(self) -> bool:
        """Go to the next place that was found and is not annotated; return whether there was one."""
        session = self._link.session
        while session is not None and self._n_visited < len(self._places):
            place = self._places[self._n_visited]
            self._n_visited += 1
            if not session.labels[place.position_zyx]:
                self._go_to(place)
                return True
        return False

    def _search(self) -> None:
        session = self._link.session
        assert session is not None
        layers, model = self._channels(), self.model.value
        if not layers:
            raise UserError("The image of the annotation is not in the viewer; open it, and choose it above.")
        annotation = session.labels.copy()  # as it is now, while painting goes on
        key = (model, _changed_at(model), *map(id, layers), id(session))
        if model is None:
            channels = [channel for layer in layers for channel in _channels_of(layer)]
            events = partial(find_different_places, channels, annotation, session.spacing)
        else:
            known = self._uncertainty[1] if self._uncertainty[0] == key else None
            sample = sample_from_layers(layers[0], None, layers[1:])
            events = partial(find_uncertain_places, model, sample, annotation, known, shared_preferences().value.device)
            self._context.message.show_message("Loading PyTorch and the model …" if known is None else "")
        self._context.jobs.start(self.kind, f"Places in {session.name}", partial(_with_key, key, events))

    def _on_found(
        self, key: tuple[Any, ...], places: tuple[SuggestedPlace, ...], uncertainty: NDArray[np.float32] | None
    ) -> None:
        if self._link.session is None or key[-1] != id(self._link.session) or key[0] != self.model.value:
            return  # another annotation or model was chosen meanwhile
        self._uncertainty = key, uncertainty
        self._places, self._n_visited = places, 0
        if not self._visit_next():
            self._context.message.show_message("There is no place left that is not annotated or close to it.")

    def _go_to(self, place: SuggestedPlace) -> None:
        """Show the place in slices, with a ring around it and the brush ready."""
        session, layer, viewer = self._link.session, self._link.layer, self._context.viewer
        assert session is not None
        assert layer is not None
        viewer.dims.ndisplay = 2
        positions = [each.position_zyx for each in self._places]
        shape = session.labels.shape
        marks = mark_points(viewer, f"{session.name} to annotate", positions, self._n_visited - 1, layer, shape)
        marks.metadata[HELPER] = True
        brush = self._link.brush
        self._link.choose_brush(brush if brush else min(value for value in session.classes.values if value > 1))
        jump_to(viewer, layer, place.position_zyx)
        sizes = np.abs(layer.scale)
        zoom_to(viewer, sizes * shape * _PART_IN_VIEW, sizes)
        voxel = ", ".join(f"{axis}\u00a0{index}" for axis, index in zip("zyx", place.position_zyx, strict=True))
        self._context.message.show_message(
            f"Place {self._n_visited} of {len(positions)}, voxel {voxel}: {place.reason}. Paint object and background "
            "around the ring."
        )

    def _forget(self, *_: Any) -> None:
        """Search again the next time."""
        self._places, self._n_visited = (), 0


def _with_key(key: tuple[Any, ...], events: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    for event in events():
        yield (key, event) if isinstance(event, PlacesFound) else event


def _channels_of(layer: Image) -> list[Any]:
    array = array_of(layer)
    return list(array) if array.ndim == 4 else [array]


def _changed_at(model: Path | None) -> float | None:
    """Return when a model was written, to notice that it was trained again."""
    try:
        files = [] if model is None else [model, *model.glob("*.safetensors")]
        return max((file.stat().st_mtime for file in files), default=None)
    except OSError:  # which is explained when it is read
        return None
