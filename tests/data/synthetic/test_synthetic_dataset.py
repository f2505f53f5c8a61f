from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.configs import SyntheticConfig
from napari_unet3d.data.dataset import Subset, list_pairs, read_pair, read_samples
from napari_unet3d.data.events import DatasetWritten, VolumeWritten
from napari_unet3d.data.synthetic.dataset import generate
from napari_unet3d.data.synthetic.generate import generate_volume
from napari_unet3d.errors import UserError

CONFIG = SyntheticConfig(
    shape=(16, 20, 24),
    object_shape_min=(6, 6, 6),
    object_shape_max=(8, 8, 8),
    objects=3,
    seed=40,
    voxel_size_um=(2.0, 0.5, 0.25),
)


def files(folder):
    return sorted(str(path.relative_to(folder)).replace("\\", "/") for path in folder.rglob("*") if path.is_file())


def test_the_folder_is_that_of_the_tutorial(tmp_path):
    *events, last = generate(tmp_path / "data", CONFIG, n_train=2, n_test=1)
    assert files(tmp_path / "data") == [
        "test/images/3.tif",
        "test/labels/3.tif",
        "train/images/1.tif",
        "train/images/2.tif",
        "train/labels/1.tif",
        "train/labels/2.tif",
    ]
    assert last == DatasetWritten(tmp_path / "data", 2, 1)
    written = [event for event in events if isinstance(event, VolumeWritten)]
    assert [(event.n_written, event.n_volumes) for event in written] == [(1, 3), (2, 3), (3, 3)]
    assert written[2].image == tmp_path / "data/test/images/3.tif"


def test_each_volume_has_the_next_seed_and_survives_the_file(tmp_path):
    list(generate(tmp_path, CONFIG, n_train=1, n_test=1))
    for number, part in enumerate(Subset):
        [pair] = list_pairs(tmp_path, part)
        *_, expected = generate_volume(CONFIG.model_copy(update={"seed": 40 + number}))
        read = read_pair(pair)
        np.testing.assert_array_equal(read.image, expected.sample.image)
        np.testing.assert_array_equal(read.labels, expected.sample.labels)
        assert read.image.dtype == np.uint8
        np.testing.assert_allclose(read.voxel_size_um, (2.0, 0.5, 0.25), rtol=1e-5)


def test_a_volume_is_on_disk_before_it_is_announced(tmp_path):
    for event in generate(tmp_path, CONFIG, n_train=2, n_test=0):
        if isinstance(event, VolumeWritten):
            assert event.image.is_file()
            assert event.labels.is_file()


def test_closing_the_generator_leaves_only_whole_pairs(tmp_path):
    events = generate(tmp_path, CONFIG, n_train=3, n_test=1)
    for event in events:
        if isinstance(event, VolumeWritten):
            break
    next(events)  # the second volume has begun
    events.close()
    assert files(tmp_path) == ["train/images/1.tif", "train/labels/1.tif"]
    assert len(read_samples(tmp_path, Subset.TRAIN)) == 1


def test_a_dataset_that_holds_volumes_is_left_alone(tmp_path):
    list(generate(tmp_path, CONFIG, n_train=1, n_test=1))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.tif")}
    with pytest.raises(UserError, match="already has 2 volumes"):
        list(generate(tmp_path, CONFIG.model_copy(update={"seed": 7}), n_train=1, n_test=1))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.tif")} == before


def test_overwriting_replaces_volumes_of_the_same_name_in_both_parts(tmp_path):
    list(generate(tmp_path, CONFIG, n_train=1, n_test=3))
    list(generate(tmp_path, CONFIG.model_copy(update={"seed": 7}), n_train=2, n_test=1, overwrite=True))
    names = {part: [pair.name for pair in list_pairs(tmp_path, part)] for part in Subset}
    assert names == {Subset.TRAIN: ["1", "2"], Subset.TEST: ["3", "4"]}
    *_, expected = generate_volume(CONFIG.model_copy(update={"seed": 8}))
    np.testing.assert_array_equal(read_samples(tmp_path, Subset.TRAIN)[1].image, expected.sample.image)


def test_too_few_objects_are_said_for_the_volume(tmp_path):
    full = CONFIG.model_copy(update={"objects": 200})
    written = [e for e in generate(tmp_path, full, n_train=1, n_test=0) if isinstance(e, VolumeWritten)]
    assert "of 200 objects fit into '1'" in written[0].shortfall


def test_given_objects_and_positions_reach_every_volume(tmp_path):
    cube = np.ones((4, 4, 4), np.uint8)
    list(generate(tmp_path, CONFIG, n_train=2, n_test=0, objects=[cube], positions=[(8, 10, 12)]))
    for sample in read_samples(tmp_path, Subset.TRAIN):
        assert sample.labels[8, 10, 12] == 1


@pytest.mark.parametrize(("n_train", "n_test"), [(0, 0), (-1, 2)])
def test_a_dataset_without_volumes_is_refused(tmp_path, n_train, n_test):
    with pytest.raises(UserError, match=rf"{n_train} training and {n_test} test volumes"):
        list(generate(tmp_path / "new", CONFIG, n_train=n_train, n_test=n_test))
    assert not (tmp_path / "new").exists()


def test_impossible_settings_leave_neither_files_nor_folders(tmp_path):
    new = tmp_path / "new"
    with pytest.raises(UserError, match="larger than the volume"):
        list(generate(new, CONFIG.model_copy(update={"object_shape_max": (90, 9, 9)})))
    with pytest.raises(UserError, match="position"):
        list(generate(new, CONFIG, positions=[(500.0, 1.0, 1.0)]))
    assert not new.exists()
