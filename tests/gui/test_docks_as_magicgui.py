"""The docks as widgets of magicgui: opened from the menu, and used by values and calls only, as in a script."""

from __future__ import annotations

import numpy as np
import pytest
from magicgui.widgets import CheckBox, ComboBox, Container, PushButton, TupleEdit

from napari_unet3d.configs import Difficulty, SyntheticConfig
from napari_unet3d.data.dataset import Subset, add_sample, list_pairs, read_pair
from napari_unet3d.widgets.forms.choices import EnumMenu
from napari_unet3d.widgets.forms.numbers import NumberEdit

SMALL = {"objects": 3, "shape": (20, 24, 28), "object_shape_min": (6, 6, 6), "object_shape_max": (8, 8, 8)}


@pytest.fixture
def generate(open_dock):
    dock = open_dock("Generate data")
    for name, value in SMALL.items():
        dock.settings[name].value = value
    return dock


@pytest.mark.parametrize("name", ["Generate data", "Dataset", "Annotate", "Train", "Predict"])
def test_npe2_gives_the_container_that_the_menu_opens(viewer, open_dock, name):
    from_menu = open_dock(name)
    _, dock = viewer.window.add_plugin_dock_widget("napari-unet3d", name)
    assert isinstance(dock, Container)
    assert dock is from_menu


def test_each_setting_is_a_widget_of_magicgui_by_its_name(generate):
    settings = generate.settings
    for name in SyntheticConfig.model_fields:
        assert getattr(settings, name) is settings[name]
        assert settings[name].name == name
    assert isinstance(settings.identical_objects, CheckBox)
    assert isinstance(settings.shape, TupleEdit)
    assert isinstance(settings.label_kind, EnumMenu)
    assert isinstance(settings.objects, NumberEdit)
    assert (settings.objects.min, settings.objects.max) == (1, 1_000_000)
    with pytest.raises(ValueError, match="range"):
        settings.objects.value = 0
    assert settings.objects.label == "Objects"
    assert "Number of objects" in settings.objects.tooltip


def test_a_volume_is_previewed_by_values_and_calls(viewer, generate, wait_for_end):
    settings = generate.settings
    settings.difficulty.value = Difficulty.HARD
    assert settings.photon_count.value == SyntheticConfig(difficulty="hard").photon_count
    for name, value in SMALL.items():  # which the difficulty has set, too
        settings[name].value = value
    settings.label_kind.value = "foreground"
    settings.voxel_size_um.value = (2, 1, 0.5)
    assert wait_for_end(generate, generate.preview).message is None
    image, labels = viewer.layers
    assert image.data.shape == (20, 24, 28)
    assert tuple(labels.scale) == (2, 1, 0.5)
    assert set(np.unique(labels.data)) == {0, 1}
    before, seed = image.data.copy(), settings.seed.value
    generate.draw_seed()
    assert settings.seed.value != seed
    wait_for_end(generate, generate.preview)
    assert not np.array_equal(image.data, before)


def test_buttons_do_what_the_methods_do(viewer, generate, wait_for_end):
    assert isinstance(generate.preview_button, PushButton)
    wait_for_end(generate, lambda: generate.preview_button.changed.emit(True))
    assert len(viewer.layers) == 2


def test_changes_are_announced_once_each_with_all_that_they_set(generate):
    seen = []
    generate.settings.changed.connect(lambda form: seen.append(form.value))
    generate.settings.difficulty.value = Difficulty.MEDIUM
    assert seen == [SyntheticConfig(shape=SMALL["shape"], difficulty="medium")]
    generate.settings.value = SyntheticConfig()
    assert seen[1:] == [SyntheticConfig()]


