"""A layer (t, z, y, x) is trained on, predicted, inspected and corrected in the docks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet3d.configs import FourthAxis, TrainingConfig
from napari_unet3d.data.dataset import create_dataset, read_samples
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.reading import read_image
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.series_files import write_series
from napari_unet3d.data.split import split_samples
from napari_unet3d.training.loop import train
from napari_unet3d.widgets.predict import series_results

N_TIMES, SHAPE = 3, (10, 14, 18)
PLACE = {
    "scale": (30.0, 2.0, 1.0, 0.5),
    "translate": (0, 10.0, 20.0, 30.0),
    "units": ("s", "um", "um", "um"),
    "axis_labels": ("t", "z", "y", "x"),
}


def film(seed=0, n_times=N_TIMES):
    """A box that moves along x from time point to time point."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((n_times, *SHAPE), np.uint8)
    for time in range(n_times):
        labels[time, 3:8, 4:10, 2 + 2 * time : 9 + 2 * time] = 1
    return (labels * 120 + rng.integers(0, 50, labels.shape)).astype(np.uint8), labels


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "first"
    image, labels = film()
    samples = [Sample(f"v{time}", image[time], labels[time], (2.0, 1.0, 0.5)) for time in range(N_TIMES)]
    list(train(samples, folder, TrainingConfig(epochs=3, val_fraction=0.34, device="cpu")))
    return folder


@pytest.fixture
def series(viewer):
    image, labels = film(1)
    return viewer.add_image(image, name="cells", **PLACE), viewer.add_labels(labels, name="cells labels", **PLACE)


def finished(dock, qtbot):
    qtbot.waitUntil(lambda: dock.jobs.running(dock.kind) is None, timeout=60_000)


def click(button, qtbot):
    qtbot.mouseClick(button.native if hasattr(button, "native") else button, Qt.MouseButton.LeftButton)


def test_a_layer_of_time_points_is_trained_on_and_predicted(open_dock, qtbot, series, tmp_path, viewer):
    dock = open_dock("Train")
    dock.source.use_layers()
    dock.source.image_layer.value, dock.source.labels_layer.value = series
    dock.settings.value = TrainingConfig(preset="xxsmall", epochs=2, device="cpu", val_fraction=0, patch=8)
    dock.run_folder.value = tmp_path / "run"
    click(dock.job_bar.start_button, qtbot)
    finished(dock, qtbot)
    assert dock.run.started.train_names == ("cells t=0", "cells t=1", "cells t=2"), dock.message.text()

    predict = open_dock("Predict")
    predict.model.choose(tmp_path / "run")
    assert predict.image_layer.value is series[0]
    click(predict.job_bar.start_button, qtbot)
    finished(predict, qtbot)

    layer = viewer.layers["cells prediction"]
    assert layer.data.shape == (N_TIMES, *SHAPE), predict.message.text()
    for key in ("scale", "translate"):
        np.testing.assert_allclose(getattr(layer, key), PLACE[key])
    assert [str(unit) for unit in layer.units] == [str(unit) for unit in series[0].units]
    assert predict.message.text().startswith("3 of 3 time points are predicted.")


@pytest.fixture
def predicted(open_dock, qtbot, series, run_folder):
    dock = open_dock("Predict")
    dock.target.reset_choices()
    dock.model.choose(run_folder)
    dock.label_settings.threshold.value = 0.5
    click(dock.job_bar.start_button, qtbot)
    finished(dock, qtbot)
    assert "cells prediction" in dock.viewer.layers, dock.message.text()
    return dock


def test_the_prediction_follows_the_settings_at_the_time_point_in_view(predicted, qtbot, viewer):
    dock, labels = predicted, viewer.layers["cells prediction"]
    assert dock.results.table.names == [f"cells t={time}" for time in range(N_TIMES)]
    assert viewer.layers["cells difference"].data.shape == (N_TIMES, *SHAPE)
    viewer.dims.set_current_step(0, 1)
    assert dock.live.shown.name == "cells t=1"
    before = labels.data.copy()

    dock.label_settings.threshold.value = 0.0
    qtbot.waitUntil(lambda: not dock.live.is_busy, timeout=20_000)

    assert labels.data[1].all()
    np.testing.assert_array_equal(labels.data[[0, 2]], before[[0, 2]])
    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: bool(labels.data[2].all()), timeout=20_000)
    np.testing.assert_array_equal(labels.data[0], before[0])


def test_time_points_that_no_longer_follow_the_settings_are_said(open_dock, qtbot, series, run_folder, monkeypatch):
    monkeypatch.setattr(series_results, "_MOST_KEPT_BYTES", 1)  # as if the series were large
    dock = open_dock("Predict")
    dock.model.choose(run_folder)
    dock.predict()
    finished(dock, qtbot)
    assert "The labels of 2 time points no longer follow the settings" in dock.message.text()
    assert dock.message.kind == "warning"


