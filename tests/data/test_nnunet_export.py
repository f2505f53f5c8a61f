"""Datasets for nnU-Net: files, numbers and names as it documents them; what it cannot hold is refused or said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.dataset_voxel_size import write_given_voxel_size
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.data.nnunet.events import DatasetExported, VolumeDone
from napari_unet3d.data.nnunet.exporting import export_dataset
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError

SHAPE = (3, 5, 7)
SIZE = Geometry((2.0, 0.5, 0.25))


def sample(name: str, values: tuple[int, ...] = (1,), geometry: Geometry = SIZE, **about: Any) -> Sample:
    """A volume whose first row has the given labels; its image is different for each name."""
    rng = np.random.default_rng(sum(map(ord, name)))
    labels = np.zeros(SHAPE, np.int16)
    labels[0, 0, : len(values)] = values
    image = about.pop("image", rng.integers(0, 1000, SHAPE, dtype=np.uint16))
    return Sample(name, image, labels, geometry=geometry, **about)


def make(folder: Path, *train: Sample, test: tuple[Sample, ...] = ()) -> Path:
    for subset, samples in ((Subset.TRAIN, train), (Subset.TEST, test)):
        for each in samples:
            add_sample(folder / "my cells", each, subset)
    return folder / "my cells"


def export(folder: Path, dataset: Path, **options: Any) -> tuple[Path, list[str]]:
    """Return the folder that was written, and what was said."""
    events = list(export_dataset(dataset, folder / "raw", **options))
    assert isinstance(events[-1], DatasetExported)
    return events[-1].folder, [event.message for event in events if isinstance(event, Notice)]


def described(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    return found


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_files_and_description_are_those_of_nnunet(tmp_path: Path) -> None:
    train, test = sample("a", (1, 2)), sample("b", (2,))
    dataset = make(tmp_path, train, test=(test,))
    write_volume(dataset / "test/images/c.tif", train.image, geometry=SIZE)
    folder, said = export(tmp_path, dataset, task="semantic", class_names=("wall", "lumen"), number=7)
    assert folder == tmp_path / "raw" / "Dataset007_my_cells"
    assert files(folder) == [
        "dataset.json",
        *("imagesTr/a.json", "imagesTr/a_0000.tif"),
        *("imagesTs/b.json", "imagesTs/b_0000.tif", "imagesTs/c.json", "imagesTs/c_0000.tif"),
        *("labelsTr/a.json", "labelsTr/a.tif", "labelsTs/b.json", "labelsTs/b.tif"),
    ]
    description = described(folder)
    assert description == {
        "channel_names": {"0": "image"},
        "labels": {"background": 0, "wall": 1, "lumen": 2},
        "numTraining": 1,
        "file_ending": ".tif",
        "overwrite_image_reader_writer": "Tiff3DIO",
        "name": "my_cells",
        "converted_by": "napari-unet3d",
    }
    assert said == []
    np.testing.assert_array_equal(tifffile.imread(folder / "imagesTr/a_0000.tif"), train.image)
    np.testing.assert_array_equal(tifffile.imread(folder / "labelsTs/b.tif"), test.labels)
    for name in ("imagesTr/a", "imagesTs/c", "labelsTr/a"):  # in the order of the axes of the array
        assert json.loads((folder / f"{name}.json").read_text()) == {"spacing": [2.0, 0.5, 0.25]}


def test_each_channel_is_a_file_in_the_order_of_the_first_volume(tmp_path: Path) -> None:
    both = np.arange(2 * np.prod(SHAPE), dtype=np.float32).reshape(2, *SHAPE)
    swapped = sample("b", image=both, channel_names=("membrane", "CT"))
    dataset = make(tmp_path, sample("a", image=both, channel_names=("CT", "membrane")), swapped)
    folder, said = export(tmp_path, dataset)
    assert described(folder)["channel_names"] == {"0": "CT", "1": "membrane"}
    for index in range(2):
        for case, channels in (("a", both), ("b", both[::-1])):
            np.testing.assert_array_equal(tifffile.imread(folder / f"imagesTr/{case}_{index:04d}.tif"), channels[index])
    assert any("normalises the channel 'CT'" in each for each in said)


def test_volumes_with_other_channels_are_refused(tmp_path: Path) -> None:
    two = np.zeros((2, *SHAPE), np.uint8)
    dataset = make(tmp_path, sample("a"), sample("b", image=two))
    with pytest.raises(UserError, match="'b' has 2 channels, but 'a' has 1 channel"):
        export(tmp_path, dataset)
    assert not list((tmp_path / "raw").glob("*"))


def test_label_values_are_numbered_without_gaps_and_this_is_said(tmp_path: Path) -> None:
    dataset = make(tmp_path, sample("a", (7, 2)), sample("b", (40,)))
    folder, said = export(tmp_path, dataset, task="semantic")
    assert described(folder)["labels"] == {"background": 0, "class 2": 1, "class 7": 2, "class 40": 3}
    assert tifffile.imread(folder / "labelsTr/a.tif")[0, 0].tolist() == [2, 1, 0, 0, 0, 0, 0]
    assert tifffile.imread(folder / "labelsTr/b.tif")[0, 0].tolist() == [3, 0, 0, 0, 0, 0, 0]
    assert any("2 becomes 1, 7 becomes 2, 40 becomes 3" in each for each in said)


@pytest.mark.parametrize(
    ("ignore_label", "values", "expected"),
    [(-1, (-1, 1, 2), [3, 1, 2, 0]), (9, (9, 1, 2), [3, 1, 2, 0]), (0, (1, 2, 3), [0, 1, 2, 3])],
)
def test_voxels_that_are_not_annotated_get_the_highest_label(
    tmp_path: Path, ignore_label: int, values: tuple[int, ...], expected: list[int]
) -> None:
    dataset = make(tmp_path, sample("a", values))
    folder, _ = export(tmp_path, dataset, task="semantic", ignore_label=ignore_label, class_names=("wall", "lumen"))
    assert described(folder)["labels"] == {"background": 0, "wall": 1, "lumen": 2, "ignore": 3}
    assert tifffile.imread(folder / "labelsTr/a.tif")[0, 0, :4].tolist() == expected


def test_masks_of_annotated_voxels_become_the_ignore_label(tmp_path: Path) -> None:
    mask = np.ones(SHAPE, bool)
    mask[1] = False
    dataset = make(tmp_path, sample("a", (255,), label_mask=mask))
    folder, _ = export(tmp_path, dataset)
    assert described(folder)["labels"] == {"background": 0, "foreground": 1, "ignore": 2}
    np.testing.assert_array_equal(tifffile.imread(folder / "labelsTr/a.tif") == 2, ~mask)


def test_corrections_count_and_what_they_replace_does_not(tmp_path: Path) -> None:
    whole = sample("a")
    part = Provenance(volume="a", subset="train", start_zyx=(1, 0, 0), made="2026-01-02T03:04:05+00:00")
    crop = Sample(
        "a corrected", whole.image[1:], np.ones((2, 5, 7), int), geometry=SIZE, provenance=part,
        label_mask=np.ones((2, 5, 7), bool),
    )  # fmt: skip
    folder, said = export(tmp_path, make(tmp_path, whole, crop))
    labels = tifffile.imread(folder / "labelsTr/a.tif")
    assert (labels[1:] == 2).all()
    assert (labels[0] < 2).all()
    assert (tifffile.imread(folder / "labelsTr/a corrected.tif") == 1).all()
    assert any("1 corrected parts are cases of their own" in each for each in said)


def test_ids_of_objects_need_a_word(tmp_path: Path) -> None:
    dataset = make(tmp_path, sample("a", (1, 2, 3)))
    with pytest.raises(UserError, match=r"hold 3 values above background \(1, 2, 3\).*semantic.*binary"):
        export(tmp_path, dataset)
    with pytest.raises(UserError, match=r"ids of single objects.*binary"):
        export(tmp_path, dataset, task="instance")
    folder, said = export(tmp_path, dataset, task="binary")
    assert tifffile.imread(folder / "labelsTr/a.tif").max() == 1
    assert any("ids of single objects are not kept" in each for each in said)


def test_hundreds_of_values_are_no_classes(tmp_path: Path) -> None:
    labels = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    dataset = make(tmp_path, replace(sample("a"), labels=labels))
    with pytest.raises(UserError, match="more than 100 values, which are ids"):
        export(tmp_path, dataset, task="semantic")


@pytest.mark.parametrize("names", [("wall",), ("wall", "wall"), ("wall", "ignore"), ("background", "b"), ("a", " ")])
def test_names_of_classes_are_checked(tmp_path: Path, names: tuple[str, ...]) -> None:
    dataset = make(tmp_path, sample("a", (1, 2)))
    with pytest.raises(UserError, match=r"class names are"):
        export(tmp_path, dataset, task="semantic", class_names=names)


def test_labels_without_foreground_are_refused(tmp_path: Path) -> None:
    dataset = make(tmp_path, sample("a", ()))
    with pytest.raises(UserError, match="has foreground"):
        export(tmp_path, dataset)


class TestVoxelSizes:
    """Known, given, or said to be unknown; never made up."""

    def test_unknown_sizes_have_no_file_and_are_said(self, tmp_path: Path) -> None:
        folder, said = export(tmp_path, make(tmp_path, sample("a", geometry=Geometry())))
        assert files(folder) == ["dataset.json", "imagesTr/a_0000.tif", "labelsTr/a.tif"]
        assert any("voxel size is unknown" in each for each in said)

    def test_those_of_the_dataset_are_used(self, tmp_path: Path) -> None:
        dataset = make(tmp_path, sample("a", geometry=Geometry()))
        write_volume(dataset / "test/images/b.tif", np.zeros(SHAPE, np.uint8))  # without labels
        write_given_voxel_size(dataset, (3.0, 1.0, 1.0))
        folder, _ = export(tmp_path, dataset)
        for name in ("imagesTr/a", "imagesTs/b"):
            assert json.loads((folder / f"{name}.json").read_text()) == {"spacing": [3.0, 1.0, 1.0]}

    @pytest.mark.parametrize("other", [Geometry(), Geometry((2.0, 0.5, 0.25), is_um=False)])
    def test_known_and_unknown_ones_together_are_refused(self, tmp_path: Path, other: Geometry) -> None:
        dataset = make(tmp_path, sample("a"), sample("b", geometry=other))
        with pytest.raises(UserError, match=r"'a' is 2 × 0.5 × 0.25 µm and that of 'b'.*voxel_size.json"):
            export(tmp_path, dataset)

    def test_those_known_along_some_axes_are_refused(self, tmp_path: Path) -> None:
        dataset = make(tmp_path, sample("a", geometry=Geometry((None, 0.5, 0.25))))
        with pytest.raises(UserError, match=r"'a' is unknown × 0.5 × 0.25 µm, and nnU-Net needs all three sides"):
            export(tmp_path, dataset)

    def test_a_place_needs_nifti_for_all(self, tmp_path: Path) -> None:
        turned = np.array([[-1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
        placed = make_geometry((2.0, 0.5, 0.25), turned, (10.0, 20.0, 30.0), "NIfTI")
        first = sample("a", geometry=placed)
        folder, _ = export(tmp_path, make(tmp_path, first, sample("b")))
        assert files(folder)[1:3] == ["imagesTr/a_0000.nii.gz", "imagesTr/b_0000.nii.gz"]
        assert described(folder)["file_ending"] == ".nii.gz"
        assert "overwrite_image_reader_writer" not in described(folder)
        for name in ("imagesTr/a_0000", "labelsTr/a"):
            found = read_volume(folder / f"{name}.nii.gz").geometry
            np.testing.assert_allclose(found.origin or (), placed.origin or (), rtol=1e-6)
            np.testing.assert_allclose(found.directions or (), placed.directions or (), atol=1e-6)


class TestFolders:
    """No dataset is replaced by chance, and nothing is left of one that was not completed."""

    def test_a_number_of_another_dataset_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "raw" / "Dataset501_hearts").mkdir(parents=True)
        with pytest.raises(UserError, match=r"Dataset501_hearts has the number 501 already.*502 is free"):
            export(tmp_path, make(tmp_path, sample("a")))

    def test_only_an_exported_dataset_is_replaced(self, tmp_path: Path) -> None:
        dataset = make(tmp_path, sample("a"))
        folder, _ = export(tmp_path, dataset)
        with pytest.raises(UserError, match=r"exists already.*--overwrite"):
            export(tmp_path, dataset)
        add_sample(dataset, sample("b"), Subset.TRAIN)
        export(tmp_path, dataset, overwrite=True)
        assert described(folder)["numTraining"] == 2
        (folder / "notes.txt").touch()
        with pytest.raises(UserError, match=r"exists already. Choose another number or name\.$"):
            export(tmp_path, dataset, overwrite=True)

    def test_nothing_is_left_when_it_is_stopped(self, tmp_path: Path) -> None:
        events: Iterator[Any] = export_dataset(make(tmp_path, sample("a"), sample("b")), tmp_path / "raw")
        assert any(isinstance(event, VolumeDone) and event.doing == "written" for event in events)
        events.close()  # type: ignore[attr-defined]
        assert list((tmp_path / "raw").iterdir()) == []

    def test_a_dataset_of_nnunet_is_one_already(self, tmp_path: Path) -> None:
        folder, _ = export(tmp_path, make(tmp_path, sample("a")))
        with pytest.raises(UserError, match="has the layout of nnU-Net already"):
            export(tmp_path, folder, number=502)

    @pytest.mark.parametrize(("options", "message"), [({"number": 0}, "from 1 to 999"), ({"name": "--"}, "letters")])
    def test_numbers_and_names_are_checked(self, tmp_path: Path, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UserError, match=message):
            export(tmp_path, make(tmp_path, sample("a")), **options)
