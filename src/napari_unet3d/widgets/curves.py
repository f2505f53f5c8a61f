"""The live plot of the training and validation loss, and the thinned record that it draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from napari.utils.theme import get_theme
from numpy.typing import NDArray
from qtpy.QtCore import QSize, QTimer
from qtpy.QtGui import QColor

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtGui import QShowEvent, QWheelEvent
    from qtpy.QtWidgets import QWidget

MOST_POINTS = 2000
SHORTEST_PAUSE_MS = 100

# Blue and orange of Okabe and Ito (2008), distinguishable with every common colour blindness; the first pair is
# for dark backgrounds, the second for light ones, both with a contrast of at least 3 : 1 to napari's themes.
_TRAIN_COLOURS = ("#56b4e9", "#0072b2")
_VAL_COLOURS = ("#e69f00", "#c04f00")
_MOST_SYMBOLS = 100


class ThinnedSeries:
    """Points (x, y) in the order of x, of which never more than `limit` are kept.

    When the limit is passed, neighbours are joined to their mean, and from then on as many points as one kept
    point stands for are averaged before one is added; so the whole range stays evenly covered.

    Parameters
    ----------
    limit : int
        Most points to keep, at least 2.
    """

    def __init__(self, limit: int = MOST_POINTS) -> None:
        self._limit = limit
        self._kept: list[tuple[float, float]] = []
        self._waiting: list[tuple[float, float]] = []
        self._per_point = 1

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, x: float, y: float) -> None:
        """Add one point."""
        self._waiting.append((x, y))
        if len(self._waiting) < self._per_point:
            return
        self._kept.append(_mean(self._waiting))
        self._waiting.clear()
        if len(self._kept) > self._limit:
            pairs = [self._kept[start : start + 2] for start in range(0, len(self._kept), 2)]
            if len(pairs[-1]) == 1:  # half a point: it waits for the points that complete it
                self._waiting = pairs.pop() * self._per_point
            self._kept = [_mean(pair) for pair in pairs]
            self._per_point *= 2

    @property
    def xy(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The kept points as two arrays of shape (n,)."""
        points = np.array(self._kept, dtype=np.float64).reshape(-1, 2)
        return points[:, 0], points[:, 1]


def _mean(points: list[tuple[float, float]]) -> tuple[float, float]:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


class LossHistory:
    """What the plot shows of one run; it belongs to the run's job, so that a reopened dock shows all of it.

    Parameters
    ----------
    n_steps_per_epoch : int
        Optimiser steps of one epoch, which make one unit of the plot's x axis.
    """

    def __init__(self, n_steps_per_epoch: int = 1) -> None:
        self.n_steps_per_epoch = max(1, n_steps_per_epoch)
        self.steps = ThinnedSeries()
        self.train = ThinnedSeries()
        self.val = ThinnedSeries()
        self.best: tuple[int, float] | None = None

    def add_step(self, epoch: int, step: int, loss: float) -> None:
        """Record the loss of one step; epochs and steps count from 1."""
        self.steps.add(epoch - 1 + step / self.n_steps_per_epoch, loss)

    def add_epoch(self, epoch: int, train_loss: float, val_loss: float | None, *, is_best: bool) -> None:
        """Record the mean losses at the end of an epoch, counted from 1."""
        self.train.add(epoch, train_loss)
        if val_loss is not None:
            self.val.add(epoch, val_loss)
        if is_best:
            self.best = (epoch, train_loss if val_loss is None else val_loss)


class LossCurves(pg.PlotWidget):  # type: ignore[misc]  # pyqtgraph has no types
    """Plot of a `LossHistory`: steps as a thin line, epochs as points, the best epoch as a star.

    It is redrawn at most ten times a second and only while it is in view, and takes napari's theme.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Gives the theme.
    parent : QWidget, optional
        Where it lives.
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent, enableMenu=False)
        self.history = LossHistory()
        self._viewer = viewer
        self._is_stale = False
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(SHORTEST_PAUSE_MS)
        self._pause.timeout.connect(self._redraw_if_stale)
        self.setMinimumHeight(150)
        plot = self.getPlotItem()
        plot.setMouseEnabled(x=False, y=False)
        plot.ctrlMenu.setParent(self, plot.ctrlMenu.windowFlags())  # a menu of no one would outlive the viewer
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.setLabel("bottom", "epoch")
        plot.setLabel("left", "loss")
        for name in ("left", "bottom"):
            plot.getAxis(name).enableAutoSIPrefix(False)
            plot.getAxis(name).setStyle(maxTickLevel=0)
        self._legend = plot.addLegend(offset=(-6, 6), labelTextSize="8pt", verSpacing=-4)
        self._steps = plot.plot()
        self._train = plot.plot(name="training", symbol="o")
        self._val = plot.plot(name="validation", symbol="s")
        self._best = plot.plot(name="best epoch", pen=None, symbol="star", symbolSize=14)
        self.follow_theme()
        viewer.events.theme.connect(self.follow_theme)

    def sizeHint(self) -> QSize:
        """Fit into a dock; pyqtgraph's own hint makes the dock 640 pixels wide."""
        return QSize(300, 180)

    def show_history(self, history: LossHistory) -> None:
        """Show another run's curves."""
        self.history = history
        self.refresh()

    def refresh(self) -> None:
        """Redraw soon: at once when the last drawing is long enough ago, else when the pause ends."""
        self._is_stale = True
        if not self._pause.isActive():
            self._redraw_if_stale()

    def follow_theme(self, _event: Any = None) -> None:
        """Take over the colours of the viewer's theme."""
        theme = get_theme(self._viewer.theme)
        background, text = QColor(theme.background.as_hex()), QColor(theme.text.as_hex())
        is_light = background.lightness() > 127
        train, val = _TRAIN_COLOURS[is_light], _VAL_COLOURS[is_light]
        self.setBackground(background)
        for name in ("bottom", "left"):
            axis = self.getPlotItem().getAxis(name)
            axis.setPen(pg.mkPen(text, width=1))
            axis.setTextPen(text)
        faint = QColor(train)
        faint.setAlpha(110)
        self._steps.setPen(pg.mkPen(faint, width=1))
        for curve, colour in ((self._train, train), (self._val, val)):
            curve.setPen(pg.mkPen(colour, width=1))
            curve.setSymbolPen(None)
            curve.setSymbolBrush(colour)
        self._best.setSymbolBrush(val)
        self._best.setSymbolPen(pg.mkPen(text, width=1))
        self._legend.setLabelTextColor(text)
        for _, label in self._legend.items:  # pyqtgraph takes note of the colour, but leaves the text as it is
            label.setText(label.text, color=text)
        shade = QColor(background)
        shade.setAlpha(180)
        self._legend.setBrush(shade)

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what came in while the plot was out of view."""
        super().showEvent(event)
        self._redraw_if_stale()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the dock, which scrolls."""
        event.ignore()

    def _redraw_if_stale(self) -> None:
        if not self._is_stale or not self.isVisible():
            return
        self._is_stale = False
        self._pause.start()
        self._steps.setData(*self.history.steps.xy)
        for curve, series in ((self._train, self.history.train), (self._val, self.history.val)):
            curve.setData(*series.xy)
            # one symbol per epoch hides the line when there are many, and costs most of the drawing
            curve.setSymbolSize(7 if len(series) <= _MOST_SYMBOLS else 0)
        best = self.history.best
        self._best.setData([best[0]], [best[1]]) if best else self._best.setData([], [])
