"""Which layers are proofread: time points, files, classes, other data; and what stays when the dock is closed."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from qtpy.QtWidgets import QMessageBox

from napari_unet3d.configs import Task
from napari_unet3d.data.dataset import Subset, add_sample, create_dataset, list_pairs, read_pair
from napari_unet3d.data.sample import Sample
from napari_unet3d.model.plan import Plan
from napari_unet3d.session.annotation_classes import AnnotationClasses
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.viewer.annotation_layers import add_annotation
from napari_unet3d.widgets.viewer.layer_metadata import OWNED, mark_origin

PLACE = {"scale": (2.0, 1.0, 0.5), "units": ("um",) * 3}


@pytest.fixture
def labels():
    """Objects 1 and 2 side by side, and 5 elsewhere."""
    array = np.zeros((8, 16, 24), np.uint8)
    array[2:6, 2:8, 2:8], array[2:6, 2:8, 8:14], array[3:5, 10:14, 16:22] = 1, 2, 5
    return array


def measure(dock, wait_for_end):
    job = wait_for_end(dock, dock.job_bar.start_button.native.click)
    assert job.message is None, job.message
    return dock.session.table


def test_a_time_point_is_edited_and_measured_alone(viewer, labels, open_dock, wait_for_end):
    movie = np.stack([labels, np.roll(labels, 1, 1) * 2, labels])
    layer = viewer.add_labels(movie, name="movie", scale=(1, 2, 1, 0.5), units=("s", "um", "um", "um"))
    image = viewer.add_image(movie * 3.0, name="signal", scale=layer.scale, units=layer.units)
    viewer.dims.set_current_step(0, 1)
    dock = open_dock("Objects")
    assert dock.source.image_layer.value is image
    assert measure(dock, wait_for_end).numbers.tolist() == [2, 4, 10]
    assert dock.session.table.column("mean").tolist() == [6, 12, 30]
    before = movie.copy()
    dock.session.select([2, 4])
    dock.session.merge()
    np.testing.assert_array_equal(layer.data[1], np.where(before[1] == 4, 2, before[1]))
    np.testing.assert_array_equal(layer.data[[0, 2]], before[[0, 2]])
    dock.session.select([10], visit=True)
    assert viewer.dims.current_step[:2] == (1, dock.session.voxel_of(10)[0])
    viewer.dims.set_current_step(0, 2)
    assert dock.session.table is None
    assert dock.session.reviewed == set()
    dock.session.select([1])
    dock.session.delete()
    viewer.dims.set_current_step(0, 1)
    assert dock.session.reviewed == {2}
    layer.undo()
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    dock.session.mark_reviewed([2])
    dock.corrections.add_button.native.click()
    assert "several time points" in dock.corrections.message.text()


@pytest.mark.parametrize("most_indices", [2_000_000, 10])
def test_edits_of_any_size_are_undone_and_redone(viewer, labels, open_dock, monkeypatch, most_indices):
    """Large ones are kept for undo as boxes."""
    monkeypatch.setattr("napari_unet3d.widgets.objects.layer_labels._MOST_INDICES", most_indices)
    labels[2:6, 2:8, 2:14] = np.arange(12) % 2 + 1  # two combs in one box
    layer = viewer.add_labels(np.stack([labels, labels]), name="movie", scale=(1, 2, 1, 0.5))
    viewer.dims.set_current_step(0, 1)
    dock, states = open_dock("Objects"), [layer.data.copy()]
    dock.session.renumber()
    states.append(layer.data.copy())
    dock.session.select([3, 1])
    dock.session.merge()
    states.append(layer.data.copy())
    np.testing.assert_array_equal(states[2][1], np.where(labels == 5, 3, np.where(labels == 1, 3, labels)))
    dock.session.select([2, 3])
    dock.session.delete()
    states.append(layer.data.copy())
    assert not states[3][1].any()
    for button, order in ((dock.editing.undo_button, (2, 1, 0)), (dock.editing.redo_button, (1, 2, 3))):
        for state in order:
            button.native.click()
            np.testing.assert_array_equal(layer.data, states[state])


def test_a_label_that_is_picked_in_the_layer_is_selected(viewer, labels, open_dock, wait_for_end):
    layer = viewer.add_labels(labels, name="cells", **PLACE)
    dock = open_dock("Objects")
    measure(dock, wait_for_end)
    layer.selected_label = 5
    assert dock.session.selection == (5,)
    layer.selected_label = 6  # a new one, for painting
    assert dock.session.selection == (5,)


@pytest.fixture(params=["dask", "read-only", "file"])
def awkward(request, labels, tmp_path):
    match request.param:
        case "dask":
            return da.from_array(labels, chunks=4)
        case "read-only":
            frozen = labels.copy()
            frozen.flags.writeable = False
            return frozen
        case _:
            mapped = np.memmap(tmp_path / "labels.raw", np.uint8, "w+", shape=labels.shape)
            mapped[:] = labels
            return mapped


def test_what_lies_in_a_file_is_loaded_before_it_is_edited(viewer, awkward, labels, open_dock, qtbot):
    layer = viewer.add_labels(awkward, name="big", **PLACE)
    dock = open_dock("Objects")
    assert "Load into memory" in dock.message.text()
    assert dock.message.kind in ("error", "warning")
    if dock.session.labels is not None:
        dock.session.select([1])
        dock.editing.delete_button.native.click()
        assert "Load into memory" in dock.message.text()
    np.testing.assert_array_equal(np.asarray(layer.data), labels)
    dock.source.load_button.native.click()
    with qtbot.waitSignal(dock.jobs.latest("objects-load").ended, timeout=10_000):
        pass
    assert dock.message.text() == "'big' is in memory now and can be edited."
    assert not dock.source.load_button.visible
    dock.session.select([1])
    dock.editing.delete_button.native.click()
    np.testing.assert_array_equal(layer.data, np.where(labels == 1, 0, labels))
    np.testing.assert_array_equal(np.asarray(awkward), labels)


@pytest.mark.parametrize(
    ("add", "problem"),
    [
        (lambda viewer: viewer.add_labels(np.ones((5, 6), np.uint8), name="odd"), "has 2 dimensions"),
        (
            lambda viewer: viewer.add_labels([np.ones((8, 8, 8), int), np.ones((4, 4, 4), int)], name="odd"),
            "several resolutions",
        ),
    ],
)
def test_other_layers_are_refused_in_a_sentence(viewer, add, problem, open_dock):
    add(viewer)
    dock = open_dock("Objects")
    assert problem in dock.message.text()
    dock.job_bar.start_button.native.click()
    assert dock.message.text().startswith("No layer of objects is chosen.")


def test_classes_are_named_and_become_objects(viewer, labels, open_dock, wait_for_end):
    classes = (labels > 0).astype(np.uint8)
    layer = viewer.add_labels(classes, name="tissue", **PLACE)
    dock = open_dock("Objects")
    measure(dock, wait_for_end)
    assert dock.message.text().startswith("'tissue' holds what looks like one class, not single objects")
    dock.session.select([1])
    dock.editing.separate_button.native.click()
    np.testing.assert_array_equal(layer.data, np.where(labels == 5, 2, labels > 0))


def test_a_prediction_of_classes_says_so_at_once(viewer, labels, open_dock):
    layer = viewer.add_labels(labels, name="v prediction", **PLACE)
    mark_origin([layer], VolumeOrigin("v", plan=Plan(task=Task.SEMANTIC, strides=((1, 2, 2),))))
    dock = open_dock("Objects")
    assert dock.message.text().startswith("'v prediction' holds classes, not single objects")


def test_an_image_of_another_shape_is_refused(viewer, labels, open_dock):
    viewer.add_image(np.zeros((3, 4, 5)), name="other")
    viewer.add_labels(labels, name="cells", **PLACE)
    dock = open_dock("Objects")
    assert dock.source.image_layer.value is None
    dock.source.image_layer.value = viewer.layers["other"]
    dock.job_bar.start_button.native.click()
    assert "'other' has shape (3, 4, 5)" in dock.message.text()


def test_after_a_new_voxel_size_all_is_measured_again(viewer, labels, open_dock, wait_for_end, qtbot):
    layer = viewer.add_labels(labels, name="cells", **PLACE)
    dock = open_dock("Objects")
    assert measure(dock, wait_for_end).column("volume")[0] == 4 * 6 * 6
    layer.scale = (4.0, 1.0, 0.5)
    assert not dock.table.stale.native.isHidden()
    qtbot.waitUntil(dock.table.stale.native.isHidden, timeout=10_000)
    assert dock.session.table.column("volume")[0] == 2 * 4 * 6 * 6


def test_what_was_done_is_there_again_when_the_dock_is_opened_again(
    viewer, labels, open_dock, close_dock, wait_for_end, qtbot
):
    layer = viewer.add_labels(labels, name="cells", **PLACE)
    own = layer.colormap
    dock = open_dock("Objects")
    measure(dock, wait_for_end)
    dock.colours.column.value = "volume"
    dock.session.select([5])
    dock.session.mark_reviewed([1])
    dock.session.delete()
    dock.session.select([1])
    assert [each.name for each in viewer.layers] == ["cells", "cells selected"]
    close_dock(dock)
    assert [each.name for each in viewer.layers] == ["cells"]
    assert layer.colormap is own
    again = open_dock("Objects")
    assert again.session.reviewed == {1}
    assert not again.table.stale.native.isHidden() or again.session.table.numbers.tolist() == [1, 2]
    qtbot.waitUntil(lambda: again.session.table.numbers.tolist() == [1, 2], timeout=10_000)
    assert again.corrections.counts.value == "1 edit, and 1 object reviewed as they were"


def test_another_prediction_in_the_layer_starts_anew(viewer, labels, open_dock, wait_for_end):
    layer = viewer.add_labels(labels, name="cells", **PLACE)
    dock = open_dock("Objects")
    measure(dock, wait_for_end)
    dock.session.mark_reviewed([1])
    layer.data = labels.astype(np.uint16)  # the same labels as another type
    assert dock.session.reviewed == {1}
    assert dock.session.labels.array.dtype == np.uint16
    layer.data = labels[:, ::-1].copy()
    assert dock.session.reviewed == set()
    assert dock.session.table is None


def test_a_removed_layer_is_forgotten(viewer, labels, open_dock, wait_for_end):
    first = viewer.add_labels(labels, name="first", **PLACE)
    second = viewer.add_labels(labels * 2, name="second", **PLACE)
    dock = open_dock("Objects")
    assert dock.source.labels_layer.value is second
    measure(dock, wait_for_end)
    dock.session.select([2])
    viewer.layers.remove(second)
    assert dock.session.labels.name == "first"
    viewer.layers.remove(first)
    assert dock.session.labels is None
    assert dock.table.rows.rowCount() == 0
    assert not dock.editing.merge_button.enabled
    viewer.add_labels(labels, name="third", **PLACE)
    assert dock.session.labels.name == "third"


def test_features_of_others_stay(viewer, labels, open_dock, wait_for_end):
    features = {"index": [0, 1, 2, 5], "cell type": ["", "a", "b", "c"]}
    layer = viewer.add_labels(labels, name="cells", features=features, **PLACE)
    dock = open_dock("Objects")
    measure(dock, wait_for_end)
    assert layer.features.set_index("index").loc[[1, 2, 5], "cell type"].tolist() == ["a", "b", "c"]
    assert layer.features.set_index("index").loc[5, "volume"] == 2 * 4 * 6


def test_channels_are_measured_by_their_names(viewer, labels, open_dock, wait_for_end):
    channels = np.stack([labels * 2.5, labels * 3.5])  # no whole numbers: those would be taken for labels
    viewer.add_image(channels, channel_axis=0, name=["v DAPI", "v actin"], **PLACE)
    viewer.add_labels(labels, name="cells", **PLACE)
    dock = open_dock("Objects")
    dock.source.image_layer.value = viewer.layers["v DAPI"]
    dock.source.channels.choose([viewer.layers["v actin"]])
    table = measure(dock, wait_for_end)
    assert table.column("mean_dapi").tolist() == [2.5, 5, 12.5]
    assert table.column("max_actin").tolist() == [3.5, 7, 17.5]


@pytest.fixture
def tested(tmp_path, labels):
    """A dataset whose test volume is the one that is proofread."""
    image = np.random.default_rng(0).integers(0, 250, labels.shape).astype(np.uint8)
    folder = create_dataset(tmp_path / "dataset")
    add_sample(folder, Sample("v", image, labels, (2.0, 1.0, 0.5)), Subset.TEST)
    return folder, image


@pytest.mark.parametrize("answer", [QMessageBox.StandardButton.Ok, QMessageBox.StandardButton.Cancel])
def test_corrections_of_a_test_volume_are_asked_about_and_removed_again(
    viewer, labels, tested, open_dock, qtbot, monkeypatch, answer
):
    folder, image = tested
    viewer.add_image(image, name="v", **PLACE)
    viewer.add_labels(labels, name="v prediction", **PLACE)
    dock, asked = open_dock("Objects"), []
    panel, is_added = dock.corrections, answer is QMessageBox.StandardButton.Ok
    assert not panel.add_button.enabled
    dock.session.select([1, 2])
    dock.session.merge()
    monkeypatch.setattr(QMessageBox, "question", lambda *args: asked.append(args[2]) or answer)
    panel.dataset.value = folder
    panel.add_button.native.click()
    qtbot.waitUntil(lambda: bool(asked) and dock.jobs.running("objects-dataset") is None, timeout=10_000)
    assert "test volume 'v'" in asked[0]
    pairs = list_pairs(folder, Subset.TRAIN)
    assert len(pairs) == int(is_added)
    assert panel.remove_button.enabled == is_added
    if not is_added:
        return
    sample = read_pair(pairs[0])
    assert [record.kind for record in sample.provenance.corrections] == ["merged"]
    assert sample.provenance.subset == "test"
    assert sample.labels[sample.label_mask].max() == 5 or sample.labels.max() == 1
    assert panel.message.text().endswith("is a training volume of the dataset now, with 1 correction.")
    panel.remove_button.native.click()
    qtbot.waitUntil(lambda: dock.jobs.running("objects-dataset") is None, timeout=10_000)
    assert list_pairs(folder, Subset.TRAIN) == []


def test_the_prediction_is_chosen_and_not_what_was_painted_in_annotate(viewer, labels, open_dock, tmp_path):
    image = viewer.add_image(labels * 1.0, name="a", **PLACE)
    annotation = add_annotation(viewer, image, "a", labels % 3, AnnotationClasses(), tmp_path / "a.tif")
    dock = open_dock("Objects")
    assert dock.source.labels_layer.value is None
    prediction = viewer.add_labels(labels, name="a prediction", **PLACE)
    assert dock.source.labels_layer.value is prediction
    viewer.add_labels(labels, name="a difference", metadata={OWNED: True}, **PLACE)
    viewer.add_labels(labels, name="a live prediction", metadata={OWNED: True}, **PLACE)
    assert dock.source.labels_layer.value is prediction
    dock.source.labels_layer.value = annotation
    assert "'a annotation' holds painted classes, of which 1 is background" in dock.message.text()
    newest = viewer.add_labels(labels, name="b prediction", **PLACE)
    assert dock.source.labels_layer.value is annotation, "which somebody has chosen"
    viewer.layers.remove(annotation)
    assert dock.source.labels_layer.value is newest


def test_new_layers_do_not_replace_objects_that_are_measured(viewer, labels, open_dock, wait_for_end):
    first = viewer.add_labels(labels, name="first", **PLACE)
    dock = open_dock("Objects")
    measure(dock, wait_for_end)
    viewer.add_labels(labels, name="second", **PLACE)
    assert dock.source.labels_layer.value is first
    assert dock.session.table is not None
