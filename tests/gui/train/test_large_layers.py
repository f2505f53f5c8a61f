"""Layers whose data are not in memory and do not fit into it train as they do from memory, chunk by chunk."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.lazy_array import is_lazy
from napari_unet3d.errors import UserError
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.session.subprocess_training import write_lossless
from napari_unet3d.training.loop import train

SHAPE = (20, 32, 36)
CONFIG = TrainingConfig(preset="xxsmall", patch=(16, 16, 16), epochs=1, steps_per_epoch=2, device="cpu", val_fraction=0)


@pytest.fixture
def dock(open_dock):
    return open_dock("Train")


@pytest.fixture
def labels():
    values = np.zeros(SHAPE, np.uint8)
    values[4:15, 5:20, 6:30] = 1
    return values


@pytest.fixture
def image(labels):
    return (labels * 90 + np.random.default_rng(0).integers(0, 60, SHAPE)).astype(np.uint8)


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr("napari_unet3d.data.memmap._FRACTION_OF_MEMORY", 0)
    monkeypatch.setattr("napari_unet3d.data.lazy_array._MOST_BYTES", 10_000)  # less than the volume
    monkeypatch.setattr("napari_unet3d.data.box_hashes._TILE", 8)


def as_zarr(folder, array):
    stored = zarr.create_array(folder, shape=array.shape, dtype=array.dtype, chunks=(1,) * (array.ndim - 3) + (8,) * 3)
    stored[...] = array
    return stored


def sample_of(dock, image, labels, channels=()):
    dock.source.use_layers(image, labels, channels)
    (sample,) = dock.source.data()
    return sample


def weights(run):
    return {name: each.numpy() for name, each in load_checkpoint(run / "last.safetensors").weights.items()}


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("kind", ["zarr", "dask", "levels", "channels"])
def test_the_model_is_that_of_arrays_in_memory(kind, dock, viewer, image, labels, tmp_path):
    if kind == "channels":
        image = np.stack([image, image[:, ::-1]])
    data, truth = as_zarr(tmp_path / "image.zarr", image), as_zarr(tmp_path / "labels.zarr", labels)
    if kind == "dask":
        data, truth = da.from_zarr(data), da.from_zarr(truth)
    if kind == "levels":
        data, truth = [data, data[::2, ::2, ::2]], [truth, truth[::2, ::2, ::2]]
    names = ("c", "z", "y", "x")[-image.ndim :]
    layers = (
        viewer.add_image(data, name="cells", axis_labels=names, scale=(2.0,) * image.ndim, contrast_limits=(0, 255)),
        viewer.add_labels(truth, name="truth", scale=(2.0,) * 3),
    )
    large = sample_of(dock, *layers)
    assert is_lazy(large.image)
    assert is_lazy(large.labels)
    list(train([large], tmp_path / "large", CONFIG))
    viewer.layers.clear()
    layers = (
        viewer.add_image(image, name="cells", axis_labels=names, scale=(2.0,) * image.ndim),
        viewer.add_labels(labels, name="truth", scale=(2.0,) * 3),
    )
    whole = sample_of(dock, *layers)
    assert not is_lazy(whole.image)
    assert large.geometry == whole.geometry
    list(train([whole], tmp_path / "memory", CONFIG))
    one, other = weights(tmp_path / "large"), weights(tmp_path / "memory")
    for name in other:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.usefixtures("little_memory")
def test_labels_painted_on_a_large_image_train_with_their_mask(dock, viewer, image, labels, tmp_path):
    layer = viewer.add_image(as_zarr(tmp_path / "image.zarr", image), name="cells", contrast_limits=(0, 255))
    sample = sample_of(dock, layer, viewer.add_labels(labels, name="truth"))
    assert is_lazy(sample.labels)
    np.testing.assert_array_equal(np.asarray(sample.labels[3:9, :10]), labels[3:9, :10])


@pytest.mark.usefixtures("little_memory")
def test_the_dock_trains_on_large_layers(dock, viewer, image, labels, tmp_path, wait_for_end):
    layers = (
        viewer.add_image(as_zarr(tmp_path / "image.zarr", image), name="cells", contrast_limits=(0, 255)),
        viewer.add_labels(as_zarr(tmp_path / "labels.zarr", labels), name="truth"),
    )
    dock.source.use_layers(*layers)
    dock.run_folder.value = tmp_path / "run"
    dock.settings.value = CONFIG
    job = wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert job.message is None, job.message
    assert "read in parts from its layers" in dock.message.text()
    assert (tmp_path / "run/model.safetensors").is_file()


@pytest.mark.usefixtures("little_memory")
def test_what_would_need_the_whole_is_refused_by_name(dock, viewer, image, labels, tmp_path):
    layer = viewer.add_image(as_zarr(tmp_path / "image.zarr", image), name="cells", contrast_limits=(0, 255))
    turned = viewer.add_labels(labels, name="truth", scale=(1, 1, -1))
    with pytest.raises(UserError, match="'truth' are swapped or flipped against those of 'cells'"):
        sample_of(dock, layer, turned)
    viewer.layers.remove(turned)
    sample = sample_of(dock, layer, viewer.add_labels(labels, name="straight"))
    with pytest.raises(UserError, match="'cells' is read in parts from its layers"):
        write_lossless(tmp_path / "data", [sample])
    assert not (tmp_path / "data").exists()


@pytest.mark.usefixtures("little_memory")
def test_a_layer_that_cannot_be_read_any_more_is_named(dock, viewer, image, labels, tmp_path):
    def fail(block):
        raise OSError("the network share is gone")

    data = da.from_array(image, chunks=8).map_blocks(fail, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8))
    layer = viewer.add_image(da.from_array(image, chunks=8), name="cells", contrast_limits=(0, 255))
    truth = viewer.add_labels(labels, name="truth")
    layer._data = data
    with pytest.raises(UserError, match="Cannot read a part of the layer 'cells': the network share is gone"):
        sample_of(dock, layer, truth).image.max()