def test_results_of_a_layer_are_written_as_one_file(open_dock, qtbot, series, run_folder, tmp_path):
    dock = open_dock("Predict")
    dock.target.reset_choices()
    dock.model.choose(run_folder)
    dock.target.write_results.value, dock.out.value = True, tmp_path / "out"
    click(dock.job_bar.start_button, qtbot)
    finished(dock, qtbot)

    (path,) = (path for path in (tmp_path / "out").iterdir() if "_labels" in path.name)
    found = read_image(path)
    assert (found.axes, found.array.shape) == ("tzyx", (N_TIMES, *SHAPE)), dock.message.text()
    assert found.voxel_size_um == (2.0, 1.0, 0.5)
    assert found.geometry.origin == (30.0, 20.0, 10.0)
    np.testing.assert_array_equal(found.array, dock.viewer.layers["cells prediction"].data)


def test_errors_of_a_time_point_are_inspected_corrected_and_added(open_dock, qtbot, predicted, viewer, tmp_path):
    labels = viewer.layers["cells prediction"]
    labels.data[1] = 0
    labels.data[1, 0:3, 0:4, 0:4] = 1
    labels.refresh()
    viewer.dims.set_current_step(0, 1)
    dock = open_dock("Inspect")
    dock.prediction_layer.value = labels
    dock.truth_layer.value, dock.image_layer.value = viewer.layers["cells labels"], viewer.layers["cells"]
    click(dock.job_bar.start_button, qtbot)
    qtbot.waitUntil(lambda: dock.session.errors is not None, timeout=60_000)
    finished(dock, qtbot)

    assert dock.session.origin.name == "cells t=1"
    assert sorted(error.kind.value for error in dock.session.errors) == ["extra", "missed"]
    difference = viewer.layers["cells t=1 difference"]
    np.testing.assert_allclose(difference.data_to_world((0, 0, 0)), series_corner(viewer))
    assert difference.visible
    viewer.dims.set_current_step(0, 0)
    assert not difference.visible
    dock.next_error()
    assert viewer.dims.current_step[0] == 1, "the slider of time follows"
    assert difference.visible

    dock.correction.accept_truth()
    sample = dock.session.corrections.training_sample(dock.session.settings.unedited_regions)
    assert sample.provenance.volume == "cells t=1"
    image, _ = film(1)
    np.testing.assert_array_equal(dock.session.corrections.image_sample().image, image[1])
    dock.fine_tuning.dataset.value = tmp_path / "dataset"
    dock.fine_tuning.add_to_dataset()
    qtbot.waitUntil(lambda: (tmp_path / "dataset" / "train" / "images").is_dir(), timeout=20_000)
    qtbot.waitUntil(lambda: dock.session.corrections.added is not None, timeout=20_000)
    (added,) = read_samples(tmp_path / "dataset")
    assert added.provenance.volume == "cells t=1"


def series_corner(viewer):
    return viewer.layers["cells"].data_to_world((0, 0, 0, 0))[1:]


def test_an_axis_without_a_name_is_what_the_user_says(open_dock, qtbot, viewer, run_folder):
    image, _ = film(1)
    viewer.add_image(image, name="film", scale=(1, 2.0, 1.0, 0.5))
    dock = open_dock("Predict")
    dock.target.reset_choices()
    dock.model.choose(run_folder)
    click(dock.job_bar.start_button, qtbot)
    finished(dock, qtbot)
    assert "'film' has 3 channels" in dock.message.text()

    dock.prediction_settings.fourth_axis.value = FourthAxis.TIME_POINTS
    click(dock.job_bar.start_button, qtbot)
    finished(dock, qtbot)

    assert viewer.layers["film prediction"].data.shape == (N_TIMES, *SHAPE), dock.message.text()


def test_a_file_of_several_channels_and_time_points_opens_and_is_predicted_by_channel(
    open_dock, qtbot, viewer, run_folder, tmp_path
):
    image, _ = film(1)
    write_series(tmp_path / "film.tif", image, Geometry((2.0, 1.0, 0.5)))
    (layer,) = viewer.open(tmp_path / "film.tif", plugin="napari-unet3d")
    assert layer.axis_labels[0] == "t"
    dock = open_dock("Predict")
    dock.target.reset_choices()
    dock.model.choose(run_folder)
    dock.target.kind.value = "files"
    dock.target.files.add([tmp_path / "film.tif"])
    click(dock.job_bar.start_button, qtbot)
    finished(dock, qtbot)
    assert dock.results.table.names == ["film"], dock.message.text()

    dock.results.show_selected()
    qtbot.waitUntil(lambda: "film prediction" in viewer.layers, timeout=20_000)
    assert viewer.layers["film prediction"].data.shape == (N_TIMES, *SHAPE)


