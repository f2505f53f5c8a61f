"""What is proofread: the chosen Labels layer, at the time point in view, and the image beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.errors import UserError
from napari_unet3d.session.object_labels import Intensities
from napari_unet3d.session.proofreading import ProofreadingSession
from napari_unet3d.widgets.components.containers import Panel, button, column
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.voxel_size_row import VoxelSizeRow
from napari_unet3d.widgets.forms.channel_list import ChannelList
from napari_unet3d.widgets.forms.convert_row import ConvertRow
from napari_unet3d.widgets.forms.layer_menu import layer_menu, may_hold_objects
from napari_unet3d.widgets.objects.layer_labels import can_load, done_with, intensities_of, labels_of, load, time_point
from napari_unet3d.widgets.objects.object_layers import ObjectLayers
from napari_unet3d.widgets.viewer.annotation_info import annotation_info
from napari_unet3d.widgets.viewer.channel_layers import image_of_layers
from napari_unet3d.widgets.viewer.connections import connect_while_alive
from napari_unet3d.widgets.viewer.layer_metadata import companion_of, is_made_of_volume, origin_of
from napari_unet3d.widgets.viewer.places import data_on

_LOADING = "objects-load"
_CLASSES = (
    "'{name}' holds {what}, not single objects: a row of the table is then all of it together. Select it and press "
    "'Separate' to make each connected piece an object."
)


class ObjectsSource(Panel):
    """Chooses the labels and their image, and opens them in the session.

    Parameters
    ----------
    session : ProofreadingSession
        It gets the labels.
    context : Context
        The viewer and the message line.
    layers : ObjectLayers
        They follow the layer.

    Attributes
    ----------
    labels_layer, image_layer : ComboBox
        The menus of layers.
    channels : ChannelList
        Further channels of the image.
    voxel_size : VoxelSizeRow
        The voxel size of the labels.
    convert : ConvertRow
        Makes labels of an Image layer that holds some.
    load_button : PushButton
        Loads a layer that is read from its file into memory; hidden for others.
    """

    def __init__(self, session: ProofreadingSession, context: Context, layers: ObjectLayers) -> None:
        super().__init__()
        self._session, self._context, self._layers = session, context, layers
        self._viewer = context.viewer
        self._followed: Labels | None = None
        self._is_writing = False
        self._history: tuple[int, int] = (0, 0)
        tooltip = "The layer whose objects are measured and edited: labels, or a prediction of single objects."
        self.labels_layer = layer_menu(self._viewer, Labels | None, tooltip, "Objects")
        tooltip = "The image whose brightness is measured in each object, and that is added to a dataset; or none."
        self.image_layer = layer_menu(self._viewer, Image | None, tooltip, "Image")
        self.channels = ChannelList(self._viewer, self.image_layer)
        self.voxel_size = VoxelSizeRow(context, self.labels_layer)
        self.convert = ConvertRow(context, self.labels_layer)
        self.load_button = button(
            "Load into memory",
            "Read the layer into memory, so that it can be edited; its file stays as it is.",
            self.load,
        )
        self.lay_out(
            column(self.labels_layer, self.image_layer, self.channels, labels=True),
            self.convert,
            self.voxel_size,
            self.load_button,
        )
        self._choose_first()
        self.labels_layer.changed.connect(self._on_chosen)
        connect_while_alive(self.native, self._viewer.dims.events.current_step, self._on_step)
        self.native.destroyed.connect(self._forget)
        session.events.table.connect(self._on_table)

    def open(self) -> None:
        """Open the chosen layer, or the volume of another time point."""
        layer = self.labels_layer.value
        self._follow(layer)
        self.load_button.visible = can_load(layer)
        self._layers.follow(layer, () if layer is None else time_point(self._viewer, layer))
        if layer is None:
            self._session.open(None)
            return
        with self._context.message.explaining():
            try:
                labels = labels_of(self._viewer, layer)
            except UserError:
                self._session.open(None)
                raise
            self._session.open(labels, done_with(layer, self._layers.leading))
            if labels.read_only:
                self._context.message.show_message(labels.read_only, "warning")
            elif (origin := origin_of(layer)) is not None and origin.plan is not None:
                task = origin.plan.task
                if task is not Task.INSTANCE:
                    self._warn("classes" if task is Task.SEMANTIC else "foreground")
            elif annotation_info(layer) is not None:
                self._warn("painted classes, of which 1 is background")

    def intensities(self) -> Intensities:
        """Return the intensities of the chosen image.

        Raises
        ------
        UserError
            When it is of another volume.
        """
        layer, images = self.labels_layer.value, self.channels.layers
        return Intensities() if layer is None else intensities_of(layer, self._layers.leading, images)

    def image(self) -> Any:
        """Return the chosen image with all its channels, for a dataset; None without one.

        Raises
        ------
        UserError
            When the layer has several time points.
        """
        layer, images = self.labels_layer.value, self.channels.layers
        if layer is not None and layer.ndim > 3 and any(side > 1 for side in layer.data.shape[:-3]):
            raise UserError(
                f"The layer '{layer.name}' has several time points {layer.data.shape}; use 'Split Stack' in the menu "
                "of the layer list, and proofread a single one, to add it to a dataset."
            )
        if not images:
            return None
        return image_of_layers(images) if len(images) > 1 else data_on(layer, images[0])

    def load(self) -> None:
        """Read the layer into memory, in a thread."""
        layer = self.labels_layer.value
        if layer is None:
            return
        with self._context.message.explaining():
            job = self._context.jobs.start(_LOADING, f"Loading {layer.name}", partial(load, layer))
            self._context.message.show_message(f"Loading '{layer.name}' into memory …")
            self._loading = layer
            job.reported.connect(self._on_loaded)
            job.failed.connect(self._on_failed)

    def choose(self, layer: Labels, image: Image | None = None, channels: Sequence[Image] = ()) -> None:
        """Choose the labels, and the image with its further channels unless it is found by itself."""
        self.reset_choices()
        self.labels_layer.value = layer
        if image is not None and image in self.image_layer.choices:
            self.image_layer.value = image
            if channels:
                self.channels.choose(list(channels))

    def reset_choices(self, *_: Any) -> None:
        """Update the menus; the layer that is chosen stays, or the next one is opened when it is gone."""
        super().reset_choices()
        if self._session.table is None:  # else the objects of the chosen layer are being looked at
            self._choose_first()
        if self.labels_layer.value is not self._followed:
            self._on_chosen()

    def _choose_first(self) -> None:
        """Choose the labels that are selected in the list of layers, else those on top, unless somebody has chosen."""
        present = [layer for layer in self.labels_layer.choices if may_hold_objects(layer)]
        selected = [layer for layer in present if layer in self._viewer.layers.selection]
        self.labels_layer.prefer(next(reversed(selected or present), None))
        self._choose_image()

    def _choose_image(self) -> None:
        layer = self.labels_layer.value
        if layer is None:
            return
        known = companion_of(layer, "image")
        shape = np.shape(layer.data)
        fitting = [
            each
            for each in self.image_layer.choices
            if each is not None and not is_made_of_volume(each) and np.shape(each.data) in (shape, shape[-3:])
        ]
        if known in fitting:
            self.image_layer.value = known
        elif self.image_layer.value not in fitting:
            self.image_layer.value = fitting[-1] if fitting else None

    def _on_chosen(self, *_: Any) -> None:
        self._choose_image()
        self._context.message.clear()
        self.open()

    def _on_loaded(self, array: NDArray[Any]) -> None:
        if not self._is_gone and self._loading in self._viewer.layers:
            self._loading.data = array  # which opens it again
            self._context.message.show_message(f"'{self._loading.name}' is in memory now and can be edited.")

    def _on_failed(self, message: str) -> None:
        if not self._is_gone:
            self._context.message.show_error(message)

    def _on_step(self, *_: Any) -> None:
        layer = self._followed
        if layer is not None and layer.ndim > 3 and time_point(self._viewer, layer) != self._layers.leading:
            self.open()

    def _on_table(self, table: Any) -> None:
        from napari_unet3d.evaluation.object_measuring import is_like_classes

        if table is not None and is_like_classes(table):
            self._warn(f"what looks like {len(table)} classes" if len(table) > 1 else "what looks like one class")

    def _warn(self, what: str) -> None:
        layer = self.labels_layer.value
        if layer is not None:
            self._context.message.show_message(_CLASSES.format(name=layer.name, what=what), "warning")

    def _follow(self, layer: Labels | None) -> None:
        if layer is self._followed:
            self._history = _history_of(layer)
            return
        self._forget()
        self._followed, self._history = layer, _history_of(layer)
        if layer is not None:
            for emitter, slot in self._slots(layer):
                emitter.connect(slot)

    def _forget(self) -> None:
        layer, self._followed = self._followed, None
        if layer is not None:
            for emitter, slot in self._slots(layer):
                emitter.disconnect(slot)

    def _slots(self, layer: Labels) -> tuple[tuple[Any, Any], ...]:
        events = layer.events
        return (
            (events.paint, self._on_changed),
            (events.set_data, self._on_changed),
            (events.data, self._on_data),
            (events.scale, self._on_place),
            (events.units, self._on_place),
            (events.selected_label, self._on_selected_label),
        )

    def _on_changed(self, *_: Any) -> None:
        """Take note of what was painted or undone; napari has no event for the latter, but its history has changed."""
        history = _history_of(self._followed)
        if history != self._history:
            self._history = history
            if not self._is_writing:
                self._session.notice_change()

    def _on_data(self, *_: Any) -> None:
        if self._followed is not None and self._session_array_is_old():
            self.open()

    def _session_array_is_old(self) -> bool:
        layer, labels = self._followed, self._session.labels
        if labels is None or layer is None or not isinstance(layer.data, np.ndarray):
            return True
        return not np.may_share_memory(labels.array, layer.data)

    def _on_place(self, *_: Any) -> None:
        self.open()

    def _on_selected_label(self, *_: Any) -> None:
        layer, table = self._followed, self._session.table
        number = 0 if layer is None else int(layer.selected_label)
        if number not in self._session.selection and table is not None and table.row_of(number) is not None:
            self._session.select([number])


def _history_of(layer: Layer | None) -> tuple[int, int]:
    """Return how many steps a layer can undo and redo."""
    return len(getattr(layer, "_undo_history", ())), len(getattr(layer, "_redo_history", ()))
