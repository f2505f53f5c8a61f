"""The dock Start here: each button leads to the place, and each tick appears when the step was really done."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.session.tour import TourStep
from napari_unet3d.widgets.components.point_at import is_pointed_at


@pytest.fixture
def viewer(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1366, 728)
    qtbot.waitExposed(viewer.window._qt_window)
    return viewer


@pytest.fixture
def start(open_dock):
    return open_dock("Start here")


@pytest.fixture
def dock_of(viewer):
    return lambda name: viewer.window.dock_widgets[f"{name} (napari-unet3d)"]


@pytest.fixture
def press(qtbot):
    """Click a button with the mouse once it is in view."""

    def _press(button):
        widget = button.native
        qtbot.waitUntil(lambda: widget.isVisible() and not widget.visibleRegion().isEmpty())
        qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)

    return _press


@pytest.fixture
def go(start, press, qtbot):
    """Press the button of a step, wherever the dock is."""

    def _go(step):
        start.raise_tab()
        start.scroll_area.ensureWidgetVisible(start.steps[step].button.native)
        press(start.steps[step].button)

    return _go


@pytest.fixture
def press_marked(press, qtbot):
    """Press a button that the tour has pointed at, and is in view."""

    def _press(button):
        assert is_pointed_at(button.native)
        qtbot.waitUntil(lambda: button.native.window().focusWidget() is button.native)
        press(button)
        assert not is_pointed_at(button.native)

    return _press


def ticked(start):
    return [step for step, panel in start.steps.items() if panel.heading.value.startswith("✓")]


def test_it_is_the_first_entry_of_the_plugin(viewer):
    menus = [action.menu() for action in viewer.window.plugins_menu.actions() if action.menu() is not None]
    texts = [action.text() for action in (viewer.window.plugins_menu, *menus)[-1].actions()]
    ours = [text for text in texts if text.split(" (")[0] in ("Start here", "Generate data", "Dataset", "Train")]
    assert ours[0].startswith("Start here")


def test_the_way_from_a_sample_to_a_correction_is_walked_with_the_mouse(
    viewer, start, dock_of, go, press_marked, qtbot, tmp_path
):
    order = list(TourStep)
    assert ticked(start) == []

    go(TourStep.SAMPLE)
    assert [layer.name for layer in viewer.layers] == ["Synthetic blobs", "Synthetic blobs labels"]
    assert ticked(start) == order[:1]
    go(TourStep.SAMPLE)
    assert len(viewer.layers) == 2, "it is open already"

    go(TourStep.TRAIN)
    train = dock_of("Train")
    assert (train.image_layer.value, train.labels_layer.value) == tuple(viewer.layers[:2])
    assert train.source.from_layers
    assert ticked(start) == order[:1], "opening the dock is not training"
    train.settings.value = TrainingConfig(
        epochs=1, steps_per_epoch=1, patch=(16, 16, 16), batch_size=1, device="cpu", save_snapshots=False
    )
    train.run_folder.value = tmp_path / "run"
    train.scroll_area.ensureWidgetVisible(train.job_bar.start_button.native)
    press_marked(train.job_bar.start_button)
    job = train.jobs.running("train")
    with qtbot.waitSignal(job.ended, timeout=120_000):
        pass
    assert job.message is None
    assert ticked(start) == order[:2]

    go(TourStep.PREDICT)
    predict = dock_of("Predict")
    assert predict.model.value == tmp_path / "run"
    assert ticked(start) == order[:2]
    press_marked(predict.job_bar.start_button)
    with qtbot.waitSignal(predict.jobs.running("predict").ended, timeout=120_000):
        pass
    assert predict.jobs.latest("predict").message is None
    assert ticked(start) == order[:3]

    go(TourStep.INSPECT)
    inspect = dock_of("Inspect")
    with qtbot.waitSignal(inspect.jobs.running("inspect").ended, timeout=60_000):
        pass
    assert inspect.layers.truth is viewer.layers["Synthetic blobs labels"]
    assert ticked(start) == order[:4]

    inspect.tolerance.value = 0
    qtbot.waitUntil(lambda: len(inspect.session.errors) > 0, timeout=20_000)
    go(TourStep.CORRECT)
    assert inspect.session.selection is not None
    assert ticked(start) == order[:4]
    press_marked(inspect.correction.truth_button)
    assert len(inspect.session.corrections.done) == 1
    assert ticked(start) == order[:5]


def test_own_data_is_opened_and_annotated(
    viewer, start, dock_of, go, press_marked, tmp_path, monkeypatch, close_dock, open_dock
):
    own = [TourStep.OWN_DATA, TourStep.ANNOTATE]
    write_volume(tmp_path / "mine.tif", np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6), (2.0, 1.0, 1.0))
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([], ""))
    go(TourStep.OWN_DATA)
    assert ticked(start) == [], "the dialog was cancelled"
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(tmp_path / "mine.tif")], ""))
    go(TourStep.OWN_DATA)
    assert tuple(viewer.layers["mine"].scale) == (2.0, 1.0, 1.0)
    assert ticked(start) == [TourStep.OWN_DATA]

    go(TourStep.ANNOTATE)
    annotate = dock_of("Annotate")
    assert annotate.image_layer.value is viewer.layers["mine"]
    assert ticked(start) == [TourStep.OWN_DATA]
    press_marked(annotate.annotate_button)
    assert "mine annotation" in viewer.layers
    assert ticked(start) == own
    close_dock(start)
    assert ticked(open_dock("Start here")) == own, "layers and jobs still tell"


def test_the_end_is_said_after_the_last_step(start):
    assert not start.end.visible
    start.tour.record(*TourStep)
    assert ticked(start) == list(TourStep)
    assert start.end.visible


def test_the_next_step_is_marked(viewer, start, go):
    marked = [step for step, panel in start.steps.items() if "border" in panel.button.native.styleSheet()]
    assert marked == [TourStep.SAMPLE]
    go(TourStep.SAMPLE)
    marked = [step for step, panel in start.steps.items() if "border" in panel.button.native.styleSheet()]
    assert marked == [TourStep.TRAIN]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (TourStep.PREDICT, "No model was trained"),
        (TourStep.INSPECT, "no prediction in the viewer"),
        (TourStep.CORRECT, "No errors were searched for"),
        (TourStep.ANNOTATE, "no image of yours"),
    ],
)
def test_a_step_that_is_too_early_says_which_comes_first(start, go, step, words):
    go(step)
    assert words in start.message.text()
    assert "first." in start.message.text()
    assert start.message.kind == "error"
    assert ticked(start) == []


def test_without_a_sample_train_offers_its_own(viewer, start, go, dock_of, qtbot):
    go(TourStep.TRAIN)
    qtbot.waitUntil(lambda: dock_of("Train").setup.sample_prompt.start_button.native.isVisible())


def test_a_file_that_cannot_be_read_is_explained(start, go, tmp_path, monkeypatch):
    (tmp_path / "a.docx").write_text("no volume")
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(tmp_path / "a.docx")], ""))
    go(TourStep.OWN_DATA)
    assert start.message.text().startswith(f"{tmp_path / 'a.docx'} cannot be opened")
    assert ticked(start) == []


def test_a_painted_correction_counts_when_it_is_done_not_when_it_begins(viewer, boxes, start, open_dock, wait_for_end):
    inspect = open_dock("Inspect")
    inspect.prediction_layer.value, inspect.truth_layer.value = boxes[2], boxes[1]
    wait_for_end(inspect, inspect.inspect)
    inspect.next_error()
    inspect.correction.paint()
    assert "v corrected" in viewer.layers
    assert TourStep.CORRECT not in ticked(start)
    viewer.layers["v corrected"].paint((6, 8, 8), 1)
    inspect.correction.paint()
    assert len(inspect.session.corrections.done) == 1
    assert TourStep.CORRECT in ticked(start)
