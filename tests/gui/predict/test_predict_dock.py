from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from qtpy.QtWidgets import QMessageBox

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample, create_dataset
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.evaluation.metrics.score import score
from napari_unet3d.session.recent_runs import remember_run
from napari_unet3d.widgets.predict.dock import PredictDock
from napari_unet3d.widgets.predict.request import Target

VOXEL_SIZE = (2.0, 1.0, 0.5)


def volume(name, seed=0):
    """Bright boxes on a dark ground, which a network of random weights predicts in some way or other."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((12, 14, 18), np.uint16)
    labels[3:8, 4:9, 5:12] = 1
    labels[9:11, 10:13, 2:6] = 2
    image = (labels > 0) * 120 + rng.integers(0, 50, labels.shape)
    return Sample(name, image.astype(np.uint8), labels, VOXEL_SIZE)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run of three epochs, made once for all tests of this file."""
    from napari_unet3d.training.loop import train

    folder = tmp_path_factory.mktemp("run") / "first"
    list(train([volume("a"), volume("b", 1)], folder, TrainingConfig(epochs=3, val_fraction=0.5, device="cpu")))
    return folder


@pytest.fixture
def dock(run_folder, open_dock):
    remember_run(run_folder)
    return open_dock("Predict")


@pytest.fixture
def layers(viewer):
    sample = volume("mine", 2)
    place = {"scale": VOXEL_SIZE, "translate": (5, -3, 7), "units": "um"}
    return viewer.add_image(sample.image, name="mine", **place), viewer.add_labels(
        sample.labels, name="mine labels", **place
    )


def test_another_image_does_not_keep_the_ground_truth_of_the_one_before(dock, layers, viewer):
    dock.image_layer.value = layers[0]
    dock.truth_layer.value = viewer.add_labels(layers[1].data, name="painted")
    other = viewer.add_image(layers[0].data, name="other")
    assert dock.truth_layer.value.name == "painted"
    dock.image_layer.value = other
    assert dock.truth_layer.value is None
    dock.image_layer.value = layers[0]
    assert dock.truth_layer.value is layers[1], "which is found by its name"


def on(value):
    return np.asarray(value) > 0


