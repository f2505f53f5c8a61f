"""Files are opened and saved by napari with their voxel size and place: by the menu, by drag and drop, by path."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image, Labels
from napari.settings import get_settings
from napari.utils.notifications import notification_manager
from npe2 import PluginManager
from PIL import Image as Picture
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QInputDialog

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.data.reading import read_image, read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.training.loop import train
from napari_unet3d.widgets.reader import get_reader
from napari_unet3d.widgets.viewer.channel_layers import names_of
from napari_unet3d.widgets.viewer.from_layers import geometry_of

ARRAY = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
SIZE = (2.0, 0.5, 0.25)
OURS = "napari-unet3d"


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.mark.filterwarnings("ignore:The voxel size")
@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".nii.gz", ".npy", ".ome.zarr", ".h5", ".nrrd", ".mha", ".mrc"])
def test_what_is_opened_and_saved_keeps_its_voxel_size(viewer, tmp_path, suffix):
    write_volume(tmp_path / f"cells{suffix}", ARRAY, SIZE)
    (layer,) = viewer.open(tmp_path / f"cells{suffix}", plugin=OURS)
    np.testing.assert_array_equal(layer.data, ARRAY)
    assert (layer.name, tuple(layer.scale)) == ("cells", pytest.approx(SIZE))
    assert {str(unit) for unit in layer.units} == {"micrometer"}
    assert layer.save(str(tmp_path / f"saved{suffix}"), plugin=OURS)
    volume = read_volume(tmp_path / f"saved{suffix}")
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.voxel_size_um == pytest.approx(SIZE)


def test_place_and_orientation_are_kept(viewer, tmp_path):
    geometry = make_geometry(SIZE, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], (10, 20, 30), "NIfTI")
    write_volume(tmp_path / "a.nii.gz", ARRAY, geometry=geometry)
    (layer,) = viewer.open(tmp_path / "a.nii.gz", plugin=OURS)
    np.testing.assert_allclose(layer.data_to_world((0, 0, 0)), (30, 20, 10), rtol=1e-5)
    layer.save(str(tmp_path / "b.nii.gz"), plugin=OURS)
    found = read_volume(tmp_path / "b.nii.gz").geometry
    np.testing.assert_allclose(found.directions, geometry.directions, atol=1e-6)
    np.testing.assert_allclose(found.origin, geometry.origin, rtol=1e-5)
    with pytest.raises(UserError, match=r"cannot keep where the layer 'a' lies .*Choose .nii.gz|Choose .npy"):
        layer.save(str(tmp_path / "b.h5"), plugin=OURS)


def test_a_scale_without_unit_is_not_saved_as_micrometres(viewer, tmp_path):
    layer = viewer.add_image(ARRAY, scale=SIZE)
    layer.save(str(tmp_path / "a.ome.tif"), plugin=OURS)
    assert read_volume(tmp_path / "a.ome.tif").voxel_size_um is None


def test_layers_that_are_no_volume_are_saved_as_before_or_refused(viewer, tmp_path):
    layer = viewer.add_image(ARRAY[0])
    layer.save(str(tmp_path / "a.tif"), plugin=OURS)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), ARRAY[0])
    with pytest.raises(UserError, match="only 3D volumes"):
        layer.save(str(tmp_path / "a.nii.gz"), plugin=OURS)


CHANNELS = np.stack([ARRAY, ARRAY + 1, ARRAY + 2])
PLACE = {"scale": (1, *SIZE), "units": ("pixel", "um", "um", "um")}


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".ome.zarr", ".nii.gz", ".npy", ".h5", ".nrrd"])
def test_channels_along_an_axis_are_saved_with_their_voxel_size(viewer, tmp_path, suffix):
    layer = viewer.add_image(CHANNELS, name="a", axis_labels=("c", "z", "y", "x"), **PLACE)
    layer.save(str(tmp_path / f"a{suffix}"), plugin=OURS)
    found = read_image(tmp_path / f"a{suffix}")
    assert found.axes == "czyx"
    np.testing.assert_array_equal(found.array, CHANNELS)
    assert found.voxel_size_um == pytest.approx(SIZE)


def test_channels_of_a_layer_that_cannot_be_kept_are_refused(viewer, tmp_path):
    layer = viewer.add_image(CHANNELS, name="a", axis_labels=("c", "z", "y", "x"), **PLACE)
    with pytest.raises(UserError, match="MRC holds a single channel, not 3"):
        layer.save(str(tmp_path / "a.mrc"), plugin=OURS)
    assert not list(tmp_path.iterdir())


def test_an_axis_without_a_name_is_taken_as_channels_and_said(viewer, tmp_path):
    layer = viewer.add_image(CHANNELS, name="a", **PLACE)
    layer.save(str(tmp_path / "a.h5"), plugin=OURS)
    assert "the 3 volumes along the first one are taken as channels" in notification_manager.records[-1].message
    assert read_image(tmp_path / "a.h5").axes == "czyx"
    single = viewer.add_image(ARRAY[None], name="b", **PLACE)
    single.save(str(tmp_path / "b.h5"), plugin=OURS)
    assert read_image(tmp_path / "b.h5").axes == "zyx"


def test_labels_of_four_axes_without_names_are_refused(viewer, tmp_path):
    times = np.arange(2 * 5 * 6 * 7, dtype=np.uint8).reshape(2, 5, 6, 7)
    labels = viewer.add_labels(times, name="b", **PLACE)
    with pytest.raises(UserError, match="only 3D volumes"):
        labels.save(str(tmp_path / "b.h5"), plugin=OURS)
    assert not list(tmp_path.iterdir())


def test_image_and_labels_of_a_file_and_volumes_by_path(viewer, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, array in (("raw", ARRAY), ("label", ARRAY % 3)):
            file[name] = array
            file[name].attrs["element_size_um"] = SIZE
    image, labels = viewer.open(tmp_path / "a.h5", plugin=OURS)  # the labels above the image, which would cover them
    assert (type(image), type(labels)) == (Image, Labels)
    assert (image.name, labels.name, tuple(labels.scale)) == ("a_raw", "a_label", SIZE)
    assert get_reader(str(tmp_path / "a.h5" / "raw")) is not None


def test_a_volume_without_a_voxel_size_lies_on_its_labels_of_the_same_file(viewer, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = CHANNELS
        file["other"] = ARRAY[1:]
        file["label"] = ARRAY % 3
        file["label"].attrs["element_size_um"] = SIZE
    layers = viewer.open(tmp_path / "a.h5", plugin=OURS)
    assert {layer.name: (tuple(layer.scale), geometry_of(layer).voxel_size_um) for layer in layers} == {
        "a_raw channel 1": (SIZE, SIZE),
        "a_raw channel 2": (SIZE, SIZE),
        "a_raw channel 3": (SIZE, SIZE),
        "a_other": ((1, 1, 1), None),  # another shape
        "a_label": (SIZE, SIZE),
    }
    said = [record.message for record in notification_manager.records]
    assert "a_raw gives no voxel size; that of a_label in the same file is taken." in said


def test_voxel_sizes_of_a_file_that_differ_are_not_taken_over(viewer, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number, name in enumerate(("raw", "label", "coarse_label")):
            file[name] = ARRAY
            if number:
                file[name].attrs["element_size_um"] = np.multiply(SIZE, number)
    raw, *_ = viewer.open(tmp_path / "a.h5", plugin=OURS)
    assert (raw.name, geometry_of(raw).voxel_size_um) == ("a_raw", None)


def test_of_many_volumes_one_is_chosen(viewer, tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(9):
            file[f"t{number}"] = ARRAY + number
    for answer, shapes in ((("t4  (4 × 5 × 6, uint8)", True), [4]), (("", False), [])):
        monkeypatch.setattr(QInputDialog, "getItem", lambda *_, answer=answer: answer)
        layers = viewer.open(tmp_path / "a.h5", plugin=OURS)
        assert [int(layer.data[0, 0, 0]) for layer in layers] == shapes


def test_channels_are_layers_and_time_is_an_axis(viewer, tmp_path):
    array = np.stack([np.stack([ARRAY, ARRAY + 1])] * 3)
    metadata = {"axes": "TCZYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    metadata |= {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", SIZE, strict=True)}
    tifffile.imwrite(tmp_path / "a.ome.tif", array, metadata=metadata, ome=True)
    dapi, gfp = viewer.open(tmp_path / "a.ome.tif", plugin=OURS)
    assert (dapi.name, gfp.name) == ("a DAPI", "a GFP")
    assert names_of((dapi, gfp)) == ("a", ("DAPI", "GFP"))
    assert (dapi.colormap.name, gfp.colormap.name) == ("magenta", "green")
    np.testing.assert_array_equal(gfp.data, array[:, 1])
    assert tuple(gfp.scale) == (1, *SIZE)


@pytest.mark.filterwarnings("ignore:The voxel size")
def test_a_folder_of_slices_and_an_unknown_voxel_size(viewer, tmp_path):
    folder = tmp_path / "brain"
    folder.mkdir()
    for number in range(4):
        Picture.fromarray(ARRAY[number]).save(folder / f"z{number + 8}.png")
    (layer,) = viewer.open(folder, plugin=OURS)
    np.testing.assert_array_equal(layer.data, ARRAY)
    assert geometry_of(layer).voxel_size_um is None


def test_a_field_of_a_plate_is_opened_as_a_folder(viewer, tmp_path):
    zarr.open_group(tmp_path / "p.zarr")
    write_volume(tmp_path / "p.zarr" / "0.zarr", ARRAY, SIZE)
    (tmp_path / "p.zarr" / "0.zarr").rename(tmp_path / "p.zarr" / "0")
    (layer,) = viewer.open(tmp_path / "p.zarr" / "0", plugin=OURS)
    assert (layer.name, tuple(layer.scale)) == ("p_0", SIZE)


def test_a_dataset_opens_its_pairs(viewer, tmp_path, ball):
    for name in ("1", "2"):
        add_sample(tmp_path, ball(name), Subset.TRAIN)
    layers = viewer.open(tmp_path, plugin=OURS)
    assert [layer.name for layer in layers] == ["1", "1 labels", "2", "2 labels"]
    assert [layer.visible for layer in layers] == [True, True, False, False]
    assert isinstance(layers[1], Labels)
    assert tuple(layers[1].scale) == (2, 1, 1)


def test_a_run_folder_opens_the_dock_predict_on_it(viewer, tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.safetensors").touch()
    assert viewer.open(run, plugin=OURS) == []
    dock = next(each for each in viewer.window.dock_widgets.values() if hasattr(each, "use_run"))
    assert dock.model.value == run


def test_what_is_not_known_is_left_to_other_readers(tmp_path):
    (tmp_path / "notes.txt").touch()
    assert get_reader(str(tmp_path / "notes.txt")) is None
    assert get_reader(str(tmp_path)) is None
    assert get_reader([str(tmp_path / "a.tif"), str(tmp_path / "b.tif")]) is None


def drop(viewer, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    place = QPointF(QPoint(20, 20))
    event = QDropEvent(place, Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    viewer.window._qt_viewer.dropEvent(event)


@pytest.mark.parametrize("suffix", [".h5", ".nii.gz", ".mha"])
def test_a_file_that_is_dropped_has_its_voxel_size(viewer, tmp_path, suffix, monkeypatch):
    path = str(tmp_path / f"cells{suffix}")
    readers = {each.plugin_name for each in PluginManager.instance().iter_compatible_readers([path])}
    assert OURS in readers  # napari asks which to use, unless the user has chosen before
    monkeypatch.setattr(get_settings().plugins, "extension2reader", {f"*{suffix}": OURS})
    write_volume(tmp_path / f"cells{suffix}", ARRAY, geometry=Geometry(SIZE))
    drop(viewer, tmp_path / f"cells{suffix}")
    (layer,) = viewer.layers
    assert tuple(layer.scale) == pytest.approx(SIZE)


def test_a_sample_from_an_opened_file_has_its_geometry(viewer, tmp_path):
    write_volume(tmp_path / "cells.ome.zarr", ARRAY, geometry=Geometry(SIZE, origin=(10.0, 20.0, 30.0)))
    (layer,) = viewer.open(tmp_path / "cells.ome.zarr", plugin=OURS)
    found = geometry_of(layer)
    assert (found.sizes, found.origin) == (SIZE, (10.0, 20.0, 30.0))
    assert Sample("a", layer.data).geometry.voxel_size_um is None


def test_all_volumes_of_a_file_are_offered_for_prediction(viewer, open_dock, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["t0"], file["t1"] = ARRAY, ARRAY
    dock = open_dock("Predict")
    dock.target.kind.value = "files"
    dock.target.files.add([tmp_path / "a.h5"])
    assert dock.target.files.paths == [tmp_path / "a.h5" / "t0", tmp_path / "a.h5" / "t1"]
    assert [text for text, _ in dock.target.files._choices(None)] == ["a.h5/t0", "a.h5/t1"]
    assert dock.out.value == tmp_path / "predictions"


def drop_on_canvas(viewer, path: Path) -> None:
    """Send what Qt sends when a file is dragged onto the canvas and dropped there."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    canvas, place = viewer.window._qt_viewer.canvas.native, QPoint(20, 20)
    left, no = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    for event in (
        QDragEnterEvent(place, Qt.DropAction.CopyAction, data, left, no),
        QDropEvent(QPointF(place), Qt.DropAction.CopyAction, data, left, no),
    ):
        QApplication.sendEvent(canvas, event)


