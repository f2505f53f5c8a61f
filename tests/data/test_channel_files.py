"""Volumes of several channels written and read back with their names and places, and datasets of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_unet3d.data.checks import check_dataset
from napari_unet3d.data.dataset import Subset, add_sample, read_samples, write_lossless
from napari_unet3d.data.formats.registry import readable_suffixes, writable_suffix
from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.data.reading import read_image
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import read_sample, write_volume
from napari_unet3d.errors import UserError

NAMES = ("dapi", "Zellwand µ", "phase")
SUFFIXES = (".tif", ".ome.tif", ".ome.zarr", ".npy", ".nii.gz", ".nii", ".nrrd", ".mha", ".h5", ".hdf5")


def channels(n_channels: int = 3, shape: tuple[int, int, int] = (4, 5, 6)) -> NDArray[Any]:
    return np.random.default_rng(1).integers(0, 999, (n_channels, *shape)).astype(np.uint16)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("n_channels", [2, 3, 7])
def test_channels_come_back_with_names_and_voxel_size(tmp_path: Path, suffix: str, n_channels: int) -> None:
    array, names = (
        channels(n_channels),
        tuple(f"{name} {n}" for n, name in enumerate((*NAMES, *NAMES, "x")))[:n_channels],
    )
    write_volume(tmp_path / f"a{suffix}", array, (2.0, 0.5, 0.25), channel_names=names)

    found = read_image(tmp_path / f"a{suffix}")

    assert (found.axes, found.channel_names) == ("czyx", names)
    np.testing.assert_array_equal(found.array, array)
    assert found.voxel_size_um == pytest.approx((2.0, 0.5, 0.25))
    assert not found.notices


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".npy"])
def test_channels_keep_their_place(tmp_path: Path, suffix: str) -> None:
    frame = "NIfTI" if suffix == ".nii.gz" else "ITK"
    place = make_geometry((2.0, 0.5, 0.25), np.diag([-1.0, 1.0, 1.0]), (10.0, 20.0, 30.0), frame)
    write_volume(tmp_path / f"a{suffix}", channels(), geometry=place, channel_names=NAMES)

    found = read_image(tmp_path / f"a{suffix}").geometry

    assert (found.orientation, found.origin) == (place.orientation, pytest.approx(place.origin))
    assert found.voxel_size_um == pytest.approx((2.0, 0.5, 0.25))


@pytest.mark.parametrize("suffix", [".tif", ".ome.zarr", ".npy"])
def test_three_channels_are_no_colour_and_unknown_sizes_stay_unknown(tmp_path: Path, suffix: str) -> None:
    write_volume(tmp_path / f"a{suffix}", channels().astype(np.uint8), geometry=Geometry())

    found = read_image(tmp_path / f"a{suffix}")

    assert (found.axes, found.channel_names) == ("czyx", ("channel 1", "channel 2", "channel 3"))
    assert found.voxel_size_um is None


def test_channels_of_a_tiff_are_read_by_tifffile(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.tif", channels(), (2.0, 0.5, 0.5), channel_names=NAMES)

    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert (tif.series[0].axes, tif.series[0].shape) == ("CZYX", (3, 4, 5, 6))
        np.testing.assert_array_equal(tif.asarray(), channels())
        assert 'Name="dapi"' in str(tif.ome_metadata)


@pytest.mark.parametrize("suffix", sorted({writable_suffix(f"a{each}") for each in readable_suffixes()}))
def test_every_format_keeps_channels_with_names_or_refuses_them(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".mrc":
        with pytest.raises(UserError, match="holds a single channel, not 3"):
            write_volume(path, channels(), (2.0, 0.5, 0.5), channel_names=NAMES)
        assert not list(tmp_path.iterdir())
        return
    write_volume(path, channels(), (2.0, 0.5, 0.5), channel_names=NAMES)
    found = read_image(path)
    assert (found.axes, found.channel_names) == ("czyx", NAMES)
    np.testing.assert_array_equal(found.array, channels())


def test_channels_of_hdf5_are_a_named_axis(tmp_path: Path) -> None:
    place = Geometry((2.0, 0.5, 0.25), origin=(10.0, 20.0, 30.0), frame="HDF5")
    write_volume(tmp_path / "a.h5", channels(), geometry=place, channel_names=NAMES)
    with h5py.File(tmp_path / "a.h5") as file:
        assert [dimension.label for dimension in file["data"].dims] == [*"czyx"]
        np.testing.assert_array_equal(file["data"][()], channels())
    assert read_image(tmp_path / "a.h5").geometry == place
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["data"].attrs["channel_names"] = ["only one"]
    assert read_image(tmp_path / "a.h5").channel_names == ("channel 1", "channel 2", "channel 3")


def test_mrc_holds_one_channel(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds a single channel"):
        write_volume(tmp_path / "a.mrc", channels(), (2.0, 0.5, 0.5))


def test_an_image_of_channels_is_read_with_its_labels(tmp_path: Path) -> None:
    labels = (channels()[0] > 500).astype(np.uint8)
    write_volume(tmp_path / "image.tif", channels(), (2.0, 0.5, 0.5), channel_names=NAMES)
    write_volume(tmp_path / "labels.tif", labels, (2.0, 0.5, 0.5))

    sample = read_sample(tmp_path / "image.tif", tmp_path / "labels.tif")

    assert (sample.shape, sample.channel_names) == ((4, 5, 6), NAMES)
    np.testing.assert_array_equal(sample.labels, labels)


@pytest.mark.parametrize(
    "geometry",
    [Geometry((2.0, 0.5, 0.5)), Geometry(), Geometry((2.0, 0.5, 0.5), origin=(1.0, 2.0, 3.0))],
)
def test_a_dataset_keeps_channels_with_names(tmp_path: Path, geometry: Geometry) -> None:
    labels = (channels()[0] > 500).astype(np.uint8)
    sample = Sample("cell", channels(), labels, geometry=geometry, channel_names=NAMES)
    add_sample(tmp_path / "dataset", sample, Subset.TRAIN)
    write_lossless(tmp_path / "lossless", [sample])

    for folder in ("dataset", "lossless"):
        (found,) = read_samples(tmp_path / folder)
        assert (found.channel_names, found.geometry.origin) == (NAMES, geometry.origin)
        np.testing.assert_array_equal(found.image, channels())
        np.testing.assert_array_equal(found.labels, labels)


def test_the_check_names_channels_that_are_constant_or_missing(tmp_path: Path) -> None:
    labels, constant = (channels()[0] > 500).astype(np.uint8), channels()
    constant[1] = 7
    one = Sample("one", constant, labels, (2.0, 0.5, 0.5), channel_names=NAMES)
    add_sample(tmp_path, one, Subset.TRAIN)
    add_sample(tmp_path, Sample("two", channels(2) + 1, labels, (2.0, 0.5, 0.5)), Subset.TEST)

    messages = [issue.message for issue in check_dataset(tmp_path)]

    assert "The channel 'Zellwand µ' of train/images/one.tif has a constant intensity; export it again." in messages
    assert any(
        "'test/images/two.tif' has 2 channels, but 'train/images/one.tif' has 3 channels (dapi" in message
        for message in messages
    )


def test_contrasts_of_a_4d_nifti_are_channels_of_one_volume_of_labels(tmp_path: Path) -> None:
    array, labels = channels(4), (channels()[0] > 500).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(array.transpose(3, 2, 1, 0), np.diag([0.5, 0.5, 2, 1])), tmp_path / "image.nii.gz")
    write_volume(tmp_path / "labels.nii.gz", labels, (2000.0, 500.0, 500.0))

    sample = read_sample(tmp_path / "image.nii.gz", tmp_path / "labels.nii.gz")

    assert sample.channel_names == ("channel 1", "channel 2", "channel 3", "channel 4")
    np.testing.assert_array_equal(sample.image, array)
    assert any("has 4 time points for one volume; they are used as channels." in notice for notice in sample.notices)
    with pytest.raises(UserError, match="has 4 time points"):
        read_sample(tmp_path / "image.nii.gz")
    assert read_sample(tmp_path / "image.nii.gz", times_as_channels=True).n_channels == 4


def test_time_points_of_image_and_labels_are_refused(tmp_path: Path) -> None:
    for name in ("image", "labels"):
        tifffile.imwrite(
            tmp_path / f"{name}.ome.tif", channels(3).astype(np.uint8), metadata={"axes": "TZYX"}, ome=True
        )
    with pytest.raises(UserError, match=r"labels\.ome\.tif has 3 time points"):
        read_sample(tmp_path / "image.ome.tif", tmp_path / "labels.ome.tif")