def test_errors_are_inspected_corrected_and_added_by_values_and_calls(
    viewer, boxes, open_dock, dataset, wait_for_end, wait_for_job, tmp_path
):
    _, truth, prediction = boxes
    dock = open_dock("Inspect")
    assert isinstance(dock, Container)
    assert dock is viewer.window.add_plugin_dock_widget("napari-unet3d", "Inspect")[1]
    dock.prediction_layer.value, dock.truth_layer.value = prediction, truth
    dock.tolerance.value, dock.zoom.value = 0.25, False
    assert wait_for_end(dock, dock.inspect).message is None
    missed, wide, extra = dock.session.errors
    dock.next_error()
    assert dock.session.selection == missed
    dock.previous_error()
    assert dock.session.selection == extra
    dock.errors.table.kind.value, dock.errors.table.minimum_volume.value = "extra", 100
    dock.next_error()
    assert dock.session.selection == wide
    dock.correction.settings.margin.value = 0.1  # less than a voxel
    dock.correction.accept_truth()
    corrected = viewer.layers["v corrected"]
    np.testing.assert_array_equal(
        corrected.data > 0, (prediction.data > 0) & (dock.session.errors.regions != wide.number)
    )
    dock.correction.undo()
    np.testing.assert_array_equal(corrected.data, prediction.data)
    dock.correction.redo()
    dock.fine_tuning.dataset.value = dataset
    wait_for_job(dock, "correct", dock.fine_tuning.add_to_dataset)
    assert "v corrected" in [pair.name for pair in list_pairs(dataset)]
    wait_for_job(dock, "correct", dock.fine_tuning.remove_from_dataset)
    assert "v corrected" not in [pair.name for pair in list_pairs(dataset)]
    dock.views.show_one("truth")
    assert (truth.visible, prediction.visible) == (True, False)
    dock.export.save_errors(tmp_path / "errors.csv")
    assert len((tmp_path / "errors.csv").read_text(encoding="utf-8-sig").splitlines()) == 1 + 3
    dock.two_predictions.first_layer.value, dock.two_predictions.second_layer.value = prediction, corrected
    wait_for_job(dock, "disagreement", dock.two_predictions.compare)
    assert dock.two_predictions.result.value.startswith("They differ in ")


def test_volumes_to_inspect_are_chosen_by_values(open_dock, dataset):
    dock = open_dock("Inspect")
    dock.source.kind.value = "dataset"
    dock.dataset.value, dock.source.volumes.subset.value = dataset, "train"
    menu = dock.source.volumes.volume
    assert [pair and pair.name for pair in menu.choices] == [None, "1", "2", "3"]
    menu.value = menu.choices[2]
    assert dock.source.volumes.volume.value.name == "2"
    dock.inspect()
    assert dock.message.text().startswith("No model is chosen")


def test_menus_of_layers_know_their_types_and_follow_the_viewer(viewer, generate, ball):
    sample = ball("1")
    assert generate.objects_layer.choices == (None,)
    labels = viewer.add_labels(sample.labels)
    points = viewer.add_points([[1, 2, 3]])
    assert isinstance(generate.objects_layer, ComboBox)
    assert generate.objects_layer.choices == (None, labels)
    assert generate.positions_layer.choices == (None, points)
    generate.objects_layer.value = labels
    viewer.layers.remove(labels)
    assert generate.objects_layer.value is None


def test_a_dataset_is_written_and_filled_from_layers(viewer, generate, open_dock, ball, wait_for_end, tmp_path):
    generate.folder.value = tmp_path / "data"
    generate.n_train.value, generate.n_test.value = 2, 1
    assert wait_for_end(generate, generate.write_dataset).message is None
    dataset = open_dock("Dataset")
    assert dataset.folder.value == tmp_path / "data"
    sample = ball("mine")
    image = viewer.add_image(sample.image, name="mine", scale=sample.voxel_size_um, units=("um",) * 3)
    labels = viewer.add_labels(sample.labels, name="mine labels", scale=sample.voxel_size_um, units=("um",) * 3)
    dataset.image_layer.value, dataset.labels_layer.value = image, labels
    assert wait_for_end(dataset, lambda: dataset.add("train")).message is None
    assert sorted((str(pair.subset), pair.name) for pair in list_pairs(tmp_path / "data")) == [
        ("test", "3"), ("train", "1"), ("train", "2"), ("train", "mine"),
    ]  # fmt: skip
    (added,) = (pair for pair in list_pairs(tmp_path / "data") if pair.name == "mine")
    np.testing.assert_array_equal(read_pair(added).labels, sample.labels)


