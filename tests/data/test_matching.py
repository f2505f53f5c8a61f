"""Which labels belong to which image: by names in all their forms, by numbers, and never by chance."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from napari_unet3d.data.checks import check_dataset
from napari_unet3d.data.layout import Subset
from napari_unet3d.data.pairs import folder_notices, list_pairs, pairing_notice
from napari_unet3d.errors import UserError

CELL = "Zellkörper"


def make(folder: Path, images: list[str], labels: list[str], places: tuple[str, str] = ("images", "labels")) -> Path:
    for place, names in zip(places, (images, labels), strict=True):
        target = folder / place if "Tr" in place or "Ts" in place else folder / "train" / place
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            (target / name).touch()
    return folder


def found(folder: Path, subset: Subset = Subset.TRAIN) -> dict[str | None, str | None]:
    pairs = list_pairs(folder, subset)
    return {pair.image and pair.image.name: pair.labels and pair.labels.name for pair in pairs}


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("image_1", "label_1"),
        ("image1", "label1"),
        ("img-1", "mask-1"),
        ("image_01", "label_1"),
        ("raw_t003", "seg_t003"),
        ("1_image", "1_masks"),
        ("train_image_01", "train_label_01"),
        ("cell_img_3_v2", "cell_mask_3_v2"),
        ("Brain_Image", "brain_label"),
        ("case_001_0000", "case_001"),
        ("BRATS_001_0000", "BRATS_001"),
        (unicodedata.normalize("NFC", CELL), unicodedata.normalize("NFD", CELL)),
        (unicodedata.normalize("NFD", f"{CELL}_img"), unicodedata.normalize("NFC", f"{CELL}_mask")),
    ],
)
def test_names_that_mean_the_same_are_partners(tmp_path: Path, image: str, labels: str) -> None:
    folder = make(tmp_path, [f"{image}.tif", "other_7.tif"], [f"{labels}.nii.gz", "other_7.tif"])
    assert found(folder) == {f"{image}.tif": f"{labels}.nii.gz", "other_7.tif": "other_7.tif"}
    assert pairing_notice(folder) is None


@pytest.mark.parametrize(
    ("images", "labels", "lonely"),
    [
        (["image_1", "image_2", "image_3"], ["label_1", "label_3", "label_9"], ["image_2", "label_9"]),
        (["scan_1", "scan_2"], ["x_1", "x_5"], ["scan_2", "x_5"]),
        (["fish1", "bird2", "cat3"], ["a1", "b3", "c4"], ["bird2", "c4"]),
        (["a1", "b2"], ["c3", "d4"], ["a1", "b2", "c3", "d4"]),
        (["image_1"], ["label_9"], ["image_1", "label_9"]),
        (["exp3_01", "exp3_02"], ["exp4_01", "exp4_03"], ["exp3_02", "exp4_03"]),
    ],
)
def test_numbers_that_do_not_fit_are_an_error_that_names_the_file(
    tmp_path: Path, images: list[str], labels: list[str], lonely: list[str]
) -> None:
    folder = make(tmp_path, [f"{name}.tif" for name in images], [f"{name}.tif" for name in labels])
    assert sorted(pair.name for pair in list_pairs(folder) if not pair.is_complete) == sorted(lonely)
    messages = [issue.message for issue in check_dataset(folder)]
    assert any(f"{lonely[0]} has no labels" in message for message in messages)


def test_other_names_with_the_same_numbers_are_matched_with_a_notice(tmp_path: Path) -> None:
    folder = make(tmp_path, ["fish_2.tif", "fish_10.tif"], ["b 10.tif", "b 02.tif"])
    assert found(folder) == {"fish_2.tif": "b 02.tif", "fish_10.tif": "b 10.tif"}
    assert "the numbers in their names" in str(pairing_notice(folder))


def test_names_that_become_the_same_are_not_matched_by_chance(tmp_path: Path) -> None:
    folder = make(tmp_path, ["a_1.tif", "a-01.tif", "b.tif"], ["a 1.tif", "b.tif"])
    assert found(folder)["b.tif"] == "b.tif"
    assert sum(not pair.is_complete for pair in list_pairs(folder)) == 3


def test_channels_of_nnunet_are_named(tmp_path: Path) -> None:
    folder = make(tmp_path, ["case_1_0000.nii.gz", "case_1_0001.nii.gz"], ["case_1.nii.gz"])
    assert found(folder) == {"case_1_0000.nii.gz": "case_1.nii.gz"}
    assert any("case_1_0001.nii.gz is left out" in notice for notice in folder_notices(folder))


@pytest.mark.parametrize("places", [("images", "masks"), ("imgs", "labels"), ("raw", "gt"), ("imagesTr", "labelsTr")])
def test_folders_of_other_tools_are_read(tmp_path: Path, places: tuple[str, str]) -> None:
    folder = make(tmp_path, ["a_0000.tif", "b_0000.tif"], ["a.tif"], places)
    assert found(folder) == {"a_0000.tif": "a.tif", "b_0000.tif": None}
    message = next(issue.message for issue in check_dataset(folder) if "no partner" in issue.message)
    assert message.startswith(f"{'' if 'Tr' in places[1] else 'train/'}{places[1]} has no partner for b_0000.tif.")


def test_images_without_labels_of_nnunet_are_no_test_set_and_this_is_said(tmp_path: Path) -> None:
    folder = make(tmp_path, ["a_0000.tif"], ["a.tif"], ("imagesTr", "labelsTr"))
    make(tmp_path, ["b_0000.tif"], [], ("imagesTs", "labelsTr"))
    assert list_pairs(folder, Subset.TEST) == []
    assert any("imagesTs is left out" in notice for notice in folder_notices(folder))
    make(tmp_path, [], ["b.tif"], ("imagesTs", "labelsTs"))
    assert found(folder, Subset.TEST) == {"b_0000.tif": "b.tif"}


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    folder = make(tmp_path, ["a.tif", "notes.txt"], ["a.tif"])
    (folder / "val" / "images").mkdir(parents=True)
    notices = folder_notices(folder)
    assert any("train/images/notes.txt is ignored" in notice for notice in notices)
    assert any("val/images is left out" in notice for notice in notices)


@pytest.mark.parametrize("names", [("a.tif", "a_masks.tif"), ("a_image.tif", "a_mask.tif"), ("a.tif", "a_seg.tif")])
@pytest.mark.parametrize("place", [".", "train"])
def test_images_and_labels_in_one_folder_are_named(tmp_path: Path, names: tuple[str, str], place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    for name in names:
        (tmp_path / place / name).touch()
    with pytest.raises(UserError, match=rf"such as {names[0]} and {names[1]}. Move the images to train/images"):
        list_pairs(tmp_path)
