"""Volumes of two channels through the docks: added to a dataset, trained on, predicted, inspected and corrected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.data.dataset import Subset, add_sample, read_samples
from napari_unet3d.data.sample import Sample
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.training.loop import train
from napari_unet3d.widgets.viewer.layers import show_sample

NAMES = ("dapi", "membrane")


def volume(name, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.zeros((12, 14, 18), np.uint8)
    labels[3:8, 4:9, 5:12] = 1
    image = rng.integers(0, 50, (2, *labels.shape))
    image[1] += labels * 120
    return Sample(name, image.astype(np.uint8), labels, (2.0, 1.0, 0.5), channel_names=NAMES)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    from napari_unet3d.configs import TrainingConfig

    folder = tmp_path_factory.mktemp("run") / "first"
    list(train([volume("a"), volume("b", 1)], folder, TrainingConfig(epochs=3, val_fraction=0.5, device="cpu")))
    return folder


def finished(dock, qtbot):
    qtbot.waitUntil(lambda: dock.jobs.running(dock.kind) is None, timeout=60_000)


def test_layers_of_channels_are_added_to_a_dataset_and_opened_again(open_dock, qtbot, tmp_path):
    dock = open_dock("Dataset")
    image, _ = show_sample(dock.viewer, volume("cell"))
    dock.image_layer.value = image
    dock.folder.value = tmp_path / "dataset"
    assert [layer.name for layer in dock.channels.value] == ["cell membrane"], "chosen as they belong together"

    dock.create_folders()
    dock.add("train")
    finished(dock, qtbot)

    (found,) = read_samples(tmp_path / "dataset")
    assert (found.name, found.channel_names) == ("cell", NAMES)
    np.testing.assert_array_equal(found.image, volume("cell").image)


def test_layers_of_channels_are_trained_on(open_dock, qtbot, tmp_path):
    dock = open_dock("Train")
    for name, seed in (("one", 0), ("two", 1)):
        image, labels = show_sample(dock.viewer, volume(name, seed))
        dock.source.reset_choices()
        dock.source.image_layer.value, dock.source.labels_layer.value = image, labels
        dock.source.channels.choose([dock.viewer.layers[f"{name} membrane"]])
        dock.source.layers.add_pair()
    dock.source.use_layers()

    samples = dock.source.data()

    assert [(each.name, each.channel_names) for each in samples] == [("one", NAMES), ("two", NAMES)]
    np.testing.assert_array_equal(samples[1].image, volume("two", 1).image)
    assert dock.source.layers.pair_list.choices
    assert dock.source.labels_of("one") == [dock.viewer.layers["one labels"]]


def test_layers_of_channels_are_predicted_and_inspected(open_dock, qtbot, run_folder):
    dock = open_dock("Predict")
    show_sample(dock.viewer, volume("cell", 2))
    dock.target.reset_choices()
    dock.model.choose(run_folder)
    assert dock.truth_layer.value is dock.viewer.layers["cell labels"]

    dock.predict()
    finished(dock, qtbot)

    assert dock.viewer.layers["cell prediction"].data.shape == (12, 14, 18)
    dock.inspect()
    inspect = open_dock("Inspect")
    qtbot.waitUntil(lambda: inspect.session.errors is not None, timeout=60_000)
    image = inspect.session.corrections.image_sample()
    assert image.channel_names == NAMES
    np.testing.assert_array_equal(image.image, volume("cell", 2).image)


def test_a_single_channel_is_refused_with_what_is_needed(open_dock, qtbot, run_folder):
    dock = open_dock("Predict")
    show_sample(dock.viewer, volume("cell", 2))
    dock.target.reset_choices()
    dock.model.choose(run_folder)
    dock.target.channels.value = []

    dock.predict()
    finished(dock, qtbot)

    assert (
        "'cell' has 1 channel (dapi), but the training volumes have 2 channels (dapi, membrane)" in dock.message.text()
    )


def test_one_layer_with_a_channel_axis_is_predicted(open_dock, qtbot, run_folder):
    dock = open_dock("Predict")
    sample = volume("cell", 2)
    labels = ("c", "z", "y", "x")
    dock.viewer.add_image(sample.image, name="cell", scale=(1, 2.0, 1.0, 0.5), axis_labels=labels)
    dock.target.reset_choices()
    dock.model.choose(run_folder)

    dock.predict()
    finished(dock, qtbot)

    assert dock.viewer.layers["cell prediction"].data.shape == (12, 14, 18)
    np.testing.assert_allclose(dock.viewer.layers["cell prediction"].scale, (2.0, 1.0, 0.5))


def test_test_volumes_are_shown_with_all_channels(open_dock, qtbot, run_folder, tmp_path):
    add_sample(tmp_path / "dataset", volume("cell", 2), Subset.TEST)
    dock = open_dock("Predict")
    dock.target.kind.value = "test-set"
    dock.dataset.value = tmp_path / "dataset"
    dock.model.choose(run_folder)

    dock.predict()
    finished(dock, qtbot)

    assert {"cell dapi", "cell membrane", "cell labels", "cell prediction"} <= {
        layer.name for layer in dock.viewer.layers
    }
    assert dock.viewer.layers["cell membrane"].visible
    assert load_checkpoint(Path(run_folder)).plan.channels == NAMES


def test_augmented_patches_of_channels_are_layers_of_their_own(open_dock, qtbot):
    dock = open_dock("Train")
    image, labels = show_sample(dock.viewer, volume("one"))
    dock.source.use_layers()
    dock.source.reset_choices()
    dock.source.image_layer.value, dock.source.labels_layer.value = image, labels

    dock.show_patches()
    qtbot.waitUntil(lambda: "augmented patches membrane" in dock.viewer.layers, timeout=60_000)

    assert "augmented patches dapi" in dock.viewer.layers
    dock.pre_run.augmented.remove_patches()
    assert not [layer for layer in dock.viewer.layers if layer.name.startswith("augmented")]
