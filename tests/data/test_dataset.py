"""The dataset folder: pairing, adding, reading, cleaning."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet3d.data.dataset import (
    Subset,
    add_sample,
    create_dataset,
    file_name,
    list_pairs,
    pairing_notice,
    read_pair,
    read_samples,
)
from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError

IMAGE = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


def sample(name: str = "1", seed: int = 0) -> Sample:
    image = np.random.default_rng(seed).integers(0, 255, (3, 4, 5), dtype=np.uint8)
    return Sample(name, image, (image > 99).astype(np.int64) * 300, (2.0, 0.5, 0.25))


def touch(folder: Path, *names: str) -> None:
    """Make empty files; listing looks at names only."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return create_dataset(tmp_path / "data")


def named(pairs):
    return [(p.name, p.image and p.image.name, p.labels and p.labels.name) for p in pairs]


def test_create_makes_the_tutorial_s_folders_and_keeps_what_is_there(dataset):
    touch(dataset, "train/images/1.tif")
    create_dataset(dataset)
    folders = sorted(str(path.relative_to(dataset)) for path in dataset.glob("*/*"))
    assert folders == [
        os.path.join(*f) for f in (("test", "images"), ("test", "labels"), ("train", "images"), ("train", "labels"))
    ]
    assert (dataset / "train/images/1.tif").exists()


def test_create_where_a_file_stands(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(UserError, match=r"Cannot create .*data: a part of that path is a file"):
        create_dataset(tmp_path / "data")


def test_pairs_have_one_name_and_come_in_natural_order(dataset):
    touch(dataset, *[f"train/images/{n}.tif" for n in (10, 2, 1)], *[f"train/labels/{n}.nii.gz" for n in (1, 2, 10)])
    touch(dataset, "test/images/a.ome.zarr", "test/labels/a.npy")
    assert named(list_pairs(dataset)) == [
        ("1", "1.tif", "1.nii.gz"),
        ("2", "2.tif", "2.nii.gz"),
        ("10", "10.tif", "10.nii.gz"),
        ("a", "a.ome.zarr", "a.npy"),
    ]
    assert [pair.subset for pair in list_pairs(dataset)] == [Subset.TRAIN] * 3 + [Subset.TEST]
    assert named(list_pairs(dataset, Subset.TEST)) == [("a", "a.ome.zarr", "a.npy")]
    assert pairing_notice(dataset) is None


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("cell1_image.tif", "cell1_label.tif"),
        ("cell1.tif", "cell1_mask.tif"),
        ("cell1-raw.tif", "CELL1-Seg.tif"),
        ("cell1_img.tif", "cell1_labels.nii"),
        ("image.tif", "image.tif"),
    ],
)
def test_a_word_for_the_role_does_not_count(dataset, image, labels):
    touch(dataset, f"train/images/{image}", "train/images/other.tif")
    touch(dataset, f"train/labels/{labels}", "train/labels/other.tif")
    assert named(list_pairs(dataset))[0][1:] == (image, labels)
    assert pairing_notice(dataset) is None


def test_equal_names_come_before_names_that_are_alike(dataset):
    touch(dataset, "train/images/a.tif", "train/images/a_image.tif", "train/labels/a_mask.tif", "train/labels/a.tif")
    assert named(list_pairs(dataset)) == [("a", "a.tif", "a.tif"), ("a_image", "a_image.tif", "a_mask.tif")]


def test_missing_partners_are_none_and_are_not_matched_with_strangers(dataset):
    touch(dataset, "train/images/1.tif", "train/images/2.tif", "train/labels/1.tif", "train/labels/3.tif")
    assert named(list_pairs(dataset)) == [("1", "1.tif", "1.tif"), ("2", "2.tif", None), ("3", None, "3.tif")]
    assert pairing_notice(dataset) is None


def test_names_that_all_differ_are_matched_in_sorted_order_with_a_notice(dataset):
    touch(dataset, *[f"train/images/scan{n}.tif" for n in (10, 9)], "train/labels/t9.tif", "train/labels/t10.tif")
    pairs = list_pairs(dataset)
    assert named(pairs) == [("scan9", "scan9.tif", "t9.tif"), ("scan10", "scan10.tif", "t10.tif")]
    assert all(pair.matched_by_order for pair in pairs)
    notice = pairing_notice(dataset)
    assert notice.startswith("2 volumes were matched by sorted order")
    assert "train/images/scan9.tif with t9.tif" in notice


def test_names_that_all_differ_in_unequal_number_are_not_matched(dataset):
    touch(dataset, "train/images/a.tif", "train/images/b.tif", "train/labels/c.tif")
    assert named(list_pairs(dataset)) == [("a", "a.tif", None), ("b", "b.tif", None), ("c", None, "c.tif")]


def test_hidden_files_and_other_formats_are_left_out(dataset):
    touch(dataset, "train/images/.1.tif", "train/images/notes.txt", "train/images/1.npy", "train/images/1.npy.json")
    touch(dataset, "train/labels/1.npy")
    assert named(list_pairs(dataset)) == [("1", "1.npy", "1.npy")]


