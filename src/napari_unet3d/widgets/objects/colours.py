"""Objects coloured by a column of their table, with a legend, and in their own colours again."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap, ensure_colormap
from numpy.typing import NDArray
from qtpy.QtWidgets import QLabel

from napari_unet3d.evaluation.object_table import ObjectTable
from napari_unet3d.session.proofreading import ProofreadingSession
from napari_unet3d.widgets.components.containers import Panel, row
from napari_unet3d.widgets.forms.choices import Menu
from napari_unet3d.widgets.objects.object_layers import ObjectLayers

_COLOURS, _N_LEVELS, _UNDEFINED = "viridis", 64, "#808080"
_PERCENTILES = (1, 99)  # so that one huge object does not make all others dark
_STYLE = (
    "QLabel {{ background-color: qlineargradient(x1: 0, x2: 1, {stops}); color: {text}; border-radius: 3px; "
    "padding: 2px 6px; }}"
)


class ColourPanel(Panel):
    """Chooses the column by which objects are coloured.

    Parameters
    ----------
    session : ProofreadingSession
        What is proofread.
    layers : ObjectLayers
        The layer to colour.

    Attributes
    ----------
    column : Menu
        The key of the column; empty for the layer's own colours.
    legend : QLabel
        The colours, with the numbers at their ends.
    """

    def __init__(self, session: ProofreadingSession, layers: ObjectLayers) -> None:
        self._session, self._layers = session, layers
        self._coloured: tuple[Labels, Any] | None = None
        self.column = Menu(
            choices=self._columns,
            label="Colour by",
            tooltip="<qt>Colour the objects by a column of the table; the first entry gives back the layer's own "
            "colours. Colours of objects that are not measured are grey.</qt>",
        )
        self.legend = QLabel()
        self.legend.setToolTip("The colours of the objects, from the smallest number at the left to the largest.")
        super().__init__(row(_caption("Colour by"), self.column, wide=(1,)), self.legend, spacing=4)
        self.column.changed.connect(self._colour)
        session.events.table.connect(self._on_table)
        self._colour()

    def restore(self) -> None:
        """Restore the colours of the layer."""
        if self._coloured is not None:
            layer, colormap = self._coloured
            layer.colormap = colormap
            self._coloured = None

    def _columns(self, _menu: object) -> list[tuple[str, str]]:
        table = self._session.table
        columns = () if table is None else table.columns[1:]
        return [("Object number", ""), *((column.title, column.key) for column in columns)]

    def _on_table(self, _table: ObjectTable | None) -> None:
        chosen = self.column.value
        with self.column.changed.blocked():
            self.column.reset_choices()
            self.column.value = chosen if chosen in self.column.choices else ""
        self.column.enabled = self._session.table is not None
        self._colour()

    def _colour(self, *_: Any) -> None:
        table, key, layer = self._session.table, self.column.value, self._layers.layer
        if table is None or not key or layer is None:
            self.restore()
            self.legend.hide()
            return
        if self._coloured is None or self._coloured[0] is not layer:
            self.restore()
            self._coloured = layer, layer.colormap
        values = table.column(key)
        low, high = _ends(values)
        layer.colormap = _colormap(table.numbers, values, low, high)
        self._show_legend(table, key, values, (low, high))

    def _show_legend(
        self, table: ObjectTable, key: str, values: NDArray[np.float64], ends: tuple[float, float]
    ) -> None:
        column = next(column for column in table.columns if column.key == key)
        low, high = ends
        below = "≤ " if np.nanmin(values, initial=np.inf) < low else ""
        above = "≥ " if np.nanmax(values, initial=-np.inf) > high else ""
        unit = f" {column.unit}" if column.unit else ""
        shades = ensure_colormap(_COLOURS).map(np.linspace(0, 1, 5))
        stops = ", ".join(f"stop: {place / 4} {_hex(shade)}" for place, shade in enumerate(shades))
        self.legend.setStyleSheet(_STYLE.format(stops=stops, text="white"))
        self.legend.setText(
            f"<table width='100%'><tr><td>{below}{_number(column, low)}{unit}</td>"
            f"<td align='right'><font color='black'>{above}{_number(column, high)}{unit}</font></td></tr></table>"
        )
        self.legend.show()


def _number(column: Any, value: float) -> str:
    if column.is_yes_no:
        return "yes" if value else "no"
    return str(column.text(value))


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 0.0
    low, high = np.percentile(known, _PERCENTILES, method="nearest")
    return (float(low), float(high)) if high > low else (float(known.min()), float(known.max()))


def _colormap(numbers: NDArray[np.int64], values: NDArray[np.float64], low: float, high: float) -> DirectLabelColormap:
    levels = np.clip((values - low) / (high - low) if high > low else np.zeros_like(values), 0, 1)
    shades = ensure_colormap(_COLOURS).map(np.linspace(0, 1, _N_LEVELS))
    undefined = np.array([*(int(_UNDEFINED[at : at + 2], 16) / 255 for at in (1, 3, 5)), 1.0], np.float32)
    colours: dict[int | None, Any] = {None: undefined, 0: np.zeros(4, np.float32)}
    for number, level in zip(numbers.tolist(), levels.tolist(), strict=True):
        colours[number] = undefined if np.isnan(level) else shades[round(level * (_N_LEVELS - 1))]
    return DirectLabelColormap(color_dict=colours)


def _hex(shade: NDArray[np.float32]) -> str:
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in shade[:3])


def _caption(text: str) -> QLabel:
    return QLabel(text)