def test_neither_docks_nor_plugin_import_torch():
    code = (
        "import sys, napari_unet3d.widgets.train.dock, napari_unet3d.widgets.predict.dock; "
        "print(sorted({'torch', 'monai'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_latest_run_and_the_matching_labels_are_chosen(run_folder, layers, dock):
    assert dock.model.value == run_folder
    assert dock.image_layer.value is layers[0]
    assert dock.truth_layer.value is layers[1]


def test_the_difference_of_a_layer_lies_in_its_place(dock, viewer, layers, wait_for_end):
    image, truth = layers
    dock.reset_choices()
    job = wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert job.message is None
    for name in ("prediction", "probability", "difference"):
        layer = viewer.layers[f"mine {name}"]
        np.testing.assert_allclose(layer.extent.world, image.extent.world)
        assert layer.units == image.units
    predicted, difference = viewer.layers["mine prediction"], viewer.layers["mine difference"]
    np.testing.assert_array_equal(difference.data == 1, on(predicted.data) & ~on(truth.data))
    np.testing.assert_array_equal(difference.data == 2, ~on(predicted.data) & on(truth.data))
    visible = {layer.name for layer in viewer.layers if layer.visible}
    assert visible == {"mine", "mine difference"}
    assert viewer.layers[-1] is difference
    both = 2 * (on(predicted.data) & on(truth.data)).sum() / (on(predicted.data).sum() + on(truth.data).sum())
    assert dock.results.table.item(0, 1).text() == f"{both:.3f}"
    assert dock.results.legend.native.isVisibleTo(dock.native)
    assert "missed voxels" in dock.results.legend.value


def test_a_second_prediction_updates_the_layers(dock, viewer, layers, wait_for_end):
    dock.reset_choices()
    for _ in range(2):
        wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert len(viewer.layers) == 5
    assert dock.results.table.rowCount() == 1


def test_without_truth_the_prediction_is_seen(dock, viewer, layers, wait_for_end):
    dock.reset_choices()
    dock.truth_layer.value = None
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert viewer.layers["mine prediction"].visible
    assert "mine difference" not in viewer.layers
    share = on(viewer.layers["mine prediction"].data).mean()
    assert dock.results.legend.value == f"Foreground: {share:.1%} of the volume"


def test_another_threshold_redraws_without_the_model(dock, viewer, layers, wait_for_end, qtbot):
    dock.reset_choices()
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    job = dock.jobs.latest("predict")
    probability = viewer.layers["mine probability"].data
    threshold = round(float(np.median(probability)), 2)
    dock.label_settings.editors["threshold"].native.setValue(threshold)
    expected = probability >= threshold
    qtbot.waitUntil(lambda: np.array_equal(on(viewer.layers["mine prediction"].data), expected))
    np.testing.assert_array_equal(on(viewer.layers["mine difference"].data), expected != on(layers[1].data))
    assert dock.jobs.latest("predict") is job, "nothing was predicted again"
    precision = (expected & on(layers[1].data)).sum() / expected.sum()
    table = dock.results.table
    assert table.item(0, 2).text() == f"{precision:.3f}"
    qtbot.waitUntil(lambda: table.item(0, 5).text() != "–")  # surfaces are measured in a thread
    scores = score(expected, GroundTruth((layers[1].data > 0).astype(np.uint8)), "mine", Geometry(VOXEL_SIZE))
    assert [table.item(0, column).text() for column in (2, 5)] == [f"{precision:.3f}", f"{scores.nsd:.3f}"]
    assert dock.message.kind == "info"


def test_the_uncertainty_lies_in_the_place_of_its_image_and_waits_to_be_shown(dock, viewer, layers, wait_for_end):
    dock.reset_choices()
    dock.settings.editors["uncertainty"].value = True
    fractions = []
    job = wait_for_end(
        dock,
        lambda: (
            dock.job_bar.start_button.native.click(),
            dock.jobs.latest("predict").progressed.connect(lambda progress: fractions.append(progress.fraction)),
        ),
        60_000,
    )
    assert job.message is None
    assert fractions == [number / 8 for number in range(1, 9)], "one for each mirror image"
    layer, probability = viewer.layers["mine uncertainty"], viewer.layers["mine probability"].data
    np.testing.assert_allclose(layer.extent.world, layers[0].extent.world)
    assert not layer.visible
    assert layer.colormap.name == "inferno"
    np.testing.assert_array_equal(layer.data.argmax(), abs(probability - 0.5).argmin())


def test_results_are_written_when_asked_for(dock, layers, wait_for_end, tmp_path):
    dock.reset_choices()
    dock.target.write_results.native.click()
    dock.out.value = tmp_path / "out"
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    written = read_volume(tmp_path / "out" / "mine_labels.ome.zarr")  # TIFF would lose where the layer is
    np.testing.assert_allclose(written.voxel_size_um, VOXEL_SIZE)
    assert written.geometry.origin == tuple(layers[0].translate[::-1])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "mine_labels.ome.zarr",
        "mine_probability.ome.zarr",
        "mine_difference.ome.zarr",
    }
    assert str(tmp_path / "out") in dock.message.text().replace("\u200b", "")


def test_files_are_predicted_into_a_folder_and_opened(dock, viewer, wait_for_end, qtbot, tmp_path):
    for number in (1, 2):
        write_volume(tmp_path / "in" / f"vol{number}.nii.gz", volume("x", number).image, VOXEL_SIZE)
    dock.target.kind.button(Target.FILES).click()
    dock.out.value = tmp_path / "out"
    dock.target.files.add([tmp_path / "in" / "vol1.nii.gz", tmp_path / "in" / "vol2.nii.gz"])
    job = wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert job.message is None
    assert (tmp_path / "out" / "vol1_labels.nii.gz").is_file()
    assert dock.message.text().startswith("2 of 2 predictions")
    dock.results.table.cellDoubleClicked.emit(1, 0)
    qtbot.waitUntil(lambda: "vol2 prediction" in viewer.layers, timeout=20_000)
    np.testing.assert_allclose(viewer.layers["vol2 prediction"].scale, VOXEL_SIZE, rtol=1e-6)


def test_a_file_that_does_not_fit_into_memory_is_predicted_block_by_block(dock, wait_for_end, monkeypatch, tmp_path):
    monkeypatch.setattr("napari_unet3d.data.volume_parts._FRACTION_OF_MEMORY", 0.0)
    write_volume(tmp_path / "in" / "large.tif", volume("x").image, VOXEL_SIZE)
    dock.target.kind.button(Target.FILES).click()
    dock.out.value = tmp_path / "out"
    dock.target.files.add([tmp_path / "in" / "large.tif"])
    job = wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert job.message is None
    labels = tmp_path / "out" / "large_labels.ome.zarr"
    assert labels.is_dir()
    assert dock.message.text().startswith("1 of 1 predictions")
    assert "'large'" in dock.message.text()
    assert "MiB at a time" in dock.message.text()
    dock.results.table.cellDoubleClicked.emit(0, 0)
    assert "does not fit into memory" in dock.message.text()


