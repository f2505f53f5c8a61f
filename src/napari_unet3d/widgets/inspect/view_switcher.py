"""The buttons that choose what is in view: ground truth, prediction, difference, or layers side by side."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from magicgui.widgets import PushButton
from napari.layers import Labels
from psygnal import Signal

from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.widgets.components.containers import Panel, single_shot
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.inspect.corrected_layers import corrected_layer_name
from napari_unet3d.widgets.inspect.error_outline import error_layer_name
from napari_unet3d.widgets.inspect.volume_layers import InspectionLayers
from napari_unet3d.widgets.viewer.connections import connect_while_alive
from napari_unet3d.widgets.viewer.layers import find_layer
from napari_unet3d.widgets.viewer.side_by_side import Arrangement, Cell, only_visible, show_one_of, side_by_side_of
from napari_unet3d.widgets.viewer.view_state import CanvasText

# B would be natural for blinking, and is napari's key to protect painted labels.
_STEP, _SIDE_BY_SIDE = "G", "Shift-G"
_TITLES = {"truth": "ground truth", "prediction": "prediction", "difference": "difference"}
_TOOLTIPS = {
    "truth": "Show the ground truth, and neither prediction nor difference.",
    "prediction": "Show the predicted labels, and neither ground truth nor difference.",
    "difference": "Show where the prediction is wrong: red is extra, blue is missed, yellow is of a wrong class.",
}


class SideBySideButton(PushButton):
    """Is checked for as long as its layers are side by side, whatever ends it.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer of the layers; when the button is destroyed, what was in view comes back.
    arrangement : callable
        Returns what to show, or None when there is nothing.
    tooltip : str
        What is shown.

    Attributes
    ----------
    switched : Signal()
        Emitted after the beginning and the end.
    """

    switched = Signal()

    def __init__(self, viewer: Any, arrangement: Callable[[], Arrangement | None], tooltip: str) -> None:
        super().__init__(text="Side by side", tooltip=tooltip)
        self.native.setCheckable(True)
        self._viewer, self._arrangement = viewer, arrangement
        self.is_on, self._is_gone = False, False
        self.clicked.connect(self.toggle)
        self.native.destroyed.connect(self._leave)

    def begin(self) -> None:
        """Show the layers side by side, if there are any; again with others when they are already."""
        arrangement = self._arrangement()
        if arrangement is not None:
            side_by_side_of(self._viewer).start(arrangement, self._on_end)
            self.is_on = True
        self._announce()

    def end(self) -> None:
        """Return to what was in view before, unless something else is side by side."""
        if self.is_on:
            side_by_side_of(self._viewer).stop()

    def toggle(self) -> None:
        """Begin, or end it."""
        if self.is_on:
            self.end()
        else:
            self.begin()

    def _on_end(self) -> None:
        self.is_on = False
        self._announce()

    def _announce(self) -> None:
        if not self._is_gone:
            self.value = self.is_on
            self.switched.emit()

    def _leave(self) -> None:
        self._is_gone = True  # Qt has destroyed the button
        self.end()


class ViewSwitcher(Panel):
    """Three buttons of which one is checked, and one for all side by side; a key steps from one to the next.

    Only the visibility of layers changes; the buttons follow when layers are shown or hidden in napari's own list. A
    corner of the canvas names what is in view.

    Parameters
    ----------
    session : InspectionSession
        What is inspected.
    context : Context
        The viewer and the message line.
    layers : InspectionLayers
        The layers of what is inspected.

    Attributes
    ----------
    buttons : dict of str to PushButton
        Those for truth, prediction and difference.
    side_button : SideBySideButton
        Side by side.
    keys : dict of str to (str, callable)
        Keys to bind, what they do, and the action.
    """

    def __init__(self, session: InspectionSession, context: Context, layers: InspectionLayers) -> None:
        super().__init__(layout="horizontal", spacing=2)
        self._session, self._context, self._source = session, context, layers
        viewer = context.viewer
        self._text = CanvasText(viewer)
        self._cells: tuple[Cell, ...] = ()
        self._soon = single_shot(self.native, self._add_corrected)
        self._layers: dict[str, Labels] = {}
        self._names_view = False  # in the canvas, once somebody has stepped
        self.buttons = {name: _button(name.capitalize(), tooltip) for name, tooltip in _TOOLTIPS.items()}
        self.side_button = SideBySideButton(
            viewer,
            self._arrangement,
            "Show ground truth, prediction and difference beside each other, in one view: they turn, move and change "
            f"slices together. Press again to return to what was in view. Key: {_SIDE_BY_SIDE}",
        )
        self.keys = {
            _STEP: ("Show the ground truth, then the prediction, then the difference", self.step),
            _SIDE_BY_SIDE: ("Show ground truth, prediction and difference side by side", self.side_button.toggle),
        }
        self._lay_out()
        self.side_button.switched.connect(self._show_state)
        session.events.errors.connect(self._on_errors)
        connect_while_alive(self.native, viewer.layers.events.removed, self._show_state)
        connect_while_alive(self.native, viewer.layers.events.inserted, lambda *_: self._soon.start())
        self._show_state()
        self.hide()

    def _lay_out(self) -> None:
        for name, button in self.buttons.items():
            button.clicked.connect(partial(self.show_one, name))
        self.lay_out(*self.buttons.values(), self.side_button)
        for index in range(len(self)):
            self.native.layout().setStretch(index, 1)
        self.native.setStyleSheet("QPushButton { padding: 4px 2px; }")  # so that the text fits with larger fonts, too

    def step(self) -> None:
        """Show the next of ground truth, prediction and difference."""
        names = list(self._present())
        if not names:
            self._context.message.show_message(
                "Nothing is inspected yet. Choose a prediction and its ground truth, then press Inspect."
            )
            return
        shown = next((name for name in names if self.buttons[name].value), names[-1])
        self.show_one(names[(names.index(shown) + 1) % len(names)])

    def show_one(self, name: str, *_: object) -> None:
        """Show ground truth, prediction or difference alone."""
        side_by_side_of(self._context.viewer).stop()
        layers = self._present()
        if name in layers:
            self._names_view = True
            show_one_of(layers.values(), layers[name])
            if self._session.corrections is None or not self._session.corrections.is_painting:
                for corrected in self._corrected().values():  # it is seen below the difference
                    corrected.visible = name == "difference"
        self._show_state()

    def _arrangement(self) -> Arrangement | None:
        layers, image = self._present(), self._source.image
        if len(layers) < 2:
            return None
        self._text.clear()
        shown = {_TITLES[name]: layer for name, layer in layers.items()} | self._corrected()
        self._cells = tuple(Cell(title, layer) for title, layer in shown.items())
        is_there = image is not None and image in self._context.viewer.layers
        return Arrangement(image if is_there else None, self._cells, mark=error_layer_name(self._session.origin.name))

    def _corrected(self) -> dict[str, Labels]:
        layer = find_layer(self._context.viewer, corrected_layer_name(self._session.origin.name), Labels)
        return {} if layer is None else {"corrected": layer}

    def _add_corrected(self) -> None:
        """Show the layer with corrections in a cell, too, when it comes while others are side by side."""
        if self.side_button.is_on and len(self._cells) != len(self._present()) + len(self._corrected()):
            self.side_button.begin()

    def _on_errors(self, _errors: object) -> None:
        self.side_button.end()
        self._unfollow()
        self._names_view = False
        self.show()
        self._layers = self._source.present()
        for layer in self._layers.values():
            layer.events.visible.connect(self._show_state)
        self._show_state()

    def _present(self) -> dict[str, Labels]:
        return {name: layer for name, layer in self._layers.items() if layer in self._context.viewer.layers}

    def _show_state(self, *_: object) -> None:
        if self._is_gone:
            return
        layers = self._present()
        shown = None if self.side_button.is_on else only_visible(layers.values())
        for name, button in self.buttons.items():
            button.enabled = name in layers
            button.value = name in layers and layers[name] is shown
            if button.value and self._names_view:
                self._text.show(_TITLES[name])
        if shown is None:
            self._text.clear()
        self.side_button.enabled = len(layers) > 1

    def _unfollow(self) -> None:
        for layer in self._layers.values():
            layer.events.visible.disconnect(self._show_state)
        self._layers = {}

    def _on_destroyed(self) -> None:
        super()._on_destroyed()
        self._text.clear()
        self._unfollow()


def _button(text: str, tooltip: str) -> PushButton:
    button = PushButton(text=text, tooltip=f"{tooltip} Key for the next one: {_STEP}")
    button.native.setCheckable(True)
    return button