@pytest.fixture
def dropped(tmp_path, dataset):
    """A dataset folder, a run on it, and the model of the run."""
    run = tmp_path / "run"
    list(train(dataset, run, TrainingConfig(epochs=1, steps_per_epoch=1, val_fraction=0.34, device="cpu")))
    return {"dataset": dataset, "run": run, "model": run / "model.safetensors"}


@pytest.mark.parametrize(("what", "name"), [("dataset", "Dataset"), ("run", "Predict"), ("model", "Predict")])
def test_what_is_dropped_opens_the_dock_that_works_with_it(what, name, make_napari_viewer, dropped, monkeypatch, qtbot):
    viewer, path = make_napari_viewer(show=True), dropped[what]
    # Without it napari asks which reader opens a folder.
    monkeypatch.setattr(get_settings().plugins, "extension2reader", {"*/": OURS, "*.safetensors": OURS})
    drop_on_canvas(viewer, path)
    dock = viewer.window.dock_widgets[f"{name} (napari-unet3d)"]
    qtbot.waitUntil(dock.native.isVisible)
    assert (dock.folder if name == "Dataset" else dock.model).value == path
    expected = ["1", "1 labels", "2", "2 labels", "3", "3 labels"] if what == "dataset" else []
    assert [layer.name for layer in viewer.layers] == expected
