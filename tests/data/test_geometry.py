"""Image and labels that run in other directions are no pair; origins that differ are told by the check."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from napari_unet3d.data.checks import check_dataset
from napari_unet3d.data.dataset import Subset, read_samples
from napari_unet3d.data.issues import Severity
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.volumes import read_sample, write_volume
from napari_unet3d.errors import UserError

IMAGE = np.random.default_rng(0).integers(0, 255, (3, 4, 5), dtype=np.uint8)
LABELS = (IMAGE > 99).astype(np.uint8)
TURN = np.deg2rad(20)
OBLIQUE = np.array([[np.cos(TURN), -np.sin(TURN), 0], [np.sin(TURN), np.cos(TURN), 0], [0, 0, 1]])
SUFFIXES = [".nii.gz", ".nrrd", ".mha"]


def write(path: Path, array: np.ndarray, directions: np.ndarray, origin=(0.0, 0.0, 0.0)) -> Path:
    """Write voxels of 1 mm whose axes x, y, z lead along the columns, which are right, front, up for every format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if ".nii" in path.name:
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = directions, origin
        image = nibabel.Nifti1Image(array.T, affine)
        image.header.set_xyzt_units("mm")
        nibabel.save(image, path)
    else:
        left_back_up = np.diag([-1, -1, 1])
        volume = SimpleITK.GetImageFromArray(array)
        volume.SetDirection((left_back_up @ directions).ravel().tolist())
        volume.SetOrigin((left_back_up @ np.array(origin)).tolist())
        SimpleITK.WriteImage(volume, str(path))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_labels_or_a_mask_of_oblique_directions_are_refused(tmp_path, suffix):
    directions, words = OBLIQUE, r"\(0.94 0.342 0\), \(-0.342 0.94 0\), S"
    image = write(tmp_path / f"image{suffix}", IMAGE, np.eye(3))
    other = write(tmp_path / f"other{suffix}", LABELS, directions)
    same = write(tmp_path / f"same{suffix}", LABELS, np.eye(3))
    message = (
        rf"The orientation of .*other{suffix} differs from that of its image .*image{suffix}: x, y and z "
        rf"point to {words} instead of R, A, S"
    )
    for labels, mask in ((other, None), (same, other)):
        with pytest.raises(UserError, match=message):
            read_sample(image, labels, mask)
    np.testing.assert_array_equal(read_sample(image, same, same).labels, LABELS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_oblique_direction_with_the_rounding_of_formats_is_a_pair(tmp_path, suffix):
    image = write(tmp_path / f"image{suffix}", IMAGE, OBLIQUE)
    labels = write(tmp_path / f"labels{suffix}", LABELS, np.round(OBLIQUE, 3))
    np.testing.assert_array_equal(read_sample(image, labels).labels, LABELS)


def test_nrrd_and_metaimage_share_their_directions(tmp_path):
    image = write(tmp_path / "image.nrrd", IMAGE, np.eye(3))
    read_sample(image, write(tmp_path / "same.mha", LABELS, np.eye(3)))
    turned = write(tmp_path / "other.mha", LABELS[:, ::-1], np.diag([1.0, -1, 1]), (0.0, 3.0, 0.0))
    np.testing.assert_array_equal(read_sample(image, turned).labels, LABELS)
    with pytest.raises(UserError, match=r"oblique\.mha differs from that of its image"):
        read_sample(image, write(tmp_path / "oblique.mha", LABELS, OBLIQUE))


def test_files_without_directions_are_paired_as_they_are(tmp_path):
    nifti = nibabel.Nifti1Image(IMAGE.T, None)
    nibabel.save(nifti, tmp_path / "image.nii")
    assert read_volume(tmp_path / "image.nii").geometry.directions is None
    read_sample(tmp_path / "image.nii", write(tmp_path / "labels.nii", LABELS, np.diag([-1.0, -1, 1])))
    header = "type: uchar\ndimension: 3\nsizes: 5 4 3\nspacings: 1 1 1\nencoding: raw"
    (tmp_path / "image.nrrd").write_bytes(f"NRRD0004\n{header}\n\n".encode() + IMAGE.tobytes())
    assert read_volume(tmp_path / "image.nrrd").geometry.directions is None
    read_sample(tmp_path / "image.nrrd", write(tmp_path / "labels.nrrd", LABELS, np.eye(3)))


@pytest.mark.parametrize("formats", [(".nii.gz", ".nrrd"), (".mha", ".nii"), (".tif", ".nii.gz"), (".nrrd", ".mha")])
def test_what_is_written_here_is_a_pair_in_any_formats(tmp_path, formats):
    for name, array, suffix in zip(("image", "labels"), (IMAGE, LABELS), formats, strict=True):
        write_volume(tmp_path / f"{name}{suffix}", array, (3, 2, 1))
    read_sample(*(tmp_path / f"{name}{suffix}" for name, suffix in zip(("image", "labels"), formats, strict=True)))


def dataset(folder: Path, suffix: str, directions: np.ndarray, origin: tuple[float, ...]) -> Path:
    """Make a dataset whose second training labels have other directions and another origin than their image."""
    rng = np.random.default_rng(1)
    for name in ("train", "train", "test"):
        number = len(list(folder.rglob("images/*")))
        image = rng.integers(0, 255, (3, 4, 5), dtype=np.uint8)
        write(folder / name / "images" / f"{number}{suffix}", image, np.eye(3))
        place = (directions, origin) if number == 1 else (np.eye(3),)
        write(folder / name / "labels" / f"{number}{suffix}", (image > 99).astype(np.uint8), *place)
    return folder


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_check_and_reading_refuse_oblique_directions(tmp_path, suffix):
    folder = dataset(tmp_path, suffix, OBLIQUE, (4.0, 3.0, 0.0))
    (finding,) = check_dataset(folder)
    assert finding.severity is Severity.ERROR
    assert finding.message.startswith(
        f"The orientation of train/labels/1{suffix} differs from that of its image train/images/1{suffix}: x, y and z "
        "point to (0.94 0.342 0), (-0.342 0.94 0), S instead of R, A, S. Save both"
    )
    with pytest.raises(UserError, match="differs from that of its image"):
        read_samples(folder)
    assert len(read_samples(folder, Subset.TEST)) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_check_says_that_flipped_labels_are_turned(tmp_path, suffix):
    folder = dataset(tmp_path, suffix, np.diag([-1.0, -1, 1]), (4.0, 3.0, 0.0))  # the corner where the image ends
    finding, doubt = sorted(check_dataset(folder), key=lambda issue: "hardly fit" in issue.message)
    assert "would if they were flipped along" in doubt.message  # the voxels of this dataset are not flipped
    assert finding.severity is Severity.WARNING
    assert finding.message.startswith(f"The axes of train/labels/1{suffix} point to L, P, S, those of its image")
    stored = read_volume(folder / f"train/labels/1{suffix}").array
    np.testing.assert_array_equal(read_samples(folder)[1].labels, stored[:, ::-1, ::-1])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_check_warns_of_origins_that_differ_and_names_both(tmp_path, suffix):
    folder = dataset(tmp_path / "far", suffix, np.eye(3), (2.0, 0.0, -5.0))
    (finding,) = check_dataset(folder)
    assert finding.severity is Severity.WARNING
    assert finding.message.startswith(
        f"The origin of train/images/1{suffix} is (0 0 0) µm and that of train/labels/1{suffix} (2000 0 -5000) µm"
    )
    assert len(read_samples(folder)) == 2
    assert not list(check_dataset(dataset(tmp_path / "near", suffix, np.eye(3), (0.2, 0.0, -0.3))))
