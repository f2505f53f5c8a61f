from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.configs import PostProcessing, Task, TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample, create_dataset
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.evaluation.metrics.instances import match_instances
from napari_unet3d.inference.events import Prediction, PredictionWritten
from napari_unet3d.inference.postprocess import postprocess
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.session.comparison import compare, decode
from napari_unet3d.widgets.predict.request import Target

VOXEL_SIZE = (2.0, 1.0, 0.5)
PLACE = {"scale": VOXEL_SIZE, "translate": (5.0, -3.0, 7.0), "units": ("um", "um", "um")}
STRIDES = ((2, 2, 2),)
CLASSES = (LabelClass(value=1, name="core"), LabelClass(value=2, name="<shell>"))


def volume(name, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.zeros((12, 14, 18), np.uint16)
    labels[3:8, 4:9, 5:10], labels[3:8, 4:9, 10:15], labels[9:11, 10:13, 2:6] = 1, 2, 2
    image = (labels > 0) * 120 + rng.integers(0, 50, labels.shape)
    return Sample(name, image.astype(np.uint8), labels, VOXEL_SIZE)


@pytest.fixture(scope="module", params=[Task.INSTANCE, Task.SEMANTIC])
def run_folder(request, tmp_path_factory):
    """A run of two epochs, made once for each task."""
    from napari_unet3d.training.loop import train

    folder = tmp_path_factory.mktemp("run") / "first"
    config = TrainingConfig(epochs=2, val_fraction=0.5, device="cpu", task=request.param)
    list(train([volume("a"), volume("b", 1)], folder, config))
    return folder


@pytest.fixture
def dock(open_dock):
    return open_dock("Predict")


@pytest.fixture
def image(viewer):
    return viewer.add_image(volume("mine").image, name="mine", **PLACE)


def two_hills(name="mine", plan=None):
    """A prediction of two touching boxes of 4 × 4 × 4 voxels, and a speck; the valley between them is 0.6 deep."""
    probability, maps = np.zeros((12, 14, 18), np.float32), np.zeros((2, 12, 14, 18), np.float16)
    probability[2:6, 3:7, 1:9] = 0.9
    probability[10, 12, 15:17] = 0.7
    maps[1][probability > 0] = 0.6
    maps[1, 2:6, 3:7, 2:4] = maps[1, 2:6, 3:7, 6:8] = 1
    maps[0, 2:6, 3:7, 4:6] = 0.8
    plan = plan or Plan(task=Task.INSTANCE, strides=STRIDES)
    labels = postprocess(probability, maps, Geometry(VOXEL_SIZE), plan, PostProcessing())
    return Prediction(name, labels, probability, Geometry(VOXEL_SIZE), plan, maps)


def show(dock, prediction, image, truth=None):
    painted = None if truth is None else truth.data
    dock.results.show_layer(compare(prediction, decode(painted, prediction)), image, truth)


def settle(dock, qtbot, change):
    with qtbot.wait_signal(dock.live.relabelled):
        change()


def test_every_setting_of_labels_is_live(dock, viewer, image, qtbot):
    prediction = two_hills()
    show(dock, prediction, image)
    layer, boxes = viewer.layers["mine prediction"], dock.label_settings.editors
    assert boxes.keys() == PostProcessing.model_fields.keys()
    assert layer.data.max() == 3
    assert dock.results.legend.value == "3 objects"
    steps = [("seed_prominence", 0.9, 2), ("seed_prominence", 0.2, 3), ("min_volume", 3.0, 2)]
    steps += [("min_volume", 0.0, 3), ("seed_confidence", 0.7, 2), ("seed_confidence", 0.4, 3)]
    steps += [("threshold", 0.8, 2), ("threshold", 0.95, 0)]
    for name, value, n_objects in steps:
        settle(dock, qtbot, lambda name=name, value=value: boxes[name].native.setValue(value))
        assert viewer.layers["mine prediction"] is layer, "updated in place"
        assert layer.data.max() == n_objects, (name, value)
        assert dock.results.legend.value == f"{n_objects} objects"
        np.testing.assert_allclose(layer.extent.world, image.extent.world)
    settle(dock, qtbot, dock.label_settings.reset_button.native.click)
    np.testing.assert_array_equal(layer.data, prediction.labels)
    settle(dock, qtbot, lambda: boxes["boundary_weight"].native.setValue(0.05))
    expected = dock.label_settings.value
    np.testing.assert_array_equal(
        layer.data,
        postprocess(prediction.probability, prediction.maps, Geometry(VOXEL_SIZE), prediction.plan, expected),
    )
    assert dock.jobs.latest("predict") is None, "nothing was predicted"


def test_the_newest_settings_win_and_scores_follow(dock, viewer, image, qtbot):
    prediction = two_hills()
    painted = viewer.add_labels(np.where(prediction.labels == 3, 0, prediction.labels), name="mine labels", **PLACE)
    show(dock, prediction, image, painted)
    started = []
    dock.jobs.started.connect(lambda job: started.append(job.kind))
    table = dock.results.table

    def drag():
        for depth in np.linspace(0.2, 0.95, 40):
            dock.label_settings.editors["seed_prominence"].native.setValue(float(depth))

    settle(dock, qtbot, drag)
    assert 1 <= started.count("labels") <= 2, "of many changes the newest is computed after the running one"
    assert viewer.layers["mine prediction"].data.max() == 2
    headings = [table.horizontalHeaderItem(column).text() for column in range(table.columnCount())]
    assert "F1" in headings, "the columns stay while objects are measured"
    qtbot.waitUntil(lambda: table.item(0, headings.index("F1")).text() != "–")
    f1 = match_instances(viewer.layers["mine prediction"].data, painted.data).f1
    assert table.item(0, headings.index("F1")).text() == f"{f1:.3f}"
    settle(dock, qtbot, lambda: dock.label_settings.editors["min_volume"].native.setValue(3))
    assert not viewer.layers["mine difference"].data.any(), "the speck was all that was extra"
    assert not painted.visible, "what is in view stays in view"


def test_the_settings_of_objects_are_there_while_the_task_is_unknown_or_objects(dock, image, qtbot):
    section = dock.label_settings.section("Single objects")
    assert section.heading.native.isVisibleTo(dock.native), "nobody knows yet"
    dock.results.show_layer(compare(two_hills(), None), image, None)
    assert section.heading.native.isVisibleTo(dock.native)
    dock.model.value = "a model of an unknown task"
    assert section.heading.native.isVisibleTo(dock.native)


def test_classes_tell_their_names_under_the_pointer_and_in_the_legend(dock, viewer, image):
    plan = Plan(task=Task.SEMANTIC, strides=STRIDES, classes=CLASSES)
    show(dock, two_hills(plan=plan), image)
    layer = viewer.layers["mine prediction"]
    z, y, x = np.argwhere(layer.data == 2)[0]
    status = layer.get_status(layer.data_to_world((z, y, x)), world=True)
    assert "<shell>" in status["value"] or "<shell>" in str(status)
    for each in CLASSES:
        red, green, blue, _ = (round(255 * part) for part in layer.get_color(each.value))
        assert f"#{red:02x}{green:02x}{blue:02x}" in dock.results.legend.value
    assert "&lt;shell&gt;" in dock.results.legend.value


def predicted_again(dock, layer, name="mine"):
    """Make the labels of the outcome in view by hand, with the settings in the dock."""
    prediction = dock.live.shown.comparison.prediction
    assert prediction.name == name
    return postprocess(
        prediction.probability, prediction.maps, prediction.geometry, prediction.plan, dock.label_settings.value
    )


def test_a_layer_end_to_end(run_folder, dock, viewer, image, wait_for_end, qtbot):
    viewer.add_labels(volume("mine").labels, name="mine labels", **PLACE)
    dock.reset_choices()
    dock.model.value = run_folder
    job = wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert job.message is None
    layer = viewer.layers["mine prediction"]
    before = layer.data.copy()
    section = dock.label_settings.section("Single objects")
    is_objects = dock.live.shown.comparison.prediction.task is Task.INSTANCE
    assert section.is_offered == section.is_expanded == is_objects

    def change():
        dock.label_settings.editors["threshold"].native.setValue(0.41)
        dock.label_settings.editors["seed_confidence"].native.setValue(0)

    settle(dock, qtbot, change)
    np.testing.assert_array_equal(layer.data, predicted_again(dock, layer))
    assert not np.array_equal(layer.data, before)
    assert dock.jobs.latest("predict") is job, "nothing was predicted again"
    dock.model.value = run_folder / "another"
    assert section.heading.native.isVisibleTo(dock.native), "a model that was not used yet may know objects"


def test_files_follow_the_settings_when_they_are_shown(run_folder, dock, viewer, wait_for_end, qtbot, tmp_path):
    files = [tmp_path / "in" / f"vol{number}.nii.gz" for number in (1, 2)]
    for number, path in enumerate(files):
        write_volume(path, volume("x", number).image, VOXEL_SIZE)
    dock.model.value = run_folder
    dock.target.kind.button(Target.FILES).click()
    dock.out.value = tmp_path / "out"
    dock.target.files.add(files)
    job = wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert job.message is None
    dock.label_settings.editors["threshold"].native.setValue(0.41)
    settle(dock, qtbot, lambda: dock.results.table.cellDoubleClicked.emit(1, 0))
    layer = viewer.layers["vol2 prediction"]
    np.testing.assert_array_equal(layer.data, predicted_again(dock, layer, "vol2"))
    assert not np.array_equal(layer.data, read_volume(tmp_path / "out" / "vol2_labels.nii.gz").array)
    assert "keep the labels of the prediction" in dock.message.text()


def test_a_test_set_follows_the_settings(run_folder, dock, viewer, wait_for_end, qtbot, tmp_path):
    dataset = create_dataset(tmp_path / "dataset")
    for number, name in enumerate(("one", "two")):
        add_sample(dataset, volume(name, number), Subset.TEST)
    dock.model.value = run_folder
    dock.target.kind.button(Target.TEST_SET).click()
    dock.dataset.value = dataset
    job = wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert job.message is None
    first = dock.live.shown.comparison.prediction.name
    settle(dock, qtbot, lambda: dock.label_settings.editors["threshold"].native.setValue(0.41))
    assert "other volumes" in dock.message.text()
    other = {"one": "two", "two": "one"}[first]
    row = dock.results.table.names.index(other)
    settle(dock, qtbot, lambda: dock.results.table.cellDoubleClicked.emit(row, 0))
    layer = viewer.layers[f"{other} prediction"]
    np.testing.assert_array_equal(layer.data, predicted_again(dock, layer, other))


def test_a_file_that_was_not_kept_shows_the_labels_of_its_results(dock, viewer, monkeypatch, qtbot, tmp_path):
    monkeypatch.setattr("napari_unet3d.widgets.predict.results_panel._MAX_KEPT_BYTES", 10)
    prediction = two_hills("vol")
    write_volume(tmp_path / "vol.tif", volume("vol").image, VOXEL_SIZE)
    write_volume(tmp_path / "vol_labels.tif", prediction.labels, VOXEL_SIZE)
    dock.results.add_file(PredictionWritten(prediction, (tmp_path / "vol_labels.tif",), 1, 1), tmp_path / "vol.tif")
    dock.results.show_button.native.click()
    qtbot.waitUntil(lambda: "vol prediction" in viewer.layers, timeout=20_000)
    np.testing.assert_array_equal(viewer.layers["vol prediction"].data, prediction.labels)
    assert "was not kept" in dock.message.text()
    dock.label_settings.editors["threshold"].native.setValue(0.95)
    assert dock.jobs.latest("labels") is None
    assert not dock.suggest_button.enabled


def test_cancel_ends_within_the_tiles(dock, viewer, run_folder, image, qtbot):
    big = np.tile(volume("big").image, (6, 5, 4))
    viewer.add_image(big, name="big", scale=VOXEL_SIZE, units=("um",) * 3)
    dock.reset_choices()
    dock.image_layer.value = viewer.layers["big"]
    dock.model.value = run_folder
    dock.settings.editors["overlap"].native.setValue(0.9)
    dock.settings.editors["tta"].value = True
    dock.job_bar.start_button.native.click()
    job = dock.jobs.latest("predict")
    with qtbot.wait_signal(job.progressed, timeout=60_000):
        pass
    assert 0 < job.progress.fraction < 1
    with qtbot.wait_signal(job.ended, timeout=60_000):
        dock.job_bar.stop_button.native.click()
    assert job.progress.fraction < 1
    assert dock.message.text() == "Cancelled."
    assert "big prediction" not in viewer.layers
