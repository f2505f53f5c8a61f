"""The live plot of losses and Dice, with a cursor on an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyqtgraph as pg
from napari.utils.theme import get_theme
from qtpy.QtCore import QSize, Signal
from qtpy.QtGui import QColor, QFont, QFontMetrics

from napari_unet3d.session.loss_history import LossHistory
from napari_unet3d.widgets.components.containers import single_shot
from napari_unet3d.widgets.components.style import follow_style, font_size
from napari_unet3d.widgets.train.run_job import RunListener

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtGui import QResizeEvent, QShowEvent, QWheelEvent
    from qtpy.QtWidgets import QWidget

_MIN_INTERVAL_MS = 100

# Blue, orange and green of Okabe and Ito (2008), distinguishable with every common colour blindness; the first ones are
# for dark backgrounds, the second for light ones, all with a contrast of at least 3 : 1 to napari's themes.
_TRAIN_COLOURS = ("#56b4e9", "#0072b2")
_VAL_COLOURS = ("#e69f00", "#c04f00")
_DICE_COLOURS = ("#00c896", "#00735c")  # their bluish green, lighter and darker
_F1_COLOURS = ("#cc79a7", "#a0417a")  # their reddish purple, and a darker one
_SCORES = frozenset({"◆ Dice", "▼ object F1"})
_OPTIONAL = _SCORES | {"■ validation"}  # entries of the legend that some runs have no curve for
_MOST_SYMBOLS = 100
_PLOT_HEIGHT, _LINES_AROUND = 120, 5  # pixels between the axes, and lines of text above and below


class EpochAxis(pg.AxisItem):  # type: ignore[misc]  # pyqtgraph has no types
    """An axis with ticks at whole epochs only."""

    def tickSpacing(self, *args: Any) -> list[tuple[float, float]]:
        """Return the distances between ticks, none of them below an epoch."""
        return [(max(1.0, spacing), offset) for spacing, offset in super().tickSpacing(*args)]


class LossCurves(pg.PlotWidget):  # type: ignore[misc]  # pyqtgraph has no types
    """Plot of a `LossHistory`: steps as a thin line, epochs as points, the best epoch as a star, scores on the right.

    The cursor that `point_at` shows can be dragged, and a click in the plot moves it. The plot is redrawn at most ten
    times a second and only while it is visible, in the colours of napari's theme.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer whose theme is used.
    parent : QWidget, optional
        The parent widget.

    Attributes
    ----------
    epoch_pointed_at : Signal(float)
        Emitted when the user has moved the cursor.
    """

    epoch_pointed_at = Signal(float)

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent, enableMenu=False, axisItems={"bottom": EpochAxis("bottom")})
        self.history, self._listener = LossHistory(), RunListener(self)
        self._viewer = viewer
        self._is_stale = False
        self._pause = single_shot(self, self._redraw_if_stale, _MIN_INTERVAL_MS)
        plot = self.getPlotItem()
        plot.setMouseEnabled(x=False, y=False)
        plot.ctrlMenu.setParent(self, plot.ctrlMenu.windowFlags())  # a menu of no one would outlive the viewer
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.setLabel("bottom", "epoch")
        plot.setLabel("left", "loss")
        plot.showAxis("right")
        for name in ("left", "bottom", "right"):
            plot.getAxis(name).enableAutoSIPrefix(False)
            plot.getAxis(name).setStyle(maxTickLevel=0)
        self._steps = plot.plot()
        self._train = plot.plot(name="training", symbol="o")
        self._val = plot.plot(name="validation", symbol="s")
        self._best = plot.plot(name="best epoch", pen=None, symbol="star", symbolSize=14)
        self._dice = self._add_dice_axis()
        self._f1 = pg.PlotDataItem(symbol="t")
        self._dice_box.addItem(self._f1)
        self.cursor_line = pg.InfiniteLine(angle=90, movable=True)
        self.cursor_line.sigDragged.connect(lambda line: self.epoch_pointed_at.emit(float(line.value())))
        self.cursor_line.setZValue(10)
        self.cursor_line.hide()
        plot.addItem(self.cursor_line, ignoreBounds=True)
        self.scene().sigMouseClicked.connect(self._on_click)
        self.follow_theme()
        follow_style(viewer, self, self.follow_theme)

    def sizeHint(self) -> QSize:
        """Return a size that fits into a dock; pyqtgraph's own hint makes the dock 640 pixels wide."""
        return QSize(300, self.minimumHeight())

    def show_history(self, history: LossHistory) -> None:
        """Show the curves of another run, and follow it."""
        self.history = history
        self._listener.connect((history.step_added, self.refresh), (history.epoch_added, self.refresh))
        self.refresh()

    def point_at(self, epoch: float | None) -> None:
        """Move the cursor to an epoch; None hides it."""
        self.cursor_line.setVisible(epoch is not None)
        if epoch is not None:
            self.cursor_line.setValue(epoch)

    def _add_dice_axis(self) -> pg.PlotDataItem:
        plot = self.getPlotItem()
        plot.setLabel("right", "Dice")  # and F1 of single objects
        self._dice_box = pg.ViewBox(enableMenu=False, enableMouse=False)
        self._dice_box.setYRange(0, 1, padding=0.02)
        plot.scene().addItem(self._dice_box)
        plot.getAxis("right").linkToView(self._dice_box)
        self._dice_box.setXLink(plot)
        plot.vb.sigResized.connect(lambda box: self._dice_box.setGeometry(box.sceneBoundingRect()))
        dice = pg.PlotDataItem(symbol="d")
        self._dice_box.addItem(dice)
        return dice

    def _on_click(self, event: Any) -> None:
        box = self.getPlotItem().vb
        if self.cursor_line.isVisible() and box.sceneBoundingRect().contains(event.scenePos()):
            self.epoch_pointed_at.emit(float(box.mapSceneToView(event.scenePos()).x()))

    def refresh(self) -> None:
        """Redraw at once when the last drawing is long enough ago, else when the pause ends."""
        self._is_stale = True
        if not self._pause.isActive():
            self._redraw_if_stale()

    def follow_theme(self, _event: Any = None) -> None:
        """Use the colours of the viewer's theme."""
        theme = get_theme(self._viewer.theme)
        background, text = QColor(theme.background.as_hex()), QColor(theme.text.as_hex())
        is_light = background.lightness() > 127
        train, val, dice, f1 = (
            colours[is_light] for colours in (_TRAIN_COLOURS, _VAL_COLOURS, _DICE_COLOURS, _F1_COLOURS)
        )
        self.setBackground(background)
        self._follow_font_size({"bottom": text, "left": text, "right": QColor(dice)})
        faint = QColor(train)
        faint.setAlpha(110)
        self._steps.setPen(pg.mkPen(faint, width=1))
        for curve, colour in ((self._train, train), (self._val, val), (self._dice, dice), (self._f1, f1)):
            curve.setPen(pg.mkPen(colour, width=1))
            curve.setSymbolPen(None)
            curve.setSymbolBrush(colour)
        self.cursor_line.setPen(pg.mkPen(text, width=2))
        self.cursor_line.setHoverPen(pg.mkPen(val, width=4))
        self._best.setSymbolBrush(val)
        self._best.setSymbolPen(pg.mkPen(text, width=1))
        self._drawn = self._which_are_drawn()
        entries = {"● training": train, "■ validation": val, "★ best": val, "◆ Dice": dice, "▼ object F1": f1}
        self._write_legend({entry: ink for entry, ink in entries.items() if entry not in _OPTIONAL - self._drawn})
        self.getPlotItem().showAxis("right", bool(self._drawn & _SCORES))

    def _which_are_drawn(self) -> frozenset[str]:
        """Return the legend entries of the curves that the run has; before its first epoch those of most runs."""
        history = self.history
        series = {"■ validation": history.val, "◆ Dice": history.dice, "▼ object F1": history.f1}
        drawn = frozenset(entry for entry, points in series.items() if len(points))
        return drawn if len(history.train) else drawn or _OPTIONAL - {"▼ object F1"}

    def _follow_font_size(self, inks: dict[str, QColor]) -> None:
        """Draw the axes in their colours and with the font size of napari, and reserve the height for both."""
        self._font = font = QFont(self.font())
        font.setPointSize(max(1, font_size() - 1))
        line = QFontMetrics(font).height()
        self.setMinimumHeight(_PLOT_HEIGHT + _LINES_AROUND * line)
        for name, ink in inks.items():
            axis = self.getPlotItem().getAxis(name)
            axis.setPen(pg.mkPen(ink, width=1))
            axis.setTextPen(ink)
            axis.setTickFont(font)
            axis.setLabel(axis.labelText, **{"font-size": f"{font.pointSize()}pt", "color": ink.name()})
            if name == "bottom":
                axis.setHeight(round(2.2 * line))

    def _write_legend(self, entries: dict[str, str]) -> None:
        # Above the plot, since pyqtgraph's own legend covers the curves; in two lines where one is too narrow.
        plot, self._legend = self.getPlotItem(), entries
        metrics = QFontMetrics(self._font)
        width = sum(metrics.horizontalAdvance(f"{entry}   ") for entry in entries)
        n_lines = 1 + (width > self.width() - 2 * metrics.height())
        inked = [f'<span style="color: {ink}">{entry}</span>' for entry, ink in entries.items()]
        half = -(-len(inked) // n_lines)
        lines = [" &nbsp; ".join(inked[start : start + half]) for start in range(0, len(inked), half)]
        plot.setTitle("<br>".join(lines), size=f"{self._font.pointSize()}pt")
        height = round((n_lines + 0.4) * metrics.height())
        plot.layout.setRowFixedHeight(0, height)
        plot.titleLabel.setMaximumHeight(height)
        plot.titleLabel.setMinimumWidth(1)  # else it makes the plot wider than the dock

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Write the legend in as many lines as it needs."""
        super().resizeEvent(event)
        if hasattr(self, "_legend"):  # not yet while it is made
            self._write_legend(self._legend)

    def showEvent(self, event: QShowEvent) -> None:
        """Draw what arrived while the plot was hidden."""
        super().showEvent(event)
        self._redraw_if_stale()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Pass the wheel to the dock, which scrolls."""
        event.ignore()

    def _redraw_if_stale(self) -> None:
        if not self._is_stale or not self.isVisible():
            return
        self._is_stale = False
        self._pause.start()
        self._steps.setData(*self.history.steps.xy)
        history = self.history
        if self._drawn != self._which_are_drawn():
            self.follow_theme()  # for the legend
        for curve, series in (
            (self._train, history.train),
            (self._val, history.val),
            (self._dice, history.dice),
            (self._f1, history.f1),
        ):
            curve.setData(*series.xy)
            # one symbol per epoch hides the line when there are many, and costs most of the drawing
            curve.setSymbolSize(7 if len(series) <= _MOST_SYMBOLS else 0)
        best = history.best
        self._best.setData([best[0]], [best[1]]) if best else self._best.setData([], [])
