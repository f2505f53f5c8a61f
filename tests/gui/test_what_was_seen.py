"""Nothing of a test volume enters training without a question, and beside each score stands what was seen."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

from napari_unet3d import TrainingConfig, train
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.seen_content import SeenIn
from napari_unet3d.widgets.viewer.layers import show_sample

TINY = TrainingConfig(preset="xxsmall", epochs=1, steps_per_epoch=1, val_fraction=0.34, device="cpu")


@pytest.fixture
def with_test_volume(dataset, ball):
    add_sample(dataset, ball("held out", (7, 8, 9)), Subset.TEST)
    return dataset


@pytest.fixture
def asked(monkeypatch):
    """Answer every question with the last entry of a list; gives what was asked."""
    questions, answers = [], [QMessageBox.StandardButton.Cancel]
    monkeypatch.setattr(QMessageBox, "question", lambda *args: (questions.append(args[2]), answers[-1])[1])
    return questions, answers


@pytest.fixture
def press(qtbot):
    return lambda button: partial(qtbot.mouseClick, button.native, Qt.MouseButton.LeftButton)


def seen(table) -> dict[str, tuple[str, str]]:
    """Return for each volume of a table what its last column says, and its tooltip."""
    last = table.columnCount() - 1
    assert table.horizontalHeaderItem(last).text() == "Seen"
    items = {table.names[row]: table.item(row, last) for row in range(table.rowCount())}
    return {name: (item.text(), item.toolTip()) for name, item in items.items()}


def open_test_volume(dock, dataset, wait_for_end, press):
    dock.folder.value = dataset
    (row,) = dock.pairs.findItems("held out", Qt.MatchFlag.MatchExactly)
    dock.pairs.setCurrentItem(row)
    wait_for_end(dock, press(dock.open_button))


def test_training_on_a_test_volume_that_is_open_asks_and_says_what_it_costs(
    open_dock, with_test_volume, viewer, asked, press, wait_for_end, qtbot, tmp_path
):
    open_test_volume(open_dock("Dataset"), with_test_volume, wait_for_end, press)
    viewer.layers[0].name = "something else"
    dock = open_dock("Train")
    dock.dataset.value = tmp_path / "elsewhere"  # so that only the layer tells where it is from
    dock.source.use_layers()
    dock.image_layer.value, dock.labels_layer.value = viewer.layers
    dock.settings.value = TINY
    questions, answers = asked
    press(dock.job_bar.start_button)()
    qtbot.waitUntil(lambda: dock.message.text().startswith("Nothing was trained"))
    (question,) = questions
    assert "'something else' shows the same as the test volume 'held out'" in question
    assert "its test score will be too good" in question
    assert dock.jobs.latest("train") is None

    answers.append(QMessageBox.StandardButton.Ok)
    press(dock.job_bar.start_button)()
    qtbot.waitUntil(lambda: dock.jobs.latest("train") is not None)
    job = dock.jobs.latest("train")
    if job.is_running:
        with qtbot.waitSignal(job.ended, timeout=60_000):
            pass
    assert job.message is None
    assert len(questions) == 2


def test_training_on_other_layers_asks_nothing(open_dock, with_test_volume, viewer, ball, asked, press, qtbot):
    image, labels = show_sample(viewer, ball("quite new"))
    dock = open_dock("Train")
    dock.dataset.value = with_test_volume
    dock.source.use_layers()
    dock.image_layer.value, dock.labels_layer.value = image, labels
    dock.settings.value = TINY
    press(dock.job_bar.start_button)()
    qtbot.waitUntil(lambda: dock.jobs.latest("train") is not None)
    job = dock.jobs.latest("train")
    with qtbot.waitSignal(job.ended, timeout=60_000):
        pass
    assert job.message is None
    assert not asked[0]


@pytest.fixture
def run(with_test_volume, tmp_path):
    list(train(with_test_volume, tmp_path / "run", TINY))
    return tmp_path / "run"


def test_predict_and_inspect_say_by_content_what_the_model_has_seen(
    open_dock, run, with_test_volume, viewer, ball, press, wait_for_end
):
    """Whatever the layers are called: volume 3 validates, 1 and 2 train."""
    trained, new = ball("1"), ball("never shown")
    disguised = Sample("held out", trained.image.astype(np.float32), trained.labels, trained.geometry.voxel_size_um)
    dock = open_dock("Predict")
    dock.model.value = run
    for sample, kind in ((disguised, SeenIn.TRAINING), (new, SeenIn.NEVER)):
        image, labels = show_sample(viewer, sample)
        dock.image_layer.value, dock.truth_layer.value = image, labels
        wait_for_end(dock, press(dock.job_bar.start_button), timeout=60_000)
        assert dock.message.kind != "error", dock.message.text()
        text, tooltip = seen(dock.results.table)[sample.name]
        assert text == kind.short_label
        assert kind.label.capitalize() in tooltip

    inspect = open_dock("Inspect")
    inspect.source.layers.choose(viewer.layers["held out prediction"])
    wait_for_end(inspect, press(inspect.job_bar.start_button))
    assert seen(inspect.scores)["held out"][0] == "train"
    inspect.image_layer.value = None
    wait_for_end(inspect, press(inspect.job_bar.start_button))
    assert seen(inspect.scores)["held out"][0] == "?"


def test_a_test_set_says_it_for_each_volume_and_for_the_mean(
    open_dock, run, with_test_volume, ball, press, wait_for_end
):
    add_sample(with_test_volume, Sample("copy", ball("2").image, ball("2").labels, (2.0, 1.0, 1.0)), Subset.TEST)
    dock = open_dock("Predict")
    dock.model.value = run
    dock.target.kind.value = "test-set"
    dock.dataset.value = with_test_volume
    wait_for_end(dock, press(dock.job_bar.start_button), timeout=60_000)
    table = seen(dock.results.table)
    assert table["held out"][0] == "never"
    assert table["copy"][0] in ("train", "val")  # as it was drawn
    assert table["mean"][0] == "mixed"
