"""Datasets and paths as other tools and people make them: used as they are, or a sentence on what to do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_unet3d.data.checks import check_dataset
from napari_unet3d.data.dataset import read_samples
from napari_unet3d.data.label_reading import read_labels
from napari_unet3d.data.layout import check_is_dataset
from napari_unet3d.data.pairs import folder_notices, list_pairs
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.inference.input_files import find_input_files

IMAGE = np.random.default_rng(0).integers(0, 900, (5, 8, 9), dtype=np.uint16)
LABELS = np.zeros((5, 8, 9), np.uint8)
LABELS[1:3, 2:6, 3:8] = 1


def write(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, array, photometric="minisblack")
    return path


def write_pair(folder: Path, image: str, labels: str) -> None:
    write(folder / "train/images" / image, IMAGE)
    write(folder / "train/labels" / labels, LABELS)


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("{}.tif", "{}_cp_masks.tif"),
        ("{}.tif", "{}_Simple Segmentation.tif"),
        ("{}.tif", "{}_Object Predictions.tif"),
        ("{}_raw.tif", "{}_finalprediction.tif"),
        ("{}.ome.tif", "{}.tif"),
    ],
)
def test_results_of_cellpose_and_ilastik_are_partners_by_name(tmp_path: Path, image: str, labels: str) -> None:
    for name in ("b2", "b10", "a"):
        write_pair(tmp_path, image.format(name), labels.format(name))
    pairs = list_pairs(tmp_path)
    assert [(pair.image.name, pair.labels.name) for pair in pairs if pair.image and pair.labels] == [
        (image.format(name), labels.format(name)) for name in ("a", "b2", "b10")
    ]
    assert not any(pair.matched_by_order for pair in pairs)


def write_parts(folder: Path, names: list[str], *, is_described_once: bool) -> None:
    """Write a volume with a file for each slice; its description is in the first or in all of them."""
    folder.mkdir(parents=True)
    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
        for z, name in enumerate(names)
    )
    start = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{}">'
    pixels = f'SizeX="9" SizeY="8" SizeZ="{len(names)}" SizeC="1" SizeT="1" DimensionOrder="XYZCT" Type="uint16"'
    whole = f'{start}<Image ID="Image:0"><Pixels ID="Pixels:0" {pixels}>{planes}</Pixels></Image></OME>'
    part = f'{start}<BinaryOnly MetadataFile="{names[0]}" UUID="urn:uuid:0"/></OME>'
    for z, name in enumerate(names):
        text = (part if z and is_described_once else whole).format(z)
        tifffile.imwrite(folder / name, IMAGE[z], description=text, metadata=None, photometric="minisblack")


@pytest.mark.parametrize("is_described_once", [True, False])
def test_the_files_of_one_ome_tiff_are_one_volume(tmp_path: Path, is_described_once: bool) -> None:
    write_parts(tmp_path / "train/images", [f"s_z{z}.ome.tif" for z in range(5)], is_described_once=is_described_once)
    write(tmp_path / "train/labels/s.tif", LABELS)
    (sample,) = read_samples(tmp_path)
    np.testing.assert_array_equal(sample.image, IMAGE)
    assert any("s_z0.ome.tif is a volume in 5 files" in notice for notice in folder_notices(tmp_path))


def test_the_ignore_label_of_nnunet_is_named(tmp_path: Path) -> None:
    write_pair(tmp_path, "a.tif", "a.tif")
    description = tmp_path / "dataset.json"
    for labels, n_notices in (({"background": 0, "ignore": 3}, 1), ({"background": 0, "cell": 1}, 0), ([], 0)):
        description.write_text(json.dumps({"labels": labels}))
        named = [issue for issue in check_dataset(tmp_path) if "Set the ignore label to 3" in issue.message]
        assert len(named) == n_notices
    description.write_text("{")
    assert list(check_dataset(tmp_path))


def test_folders_that_other_tools_train_on_are_explained(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        write(tmp_path / "stardist" / kind / "a.tif", IMAGE)
    with pytest.raises(UserError, match=r"has the folders images and masks: move both into .*stardist/train"):
        check_is_dataset(tmp_path / "stardist")
    write(tmp_path / "unet/train/a.tif", IMAGE)
    with pytest.raises(UserError, match=r"train has volumes such as a.tif: put the images into .*goes into both"):
        check_is_dataset(tmp_path / "unet")


def test_shapes_that_differ_have_a_likely_cause(tmp_path: Path) -> None:
    for labels, cause in ((LABELS.T, "save them as (z, y, x)"), (LABELS[1:], "Slices are missing in the labels")):
        write_pair(tmp_path, "a.tif", "a.tif")
        write(tmp_path / "train/labels/a.tif", labels)
        assert any(cause in issue.message for issue in check_dataset(tmp_path))


@pytest.mark.parametrize(("moved", "is_placed"), [(0.0, True), (0.2, False), (50.0, False)])
def test_segmentations_of_slicer_without_margins_are_placed(tmp_path: Path, moved: float, is_placed: bool) -> None:
    itk = pytest.importorskip("SimpleITK")
    spacing, first, rest = (0.5, 0.25, 2.0), np.array([10.0, 20.0, 30.0]), (slice(1, 3), slice(2, 6), slice(3, 8))
    turned = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)  # the columns are the directions of x, y and z
    origin = first + np.reshape(turned, (3, 3)) @ (np.array([3, 2, 1]) * spacing) + [moved, 0, 0]
    for name, array, at in (("images/a.nrrd", IMAGE, first), ("labels/a.seg.nrrd", LABELS[rest], origin)):
        image = itk.GetImageFromArray(array)
        image.SetSpacing(spacing)
        image.SetOrigin(at.tolist())
        image.SetDirection(turned)
        (tmp_path / "train" / name).parent.mkdir(parents=True)
        itk.WriteImage(image, str(tmp_path / "train" / name))
    if is_placed:
        (sample,) = read_samples(tmp_path)
        np.testing.assert_array_equal(sample.labels, LABELS)
        assert any("placed at the voxel (1, 2, 3) of its image" in notice for notice in sample.notices)
        assert any("placed at the voxel (1, 2, 3)" in issue.message for issue in check_dataset(tmp_path))
    else:
        with pytest.raises(UserError, match="both must be the same volume"):
            read_samples(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.n5", b"", "an N5 container, which is not read. Export it as OME-Zarr"),
        ("a.am", b"", "a file of Amira or Avizo, which is not read. Save it as TIFF"),
        ("a.raw", b"", "Write an .mhd header for it"),
        ("a.xml", b"", "Choose the .h5 file beside it"),
        ("IM0001", bytes(128) + b"DICM", "a DICOM file, which is not read. Convert the series to NIfTI"),
        ("a.lsm", b"", "Open it in Fiji and save it as TIFF"),
        ("a.doc", b"", "has no format that can be read; use one of"),
    ],
)
def test_files_that_cannot_be_read_are_named_with_a_remedy(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (read_volume, lambda path: find_input_files([path])):
        with pytest.raises(UserError) as caught:
            read(tmp_path / name)
        assert message in str(caught.value)


def test_folders_that_are_no_volume_are_explained(tmp_path: Path) -> None:
    write(tmp_path / "stacks/b.tif", IMAGE)
    with pytest.raises(UserError, match=r"is a folder with volumes, not slices. Choose one of them, such as .*b.tif"):
        read_volume(tmp_path / "stacks")
    (tmp_path / "dicom").mkdir()
    (tmp_path / "dicom/1").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(UserError, match="a folder of slices of which each is a DICOM file"):
        read_volume(tmp_path / "dicom")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is an empty folder"):
        read_volume(tmp_path / "empty")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.txt").touch()
    with pytest.raises(UserError, match=r"a folder without slices; it has a.txt"):
        read_volume(tmp_path / "notes")


@pytest.mark.parametrize("address", ["https://example.org/a.tif", "s3://bucket/a.zarr", "http://example.org/data"])
def test_web_addresses_are_named_as_such(address: str) -> None:
    for read in (read_volume, lambda path: find_input_files([path]), check_is_dataset):
        with pytest.raises(UserError, match=f"{address} is a web address. Download the file first"):
            read(address)


def test_a_home_folder_in_quotes_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    with pytest.raises(UserError, match="In quotes, ~ is not your home folder; write /home/anna/data"):
        check_is_dataset("~/data")


@pytest.mark.parametrize("suffix", [".h5", ".nrrd", ".mha", ".nii.gz", ".npy", ".ome.zarr", ".mrc"])
def test_labels_in_floats_are_rounded_in_every_format(tmp_path: Path, suffix: str) -> None:
    values = LABELS.astype(np.float32) * np.float32(0.9999)
    write_volume(tmp_path / f"a{suffix}", values, (2.0, 0.5, 0.25))
    volume = read_labels(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(volume.array, LABELS)
    assert any("not whole numbers (0.9999)" in notice for notice in volume.notices)
    write_volume(tmp_path / f"p{suffix}", LABELS * np.float32(0.9), (2.0, 0.5, 0.25))
    with pytest.raises(UserError, match="rather than probabilities"):
        read_labels(tmp_path / f"p{suffix}")
