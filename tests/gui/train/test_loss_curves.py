from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyqtgraph import mkBrush
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QColor, QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_unet3d.runs.history import EpochRecord
from napari_unet3d.session.loss_history import MAX_POINTS, LossHistory, ThinnedSeries
from napari_unet3d.widgets.train.loss_curves import LossCurves


def test_step_positions_are_fractions_of_epochs():
    history = LossHistory(n_steps_per_epoch=4)
    for epoch in (1, 2):
        for step in (1, 2, 3, 4):
            history.add_step(epoch, step, loss=epoch + step)
    x, y = history.steps.xy
    np.testing.assert_allclose(x, [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2])
    np.testing.assert_allclose(y, [2, 3, 4, 5, 3, 4, 5, 6])


def test_epochs_without_validation_leave_a_gap_only_in_the_validation_curve():
    history = LossHistory()
    history.add_epoch(EpochRecord(1, 0.9, None), is_best=False)
    history.add_epoch(EpochRecord(2, 0.7, 0.8), is_best=True)
    assert history.train.xy[0].tolist() == [1, 2]
    assert history.val.xy[0].tolist() == [2]
    assert history.best == (2, 0.8)


def test_the_best_epoch_of_a_run_without_validation_lies_on_the_training_curve():
    history = LossHistory()
    history.add_epoch(EpochRecord(1, 0.9, None), is_best=True)
    assert history.best == (1, 0.9)


@given(n=st.integers(1, 3000), limit=st.integers(2, 50))
def test_a_thinned_line_keeps_its_course_and_its_limit(n, limit):
    series = ThinnedSeries(limit)
    for x in range(n):
        series.add(x, 2 * x + 1)
    x, y = series.xy
    assert limit / 2 - 1 <= len(series) <= limit or n <= limit
    np.testing.assert_allclose(y, 2 * x + 1)
    assert (np.diff(x) > 0).all()
    assert x[-1] > n - 1 - 4 * n / limit, "the newest points are missing"


def test_a_long_run_is_drawn_with_few_points():
    history = LossHistory(n_steps_per_epoch=10)
    for epoch in range(1, 1001):
        for step in range(1, 11):
            history.add_step(epoch, step, 1 / epoch)
    assert MAX_POINTS / 2 <= len(history.steps) <= MAX_POINTS


