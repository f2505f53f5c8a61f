"""From one dock to the next by their buttons: the run goes to Predict, and truth and model go to Inspect."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample, create_dataset
from napari_unet3d.data.sample import Sample
from napari_unet3d.session.recent_runs import remember_run
from napari_unet3d.training.loop import train
from napari_unet3d.widgets.inspect.source import SourceKind
from napari_unet3d.widgets.predict.request import Target


def volume(name, seed, ignore_label=None):
    """Two bright boxes; where 0 is not annotated, a slab at the edge is not."""
    labels = np.zeros((12, 14, 18), np.uint8)
    labels[3:8, 4:9, 5:12] = labels[9:11, 10:13, 2:6] = 1
    image = labels * 120 + np.random.default_rng(seed).integers(0, 50, labels.shape)
    if ignore_label == 0:
        labels += 1
        labels[:, :2] = 0
    return Sample(name, image.astype(np.uint8), labels, (2.0, 1.0, 0.5))


def make_run(folder, name, ignore_label=None):
    dataset = create_dataset(folder / f"{name} dataset")
    for number, part in enumerate((Subset.TRAIN, Subset.TRAIN, Subset.TEST)):
        add_sample(dataset, volume(f"v{number}", number, ignore_label), part)
    config = TrainingConfig(epochs=1, steps_per_epoch=1, val_fraction=0.5, device="cpu", ignore_label=ignore_label)
    list(train(dataset, folder / name, config))
    return folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(folder):
    return make_run(folder, "one")


@pytest.fixture(scope="module")
def other_run(folder):
    return make_run(folder, "other")


@pytest.fixture
def dock_of(viewer):
    """Return the widget of a dock that is open, whoever opened it."""
    return lambda name: viewer.window.dock_widgets[f"{name} (napari-unet3d)"]


@pytest.fixture
def settle(qtbot):
    """Wait until docks have their places, which shows them again."""
    return lambda: qtbot.wait(100)


@pytest.fixture
def layers(viewer):
    """An image and its ground truth, whose name does not say so."""
    sample = volume("mine", 7)
    place = {"scale": sample.voxel_size_um, "units": ("um",) * 3}
    return viewer.add_image(sample.image, name="mine", **place), viewer.add_labels(
        sample.labels, name="painted", **place
    )


@pytest.fixture
def predicted(run, layers, open_dock, wait_for_end):
    """The Predict dock after a prediction that was compared with the ground truth chosen in it."""
    remember_run(run)
    dock = open_dock("Predict")
    dock.truth_layer.value = layers[1]
    job = wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert job.message is None
    assert dock.results.inspect_button.native.isVisibleTo(dock.native)
    return dock


@pytest.fixture
def inspect_errors(dock_of, qtbot):
    """Click 'Inspect these errors' and wait for the inspection; gives the Inspect dock."""

    def _inspect(predict):
        predict.results.inspect_button.native.click()
        dock = dock_of("Inspect")
        before = dock.session.errors
        qtbot.waitUntil(lambda: dock.jobs.running("inspect") is None, timeout=20_000)
        assert dock.message.kind != "error", dock.message.text()
        assert dock.session.errors is not before
        return dock

    return _inspect


def wrong_voxels(dock):
    return np.bincount(dock.session.comparison.difference.ravel(), minlength=4).tolist()


def expected(labels, truth):
    missed, extra = (truth > 0) & (labels == 0), (truth == 0) & (labels > 0)
    return [int((~missed & ~extra).sum()), int(extra.sum()), int(missed.sum()), 0]


@pytest.mark.parametrize("state", ["closed", "behind", "in front", "closed after a prediction"])
def test_predict_gets_the_run_whatever_it_offered_before(
    state, run, other_run, layers, open_dock, close_dock, dock_of, wait_for_end, settle
):
    remember_run(other_run)
    if state != "closed":
        predict = open_dock("Predict")
        settle()
    if state == "closed after a prediction":
        wait_for_end(predict, predict.job_bar.start_button.native.click, 60_000)
        close_dock(predict)
    dock = open_dock("Train")
    settle()
    dock.open_run(run)
    if state == "in front":
        predict.raise_tab()
    if state in ("behind", "in front"):
        predict.model.value = other_run
    remember_run(other_run)  # as a prediction with it does
    dock.run_actions.predict_button.native.click()
    predict = dock_of("Predict")
    assert predict.model.value == run
    settle()
    dock.raise_tab()
    settle()
    predict.raise_tab()
    settle()
    assert predict.native.isVisibleTo(predict.native.window())
    assert predict.model.value == run, "it stays chosen when the dock is shown again"


def test_a_new_train_dock_does_not_take_the_run_away_from_predict(
    run, dataset, open_dock, close_dock, dock_of, wait_for_end, settle
):
    dock = open_dock("Train")
    dock.source.use_folder(dataset)
    dock.settings.value = TrainingConfig(epochs=1, steps_per_epoch=1, val_fraction=0.34)
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    trained = dock.run.run_folder
    dock.run_actions.predict_button.native.click()
    assert dock_of("Predict").model.value == trained
    dock.open_run(run)
    dock.run_actions.predict_button.native.click()
    settle()
    close_dock(dock)
    dock = open_dock("Train")
    assert dock.run.run_folder == trained
    settle()
    dock_of("Predict").raise_tab()
    settle()
    assert dock_of("Predict").model.value == run
    dock.run_actions.predict_button.native.click()
    assert dock_of("Predict").model.value == trained


def test_a_predict_dock_that_is_open_offers_a_run_when_it_ends(run, dataset, open_dock, wait_for_end, qtbot):
    remember_run(run)
    predict = open_dock("Predict")
    dock = open_dock("Train")
    predict.native.parentWidget().setFloating(True)
    qtbot.wait(100)
    assert predict.model.value == run
    dock.source.use_folder(dataset)
    dock.settings.value = TrainingConfig(epochs=1, steps_per_epoch=1, val_fraction=0.34)
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    qtbot.waitUntil(lambda: predict.model.value == dock.run.run_folder)


def test_inspect_compares_with_the_truth_chosen_in_predict_and_can_train_on(
    predicted, run, layers, viewer, inspect_errors, folder, qtbot, wait_for_job
):
    dock = inspect_errors(predicted)
    image, truth = layers
    labels = viewer.layers["mine prediction"]
    assert (dock.layers.prediction, dock.layers.truth, dock.layers.image) == (labels, truth, image)
    assert dock.probability_layer.value is viewer.layers["mine probability"]
    assert dock.session.origin.run == run
    assert dock.source.volumes.model.value == run
    assert wrong_voxels(dock) == expected(labels.data, truth.data)
    assert len(dock.session.errors)
    dock.next_error()
    dock.correction.accept_truth()
    assert dock.fine_tuning.dataset.value == folder / "one dataset", "that of the run"
    dock.fine_tuning.dataset.value = create_dataset(folder / "corrected dataset")
    wait_for_job(dock, "correct", dock.fine_tuning.fine_tune)  # adds the correction
    job = dock.jobs.running("train")
    assert job is not None, dock.fine_tuning.message.text()
    qtbot.waitUntil(lambda: bool(job.replayed), timeout=60_000)
    with qtbot.waitSignal(job.ended, timeout=60_000):
        job.stop()
    assert job.replayed[0].start_from == run


def test_an_open_inspect_dock_drops_the_truth_of_another_volume(predicted, boxes, open_dock, inspect_errors, layers):
    inspect = open_dock("Inspect")
    inspect.prediction_layer.value = boxes[2]
    assert inspect.truth_layer.value is boxes[1]
    dock = inspect_errors(predicted)
    assert dock is inspect
    assert dock.layers.truth is layers[1]
    assert dock.layers.image is layers[0]


def test_inspect_opened_from_the_menu_knows_truth_and_model(predicted, layers, run, open_dock, wait_for_end):
    dock = open_dock("Inspect")
    wait_for_end(dock, dock.inspect)
    assert dock.layers.truth is layers[1]
    assert dock.session.origin.run == run


def test_renamed_layers_are_handed_over(predicted, layers, viewer, run, inspect_errors):
    labels = viewer.layers["mine prediction"]
    for layer, name in ((layers[0], "grey"), (layers[1], "right"), (labels, "first try")):
        layer.name = name
    viewer.layers["mine probability"].name = "how sure"
    dock = inspect_errors(predicted)
    assert (dock.layers.prediction, dock.layers.truth, dock.layers.image) == (labels, layers[1], layers[0])
    assert dock.probability_layer.value is viewer.layers["how sure"]
    assert dock.session.origin.run == run


def test_labels_made_again_after_a_new_name_know_the_run(predicted, layers, viewer, run, inspect_errors, qtbot):
    viewer.layers["mine prediction"].name = "first try"
    threshold = round(float(np.median(viewer.layers["mine probability"].data)), 2)
    predicted.label_settings.editors["threshold"].native.setValue(threshold)
    qtbot.waitUntil(lambda: "mine prediction" in viewer.layers)
    dock = inspect_errors(predicted)
    assert dock.layers.prediction is viewer.layers["mine prediction"]
    assert dock.session.origin.run == run
    assert dock.layers.truth is layers[1]


def test_a_layer_of_the_user_with_the_name_of_a_prediction_is_not_taken_for_it(run, layers, viewer, open_dock, request):
    own = viewer.add_labels(np.zeros_like(layers[1].data), name="mine prediction", scale=layers[1].scale)
    predicted = request.getfixturevalue("predicted")
    dock = request.getfixturevalue("inspect_errors")(predicted)
    assert dock.layers.prediction is not own
    assert dock.session.origin.run == run
    assert dock.layers.truth is layers[1]


@pytest.mark.parametrize("removed", ["mine prediction", "painted", "mine"])
def test_what_was_removed_from_the_viewer_is_handed_over_all_the_same(removed, predicted, viewer, run, inspect_errors):
    labels, truth = viewer.layers["mine prediction"].data, viewer.layers["painted"].data
    viewer.layers.remove(removed)
    dock = inspect_errors(predicted)
    assert dock.session.origin.run == run
    assert wrong_voxels(dock) == expected(labels, truth)
    assert dock.layers.prediction is viewer.layers["mine prediction"]


@pytest.mark.parametrize("ignore_label", [None, 0])
def test_a_volume_of_a_test_set_is_inspected_with_its_truth(
    ignore_label, folder, open_dock, wait_for_end, inspect_errors
):
    name = f"test set {ignore_label}"
    run = make_run(folder, name, ignore_label)
    predict = open_dock("Predict")
    predict.model.value = run
    predict.target.kind.button(Target.TEST_SET).click()
    predict.dataset.value = folder / f"{name} dataset"
    job = wait_for_end(predict, predict.job_bar.start_button.native.click, 60_000)
    assert job.message is None
    dock = inspect_errors(predict)
    assert dock.session.origin.run == run
    assert (dock.session.origin.dataset, dock.session.origin.subset) == (folder / f"{name} dataset", Subset.TEST)
    painted, labels = volume("v2", 2, ignore_label).labels, dock.session.prediction.labels
    if ignore_label == 0:
        labels, painted = np.where(painted > 0, labels, 0), np.maximum(painted, 1) - 1
    assert wrong_voxels(dock) == expected(labels, painted)
    chosen = dock.source.volumes
    assert (chosen.model.value, chosen.dataset.value) == (run, folder / f"{name} dataset")
    assert wait_for_end(dock, dock.inspect).message is None
    assert wrong_voxels(dock) == expected(labels, painted), "the layers mean the same as the files"


@pytest.mark.parametrize("ignore_label", [None, 0, 255])
def test_layers_of_a_test_volume_mean_what_its_files_mean(ignore_label, folder, viewer, open_dock, wait_for_end, qtbot):
    run = make_run(folder, f"layers {ignore_label}", ignore_label)
    dock = open_dock("Inspect")
    dock.inspect_run(run)
    qtbot.waitUntil(lambda: dock.session.errors is not None, timeout=60_000)
    qtbot.waitUntil(lambda: dock.jobs.running("inspect") is None, timeout=20_000)
    first = wrong_voxels(dock)
    np.testing.assert_array_equal(viewer.layers["v2 labels"].data, volume("v2", 2, ignore_label).labels)
    dock.source.choose(SourceKind.LAYERS)
    dock.source.layers.choose(viewer.layers["v2 prediction"])
    assert wait_for_end(dock, dock.inspect).message is None
    assert wrong_voxels(dock) == first


def test_all_errors_of_a_run_are_inspected_after_one_volume_of_another(run, open_dock, dock_of, qtbot):
    inspect = open_dock("Inspect")
    inspect.source.choose(SourceKind.DATASET)
    inspect.source.volumes.use_run(run)
    inspect.source.volumes.volume.value = inspect.source.volumes.volume.choices[1]
    dock = open_dock("Train")
    dock.open_run(run)
    dock.run_actions.inspect_button.native.click()
    assert inspect.source.volumes.volume.value is None
    assert inspect.source.volumes.model.value == run
    qtbot.waitUntil(lambda: inspect.session.errors is not None, timeout=60_000)
    assert inspect.session.origin.run == run
    qtbot.waitUntil(lambda: inspect.jobs.running("inspect") is None, timeout=20_000)


def test_a_run_whose_folder_is_gone_is_explained(folder, open_dock, dock_of):
    gone = make_run(folder, "gone")
    dock = open_dock("Train")
    dock.open_run(gone)
    shutil.rmtree(gone)
    dock.run_actions.inspect_button.native.click()
    assert dock_of("Inspect").message.kind == "error"


def test_predict_opens_objects_on_the_prediction_in_view(predicted, layers, viewer, open_dock, dock_of):
    objects = open_dock("Objects")
    objects.source.labels_layer.value = layers[1]
    viewer.layers["mine prediction"].name = "first try"
    other = viewer.add_image(np.zeros_like(layers[0].data), name="another image", scale=layers[0].scale)
    objects.source.image_layer.value = other
    predicted.results.proofread_button.native.click()
    assert dock_of("Objects") is objects
    labels = viewer.layers["first try"]
    assert (objects.source.labels_layer.value, objects.source.image_layer.value) == (labels, layers[0])
    assert objects.session.labels.name == "first try"
    assert np.shares_memory(objects.session.labels.array, labels.data)


def test_inspect_opens_objects_on_the_prediction_that_is_inspected(boxes, open_dock, dock_of, wait_for_end):
    image, truth, prediction = boxes
    inspect = open_dock("Inspect")
    inspect.correction.proofread_button.native.click()  # before any inspection, that which is chosen
    objects = dock_of("Objects")
    assert (objects.source.labels_layer.value, objects.source.image_layer.value) == (prediction, image)
    wait_for_end(inspect, inspect.inspect)
    objects.source.labels_layer.value = inspect.layers.difference
    inspect.prediction_layer.value = truth  # chosen for the next inspection
    inspect.correction.proofread_button.native.click()
    assert (objects.source.labels_layer.value, objects.source.image_layer.value) == (prediction, image)


def test_objects_of_a_prediction_that_was_removed_are_not_opened(boxes, viewer, open_dock, wait_for_end):
    inspect = open_dock("Inspect")
    wait_for_end(inspect, inspect.inspect)
    viewer.layers.remove(boxes[2])
    inspect.correction.proofread_button.native.click()
    assert "'v prediction' was removed" in inspect.correction.message.text()
    assert "Objects (napari-unet3d)" not in viewer.window.dock_widgets