def test_time_points_that_do_not_fit_are_named(open_dock, qtbot, viewer, run_folder):
    image, labels = film(1)
    viewer.add_image(image, name="cells", **PLACE)
    viewer.add_labels(labels[:2], name="cells labels", **PLACE)
    dock = open_dock("Train")
    dock.source.use_layers()
    click(dock.job_bar.start_button, qtbot)
    assert "'cells' has 3 time points and 'cells labels' has 2 time points" in dock.message.text()


def test_all_time_points_are_scored_and_the_next_one_follows_the_last_error(
    open_dock, qtbot, predicted, viewer, click_row
):
    labels, truth = viewer.layers["cells prediction"], viewer.layers["cells labels"]
    labels.data[:] = truth.data
    labels.data[2] = 0
    labels.refresh()
    viewer.dims.set_current_step(0, 0)
    dock = open_dock("Inspect")
    dock.prediction_layer.value, dock.truth_layer.value = labels, truth
    assert not dock.source.layers.score_all.native.isHidden()
    click(dock.job_bar.start_button, qtbot)
    qtbot.waitUntil(lambda: len(dock.scores.names) == N_TIMES, timeout=60_000)
    finished(dock, qtbot)
    assert {each.name: each.dice for each in dock.scores.volumes} == {"cells t=0": 1, "cells t=1": 1, "cells t=2": 0}
    assert len(dock.session.errors) == 0

    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_J)
    finished(dock, qtbot)
    qtbot.waitUntil(lambda: dock.session.origin.name == "cells t=1", timeout=20_000)
    assert viewer.dims.current_step[0] == 1

    click_row(dock.scores, dock.scores.names.index("cells t=2"))
    qtbot.waitUntil(lambda: dock.session.origin.name == "cells t=2", timeout=20_000)
    finished(dock, qtbot)
    assert viewer.dims.current_step[0] == 2
    assert len(dock.scores.names) == N_TIMES, "the other scores stay"
    dock.next_error()
    assert dock.session.selection is not None
    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_J)
    assert dock.message.text() == "All errors of this last time point were seen."


def test_a_dataset_lists_time_points_and_opens_and_adds_series(open_dock, qtbot, viewer, tmp_path):
    image, labels = film(1)
    folder = create_dataset(tmp_path / "dataset")
    for kind, array in (("images", image), ("labels", labels)):
        write_series(folder / "train" / kind / "cells.tif", array, Geometry((2.0, 1.0, 0.5)), 30.0)
    dock = open_dock("Dataset")
    dock.folder.value = folder
    (row,) = (dock.pairs.topLevelItem(index) for index in range(dock.pairs.topLevelItemCount()))
    assert row.text(0) == "cells · 3 time points"
    assert [row.child(index).text(0) for index in range(3)] == ["cells t=0", "cells t=1", "cells t=2"]

    dock.pairs.setCurrentItem(row.child(1))
    click(dock.open_button, qtbot)
    finished(dock, qtbot)
    np.testing.assert_array_equal(viewer.layers["cells t=1 (train)"].data, image[1])
    dock.pairs.setCurrentItem(row)
    click(dock.open_button, qtbot)
    finished(dock, qtbot)
    shown = viewer.layers["cells (train)"]
    np.testing.assert_array_equal(shown.data, image)
    assert (shown.axis_labels[0], shown.scale[0]) == ("t", 30)

    dock.folder.value = tmp_path / "other"
    dock.image_layer.value, dock.labels_layer.value = shown, viewer.layers["cells (train) labels"]
    click(dock.new_volume.train_button, qtbot)
    finished(dock, qtbot)
    samples = read_samples(tmp_path / "other")
    assert [sample.name for sample in samples] == ["cells t=0", "cells t=1", "cells t=2"]
    np.testing.assert_array_equal(samples[2].image, image[2])
    split = split_samples([*samples, replace(samples[0], name="b")], 0.5, 0, gap_zyx=(1, 1, 1))
    assert len({each.name[:5] for each in split.train} & {each.name[:5] for each in split.val}) == 0


@pytest.mark.parametrize("suffix", [".tif", ".nii.gz", ".npy", ".ome.zarr"])
def test_a_layer_of_time_points_is_saved_and_opened_with_its_place(viewer, tmp_path, suffix):
    image, _ = film(1)
    place = {**PLACE, "translate": (0, 0, 0, 0)} if suffix == ".tif" else PLACE
    layer = viewer.add_image(image, name="cells", **place)

    assert layer.save(str(tmp_path / f"a{suffix}"), plugin="napari-unet3d")
    (found,) = viewer.open(tmp_path / f"a{suffix}", plugin="napari-unet3d")

    np.testing.assert_array_equal(found.data, image)
    for index in ((0, 0, 0, 0), (2, 3, 4, 5)):
        np.testing.assert_allclose(found.data_to_world(index), layer.data_to_world(index), rtol=1e-6)
