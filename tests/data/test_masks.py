"""Masks of annotated voxels: in the dataset folder, in samples, in checks; and where corrected volumes come from."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.checks import check_dataset
from napari_unet3d.data.dataset import add_sample, clean_dataset, files_to_clean, list_pairs, read_pair, read_samples
from napari_unet3d.data.issues import Issue
from napari_unet3d.data.label_checks import check_label_values
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.provenance import CorrectionRecord, Provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.statistics import compute_statistics
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError

SHAPE = (4, 5, 6)
ORIGIN = Provenance(
    volume="a",
    subset="train",
    start_zyx=(1, 2, 3),
    run="runs/1",
    made="2026-01-02T03:04:05+00:00",
    unedited_regions="ignore",
    corrections=(CorrectionRecord(kind="missed", number=3, source="truth", position_zyx=(1, 2, 3), volume=8.5),),
)


def masked(name: str = "a", origin: Provenance | None = None) -> Sample:
    rng = np.random.default_rng(3)
    mask = np.zeros(SHAPE, bool)
    mask[1:3, 1:4, 2:] = True
    labels = rng.integers(0, 3, SHAPE).astype(np.uint8)
    return Sample(name, rng.integers(0, 255, SHAPE).astype(np.uint8), labels, (2.0, 1.0, 0.5), mask, origin)


def plain(name: str = "a") -> Sample:
    return replace(masked(name), label_mask=None)


def messages(folder: Path) -> list[str]:
    return [finding.message for finding in check_dataset(folder)]


def test_a_mask_and_an_origin_come_back_from_the_folder(tmp_path):
    sample = masked(origin=ORIGIN)
    pair = add_sample(tmp_path, sample, Subset.TRAIN)
    assert pair.label_mask == tmp_path / "train/annotated/a.tif"
    (read,) = read_samples(tmp_path)
    np.testing.assert_array_equal(read.label_mask, sample.label_mask)
    assert read.label_mask.dtype == bool
    np.testing.assert_array_equal(read.labels, sample.labels)
    assert (read.provenance, read.voxel_size_um) == (ORIGIN, sample.voxel_size_um)


def test_a_folder_without_masks_is_as_it_was(tmp_path):
    add_sample(tmp_path, plain(), Subset.TRAIN)
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == ["images", "labels"]
    (read,) = read_samples(tmp_path)
    assert read.label_mask is None
    assert read.provenance is None


def test_replacing_a_masked_volume_by_a_whole_one_leaves_no_mask(tmp_path):
    add_sample(tmp_path, masked(origin=ORIGIN), Subset.TRAIN)
    with pytest.raises(UserError, match="exists already"):
        add_sample(tmp_path, plain(), Subset.TRAIN)
    add_sample(tmp_path, plain(), Subset.TRAIN, overwrite=True)
    assert list((tmp_path / "train/annotated").iterdir()) == []
    assert read_samples(tmp_path)[0].label_mask is None


def test_a_mask_is_found_by_the_name_of_image_or_labels(tmp_path):
    for kind, name in (("images", "v1_image.tif"), ("labels", "v1_label.tif"), ("annotated", "v1_annotated.tif")):
        write_volume(tmp_path / "train" / kind / name, np.ones(SHAPE, np.uint8))
    (pair,) = list_pairs(tmp_path)
    assert pair.label_mask.name == "v1_annotated.tif"


def test_a_mask_whose_volume_is_missing_is_not_passed_over(tmp_path):
    add_sample(tmp_path, plain("b"), Subset.TRAIN)
    write_volume(tmp_path / "train/annotated/c.tif", np.ones(SHAPE, np.uint8))
    with pytest.raises(UserError, match=r"train/annotated/c\.tif is a mask without a volume"):
        read_samples(tmp_path)
    assert any("mask without a volume" in message for message in messages(tmp_path))


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros(SHAPE, np.uint8), "nothing is annotated"),
        (np.ones((4, 5, 7), np.uint8), r"has shape \(4, 5, 7\), its image \(4, 5, 6\)"),
        (np.full(SHAPE, 0.5, np.float32), "not integers"),
    ],
)
def test_a_bad_mask_gets_a_sentence(tmp_path, mask, words):
    pair = add_sample(tmp_path, masked(), Subset.TRAIN)
    write_volume(pair.label_mask, mask)
    with pytest.raises(UserError, match=words):
        read_samples(tmp_path)
    assert any(re.search(words, message) for message in messages(tmp_path))


def test_a_damaged_origin_gets_a_sentence(tmp_path):
    add_sample(tmp_path, masked(origin=ORIGIN), Subset.TRAIN)
    (tmp_path / "train/annotated/a.json").write_text("{")
    with pytest.raises(UserError, match=r"a\.json does not say which volume was corrected"):
        read_samples(tmp_path)


def test_the_check_takes_masks_and_their_origins_for_what_they_are(tmp_path):
    add_sample(tmp_path, plain("a"), Subset.TRAIN)
    add_sample(tmp_path, plain("t"), Subset.TEST)
    add_sample(tmp_path, replace(masked("a corrected", ORIGIN), image=plain("x").image + 1), Subset.TRAIN)
    before = [message for message in messages(tmp_path) if "ignored" in message or "mask" in message]
    assert before == []
    (tmp_path / "train/annotated/notes.txt").write_text("?")
    assert any("train/annotated/notes.txt is ignored" in message for message in messages(tmp_path))


def test_foreground_counts_only_where_it_is_annotated(tmp_path):
    sample = masked()
    labels = np.where(sample.label_mask, 0, 1).astype(np.uint8)
    add_sample(tmp_path, replace(sample, labels=labels), Subset.TRAIN)
    assert any("None of the 1 training volumes has foreground" in message for message in messages(tmp_path))


def test_cleaning_takes_masks_and_origins_too(tmp_path):
    pair = add_sample(tmp_path, masked(origin=ORIGIN), Subset.TRAIN)
    files = files_to_clean(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in files} == {
        "train/images/a.tif",
        "train/labels/a.tif",
        "train/annotated/a.tif",
        "train/annotated/a.json",
    }
    clean_dataset(tmp_path, files)
    assert not pair.label_mask.exists()


def test_a_sample_refuses_a_mask_that_is_none():
    sample = plain()
    with pytest.raises(UserError, match="has the data type uint8"):
        replace(sample, label_mask=np.ones(SHAPE, np.uint8))
    with pytest.raises(UserError, match=r"mask of 'a' has shape"):
        replace(sample, label_mask=np.ones((4, 5), bool))


def test_the_store_puts_masks_on_disk_as_well(tmp_path):
    sample = masked(origin=ORIGIN)
    with MemmapStore(tmp_path / "run", budget_bytes=0) as store:
        kept = store.store_sample(sample)
        assert store.n_bytes_on_disk == sum(array.nbytes for array in (sample.image, sample.labels, sample.label_mask))
        np.testing.assert_array_equal(kept.label_mask, sample.label_mask)
        assert kept.provenance == ORIGIN


def test_what_is_counted_lies_in_the_mask():
    sample = masked()
    facts = compute_statistics(sample)
    inside = sample.labels[sample.label_mask]
    assert facts.label_counts == {value: int((inside == value).sum()) for value in (0, 1, 2)}
    assert facts.n_masked == 120 - 2 * 3 * 4


def test_the_preflight_says_how_much_is_annotated():
    found = list(
        check_label_values(
            [compute_statistics(masked(origin=ORIGIN)), compute_statistics(plain("b"))], TrainingConfig()
        )
    )
    words = "1 of 2 volumes have masks of annotated voxels, 1 of them from corrections: 24 voxels (20 %)"
    assert any(words in finding.message for finding in found if isinstance(finding, Issue))


def test_reading_a_pair_by_hand(tmp_path):
    pair = add_sample(tmp_path, masked(), Subset.TEST)
    np.testing.assert_array_equal(read_pair(pair).label_mask, masked().label_mask)
