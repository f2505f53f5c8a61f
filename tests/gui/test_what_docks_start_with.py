"""Docks stand on what is selected, then on what was opened last; never on a folder that was not chosen."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.session import preferences
from napari_unet3d.session.recent_runs import UnfinishedRun
from napari_unet3d.training.events import RunStarted
from napari_unet3d.widgets.predict.request import Target
from napari_unet3d.widgets.train.data_source import SourceKind
from napari_unet3d.widgets.viewer.layers import show_image, show_labels, show_sample


@pytest.fixture
def opened(viewer, ball):
    """Open a volume with labels as a user does; gives its layers."""

    def _open(name: str, **labels_options):
        sample = ball(name)
        place = {"scale": (2.0, 1.0, 1.0), "units": ("um",) * 3}
        image = viewer.add_image(sample.image, name=name, **place)
        return image, viewer.add_labels(sample.labels, **{"name": f"{name} labels", **place, **labels_options})

    return _open


@pytest.fixture
def remembered_dataset(dataset):
    """A dataset folder that was chosen in another session, together with 'Dataset folder'."""
    preferences.save_preference("dataset", str(dataset))
    preferences.save_preference("train-source", "folder")
    preferences.save_preference("predict-target", "test-set")
    return dataset


def chosen(dock):
    return dock.image_layer.value, dock.labels_layer.value


def typed(qtbot, line, text):
    """Type a text over what a line holds, as a person does, without leaving the line."""
    line.selectAll()
    qtbot.keyClicks(line, text)


@pytest.mark.parametrize("order", ["layers first", "dock first"])
def test_train_stands_on_the_new_image_and_labels_not_on_an_old_folder(order, remembered_dataset, opened, open_dock):
    if order == "layers first":
        first = opened("first")
        dock = open_dock("Train")
    else:
        dock = open_dock("Train")
        assert dock.source.kind.value is SourceKind.FOLDER, "there is nothing else"
        first = opened("first")
    assert dock.source.from_layers
    assert chosen(dock) == first
    assert not dock.dataset.native.isVisibleTo(dock.native)
    assert preferences.load_preference("train-source") == "folder", "what the dock chooses is not remembered"
    second = opened("second")
    assert chosen(dock) == second, "what was opened last"


def test_what_was_chosen_stays_whatever_is_opened_or_renamed(opened, open_dock, viewer):
    first = opened("first")
    dock = open_dock("Train")
    dock.image_layer.value, dock.labels_layer.value = first
    opened("second")
    assert chosen(dock) == first
    first[0].name = "another name"
    assert chosen(dock) == first
    viewer.layers.remove(first[0])
    viewer.layers.remove(first[1])
    assert [layer.name for layer in chosen(dock)] == ["second", "second labels"]


def test_a_click_on_dataset_folder_stays_while_layers_are_opened(opened, open_dock, qtbot, dataset):
    opened("first")
    dock = open_dock("Train")
    qtbot.mouseClick(dock.source.kind.button(SourceKind.FOLDER), Qt.MouseButton.LeftButton)
    dock.dataset.value = dataset
    opened("second")
    assert dock.source.kind.value is SourceKind.FOLDER


def test_selected_layers_come_before_those_that_were_opened_last(opened, open_dock, viewer):
    first, _ = opened("first"), opened("second")
    viewer.layers.selection = set(first)
    docks = {name: open_dock(name) for name in ("Train", "Predict", "Dataset")}
    assert chosen(docks["Train"]) == chosen(docks["Dataset"]) == first
    assert (docks["Predict"].image_layer.value, docks["Predict"].truth_layer.value) == first
    viewer.layers.selection = {viewer.layers["second labels"]}
    assert [layer.name for layer in chosen(docks["Train"])] == ["second", "second labels"], "painting is enough"


def test_what_the_plugin_has_computed_is_no_training_data(opened, open_dock, viewer):
    image, labels = opened("v")
    show_image(viewer, "v probability", np.zeros(image.data.shape, np.float32), image)
    show_image(viewer, "1 validation", image.data, image)
    for name in ("v prediction", "v difference", "v error"):
        show_labels(viewer, name, labels.data, image)
    viewer.add_image(np.zeros((30, 40)), name="a photo")
    viewer.add_labels(np.zeros((30, 40), int), name="of the photo")
    for name in ("Train", "Dataset"):
        assert chosen(open_dock(name)) == (image, labels)


def test_labels_of_another_image_are_not_taken_for_those_of_the_newest(opened, open_dock, viewer, ball):
    pair = opened("first")
    viewer.add_image(ball("bare").image, name="bare", scale=(2.0, 1.0, 1.0), units=("um",) * 3)
    assert chosen(open_dock("Train")) == pair


@pytest.mark.parametrize("name", ["Predict", "Inspect"])
def test_predict_and_inspect_stand_on_what_is_open(name, remembered_dataset, opened, open_dock, viewer):
    image, labels = opened("v")
    show_labels(viewer, "v prediction", labels.data, image)
    preferences.save_preference("inspect-source", "layers")
    dock = open_dock(name)
    if name == "Predict":
        assert dock.target.kind.value is Target.LAYER
        assert (dock.image_layer.value, dock.truth_layer.value) == (image, labels)
        assert preferences.load_preference("predict-target") == "test-set"
    else:
        assert dock.prediction_layer.value is viewer.layers["v prediction"]
        assert (dock.image_layer.value, dock.truth_layer.value) == (image, labels)


def test_what_an_epoch_predicted_is_not_taken_for_a_prediction(opened, open_dock, viewer):
    image, labels = opened("v")
    show_labels(viewer, "v live prediction", labels.data, image)
    inspect, start = open_dock("Inspect"), open_dock("Start here")
    assert inspect.prediction_layer.value is None
    start.inspect()
    assert "no prediction in the viewer" in start.message.text()
    show_labels(viewer, "v prediction", labels.data, image)
    assert start._prediction() is viewer.layers["v prediction"]
    inspect.source.layers.find_prediction()  # as when the dock is shown again
    assert inspect.prediction_layer.value is viewer.layers["v prediction"]


def test_a_wrong_path_is_not_remembered_and_nothing_is_suggested_beside_it(
    open_dock, close_dock, qtbot, viewer, dataset, tmp_path, data_folder
):
    dock, other = open_dock("Train"), open_dock("Generate data")
    line = dock.dataset.line_edit.native
    typed(qtbot, line, str(dataset))
    assert other.folder.value is None, "not before it is typed to its end"
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert other.folder.value == dataset
    assert dock.run_folder.value.parent == dataset.parent / "runs"

    typed(qtbot, line, str(tmp_path / "wrong" / "path"))
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert "does not exist" in dock.source.found.value
    assert dock.run_folder.value.parent == data_folder / "runs", "not beside a folder that does not exist"
    assert other.folder.value == dataset, "where Generate would write"
    assert preferences.load_preference("dataset") == str(dataset)
    close_dock(dock)
    _, again = viewer.window.add_plugin_dock_widget("napari-unet3d", "Train")
    assert again.dataset.value == dataset
    assert not (tmp_path / "wrong").exists()


def test_a_remembered_folder_that_is_gone_is_not_shown(open_dock, tmp_path):
    preferences.save_preference("dataset", str(tmp_path / "gone"))
    preferences.save_preference("predictions", str(tmp_path / "gone"))
    for name in ("Generate data", "Dataset"):
        assert open_dock(name).folder.value is None
    assert open_dock("Train").dataset.value is None
    assert open_dock("Predict").out.value is None


def test_a_folder_that_is_written_to_is_remembered_from_then_on(open_dock, tmp_path, qtbot):
    dock = open_dock("Dataset")
    typed(qtbot, dock.folder.line_edit.native, str(tmp_path / "new"))
    qtbot.keyClick(dock.folder.line_edit.native, Qt.Key.Key_Return)
    assert preferences.load_preference("dataset") is None
    qtbot.mouseClick(dock.create_button.native, Qt.MouseButton.LeftButton)
    assert preferences.load_preference("dataset") == str(tmp_path / "new")


def test_the_copy_of_layers_in_a_run_is_resumed_but_is_no_dataset_of_anybody(open_dock, tmp_path, ball, monkeypatch):
    run = tmp_path / "run"
    for name in "12":
        add_sample(run / "data", ball(name), Subset.TRAIN)
    (run / "config.json").write_text("{}")
    (run / "environment.json").write_text(json.dumps({"dataset": str(run / "data")}))
    dock = open_dock("Train")
    unfinished = UnfinishedRun(run, run / "data", None)
    request = dock.setup.resume_request(unfinished)
    assert (request.data, request.run_folder, request.resume) == (run / "data", run, True)
    assert dock.dataset.value is None
    assert preferences.load_preference("dataset") is None

    add_sample(tmp_path / "real", ball("1"), Subset.TRAIN)
    dock.setup.resume_request(UnfinishedRun(run, tmp_path / "real", None))
    assert dock.dataset.value == tmp_path / "real", "it is shown"
    assert preferences.load_preference("dataset") is None, "but nobody has chosen it here"
    assert open_dock("Predict").dataset.value is None


def test_sample_data_is_shown_in_this_session_and_not_in_the_next(open_dock, viewer, data_folder, qtbot, monkeypatch):
    dock = open_dock("Train")
    dock.settings.editors["epochs"].value = 1
    dock.settings.editors["steps_per_epoch"].value = 1
    monkeypatch.setattr("napari_unet3d.session.training_job._N_TRAIN", 2)
    qtbot.mouseClick(dock.setup.sample_prompt.start_button.native, Qt.MouseButton.LeftButton)
    job = dock.jobs.running("train")
    with qtbot.waitSignal(job.reported, timeout=120_000, check_params_cb=lambda event: isinstance(event, RunStarted)):
        pass
    with qtbot.waitSignal(job.ended, timeout=120_000):
        job.stop()
    assert dock.dataset.value == data_folder / "sample-dataset"
    assert open_dock("Predict").dataset.value == data_folder / "sample-dataset"
    assert dock.source.kind.value is SourceKind.FOLDER, "not the test volume, whose layers are open"
    assert "sample labels" in viewer.layers
    assert preferences.load_preference("dataset") is None


def test_layers_do_not_change_under_a_running_training(open_dock, long_run, viewer, ball):
    dock = viewer.window.dock_widgets["Train (napari-unet3d)"]
    before = dock.source.kind.value
    show_sample(viewer, ball("new"))
    assert dock.source.kind.value is before is SourceKind.FOLDER
