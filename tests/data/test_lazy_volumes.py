"""Volumes that do not fit into memory are opened without being read, with their resolutions, place and channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_unet3d.data import lazy_volumes
from napari_unet3d.data.lazy_volumes import LazyVolume, open_lazily
from napari_unet3d.data.volumes import write_volume


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_unet3d.data.volume_parts._FRACTION_OF_MEMORY", 1e-12)
    monkeypatch.setattr(lazy_volumes, "_SMALL_SIDE", 16)


def opened(path: Path) -> LazyVolume:
    found = open_lazily(path)
    assert found is not None
    return found


def test_what_fits_into_memory_is_not_opened_so(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.h5", np.zeros((4, 5, 6), np.uint8), (2.0, 1.0, 1.0))
    assert open_lazily(tmp_path / "a.h5") is None


@pytest.mark.usefixtures("small_memory")
@pytest.mark.parametrize("suffix", [".h5", ".tif", ".ome.zarr"])
def test_a_file_of_one_resolution_gets_lower_ones(suffix: str, tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 999, (20, 33, 40)).astype(np.uint16)
    write_volume(tmp_path / f"a{suffix}", array, (2.0, 0.5, 0.5))
    volume = opened(tmp_path / f"a{suffix}")
    assert [level.shape for level in volume.levels][:2] == [(20, 33, 40), (10, 17, 20)]
    np.testing.assert_array_equal(volume.levels[0][3:9, 5], array[3:9, 5])
    for number, level in enumerate(volume.levels):
        np.testing.assert_array_equal(level, array[(slice(None, None, 2**number),) * 3])
    assert max(volume.levels[-1].shape) <= 16 < max(volume.levels[-2].shape)
    assert volume.about.geometry.voxel_size_um == (2.0, 0.5, 0.5)
    assert "only what is in view is read" in volume.about.notices[-1]


@pytest.mark.usefixtures("small_memory")
def test_resolutions_and_channels_of_ome_zarr(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 99, (2, 8, 12, 14)).astype(np.uint8)
    group = zarr.open_group(tmp_path / "a.ome.zarr", mode="w", zarr_format=3)
    axes = [{"name": "c", "type": "channel"}] + [
        {"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"
    ]
    datasets = []
    for number, level in enumerate([array, array[:, :, ::2, ::2] + 100]):
        group.create_array(str(number), data=level, chunks=(1, 4, 5, 6))
        scale = [1.0, 2.0, 0.5 * 2**number, 0.5 * 2**number]
        datasets.append({"path": str(number), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    volume = opened(tmp_path / "a.ome.zarr")
    assert volume.about.axes == "czyx"
    assert len(volume.about.channel_names) == 2
    assert volume.about.geometry.voxel_size_um == (2.0, 0.5, 0.5)
    assert [level.shape for level in volume.levels] == [(2, 8, 12, 14), (2, 8, 6, 7)]
    np.testing.assert_array_equal(volume.levels[0][1, :, 3], array[1, :, 3])
    np.testing.assert_array_equal(volume.levels[1], array[:, :, ::2, ::2] + 100)
