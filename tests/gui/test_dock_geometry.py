"""On the screen of a laptop nothing in a dock is squeezed or cut off, in both themes and with a large font."""

from __future__ import annotations

import pytest
from geometry import is_in_view, problems_of, tab_problems
from napari.settings import get_settings
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QApplication, QScrollArea

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.widgets.components.dock_window import dock_frame
from napari_unet3d.widgets.components.message_area import MessageArea
from napari_unet3d.widgets.forms.choices import WordOrNumbers
from napari_unet3d.widgets.train.sections import Phase

DOCKS = ("Generate data", "Dataset", "Annotate", "Train", "Predict", "Inspect", "Objects")
WIDTH, HEIGHT = 1366, 768
LOOKS = [("dark", 9), ("light", 9), ("dark", 16), ("light", 16)]


@pytest.fixture
def open_on_laptop(make_napari_viewer, qtbot):
    """Open docks in a window of 1366 × 768 with a theme and a font size; the font size of before comes back."""
    appearance = get_settings().appearance
    before = appearance.font_size

    def _open(theme, font_size, *names):
        appearance.font_size = font_size
        viewer = make_napari_viewer(show=True)
        viewer.theme = theme
        window = viewer.window._qt_window
        window.setGeometry(0, 0, WIDTH, HEIGHT)
        qtbot.waitExposed(window)
        docks = []
        for name in names:
            docks.append(viewer.window.add_plugin_dock_widget("napari-unet3d", name)[1])
            qtbot.waitUntil(lambda: docks[-1].scroll_area.isVisible())
        settle()
        return viewer, *docks

    yield _open
    appearance.font_size = before


def settle():
    """Wait until all layouts have come to an end, however many follow from each other."""
    for _ in range(20):
        QApplication.sendPostedEvents()
        QApplication.processEvents()


def assert_all_fits(viewer, *docks):
    window = viewer.window._qt_window
    settle()
    assert (window.width(), window.height()) == (WIDTH, HEIGHT), "the docks make the window larger than the screen"
    assert tab_problems(window) == []
    for dock in docks:
        assert problems_of(dock.native) == []
        assert dock.footer.native.isVisible()
        shown = main_buttons(dock)
        assert any(is_in_view(button) for button in shown), "the main button is always in view"
        nested = [area for area in dock.native.findChildren(QScrollArea) if not isinstance(area, MessageArea)]
        assert nested == [dock.scroll_area], "one scroll area"


def main_buttons(dock):
    """Return the buttons that are marked as the main ones, and the one that stands for them while a job runs."""
    marked = [button for button in dock.native.findChildren(QAbstractButton) if button.property("primary")]
    assert marked
    return [*marked, dock.job_bar.stop_button.native]


def open_all_sections(dock):
    for form in [form for name, form in vars(dock).items() if name.endswith("settings")]:
        for group in getattr(form, "_sections", {}):
            form.expand(group)
        for editor in form.editors.values():
            if isinstance(editor, WordOrNumbers):
                editor.menu.value = editor.menu.choices[-1]  # and shows the numbers


@pytest.mark.parametrize(("theme", "font_size"), LOOKS)
def test_docks_fit_as_tabs_and_below_each_other(theme, font_size, open_on_laptop):
    viewer, *docks = open_on_laptop(theme, font_size, *DOCKS)
    for dock in docks:
        dock.raise_tab()
        assert_all_fits(viewer, dock)
        open_all_sections(dock)
        dock.message.show_message("A long path, such as /home/somebody/data/project/runs/2026-11-30. " * 4, "warning")
        assert_all_fits(viewer, dock)
    train, predict = (docks[DOCKS.index(name)] for name in ("Train", "Predict"))
    window, frame = viewer.window._qt_window, dock_frame(predict.native)
    window.removeDockWidget(frame)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, frame, Qt.Orientation.Vertical)
    frame.show()
    train.raise_tab()
    assert_all_fits(viewer, train, predict)


@pytest.mark.parametrize(("theme", "font_size"), [("dark", 9), ("light", 16)])
def test_a_run_is_shown_without_squeezing_anything(theme, font_size, open_on_laptop, dataset, qtbot):
    viewer, dock = open_on_laptop(theme, font_size, "Train")
    dock.source.use_folder(dataset)
    dock.settings.value = TrainingConfig(epochs=2, steps_per_epoch=2, val_fraction=0.34)
    settings, progress, result = dock.setup.section, dock.progress_section, dock.result_section
    assert (settings.is_open, progress.native.isVisible(), result.native.isVisible()) == (True, False, False)
    QTest.mouseClick(dock.job_bar.start_button.native, Qt.MouseButton.LeftButton)
    job = dock.jobs.running("train")
    assert (settings.is_open, progress.is_open, progress.native.isVisible()) == (False, True, True)
    qtbot.waitUntil(lambda: dock.run.started is not None or not job.is_running, timeout=120_000)
    assert job.message is None, job.message
    assert_all_fits(viewer, dock)
    if job.is_running:
        with qtbot.waitSignal(job.ended, timeout=60_000):
            pass
    qtbot.waitUntil(lambda: len(viewer.layers) > 2, timeout=10_000)
    assert_all_fits(viewer, dock)
    assert (settings.is_open, result.native.isVisible()) == (True, True), "all is back"
    assert dock.monitor.curves.height() > 150
    top = progress.native.mapTo(dock.scroll_area.viewport(), progress.native.rect().topLeft()).y()
    assert -2 <= top <= dock.scroll_area.viewport().height() / 3, "the curves are in view, not the form above them"


def test_what_the_user_folds_stays_folded_in_the_same_phase(open_dock, close_dock):
    dock = open_dock("Train")
    dock.progress_section.show()
    dock.sections.enter(Phase.ENDED)
    dock.setup.section.heading.native.click()
    assert not dock.setup.section.is_open
    dock.sections.enter(Phase.RUNNING)
    dock.setup.section.heading.native.click()
    assert dock.setup.section.is_open, "the settings of the run are looked at"
    close_dock(dock)
    again = open_dock("Train")
    assert again.setup.section.is_open, "without a run there is nothing else"
    again.sections.enter(Phase.ENDED)
    assert not again.setup.section.is_open
    again.sections.enter(Phase.RUNNING)
    assert again.setup.section.is_open


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_keyboard_focus_and_the_main_button_can_be_seen(theme, open_on_laptop, qtbot):
    """Tab goes through the dock; each control changes its looks with the focus, and none moves."""
    viewer, dock = open_on_laptop(theme, 9, "Train")
    window = viewer.window._qt_window
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    start, more = dock.job_bar.start_button.native, dock.menu.native
    assert colour_at_the_edge(start) != colour_at_the_edge(more), "the main button has another colour"
    start.setFocus()
    seen = set()
    for _ in range(12):
        widget = QApplication.focusWidget()
        assert widget is not None
        if not dock.native.isAncestorOf(widget):
            break
        geometry, focused = widget.geometry(), widget.grab().toImage()
        seen.add(widget)
        assert not widget.visibleRegion().isEmpty(), "what has the focus is scrolled into view"
        QTest.keyClick(widget, Qt.Key.Key_Tab)
        settle()
        if isinstance(widget, QAbstractButton):
            assert widget.grab().toImage() != focused, widget.text()
        assert widget.geometry() == geometry
    assert {start, more} <= seen


def colour_at_the_edge(button):
    return button.grab().toImage().pixelColor(4, button.height() // 2).name()
