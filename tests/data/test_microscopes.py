"""CZI, LIF and ND2: voxel size, channels, scenes and series. The CZI files were written by pylibCZIrw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from microscope_files import write_lif, write_nd2
from napari_unet3d.data.opening import open_volume
from napari_unet3d.data.reading import list_volumes, read_image, read_volume
from napari_unet3d.errors import UserError

FILES = Path(__file__).parent / "files"
ARRAY = np.arange(2 * 3 * 5 * 6, dtype=np.uint16).reshape(2, 3, 5, 6) * 100


def test_czi() -> None:
    volume = read_image(FILES / "cells.czi")
    assert (volume.axes, volume.channel_names) == ("czyx", ("DAPI", "GFP"))
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.voxel_size_um == pytest.approx((2.0, 0.25, 0.5))
    with pytest.raises(UserError, match=r"has 2 channels \(DAPI, GFP\)"):
        read_volume(FILES / "cells.czi")


def test_scenes_of_a_czi() -> None:
    assert [each.name for each in list_volumes(FILES / "scenes.czi")] == ["scene 0", "scene 1"]
    with pytest.raises(UserError, match=r"holds 2 volumes: scene 0 \(2 × 3 × 5 × 6, uint16\)"):
        read_image(FILES / "scenes.czi")
    np.testing.assert_array_equal(read_image(FILES / "scenes.czi" / "scene 1").array, ARRAY + 1)


def test_lif(tmp_path: Path) -> None:
    path = write_lif(tmp_path / "a.lif", {"Series 1": ARRAY, "Series 3": ARRAY[:, ::-1], "flat": ARRAY[:1, :1]})
    assert [each.name for each in list_volumes(path)] == ["Series 1", "Series 3"]
    with pytest.raises(UserError, match="holds 2 volumes: Series 1"):
        read_volume(path)
    volume = read_image(path / "Series 3")
    assert (volume.axes, volume.channel_names) == ("czyx", ("Blue", "Green"))
    np.testing.assert_array_equal(volume.array, ARRAY[:, ::-1])
    assert volume.voxel_size_um == pytest.approx((2.0, 0.25, 0.5))
    np.testing.assert_array_equal(read_volume(path / "Series 1", channel="Green").array, ARRAY[1])


def test_a_time_point_of_a_lif(tmp_path: Path) -> None:
    array = np.concatenate([ARRAY, ARRAY + 1], axis=1)
    path = write_lif(tmp_path / "a.lif", {"film": array}, times=2)
    with open_volume(path) as opened:
        assert (opened.n_times, opened.roles.axes) == (2, "tczyx")
        np.testing.assert_array_equal(opened.read(time=1).array, ARRAY + 1)


def test_a_time_point_of_an_nd2(tmp_path: Path) -> None:
    array = np.concatenate([ARRAY, ARRAY + 1], axis=1)
    path = write_nd2(tmp_path / "a.nd2", array, 2 * ARRAY.shape[1], times=2)
    with open_volume(path) as opened:
        assert (opened.n_times, opened.roles.axes) == (2, "tczyx")
        np.testing.assert_array_equal(opened.read(time=1).array, ARRAY + 1)
    np.testing.assert_array_equal(read_image(path).array, [ARRAY, ARRAY + 1])


def test_a_single_image_of_a_lif_needs_no_choice(tmp_path: Path) -> None:
    volume = read_volume(write_lif(tmp_path / "a.lif", {"cells": ARRAY[:1]}))
    np.testing.assert_array_equal(volume.array, ARRAY[0])


def test_nd2(tmp_path: Path) -> None:
    volume = read_image(write_nd2(tmp_path / "a.nd2", ARRAY, 3))
    assert (volume.axes, volume.channel_names) == ("czyx", ("DAPI", "GFP"))
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.voxel_size_um == pytest.approx((2.0, 0.5, 0.5))
    assert read_image(write_nd2(tmp_path / "b.nd2", ARRAY, 3, calibrated=False)).voxel_size_um == (2.0, None, None)


def test_frames_that_do_not_exist_are_not_read_as_zeros(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="declares 3 frames and holds 2"):
        read_image(write_nd2(tmp_path / "a.nd2", ARRAY, 2))


@pytest.mark.parametrize("suffix", [".czi", ".lif", ".nd2"])
def test_other_files_with_the_suffix_are_one_message(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(bytes(2000))
    with pytest.raises(UserError, match=r"it is damaged or not in the format"):
        read_volume(tmp_path / f"a{suffix}")
