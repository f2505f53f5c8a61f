"""The check finds each problem that the dataset could have, and nothing in a sound one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.data.checks import PairChecked, check_dataset, check_events
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.issues import Issue, Severity
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError

ERROR, WARNING = Severity.ERROR, Severity.WARNING
VOXEL_SIZE = (2.0, 0.5, 0.25)


def sample(name: str, seed: int, voxel_size=VOXEL_SIZE) -> Sample:
    image = np.random.default_rng(seed).integers(0, 255, (3, 4, 5), dtype=np.uint8)
    return Sample(name, image, image > 99, voxel_size)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for n in (1, 2, 3):
        add_sample(tmp_path, sample(str(n), n), Subset.TEST if n == 3 else Subset.TRAIN)
    return tmp_path


def only(folder: Path) -> tuple[Severity, str]:
    (finding,) = check_dataset(folder)
    assert finding.message.count(". ") <= 1
    return finding.severity, finding.message


def test_a_sound_dataset_has_no_findings_and_counts_its_pairs(dataset):
    events = list(check_events(dataset))
    assert [(e.pair.name, e.n_checked, e.n_pairs) for e in events] == [("1", 1, 3), ("2", 2, 3), ("3", 3, 3)]
    assert all(isinstance(event, PairChecked) for event in events)


def test_a_missing_partner(dataset):
    (dataset / "train/labels/2.tif").unlink()
    severity, message = only(dataset)
    assert severity is ERROR
    assert message.startswith("train/labels has no partner for 2.tif. Add train/labels/2.tif")


def test_shapes_that_differ(dataset):
    write_volume(dataset / "train/labels/2.tif", np.ones((3, 4, 6), np.uint8), VOXEL_SIZE)
    severity, message = only(dataset)
    assert severity is ERROR
    assert "'train/labels/2.tif' have shape (3, 4, 6), its image (3, 4, 5)" in message


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.full((3, 4, 5), 0.5, np.float32), "60 values of type float32 that are not integers"),
        (np.full((3, 4, 5), 1e30, np.float32), "go from 1e+30 to 1e+30"),
    ],
)
def test_labels_that_are_no_labels(dataset, labels, words):
    write_volume(dataset / "train/labels/2.tif", labels, VOXEL_SIZE)
    severity, message = only(dataset)
    assert severity is ERROR
    assert "'train/labels/2.tif'" in message
    assert words in message


def test_negative_labels_may_be_the_ignore_label(dataset):
    labels = read_volume(dataset / "train/labels/2.tif").array.astype(np.int16)
    labels[0] = -1
    write_volume(dataset / "train/labels/2.tif", labels, VOXEL_SIZE)
    severity, message = only(dataset)
    assert severity is WARNING
    assert message.startswith("train/labels/2.tif goes down to -1; set the ignore label to -1 if it marks voxels")


def test_whole_numbers_in_floats_are_labels(dataset):
    labels = read_volume(dataset / "train/labels/2.tif").array
    write_volume(dataset / "train/labels/2.tif", labels.astype(np.float64), VOXEL_SIZE)
    assert not list(check_dataset(dataset))


def test_empty_and_full_labels(dataset):
    write_volume(dataset / "train/labels/1.tif", np.zeros((3, 4, 5), np.uint8), VOXEL_SIZE)
    severity, message = only(dataset)
    assert severity is WARNING
    assert message.startswith("train/labels/1.tif has no foreground")
    write_volume(dataset / "train/labels/1.tif", np.ones((3, 4, 5), np.uint8), VOXEL_SIZE)
    assert only(dataset)[1].startswith("train/labels/1.tif has no background")


def test_no_foreground_in_any_training_volume_is_an_error(dataset):
    for n in (1, 2):
        write_volume(dataset / f"train/labels/{n}.tif", np.zeros((3, 4, 5), np.uint8), VOXEL_SIZE)
    errors = [finding.message for finding in check_dataset(dataset) if finding.severity is ERROR]
    assert errors == ["None of the 2 training volumes has foreground; label objects before training."]


def test_unreadable_and_unusable_images_do_not_end_the_check(dataset):
    (dataset / "train/images/1.tif").write_bytes((dataset / "train/images/1.tif").read_bytes()[:200])
    image = np.zeros((3, 4, 5), np.float32)
    image[0, 0, 0] = np.nan
    write_volume(dataset / "train/images/2.tif", image, VOXEL_SIZE)
    findings = list(check_dataset(dataset))
    assert [finding.severity for finding in findings] == [ERROR, ERROR]
    assert "1.tif: it is damaged" in findings[0].message
    assert "'train/images/2.tif' has 1 values that are NaN" in findings[1].message


def test_one_grey_value(dataset):
    write_volume(dataset / "train/images/2.tif", np.full((3, 4, 5), 7, np.uint8), VOXEL_SIZE)
    assert only(dataset) == (WARNING, "train/images/2.tif has a constant intensity; export it again.")


def test_a_volume_in_train_and_test_is_found_by_its_content(dataset):
    image = read_volume(dataset / "train/images/1.tif").array
    shutil.rmtree(dataset / "test")
    write_volume(dataset / "test/images/other name.nii.gz", image.astype(np.float32), VOXEL_SIZE)
    write_volume(dataset / "test/labels/other name.nii.gz", image > 99, VOXEL_SIZE)
    severity, message = only(dataset)
    assert severity is ERROR
    assert message.startswith("train/images/1.tif and test/images/other name.nii.gz are the same volume")


def test_a_volume_twice_in_train(dataset):
    add_sample(dataset, sample("copy", 1), Subset.TRAIN)
    severity, message = only(dataset)
    assert severity is WARNING
    assert "train/images/1.tif and train/images/copy.tif are the same volume" in message


def test_mixed_voxel_sizes(dataset):
    add_sample(dataset, sample("4", 4, (4.0, 0.5, 0.25)), Subset.TRAIN)
    severity, message = only(dataset)
    assert severity is WARNING
    assert "train/images/1.tif has 2 × 0.5 × 0.25 µm and train/images/4.tif has 4 × 0.5 × 0.25 µm" in message


def test_an_image_and_labels_of_different_voxel_size(dataset):
    labels = read_volume(dataset / "train/labels/2.tif").array
    write_volume(dataset / "train/labels/2.tif", labels, (1, 1, 1))
    assert (
        "train/images/2.tif has voxels of 2 × 0.5 × 0.25 µm and train/labels/2.tif of 1 × 1 × 1 µm" in only(dataset)[1]
    )


def test_a_volume_without_voxel_size_among_others(dataset):
    for kind in ("images", "labels"):
        array = read_volume(dataset / f"train/{kind}/2.tif").array
        (dataset / f"train/{kind}/2.tif").unlink()
        np.save(dataset / f"train/{kind}/2.npy", array)
    severity, message = only(dataset)
    assert severity is WARNING
    assert message.startswith("The voxel size of train/images/2.npy is unknown (1 of 3 volumes)")


def test_matching_by_order_is_said(dataset):
    for n in (1, 2):
        (dataset / f"train/labels/{n}.tif").rename(dataset / f"train/labels/truth{n}.tif")
    severity, message = only(dataset)
    assert severity is WARNING
    assert "matched by sorted order" in message


def test_a_file_of_another_format_is_said_once_and_side_files_are_not(dataset):
    for name in ("a.docx", "b.png"):
        (dataset / "train/images" / name).touch()
    write_volume(dataset / "train/images/2.npy", read_volume(dataset / "train/images/2.tif").array, VOXEL_SIZE)
    (dataset / "train/images/2.tif").unlink()
    (dataset / "train/labels/.DS_Store").touch()
    severity, message = only(dataset)
    assert severity is WARNING
    assert message.startswith("train/images/a.docx and 1 more files are ignored; the supported formats are .ome.tiff")


def test_no_training_and_no_test_volumes(tmp_path):
    (tmp_path / "train" / "images").mkdir(parents=True)
    findings = list(check_dataset(tmp_path))
    assert [finding.severity for finding in findings] == [ERROR, WARNING]
    assert findings[0].message.startswith("train has no volumes; add images to train/images")


def test_a_wrong_folder(tmp_path):
    with pytest.raises(UserError, match="is not a dataset"):
        list(check_dataset(tmp_path))


def test_a_check_can_be_stopped_between_two_volumes(dataset):
    (dataset / "train/labels/1.tif").unlink()
    events = check_events(dataset)
    assert isinstance(next(events), Issue)
    assert isinstance(next(events), PairChecked)
    events.close()
    assert list(events) == []
