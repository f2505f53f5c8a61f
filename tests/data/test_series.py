"""Series in time: each time point of a file is a volume, of which only itself is read, and all are on one side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_unet3d.configs import FourthAxis
from napari_unet3d.data.dataset import Subset, create_dataset, read_samples
from napari_unet3d.data.draw import LabelContent, draw_time_points, draw_validation, name_validation
from napari_unet3d.data.pairs import list_pairs
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.series import list_time_points, read_pair
from napari_unet3d.data.split import split_samples
from napari_unet3d.data.validation_leaks import find_validation_leaks
from napari_unet3d.errors import UserError

SHAPE = (3, 4, 5, 6)


def images(n_times: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 200, (n_times, *SHAPE[1:])).astype(np.uint8)


def write_tiff(path: Path, array: NDArray[Any], axes: str = "TZYX") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, array, ome=True, metadata={"axes": axes}, photometric="minisblack")


@pytest.fixture
def series(tmp_path: Path) -> Path:
    folder = create_dataset(tmp_path / "data")
    write_tiff(folder / "train" / "images" / "cells.ome.tif", images())
    write_tiff(folder / "train" / "labels" / "cells.ome.tif", (images() > 99).astype(np.uint8))
    return folder


def test_each_time_point_is_a_volume_with_its_labels(series: Path) -> None:
    samples = read_samples(series)

    assert [sample.name for sample in samples] == ["cells t=0", "cells t=1", "cells t=2"]
    for sample, image in zip(samples, images(), strict=True):
        np.testing.assert_array_equal(sample.image, image)
        np.testing.assert_array_equal(sample.labels, image > 99)
    pairs = list_time_points(list_pairs(series))
    assert [(pair.name, pair.time) for pair in pairs] == [("cells t=0", 0), ("cells t=1", 1), ("cells t=2", 2)]
    np.testing.assert_array_equal(read_pair(pairs[2]).image, images()[2])


def test_time_points_of_several_channels(tmp_path: Path) -> None:
    folder, array = create_dataset(tmp_path), np.stack([images(), images() + 50], axis=1)
    write_tiff(folder / "train" / "images" / "a.tif", array, "TCZYX")
    write_tiff(folder / "train" / "labels" / "a.tif", (images() > 99).astype(np.uint8))

    samples = read_samples(folder)

    assert [(sample.name, sample.n_channels) for sample in samples] == [("a t=0", 2), ("a t=1", 2), ("a t=2", 2)]
    np.testing.assert_array_equal(samples[1].image, array[1])


@pytest.mark.parametrize("n_labels", [2, 1])
def test_labels_of_other_time_points_name_both_numbers(series: Path, n_labels: int) -> None:
    labels = (images() > 99).astype(np.uint8)
    shape = labels[:2] if n_labels == 2 else labels[0]
    write_tiff(series / "train" / "labels" / "cells.ome.tif", shape, "TZYX"[-shape.ndim :])

    with pytest.raises(UserError, match=r"has 3 time points, but its labels .* have (2 time points|no axis)") as error:
        read_samples(series)
    assert "'NAME t=3'" in str(error.value)


def test_labels_of_single_time_points_are_named_after_them(series: Path) -> None:
    labels = series / "train" / "labels"
    (labels / "cells.ome.tif").unlink()
    for time in (2, 0):
        write_tiff(labels / f"cells t={time}.tif", (images()[time] > 99).astype(np.uint8), "ZYX")

    samples = read_samples(series)

    assert [sample.name for sample in samples] == ["cells t=0", "cells t=2"]
    np.testing.assert_array_equal(samples[1].image, images()[2])
    np.testing.assert_array_equal(samples[1].labels, images()[2] > 99)
    write_tiff(labels / "cells t=9.tif", (images()[0] > 99).astype(np.uint8), "ZYX")
    with pytest.raises(UserError, match=r"no time point 9\. Choose one from 0 to 2"):
        read_samples(series)


def test_arrays_without_names_of_axes_are_series_where_labels_are_or_the_user_says_so(tmp_path: Path) -> None:
    folder = create_dataset(tmp_path)
    np.save(folder / "train" / "images" / "a.npy", images())
    np.save(folder / "train" / "labels" / "a.npy", (images() > 99).astype(np.uint8))

    guessed, said = read_samples(folder), read_samples(folder, fourth_axis=FourthAxis.TIME_POINTS)

    assert [sample.name for sample in guessed] == [sample.name for sample in said] == ["a t=0", "a t=1", "a t=2"]
    assert any("taken as time points, since its labels have as many" in notice for notice in guessed[0].notices)
    np.testing.assert_array_equal(guessed[2].image, images()[2])


def test_contrasts_of_nifti_are_channels_unless_the_user_or_the_labels_say_otherwise(tmp_path: Path) -> None:
    folder = create_dataset(tmp_path)
    labels = folder / "train" / "labels" / "a.nii"
    nibabel.save(nibabel.Nifti1Image(images().transpose(), np.eye(4)), folder / "train" / "images" / "a.nii")
    nibabel.save(nibabel.Nifti1Image((images()[0] > 99).astype(np.uint8).transpose(), np.eye(4)), labels)

    (sample,) = read_samples(folder)
    assert sample.n_channels == 3
    with pytest.raises(UserError, match=r"has 3 time points, but its labels .* have no axis of time"):
        read_samples(folder, fourth_axis=FourthAxis.TIME_POINTS)
    nibabel.save(nibabel.Nifti1Image((images() > 99).astype(np.uint8).transpose(), np.eye(4)), labels)
    assert [each.name for each in read_samples(folder)] == ["a t=0", "a t=1", "a t=2"]


def test_frames_that_are_channels_are_used_as_such_when_the_user_says_so(series: Path) -> None:
    write_tiff(series / "train" / "labels" / "cells.ome.tif", (images()[0] > 99).astype(np.uint8), "ZYX")

    (sample,) = read_samples(series, fourth_axis=FourthAxis.CHANNELS)

    np.testing.assert_array_equal(sample.image, images())
    assert any("calls its 3 channels time points; they are used as channels" in notice for notice in sample.notices)


def sample(name: str, *, seed: int = 0) -> Sample:
    image = np.random.default_rng(seed).integers(0, 200, (16, 8, 8)).astype(np.uint8)
    return Sample(name, image, (image > 99).astype(np.uint8))


@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    fraction=st.floats(0.05, 0.9),
    seed=st.integers(0, 99),
)
def test_no_series_is_on_both_sides(sizes: list[int], fraction: float, seed: int) -> None:
    names = [f"s{number} t={time}" for number, size in enumerate(sizes) for time in range(size)]
    contents = [LabelContent(frozenset({1}), 0.5)] * len(names)

    chosen = draw_time_points(names, contents, fraction, seed)

    val = {names[index].split()[0] for index in chosen}
    train = {name.split()[0] for index, name in enumerate(names) if index not in chosen}
    assert not val & train
    assert val
    assert train
    assert len(val) == len(draw_validation(contents[: len(sizes)], fraction, seed))


@given(fraction=st.floats(0.05, 0.9), seed=st.integers(0, 99), number=st.integers(2, 9))
def test_volumes_without_time_and_split_time_points_are_drawn_as_before(
    fraction: float, seed: int, number: int
) -> None:
    contents = [LabelContent(frozenset({1}), 0.1 * index) for index in range(number)]
    expected = draw_validation(contents, fraction, seed)

    assert draw_time_points([f"v{n}" for n in range(number)], contents, fraction, seed) == expected
    names = [f"s t={n}" for n in range(number)]
    assert draw_time_points(names, contents, fraction, seed, split_time_points=True) == expected


def test_a_named_series_validates_as_a_whole() -> None:
    volumes = [sample("a t=0"), sample("a t=1"), sample("b")]

    assert name_validation(volumes, ["a"], ()) == {0, 1}
    with pytest.raises(UserError, match=r"'a t=1' is a time point of a series, .* Name the whole series 'a'"):
        name_validation(volumes, ["a t=1"], ())
    assert name_validation(volumes, ["a t=1"], (), split_time_points=True) == {1}


def test_a_single_series_is_split_in_space_at_the_same_place_of_each_time_point() -> None:
    samples = [sample(f"a t={time}", seed=time) for time in range(3)]

    split = split_samples(samples, 0.25, 0, gap_zyx=(2, 2, 2))

    assert [each.name for each in split.train] == [f"a t={time} [training]" for time in range(3)]
    assert [each.name for each in split.val] == [f"a t={time} [validation]" for time in range(3)]
    assert len({(block.role, block.start_zyx, block.stop_zyx) for block in split.blocks}) == 2
    alone = split_samples(samples[:1], 0.25, 0, gap_zyx=(2, 2, 2))
    assert [(each.start_zyx, each.stop_zyx) for each in alone.blocks] == [
        (split.blocks[index].start_zyx, split.blocks[index].stop_zyx) for index in (0, 3)
    ]
    apart = split_samples(samples, 0.34, 0, gap_zyx=(2, 2, 2), split_time_points=True)
    assert (len(apart.train), len(apart.val), apart.blocks) == (2, 1, ())


def test_a_correction_of_another_time_point_leaks_into_a_validating_series() -> None:
    crop = sample("crop")
    part = Sample("part", crop.image, crop.labels, provenance=Provenance(volume="a t=3", subset="train"))

    assert find_validation_leaks([sample("b"), part], [sample("a t=0")], ()) == [("a t=3", "part")]
    assert find_validation_leaks([sample("a t=0"), part], [sample("b t=3")], ()) == []


def test_only_one_subset_is_expanded(series: Path) -> None:
    assert list_time_points(list_pairs(series, Subset.TEST)) == []