@pytest.fixture
def answer(monkeypatch):
    """Answer the question before something is replaced; returns what was asked."""

    def with_button(button):
        asked = []
        monkeypatch.setattr(QMessageBox, "question", lambda *args: (asked.append(args[2]), button)[1])
        return asked

    return with_button


def results_of(dock, target, tmp_path):
    """Choose a target whose results exist already; return a file of the results."""
    dock.reset_choices()
    dock.out.value = tmp_path / "out"
    dock.target.kind.button(target).click()
    if target is Target.FILES:
        write_volume(tmp_path / "in" / "vol.tif", volume("x").image, VOXEL_SIZE)
        dock.target.files.add([tmp_path / "in" / "vol.tif"])
        return tmp_path / "out" / "vol_labels.tif"
    dock.target.write_results.native.click()
    if target is Target.LAYER:
        return tmp_path / "out" / "mine_labels.tif"
    add_sample(tmp_path / "dataset", volume("good", 5), Subset.TEST)
    dock.dataset.value = tmp_path / "dataset"
    return tmp_path / "out" / "predictions" / "good_labels.tif"


@pytest.mark.parametrize("target", list(Target))
def test_results_are_replaced_after_a_question_only(dock, viewer, wait_for_end, answer, tmp_path, target):
    sample = volume("mine", 2)
    viewer.add_image(sample.image, name="mine", scale=VOXEL_SIZE, units="um")
    viewer.add_labels(sample.labels, name="mine labels", scale=VOXEL_SIZE, units="um")
    asked = answer(QMessageBox.StandardButton.Cancel)
    file = results_of(dock, target, tmp_path)
    assert wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000).message is None
    assert asked == []
    before = file.read_bytes()
    file.write_bytes(b"corrected by hand")
    job = dock.jobs.latest("predict")
    dock.job_bar.start_button.native.click()
    assert dock.jobs.latest("predict") is job, "nothing was started"
    assert file.read_bytes() == b"corrected by hand"
    assert "Nothing was predicted" in dock.message.text()
    (question,) = asked
    assert "Replace" in question
    assert str(tmp_path / "out") in question
    assert len(answer(QMessageBox.StandardButton.Ok)) == 0
    assert wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000).message is None
    assert file.read_bytes() == before


def test_a_bad_file_does_not_prevent_the_others(dock, viewer, wait_for_end, qtbot, tmp_path):
    for number in (1, 3):
        write_volume(tmp_path / f"vol{number}.tif", volume("x", number).image, VOXEL_SIZE)
    (tmp_path / "vol2.tif").write_bytes(b"II*\0 cut off")
    dock.target.kind.button(Target.FILES).click()
    dock.out.value = tmp_path / "out"
    dock.target.files.add([tmp_path / f"vol{number}.tif" for number in (1, 2, 3)])
    job = wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert job.message is not None
    assert "1 of 3 volumes could not be predicted." in job.message
    assert "vol2.tif" in dock.message.text()
    assert dock.results.table.names == ["vol1", "vol3"]
    dock.results.table.cellDoubleClicked.emit(1, 0)
    qtbot.waitUntil(lambda: "vol3 prediction" in viewer.layers, timeout=20_000)


def test_a_test_set_shows_its_worst_volume_and_any_other_on_double_click(dock, viewer, wait_for_end, tmp_path):
    dataset = create_dataset(tmp_path / "dataset")
    good, bad = volume("good", 5), volume("bad", 6)
    add_sample(dataset, good, Subset.TEST)
    add_sample(dataset, Sample("bad", bad.image, np.where(bad.labels, 0, 1).astype(np.uint8), VOXEL_SIZE), Subset.TEST)
    dock.target.kind.button(Target.TEST_SET).click()
    dock.dataset.value = dataset
    dock.target.write_results.native.click()
    dock.out.value = tmp_path / "out"
    job = wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert job.message is None
    numbers = json.loads((tmp_path / "out" / "metrics.json").read_text())
    worst = min(numbers["volumes"], key=lambda row: row["dice"])["name"]
    other = {"good": "bad", "bad": "good"}[worst]
    table = dock.results.table
    assert [table.item(row, 0).text() for row in range(3)] == ["bad", "good", "mean"]
    assert table.item(2, 1).text() == f"{numbers['mean']['dice']:.3f}"
    assert f"{worst} difference" in viewer.layers
    assert f"{other} difference" not in viewer.layers, "only one volume at a time comes into the viewer"
    table.selectRow(table.names.index(other))
    dock.results.show_button.native.click()
    assert {layer.name for layer in viewer.layers if layer.visible} == {other, f"{other} difference"}