@pytest.fixture
def curves(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    widget = LossCurves(viewer)
    viewer.window.add_dock_widget(widget)
    qtbot.waitUntil(widget.isVisible)
    return widget


def drawn(item):
    x, y = item.getData()
    return [] if x is None else list(zip(x.tolist(), y.tolist(), strict=True))


def test_curves_show_what_the_history_holds(curves, qtbot):
    curves.history.add_epoch(EpochRecord(1, 0.9, 1.0), is_best=True)
    curves.history.add_epoch(EpochRecord(2, 0.5, 1.5), is_best=False)
    curves.refresh()
    items = {item.name(): item for item in curves.getPlotItem().listDataItems()}
    qtbot.waitUntil(lambda: drawn(items["training"]) == [(1, 0.9), (2, 0.5)])
    assert drawn(items["validation"]) == [(1, 1.0), (2, 1.5)]
    assert drawn(items["best epoch"]) == [(1, 1.0)]


def test_many_refreshes_make_few_drawings(curves, qtbot):
    training = curves.getPlotItem().listDataItems()[1]
    drawings = []
    training.sigPlotChanged.connect(drawings.append)
    curves.refresh()
    at_first = len(drawings)
    for epoch in range(1, 101):
        curves.history.add_epoch(EpochRecord(epoch, 1.0, None), is_best=False)
        curves.refresh()
    assert len(drawings) == at_first, "redrawn within the pause"
    qtbot.waitUntil(lambda: len(drawn(training)) == 100)


def test_a_new_run_replaces_the_curves(curves, qtbot):
    curves.history.add_epoch(EpochRecord(1, 0.9, None), is_best=True)
    curves.refresh()
    curves.show_history(LossHistory())
    training = curves.getPlotItem().listDataItems()[1]
    qtbot.waitUntil(lambda: drawn(training) == [])


@pytest.fixture
def pointed(curves, qtbot):
    """Curves of five epochs with the cursor on the first, and where in the window an epoch is."""
    for epoch in range(1, 6):
        curves.history.add_epoch(EpochRecord(epoch, 1 / epoch, 1 / epoch, epoch / 10), is_best=False)
    curves.point_at(1)
    curves.refresh()
    box = curves.getPlotItem().vb
    qtbot.waitUntil(lambda: box.viewRange()[0][1] > 4.5)
    qtbot.waitUntil(lambda: box.sceneBoundingRect().height() > 40)

    def place(epoch: float):
        return curves.mapFromScene(box.mapViewToScene(QPointF(epoch, 0.6)))

    return place


@pytest.mark.parametrize(("first", "last"), [(0.5, 2.0), (0.9, 1.1), (0.0, 7.5), (0.0, 300.0)])
def test_ticks_are_at_whole_epochs(curves, first, last):
    spacing, _ = curves.getPlotItem().getAxis("bottom").tickSpacing(first, last, 300)[0]
    assert spacing >= 1
    assert spacing == int(spacing)


def test_dice_has_an_axis_of_its_own_from_0_to_1(curves, pointed):
    assert drawn(curves._dice) == [(epoch, pytest.approx(epoch / 10)) for epoch in range(1, 6)]
    low, high = curves._dice_box.viewRange()[1]
    assert low <= 0 < 1 <= high


def test_a_click_in_the_plot_points_at_an_epoch(curves, pointed, qtbot):
    with qtbot.waitSignal(curves.epoch_pointed_at) as caught:
        qtbot.mouseClick(curves.viewport(), Qt.MouseButton.LeftButton, pos=pointed(3.0))
    assert caught.args[0] == pytest.approx(3.0, abs=0.1)


def test_the_cursor_is_dragged_with_the_mouse(curves, pointed, qtbot):
    told = []
    curves.epoch_pointed_at.connect(told.append)
    view, left = curves.viewport(), Qt.MouseButton.LeftButton
    qtbot.mousePress(view, left, pos=pointed(1.0))
    for epoch in (1.5, 2.5, 4.0):
        move = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(pointed(epoch)),
            QPointF(view.mapToGlobal(pointed(epoch))),
            left,
            left,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(view, move)
    qtbot.mouseRelease(view, left, pos=pointed(4.0))
    assert told[-1] == pytest.approx(4.0, abs=0.15)
    assert curves.cursor_line.value() == pytest.approx(4.0, abs=0.15)


def test_without_a_cursor_a_click_means_nothing(curves, pointed, qtbot):
    curves.point_at(None)
    with qtbot.assertNotEmitted(curves.epoch_pointed_at):
        qtbot.mouseClick(curves.viewport(), Qt.MouseButton.LeftButton, pos=pointed(3.0))


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_colours_stand_out_from_the_theme(curves, theme):
    curves._viewer.theme = theme
    background = curves.backgroundBrush().color()
    assert (background.lightness() > 127) == (theme == "light")
    for item in (*curves.getPlotItem().listDataItems()[1:3], curves._dice):
        colour = mkBrush(item.opts["symbolBrush"]).color()
        assert contrast(colour, background) >= 3, item.name()


def contrast(one: QColor, other: QColor) -> float:
    """Contrast ratio of two colours after WCAG 2."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: QColor) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.getRgbF()[:3]]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_object_f1_is_drawn_beside_dice_or_instead_of_it(curves, qtbot):
    for epoch, dice in ((1, None), (2, None)):
        curves.history.add_epoch(EpochRecord(epoch, 0.9, 1.0, dice, epoch / 4), is_best=epoch == 2)
    curves.refresh()
    qtbot.waitUntil(lambda: drawn(curves._f1) == [(1, 0.25), (2, 0.5)])
    title = curves.getPlotItem().titleLabel.text
    assert "object F1" in title
    assert "Dice" not in title
    curves.history.add_epoch(EpochRecord(3, 0.9, 1.0, 0.7, 0.6), is_best=True)
    curves.follow_theme()
    assert "Dice" in curves.getPlotItem().titleLabel.text


def test_the_legend_names_what_is_drawn(curves, qtbot):
    plot = curves.getPlotItem()
    assert "validation" in plot.titleLabel.text  # what most runs will have
    curves.history.add_epoch(EpochRecord(1, 0.9, None), is_best=True)
    curves.refresh()
    qtbot.waitUntil(lambda: "validation" not in plot.titleLabel.text)
    assert "training" in plot.titleLabel.text
    assert "Dice" not in plot.titleLabel.text
    assert not plot.getAxis("right").isVisible()
    curves.history.add_epoch(EpochRecord(2, 0.8, 0.7, 0.5), is_best=True)
    curves.refresh()
    qtbot.waitUntil(lambda: "validation" in plot.titleLabel.text and "Dice" in plot.titleLabel.text)
    assert plot.getAxis("right").isVisible()