def test_a_dataset_is_checked(open_dock, ball, wait_for_end, tmp_path):
    dock = open_dock("Dataset")
    dock.folder.value = tmp_path / "new"
    dock.create_folders()
    add_sample(tmp_path / "new", ball("1"), Subset.TRAIN)
    add_sample(tmp_path / "new", ball("1"), Subset.TEST)
    dock.refresh()
    job = wait_for_end(dock, dock.check)
    assert any("same volume" in issue.message for issue in job.replayed)
    assert dock.message.kind == "error"


def test_layers_are_trained_on_paused_and_continued(viewer, open_dock, layers, qtbot, tmp_path):
    train = open_dock("Train")
    train.source.kind.value = "layers"
    assert (train.image_layer.value, train.labels_layer.value) == layers
    train.settings.epochs.value = 100_000
    train.run_folder.value = tmp_path / "run"
    train.train()
    job = train.jobs.running("train")
    qtbot.waitUntil(lambda: train.run.latest_epoch is not None, timeout=60_000)
    with qtbot.waitSignal(job.paused, timeout=20_000):
        train.pause()
    with qtbot.waitSignal(job.resumed, timeout=20_000):
        train.resume()
    train.stop()
    train.wait()
    n_done = train.run.n_epochs_done
    assert train.message.text().startswith("Stopped after epoch")
    train.resume()  # the interrupted run
    qtbot.waitUntil(lambda: train.run.started is not None, timeout=60_000)
    assert len(train.run.started.history) == n_done
    train.stop()
    train.wait()
    train.open_run(tmp_path / "run")
    assert train.run.is_loaded


@pytest.fixture
def layers(viewer, ball):
    """A volume with labels in the viewer."""
    sample = ball("mine")
    place = {"scale": sample.voxel_size_um, "units": ("um",) * 3}
    return viewer.add_image(sample.image, name="mine", **place), viewer.add_labels(
        sample.labels, name="mine labels", **place
    )


def test_a_script_generates_trains_and_predicts(viewer, generate, open_dock, layers, qtbot, tmp_path):
    """The docks as a script uses them: values, methods, and `wait`."""
    generate.folder.value = tmp_path / "data"
    generate.n_train.value, generate.n_test.value = 2, 1
    generate.write_dataset()
    generate.wait()
    train = open_dock("Train")
    assert train.dataset.value == tmp_path / "data"
    train.source.kind.value = "folder"
    train.settings.epochs.value = 2
    train.settings.val_fraction.value = 0.5
    train.run_folder.value = tmp_path / "run"
    train.train()
    train.wait()
    assert train.run.finished is not None, train.message.text()
    assert (tmp_path / "run" / "model.safetensors").is_file()
    predict = open_dock("Predict")
    assert predict.model.value == tmp_path / "run"
    assert (predict.image_layer.value, predict.truth_layer.value) == layers
    predict.settings.tta.value = True
    predict.predict()
    predict.wait()
    assert {layer.name for layer in viewer.layers if layer.visible} == {"mine", "mine difference"}
    with qtbot.wait_signal(predict.live.relabelled):
        predict.label_settings.threshold.value = 0
    assert viewer.layers["mine prediction"].data.all(), "labels follow without the model"
    predict.target.kind.value = "test-set"
    predict.dataset.value = tmp_path / "data"
    predict.settings.tolerance.value = 2.0
    predict.predict()
    predict.wait()
    assert predict.results.table.names == ["3"]
    assert "3 difference" in viewer.layers