def test_a_refusal_goes_when_a_model_is_chosen(open_dock, viewer, tmp_path):
    viewer.add_image(np.zeros((4, 5, 6)), name="v")
    dock = open_dock("Predict")
    dock.predict()
    assert "No model is chosen" in dock.message.text()
    dock.model.value = tmp_path / "run"
    assert dock.message.text() == "", "that no longer holds"


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda dock, path: setattr(dock.model, "value", path / "nothing"), "does not exist"),
        (lambda dock, path: setattr(dock.model, "value", path / "text.safetensors"), "model"),
        (lambda dock, path: dock.model.line.clear(), "no model is chosen"),
        (lambda dock, path: dock.target.kind.button(Target.FILES).click(), "folder for the results"),
        (lambda dock, path: dock.target.kind.button(Target.TEST_SET).click(), "folder of a dataset"),
        (lambda dock, path: setattr(dock.image_layer, "value", dock.viewer.layers["flat"]), "2 dimensions"),
        (lambda dock, path: setattr(dock.truth_layer, "value", dock.viewer.layers["small"]), "shape"),
        (lambda dock, path: setattr(dock.settings.editors["device"], "value", "cuda"), "the device is cuda"),
    ],
    ids=["no file", "no model file", "no model", "no files", "no dataset", "2D", "wrong truth", "no GPU"],
)
def test_what_is_wrong_is_said_in_the_dock(dock, viewer, layers, qtbot, tmp_path, prepare, words):
    import torch

    if "cuda" in words and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    (tmp_path / "text.safetensors").write_text("This is no model, but a text that is long enough to be read as one.")
    viewer.add_image(np.zeros((8, 9), np.uint8), name="flat")
    viewer.add_labels(np.zeros((4, 5, 6), np.uint8), name="small")
    dock.reset_choices()
    prepare(dock, tmp_path)
    dock.job_bar.start_button.native.click()
    qtbot.waitUntil(lambda: dock.message.kind == "error" and dock.jobs.running("predict") is None, timeout=60_000)
    assert words in dock.message.text().replace("\u200b", "").lower()
    assert "traceback" not in dock.message.text().lower()
    assert dock.job_bar.start_button.native.isVisibleTo(dock.native)


def test_a_layer_that_left_the_viewer_meanwhile_loses_nothing(dock, viewer, layers, wait_for_end):
    dock.reset_choices()

    def start_and_remove():
        dock.job_bar.start_button.native.click()
        viewer.layers.remove("mine")
        viewer.layers.remove("mine labels")

    wait_for_end(dock, start_and_remove, 60_000)
    assert tuple(viewer.layers["mine difference"].scale) == VOXEL_SIZE


def test_a_dock_opened_after_the_end_shows_the_result(dock, viewer, layers, wait_for_end):
    dock.reset_choices()
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    again = PredictDock(viewer)
    viewer.window.add_dock_widget(again, name="again")
    assert again.results.table.item(0, 1).text() == dock.results.table.item(0, 1).text()
    assert len(viewer.layers) == 5


def test_a_volume_too_big_to_keep_is_explained(dock, monkeypatch, wait_for_end, tmp_path):
    monkeypatch.setattr("napari_unet3d.widgets.predict.results_panel._MAX_KEPT_BYTES", 10)
    dataset = create_dataset(tmp_path / "dataset")
    add_sample(dataset, volume("big", 5), Subset.TEST)
    dock.target.kind.button(Target.TEST_SET).click()
    dock.dataset.value = dataset
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert dock.results.table.item(0, 0).text() == "big"
    dock.results.show_selected()
    assert dock.message.kind == "error"
    assert "was not kept" in dock.message.text()


def test_a_second_round_replaces_the_layers_of_the_first_and_shows_one_volume(
    dock, viewer, layers, wait_for_end, tmp_path
):
    dataset = create_dataset(tmp_path / "dataset")
    add_sample(dataset, volume("other", 5), Subset.TEST)
    dock.dataset.value = dataset
    of_each = {}
    for name, target in [("mine", Target.LAYER), ("other", Target.TEST_SET)] * 2:
        dock.target.kind.value = target
        wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
        names = [layer.name for layer in viewer.layers]
        parts = [f"{name}{part}" for part in ("", " labels", " probability", " prediction", " difference")]
        assert names[-5:] == parts, "the volume that was predicted last lies on top, its image below its results"
        assert {layer.name for layer in viewer.layers if layer.visible} >= {name, f"{name} difference"}
        assert not viewer.layers[f"{name} prediction"].visible
        assert of_each.setdefault(name, list(viewer.layers[-5:])) == list(viewer.layers[-5:]), "in place"
    assert len(viewer.layers) == 10
    dock.target.kind.value = Target.LAYER
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert {layer.name for layer in viewer.layers if layer.visible} == {"mine", "mine difference"}
