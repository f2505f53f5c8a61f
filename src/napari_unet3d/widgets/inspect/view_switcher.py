"""The row of buttons that says which is in view: truth, prediction, difference, or all of them side by side."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from napari.layers import Labels
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_unet3d.widgets.components.keys import bind_key
from napari_unet3d.widgets.inspect.corrected_layers import corrected_layer_name
from napari_unet3d.widgets.inspect.error_outline import error_layer_name
from napari_unet3d.widgets.viewer.compat import CanvasText
from napari_unet3d.widgets.viewer.layers import find_layer
from napari_unet3d.widgets.viewer.side_by_side import Arrangement, Cell, only_visible, show_one_of, side_by_side_of

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.dock import Dock

if TYPE_CHECKING:
    from napari_unet3d.widgets.inspect.dock import InspectDock

# B would be natural for blinking, and is napari's key to protect painted labels.
_STEP, _SIDE_BY_SIDE = "G", "Shift-G"
_TOOLTIPS = {
    "truth": "Show the true labels, and neither prediction nor difference.",
    "prediction": "Show the predicted labels, and neither truth nor difference.",
    "difference": "Show where the prediction is wrong: red is extra, blue is missed, yellow is of a wrong class.",
}


class ViewSwitcher(QWidget):
    """Three buttons of which one is down, and one for all side by side; a key steps from one to the next.

    Nothing but the visibility of layers changes, also when they are shown or hidden in napari's own list. A corner of
    the canvas says what is in view.

    Parameters
    ----------
    dock : InspectDock
        Whose inspection is in view.

    Attributes
    ----------
    buttons : dict of str to QPushButton
        Those for truth, prediction and difference.
    side_button : QPushButton
        Side by side.
    """

    def __init__(self, dock: InspectDock) -> None:
        super().__init__()
        self._dock = dock
        self._text = CanvasText(dock.viewer)
        self._cells: tuple[Cell, ...] = ()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._take_corrected)
        self._layers: dict[str, Labels] = {}
        self._is_gone = False
        self._says_what = False  # the canvas does, once somebody has stepped
        self.buttons = {words: _button(words.capitalize(), tooltip) for words, tooltip in _TOOLTIPS.items()}
        self.side_button = SideBySideButton(dock, self._arrangement)
        self.side_button.setToolTip(
            "Show truth, prediction and difference beside each other, in one view: they turn, move and change slices "
            f"together. Again brings back what was there. Key: {_SIDE_BY_SIDE}",
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        for words, button in self.buttons.items():
            button.setToolTip(f"{button.toolTip()} Key for the next one: {_STEP}")
            button.clicked.connect(partial(self.show_one, words))
            row.addWidget(button, 1)
        row.addWidget(self.side_button, 1)
        self.side_button.changed.connect(self._show_state)
        bind_key(dock, _STEP, "Show the truth, then the prediction, then the difference", self.step)
        bind_key(dock, _SIDE_BY_SIDE, "Show truth, prediction and difference side by side", self.side_button.click)
        self.setStyleSheet("QPushButton { padding: 4px 2px; }")  # so that the words fit with larger fonts, too
        dock.inspection_changed.connect(self._take_inspection)
        dock.connect_viewer(dock.viewer.layers.events.removed, self._show_state)
        dock.connect_viewer(dock.viewer.layers.events.inserted, lambda: self._soon.start(0))
        dock.destroyed.connect(lambda: self._end())
        self._take_inspection()

    def step(self) -> None:
        """Show the next of truth, prediction and difference."""
        names = list(self._present())
        if not names:
            self._dock.message.show_message(
                "Nothing is inspected yet; choose a prediction and its truth, then Inspect."
            )
            return
        shown = next((words for words in names if self.buttons[words].isChecked()), names[-1])
        self.show_one(names[(names.index(shown) + 1) % len(names)])

    def show_one(self, words: str, *_: object) -> None:
        """Show the truth, the prediction or the difference alone."""
        side_by_side_of(self._dock.viewer).stop()
        layers = self._present()
        if words in layers:
            self._says_what = True
            show_one_of(layers.values(), layers[words])
        self._show_state()

    def _arrangement(self) -> Arrangement | None:
        seen, layers = self._dock.inspection, self._present()
        if seen is None or len(layers) < 2:
            return None
        self._text.clear()
        image = seen.image if seen.image in self._dock.viewer.layers else None
        self._cells = tuple(Cell(words, layer) for words, layer in {**layers, **self._corrected()}.items())
        return Arrangement(image, self._cells, mark=error_layer_name(seen))

    def _corrected(self) -> dict[str, Labels]:
        seen = self._dock.inspection
        layer = None if seen is None else find_layer(self._dock.viewer, corrected_layer_name(seen), Labels)
        return {} if layer is None else {"corrected": layer}

    def _take_corrected(self) -> None:
        """Return the layer with corrections a cell when it comes while others have theirs."""
        if self.side_button.is_on and len(self._cells) != len(self._present()) + len(self._corrected()):
            self.side_button.begin()

    def _take_inspection(self, *_: object) -> None:
        self.side_button.end()
        self._unfollow()
        self._says_what = False
        seen = self._dock.inspection
        self.setVisible(seen is not None)
        found = {} if seen is None else {name: getattr(seen, name) for name in self.buttons}
        self._layers = {name: layer for name, layer in found.items() if layer is not None}
        for layer in self._layers.values():
            layer.events.visible.connect(self._show_state)
        self._show_state()

    def _present(self) -> dict[str, Labels]:
        return {words: layer for words, layer in self._layers.items() if layer in self._dock.viewer.layers}

    def _show_state(self, *_: object) -> None:
        if self._is_gone:
            return
        layers = self._present()
        shown = None if self.side_button.is_on else only_visible(layers.values())
        for words, button in self.buttons.items():
            button.setEnabled(words in layers)
            button.setChecked(words in layers and layers[words] is shown)
            if button.isChecked() and self._says_what:
                self._text.show(words)
        if shown is None:
            self._text.clear()
        self.side_button.setEnabled(len(layers) > 1)

    def _unfollow(self) -> None:
        for layer in self._layers.values():
            layer.events.visible.disconnect(self._show_state)
        self._layers = {}

    def _end(self) -> None:
        self._is_gone = True  # Qt has destroyed the buttons
        self._text.clear()
        self._unfollow()


def _button(words: str, tooltip: str) -> QPushButton:
    button = QPushButton(words)
    button.setCheckable(True)
    button.setToolTip(tooltip)
    return button


class SideBySideButton(QPushButton):
    """Is down for as long as its layers are side by side, whatever ends it.

    Parameters
    ----------
    dock : Dock
        Its viewer shows them; closing it brings back what was in view.
    arrangement : callable
        Gives what to show, or None when there is nothing.

    Attributes
    ----------
    changed : Signal()
        Emitted after the beginning and the end.
    """

    changed = Signal()

    def __init__(self, dock: Dock, arrangement: Callable[[], Arrangement | None]) -> None:
        super().__init__("Side by side")
        self.setCheckable(True)
        self._viewer, self._arrangement = dock.viewer, arrangement
        self.is_on, self._is_gone = False, False
        self.clicked.connect(self._toggle)
        dock.destroyed.connect(lambda: self._leave())

    def begin(self) -> None:
        """Show the layers side by side, if there are any; again with others when they are already."""
        arrangement = self._arrangement()
        if arrangement is not None:
            side_by_side_of(self._viewer).start(arrangement, self._on_end)
            self.is_on = True
        self._tell()

    def end(self) -> None:
        """Bring back what was in view before, unless something else is side by side."""
        if self.is_on:
            side_by_side_of(self._viewer).stop()

    def _toggle(self, *_: object) -> None:
        if self.is_on:
            self.end()
        else:
            self.begin()

    def _on_end(self) -> None:
        self.is_on = False
        self._tell()

    def _tell(self) -> None:
        if not self._is_gone:
            self.setChecked(self.is_on)
            self.changed.emit()

    def _leave(self) -> None:
        self._is_gone = True  # Qt has destroyed the button
        self.end()
