"""What holds for every control of every dock."""

from __future__ import annotations

import pytest
from pyqtgraph import PlotWidget
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QScrollBar,
    QTextEdit,
    QWidget,
)

from napari_unet3d.configs import EvaluationConfig, PostProcessing, PredictionConfig, SyntheticConfig, TrainingConfig
from napari_unet3d.widgets.predict.request import Target
from napari_unet3d.widgets.train.data_source import SourceKind
from napari_unet3d.widgets.viewer.layers import EXTRA_COLOUR, MISSED_COLOUR, WRONG_CLASS_COLOUR

DOCKS = ("Start here", "Generate data", "Dataset", "Annotate", "Train", "Predict", "Inspect", "Objects")
CONTROLS = (
    QAbstractButton,
    QComboBox,
    QAbstractSpinBox,
    QLineEdit,
    QAbstractSlider,
    QAbstractItemView,
    QTextEdit,
    QPlainTextEdit,
)


def native(dock):
    """Return the widget of Qt that a dock is."""
    return getattr(dock, "native", dock)


def controls(dock):
    """Return all that a person can use, but not what Qt, napari and pyqtgraph bring along."""
    for control in [each for each in dock.findChildren(QWidget) if isinstance(each, CONTROLS)]:
        ancestors = []
        parent = control.parentWidget()
        while parent is not None and parent is not dock:
            ancestors.append(parent)
            parent = parent.parentWidget()
        foreign = isinstance(control, QHeaderView | QScrollBar) or control.objectName().startswith("qt_")
        if not foreign and not any(isinstance(each, QMenu | PlotWidget) for each in ancestors):
            yield control, ancestors


@pytest.mark.parametrize("name", DOCKS)
def test_every_control_says_what_it_is_for(name, open_dock):
    dock = native(open_dock(name))
    silent = [
        f"{type(control).__name__} {getattr(control, 'text', str)()!r}"
        for control, ancestors in controls(dock)
        if not control.toolTip() and not any(each.toolTip() for each in ancestors)
    ]
    assert not silent
    assert sum(1 for _ in controls(dock)) > 5


@pytest.mark.parametrize(
    ("name", "form_of", "config"),
    [
        ("Generate data", lambda dock: dock.settings, SyntheticConfig(difficulty="hard", objects=7, blur_um=0.25)),
        ("Train", lambda dock: dock.settings, TrainingConfig(epochs=7, learning_rate=2.5e-5, patch=(8, 12, 16))),
        ("Predict", lambda dock: dock.prediction_settings, PredictionConfig(tta=True, overlap=0.25)),
        ("Predict", lambda dock: dock.evaluation_settings, EvaluationConfig(tolerance=2.5)),
        ("Predict", lambda dock: dock.label_settings, PostProcessing(threshold=0.35, min_volume=4.0)),
    ],
)
def test_settings_come_back_when_the_dock_is_opened_again(name, form_of, config, open_dock, close_dock):
    dock = open_dock(name)
    form_of(dock).value = config
    close_dock(dock)
    form = form_of(open_dock(name))
    assert form.value == config


def test_what_was_chosen_comes_back_too(open_dock, close_dock, tmp_path):
    generate, predict, train = (open_dock(name) for name in ("Generate data", "Predict", "Train"))
    (tmp_path / "set").mkdir()  # only what exists is remembered
    generate.folder.value = tmp_path / "set"
    predict.target.kind.button(Target.FILES).click()
    train.source.kind.button(SourceKind.LAYERS).click()
    for dock in (generate, predict, train):
        close_dock(dock)
    assert open_dock("Dataset").folder.value == tmp_path / "set"
    assert open_dock("Predict").target.kind.value is Target.FILES
    assert open_dock("Train").source.from_layers


@pytest.fixture
def laptop(make_napari_viewer, qtbot):
    """A viewer that fills the screen of a laptop, below its title bar."""
    viewer = make_napari_viewer(show=True)
    window = viewer.window._qt_window
    window.resize(1366, 728)
    qtbot.waitExposed(window)
    return viewer


def test_docks_fit_a_laptop_and_scroll_but_for_their_footer(laptop, qtbot):
    for name in DOCKS:
        _, dock = laptop.window.add_plugin_dock_widget("napari-unet3d", name)
        frame, area = native(dock), getattr(dock, "scroll_area", dock)
        qtbot.waitUntil(lambda frame=frame, dock=dock: frame.isVisible() and dock.footer.native.isVisible())
        qtbot.waitUntil(lambda frame=frame, dock=dock: dock.footer.native.geometry().bottom() == frame.height() - 1)
        qtbot.waitUntil(lambda area=area: area.widget().width() <= area.viewport().width())  # nothing is cut off
        assert area.viewport().geometry().bottom() < dock.footer.native.geometry().top()
        assert frame.width() < 420, name
        assert laptop.window._qt_window.height() <= 728, f"{name} makes the window higher"


def luminance(colour):
    """Relative luminance of a colour ``#rrggbb`` (WCAG 2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_colours_of_errors_can_be_seen_on_black():
    assert contrast("#000000", "#ffffff") == 21
    assert min(contrast(colour, "#000000") for colour in (EXTRA_COLOUR, MISSED_COLOUR, WRONG_CLASS_COLOUR)) > 3
