"""What a dock passes on to another one is what that works on, whatever was chosen there before."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.configs import SyntheticConfig, TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample, create_dataset, list_pairs
from napari_unet3d.data.sample import Sample
from napari_unet3d.session.recent_runs import remember_run
from napari_unet3d.training.loop import train
from napari_unet3d.widgets.components.dock_window import open_dock as open_with
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.inspect.source import SourceKind

PLACE = {"scale": (2.0, 1.0, 0.5), "units": ("um",) * 3}


def volume(name, seed):
    labels = np.zeros((12, 14, 18), np.uint8)
    labels[3:8, 4:9, 5:12] = labels[9:11, 10:13, 2:6] = 1
    image = labels * 120 + np.random.default_rng(seed).integers(0, 50, labels.shape)
    return Sample(name, image.astype(np.uint8), labels, (2.0, 1.0, 0.5))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    dataset = create_dataset(folder / "dataset")
    for number in range(2):
        add_sample(dataset, volume(f"v{number}", number), Subset.TRAIN)
    list(train(dataset, folder / "run", TrainingConfig(epochs=1, steps_per_epoch=1, val_fraction=0.5, device="cpu")))
    return folder / "run"


@pytest.fixture
def other_dataset(tmp_path, ball):
    folder = create_dataset(tmp_path / "another dataset")
    add_sample(folder, ball("a"), Subset.TRAIN)
    return folder


@pytest.fixture
def dock_of(viewer):
    return lambda name: viewer.window.dock_widgets[f"{name} (napari-unet3d)"]


@pytest.fixture
def train_on_layers(open_dock, viewer):
    """The Train dock, in which layers were chosen."""
    sample = volume("mine", 7)
    viewer.add_image(sample.image, name="grey", **PLACE)
    viewer.add_labels(sample.labels, name="painted", **PLACE)
    dock = open_dock("Train")
    dock.source.use_layers()
    return dock


@pytest.mark.parametrize("is_open", [False, True])
def test_generated_volumes_are_trained_on(is_open, tmp_path, open_dock, dock_of, wait_for_end, request, other_dataset):
    if is_open:
        request.getfixturevalue("train_on_layers")
    dock = open_dock("Generate data")
    dock.folder.value, dock.n_train.value, dock.n_test.value = tmp_path / "generated", 1, 0
    dock.settings.value = SyntheticConfig(
        shape=(16, 18, 20), objects=1, object_shape_min=(6, 6, 6), object_shape_max=(8, 8, 8)
    )
    assert wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000).message is None
    dock.folder.value = other_dataset  # is not what was written
    dock.train_button.native.click()
    source = dock_of("Train").source
    assert not source.from_layers
    assert source.folder == tmp_path / "generated"
    assert [pair.name for pair in list_pairs(source.data(), Subset.TRAIN)] == ["1"]


def test_the_dataset_in_the_dataset_dock_is_trained_on(train_on_layers, dataset, other_dataset, open_dock):
    train_on_layers.source.dataset.value = other_dataset
    train_on_layers.source.use_layers()
    dock = open_dock("Dataset")
    dock.folder.value = dataset
    dock.use_button.native.click()
    assert train_on_layers.source.folder == dataset
    assert "3 training" in train_on_layers.source.found.value


def test_without_a_folder_the_dataset_dock_says_so(viewer, open_dock):
    dock = open_dock("Dataset")
    dock.folder.value = None
    dock.use_button.native.click()
    assert dock.message.kind == "error"
    assert "Train (napari-unet3d)" not in viewer.window.dock_widgets


def test_layers_are_trained_on_whatever_their_names(train_on_layers, dataset, viewer):
    image = viewer.add_image(volume("w", 1).image, name="x", **PLACE)
    labels = viewer.add_labels(volume("w", 1).labels, name="y", **PLACE)
    viewer.add_image(volume("w", 2).image, name="z", **PLACE)
    train_on_layers.source.use_folder(dataset)
    assert open_with(viewer, "Train", HandOver(image=image, truth=labels)) is train_on_layers
    assert train_on_layers.source.from_layers
    assert train_on_layers.image_layer.value is image
    assert train_on_layers.labels_layer.value is labels


@pytest.mark.parametrize("removed", [(), ("painted",), ("grey", "painted")])
def test_the_layers_of_a_run_are_predicted_and_compared(removed, train_on_layers, viewer, dock_of, wait_for_end):
    image, labels = viewer.layers["grey"], viewer.layers["painted"]
    train_on_layers.settings.value = TrainingConfig(epochs=1, steps_per_epoch=1, device="cpu")
    train_on_layers.source.use_layers(image, labels)
    assert wait_for_end(train_on_layers, train_on_layers.job_bar.start_button.native.click, 60_000).message is None
    other = viewer.add_image(volume("w", 1).image, name="latest", **PLACE)
    for name in removed:
        viewer.layers.remove(name)
    train_on_layers.run_actions.predict_button.native.click()
    predict = dock_of("Predict")
    assert predict.model.value == train_on_layers.run.run_folder
    assert predict.image_layer.value is (other if "grey" in removed else image)
    assert predict.truth_layer.value is (None if removed else labels)


@pytest.fixture
def predict(run, viewer, open_dock, wait_for_end):
    """Predict a layer, with or without ground truth, in a viewer in which names lead astray."""

    def _predict(truth=None):
        remember_run(run)
        sample = volume("mine", 7)
        image = viewer.add_image(sample.image, name="mine", **PLACE)
        labels = None if truth is None else viewer.add_labels(sample.labels, name=truth, **PLACE)
        inspect = open_dock("Inspect")
        dock = open_dock("Predict")
        dock.image_layer.value, dock.truth_layer.value = image, labels
        assert wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000).message is None
        viewer.layers["mine prediction"].name = "first try"
        for name in ("mine labels", "first try labels"):
            viewer.add_labels(np.zeros_like(sample.labels), name=name, **PLACE)
        for name in ("first try", "another"):
            viewer.add_image(sample.image, name=name, **PLACE)
        inspect.source.choose(SourceKind.DATASET)
        return dock, image, labels

    return _predict


def test_errors_are_inspected_with_their_own_layers(predict, run, viewer, dock_of, qtbot):
    dock, image, truth = predict("painted")
    prediction = viewer.layers["first try"]
    assert dock.results.inspect_button.text == "Inspect these errors"
    dock.results.inspect_button.native.click()
    inspect = dock_of("Inspect")
    qtbot.waitUntil(lambda: inspect.session.errors is not None, timeout=20_000)
    qtbot.waitUntil(lambda: inspect.jobs.running("inspect") is None, timeout=20_000)
    assert inspect.source.kind.value is SourceKind.LAYERS
    layers = inspect.layers
    assert (layers.prediction, layers.truth, layers.image) == (prediction, truth, image)
    assert inspect.probability_layer.value is viewer.layers["mine probability"]
    assert inspect.session.origin.run == inspect.model.value == run


def test_a_prediction_without_ground_truth_is_corrected(predict, run, viewer, dock_of):
    dock, image, _ = predict()
    prediction = viewer.layers["first try"]
    button = dock.results.inspect_button
    assert button.native.isVisibleTo(dock.native)
    assert button.text == "Correct this prediction"
    button.native.click()
    inspect = dock_of("Inspect")
    assert inspect.message.kind == "info"
    assert "no ground truth" in inspect.message.text()
    assert (inspect.layers.prediction, inspect.layers.image, inspect.layers.truth) == (prediction, image, None)
    assert inspect.session.corrections.truth is None
    assert inspect.session.origin.run == run
    np.testing.assert_array_equal(inspect.session.prediction.labels, prediction.data)
    inspect.correction.paint_button.native.click()
    assert inspect.session.corrections.is_painting
