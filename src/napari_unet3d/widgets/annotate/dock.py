"""The Annotate dock: a labels layer for an image, brushes, what is filled in, and the way to a training."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image

from napari_unet3d.data.shape_interpolation import FilledGap
from napari_unet3d.errors import UserError
from napari_unet3d.formatting import format_count
from napari_unet3d.session.annotation_classes import FIRST_CLASS, AnnotationClasses
from napari_unet3d.session.annotation_progress import describe_missing
from napari_unet3d.session.annotation_store import (
    SavedAnnotation,
    image_key,
    new_annotation_file,
    read_annotation,
    saved_annotation,
)
from napari_unet3d.widgets.annotate.annotation_link import AnnotationLink
from napari_unet3d.widgets.annotate.brush_panel import BrushPanel
from napari_unet3d.widgets.annotate.question import Answer, ask_to_continue
from napari_unet3d.widgets.annotate.suggest_panel import SuggestPanel
from napari_unet3d.widgets.components.containers import button, column, heading, row, show_text, wrapping_label
from napari_unet3d.widgets.components.dock import Dock
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.components.keys import bind_key
from napari_unet3d.widgets.components.style import mark_as_primary
from napari_unet3d.widgets.forms.channel_list import ChannelList
from napari_unet3d.widgets.forms.layer_menu import layer_menu
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.viewer.annotation_info import annotation_info
from napari_unet3d.widgets.viewer.annotation_layers import add_annotation, annotations_of
from napari_unet3d.widgets.viewer.channel_layers import siblings_of
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers

FILL_KEY, REST_KEY = "Shift-Q", "Shift-Y"
_BRUSH_PER_SIDE = 16


class AnnotateDock(Dock):
    """Makes an annotation of an image from scratch, until a training can begin with it.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer, as napari passes it to the widget of a plugin.

    Attributes
    ----------
    image_layer : ComboBox
        The image to annotate.
    channels : ChannelList
        The layers of further channels of the image.
    link : AnnotationLink
        The layer that is painted, and its session.
    brushes : BrushPanel
        The brushes.
    suggestions : SuggestPanel
        Where to annotate next.
    """

    kind = SuggestPanel.kind

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.image_layer = layer_menu(self.viewer, Image, "The volume to annotate.", label="Image")
        self.channels = ChannelList(self.viewer, self.image_layer)
        self.link = AnnotationLink(self, self.context)
        self.brushes = BrushPanel(self.link, self.context)
        self.suggestions = SuggestPanel(self.link, self.context, lambda: self.channels.layers)
        self.job_bar = self.suggestions.job_bar
        self.state = wrapping_label()
        self._work = self.context.latest_only(self.native, "fill-slices")
        self._make_buttons()
        self._lay_out()
        self.image_layer.changed.connect(self._on_image)
        self.link.layer_changed.connect(self._on_layer)
        self.link.autosave.changed.connect(self._show_state)
        bind_key(self.context, FILL_KEY, "Fill between painted slices", self.fill_between)
        bind_key(self.context, REST_KEY, "Paint the rest of the slice as background", self.fill_slice)
        self._on_image()
        self._on_layer()
        self.attach_to_job()

    def annotate(self) -> None:
        """Begin an annotation of the image, or continue the one that there is, with the brush ready."""
        with self.message.explaining():
            sample = sample_from_layers(self.image_layer.value, None, self.channels.layers[1:])
            image = self.image_layer.value
            if existing := annotations_of(self.viewer, [image, *siblings_of(self.viewer, image)]):
                self.link.follow(existing[0])
                self._pick_up_brush()
                return
            key = image_key(sample.channels[0])
            saved = saved_annotation(key)
            answer = Answer.NEW if saved is None else ask_to_continue(self.native, saved)
            if answer is Answer.CANCEL:
                return
            if answer is Answer.CONTINUE and saved is not None:
                labels, classes, file = read_annotation(saved, sample.shape), saved.classes, saved.file
            else:
                labels, classes = np.zeros(sample.shape, np.uint8), AnnotationClasses()
                file = new_annotation_file(sample.name, key)
            layer = add_annotation(self.viewer, image, sample.name, labels, classes, file)
            layer.brush_size = max(2, round(max(sample.shape) / _BRUSH_PER_SIDE))
            self.link.follow(layer)
            self._pick_up_brush()
            self.message.show_message(_begun(layer.name, saved if answer is Answer.CONTINUE else None))

    def fill_between(self) -> None:
        """Interpolate what is painted before and after the slice in view, for the slices between."""
        with self.message.explaining():
            session = self._require_session()
            axis, index = self.link.slice_in_view()
            gaps = list[FilledGap]()

            def take(event: FilledGap | bool) -> None:
                if isinstance(event, FilledGap):
                    gaps.append(event)
                else:
                    self._fill(gaps)

            def events() -> Any:
                yield from session.fill_gaps(axis, index)
                yield True

            self._work.request(f"Filling slices of {session.name}", events, take)

    def fill_slice(self) -> None:
        """Paint what is not annotated in the slice in view as background."""
        with self.message.explaining():
            self._require_session()
            n = self.link.fill_slice()
            axis, index = self.link.slice_in_view()
            what = f"{n} voxels of slice {index} along {'zyx'[axis]} are background now; Undo takes it back."
            self.message.show_message(what if n else f"Slice {index} along {'zyx'[axis]} is annotated completely.")

    def undo(self) -> None:
        """Undo the last stroke, or what a button has painted."""
        self.link.undo()

    def redo(self) -> None:
        """Redo what was undone last."""
        self.link.redo()

    def suggest(self) -> None:
        """Go to the next place where annotating helps most."""
        self.suggestions.go_to_next()

    def train(self) -> None:
        """Open the dock Train with the image and its annotation."""
        with self.message.explaining():
            session, layer = self._require_session(), self.link.layer
            if missing := describe_missing(session.count_all(), session.classes):
                raise UserError(missing)
            if not (layers := self.channels.layers):
                raise UserError("The image of the annotation is not in the viewer; open it, and choose it above.")
            self.open_dock("Train", HandOver(image=layers[0], truth=layer, channels=tuple(layers[1:])))

    def receive(self, subject: HandOver) -> None:
        """Choose the image that another dock passes on."""
        if subject.image is not None:
            self.image_layer.value = subject.image

    def on_event(self, event: Any) -> None:
        """Show one event of the search for places."""
        self.suggestions.on_event(event)

    def on_ended(self, job: Job) -> None:
        """Show that the search was cancelled."""
        if job.stopped and job.message is None:
            self.message.show_message("Cancelled.")

    def follow_layers(self) -> None:
        """Update the layer menus, and follow the annotation of the image that is chosen."""
        super().follow_layers()
        if self.link.layer is None:
            self._on_image()

    def _require_session(self) -> Any:
        if self.link.session is None:
            raise UserError("There is no annotation yet: choose an image and press 'Annotate'.")
        return self.link.session

    def _fill(self, gaps: list[FilledGap]) -> None:
        session = self.link.session
        if session is None or not gaps or session.labels.shape != self._require_session().labels.shape:
            return
        n = self.link.fill(gaps)
        names = session.classes.values
        left_out = sorted({names.get(value, str(value)) for gap in gaps for value in gap.left_out})
        slices = " and ".join(f"{gap.first} to {gap.last}" for gap in gaps)
        text = f"{format_count(n, 'voxel')} between slices {slices} along {'zyx'[gaps[0].axis]} are filled; check them."
        if left_out:
            text += f" Only one of two slices has {' and '.join(left_out)}, which was left out."
        self.message.show_message(text, "warning" if left_out or not n else "info")

    def _pick_up_brush(self) -> None:
        """Choose the brush of the first class unless one is chosen, in slices."""
        if self.viewer.dims.ndisplay == 3:
            self.viewer.dims.ndisplay = 2
        brush = self.link.brush
        self.link.choose_brush(brush or FIRST_CLASS)

    def _on_image(self, _: Any = None) -> None:
        """Follow the annotation of the image that is chosen, if there is one in the viewer."""
        image = self.image_layer.value
        own = self.link.layer
        found = [] if image is None else annotations_of(self.viewer, [image, *siblings_of(self.viewer, image)])
        if own is None or own not in found:
            self.link.follow(found[0] if found else None)

    def _on_layer(self) -> None:
        has_layer = self.link.layer is not None
        self.annotate_button.text = "Continue annotating" if has_layer else "Annotate"
        mark_as_primary(self.annotate_button.native, is_primary=not has_layer)
        for widget in (self._heading, self.brushes, self._tools, self.suggestions, self.train_button):
            widget.visible = has_layer
        self._show_state()

    def _show_state(self) -> None:
        layer = self.link.layer
        info = annotation_info(layer)
        text = "" if layer is None else f"Painting '{layer.name}'. {self.link.autosave.text}."
        show_text(self.state, text)
        if info is not None:
            self.state.tooltip = f"The file of the plugin, which replaces none of yours: {info.file}"

    def _make_buttons(self) -> None:
        self.annotate_button = button(
            "Annotate",
            "<qt>Make a labels layer in the place of the image, to paint background and objects in. It is saved "
            "automatically.</qt>",
            self.annotate,
        )
        self.fill_button = button(
            "Fill between slices",
            "<qt>Paint the slices between two painted ones, around the slice in view: each shape changes from one to "
            f"the other. What is painted already stays. Key: {FILL_KEY}, after a click into the image.</qt>",
            self.fill_between,
        )
        self.rest_button = button(
            "Rest is background",
            "<qt>Paint what is not annotated in the slice in view as background, when all objects in it are painted. "
            f"Key: {REST_KEY}, after a click into the image.</qt>",
            self.fill_slice,
        )
        self.undo_button = button("Undo", "Undo the last stroke, or what a button has painted: Ctrl+Z.", self.undo)
        self.redo_button = button("Redo", "Redo what was undone last: Ctrl+Shift+Z.", self.redo)
        self.train_button = button(
            "Train on this", "Open the dock Train with the image and this annotation.", self.train
        )

    def _lay_out(self) -> None:
        self._heading = heading("Brushes")
        self._tools = column(row(self.fill_button, self.rest_button), row(self.undo_button, self.redo_button))
        self.lay_out(
            column(self.image_layer, self.channels, labels=True),
            self.state,
            self._heading,
            self.brushes,
            self._tools,
            self.suggestions,
        )
        self.pin(self.annotate_button, self.train_button)


def _begun(name: str, saved: SavedAnnotation | None) -> str:
    if saved is not None:
        return f"'{name}' is as it was at {saved.when}; it is saved automatically while you paint."
    return f"Paint in the image. '{name}' is saved automatically."