@given(st.lists(st.integers(0, 10**6), unique=True), st.randoms())
def test_numbers_in_names_are_ordered_as_numbers(numbers, shuffler):
    names = [f"vol{n}_x" for n in sorted(numbers)]
    mixed = list(names)
    random.Random(shuffler.random()).shuffle(mixed)
    assert sorted(mixed, key=natural_order) == names


@given(st.lists(st.text(max_size=8)))
def test_any_names_can_be_ordered(names):
    assert len(sorted(names, key=natural_order)) == len(names)


def test_a_folder_that_is_no_dataset_names_the_one_nearby(dataset, tmp_path):
    for wrong in (tmp_path, dataset / "train", dataset / "train" / "images"):
        with pytest.raises(UserError, match=r"is not a dataset: .* Did you mean ") as error:
            list_pairs(wrong)
        assert str(error.value).endswith(f"Did you mean {dataset}?")


def test_an_empty_folder_and_a_missing_one(tmp_path):
    with pytest.raises(UserError, match=r"has neither train/images nor test/images. Choose another"):
        list_pairs(tmp_path)
    with pytest.raises(UserError, match=r"Cannot read .*gone: it does not exist"):
        list_pairs(tmp_path / "gone")


def test_what_is_added_comes_back(dataset):
    pair = add_sample(dataset, sample(), Subset.TEST)
    assert pair == list_pairs(dataset)[0]
    assert pair.image == dataset / "test" / "images" / "1.tif"
    back = read_pair(pair)
    np.testing.assert_array_equal(back.image, sample().image)
    np.testing.assert_array_equal(back.labels, sample().labels)
    assert back.labels.dtype == np.uint16
    assert back.voxel_size_um == pytest.approx((2, 0.5, 0.25))


def test_a_name_that_is_taken_is_refused_and_kept_unless_overwritten(dataset):
    (dataset / "train/labels").mkdir(exist_ok=True)
    write_volume(dataset / "train/labels/1.nii", IMAGE)
    with pytest.raises(UserError, match=r"1\.nii exists already. Choose another name, or allow overwriting"):
        add_sample(dataset, sample(), Subset.TRAIN)
    assert not list((dataset / "train/images").iterdir())
    add_sample(dataset, sample(), Subset.TRAIN, overwrite=True)
    add_sample(dataset, sample(seed=1), Subset.TRAIN, overwrite=True)
    (pair,) = list_pairs(dataset)
    np.testing.assert_array_equal(read_pair(pair).image, sample(seed=1).image)
    assert pair.labels.name == "1.tif"


def test_a_sample_without_labels_is_not_added(dataset):
    with pytest.raises(UserError, match=r"'1' has no labels. Choose a Labels layer"):
        add_sample(dataset, Sample("1", IMAGE), Subset.TRAIN)


@pytest.mark.parametrize(
    ("name", "expected"), [("a/b:c", "a_b_c"), ("..", "volume"), ("µCT [1]", "µCT [1]"), ("x.", "x"), ("", "volume")]
)
def test_layer_names_become_file_names(name, expected):
    assert file_name(name) == expected


def test_a_layer_name_cannot_leave_the_folder(dataset):
    pair = add_sample(dataset, sample("../../escape"), Subset.TRAIN)
    assert pair.image.parent == dataset / "train" / "images"
    assert read_pair(pair).name == pair.name


ADD = """
import sys, numpy as np
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
image = np.random.default_rng(0).integers(0, 255, (30, 40, 50)).astype(np.uint8)
try:
    add_sample(sys.argv[1], Sample("1", image, image.astype(np.uint16) * 99), Subset.TRAIN, overwrite=True)
except UserError as error:
    print(error)
"""


def test_no_space_for_the_labels_leaves_the_old_pair(dataset):
    resource = pytest.importorskip("resource", reason="limits the size of files as POSIX systems do")
    old = sample()
    pair = add_sample(dataset, old, Subset.TRAIN)
    done = subprocess.run(  # there is room for the image's 60 kB, not for the 120 kB of the labels
        [sys.executable, "-c", ADD, str(dataset)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Cannot write" in done.stdout
    np.testing.assert_array_equal(read_pair(pair).image, old.image)
    np.testing.assert_array_equal(read_pair(pair).labels, old.labels)
    assert sorted(path.name for path in dataset.glob("train/*/*")) == ["1.tif", "1.tif"]


def test_reading_a_part_gives_its_samples_in_order(dataset):
    for n in (10, 9):
        add_sample(dataset, sample(str(n), seed=n), Subset.TRAIN)
    assert [s.name for s in read_samples(dataset, Subset.TRAIN)] == ["9", "10"]


def test_reading_names_the_first_problem(dataset):
    with pytest.raises(UserError, match=r"test has no volumes. Add images to test/images"):
        read_samples(dataset, Subset.TEST)
    write_volume(dataset / "train/images/1.tif", IMAGE)
    with pytest.raises(UserError, match=r"train/labels has no partner for 1\.tif. Add train/labels/1\.tif"):
        read_samples(dataset, Subset.TRAIN)
    write_volume(dataset / "train/labels/1.tif", IMAGE[:2])
    with pytest.raises(UserError, match="both must be the same volume"):
        read_samples(dataset, Subset.TRAIN)
    (dataset / "train/images/1.tif").unlink()
    with pytest.raises(UserError, match=r"train/images has no partner for 1\.tif"):
        read_samples(dataset, Subset.TRAIN)
