"""Series written and read back by each format: shape, values, place and step in time; one time point at a time."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_unet3d.data.formats.holds import parts_of
from napari_unet3d.data.formats.registry import format_of
from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.data.opening import open_volume
from napari_unet3d.data.reading import read_image
from napari_unet3d.data.series_files import SeriesFile, holds_series, series_suffix, write_series
from napari_unet3d.errors import UserError

SUFFIXES = (".tif", ".ome.tif", ".nii", ".nii.gz", ".npy", ".ome.zarr", ".h5")
FRAMES = {".nii": "NIfTI", ".nii.gz": "NIfTI", ".npy": "NIfTI", ".ome.zarr": "OME-Zarr", ".h5": "HDF5"}


def series(shape: tuple[int, ...] = (3, 4, 5, 6), dtype: str = "uint8") -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=8)
@given(
    n_times=st.integers(2, 4),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    sizes=st.tuples(*[st.sampled_from([0.25, 0.5, 2.0])] * 3),
    step=st.sampled_from([None, 0.5, 90.0]),
    has_place=st.booleans(),
)
def test_series_come_back_with_place_and_step(
    suffix: str, n_times: int, dtype: str, sizes: tuple[float, float, float], step: float | None, has_place: bool
) -> None:
    array = series((n_times, 4, 5, 6), dtype)
    place = Geometry(sizes)
    if has_place and suffix in FRAMES:
        turn = np.diag([-1.0, 1.0, 1.0]) if FRAMES[suffix] == "NIfTI" else None
        place = make_geometry(sizes, turn, (10.0, 20.0, 30.0), FRAMES[suffix])
    with TemporaryDirectory() as folder:
        write_series(Path(folder) / f"a{suffix}", array, place, step)
        found = read_image(Path(folder) / f"a{suffix}")

    assert (found.axes, found.time_step_s) == ("tzyx", pytest.approx(step))
    np.testing.assert_array_equal(found.array, array)
    assert found.array.dtype == dtype
    assert found.voxel_size_um == pytest.approx(sizes)
    assert found.geometry.origin == (None if place.origin is None else pytest.approx(place.origin))
    assert found.geometry.orientation == place.orientation


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_time_point_is_read_alone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_series(path, series(), Geometry((2.0, 0.5, 0.5)))

    with open_volume(path) as opened:
        assert opened.n_times == 3
        found = opened.read(time=1)

    assert found.axes == "zyx"
    np.testing.assert_array_equal(found.array, series()[1])


@pytest.mark.parametrize(
    ("axes", "options"),
    [
        ("TZYX", {"ome": True}),
        ("TZYX", {"imagej": True}),
        ("TZYX", {"ome": True, "compression": "zlib"}),
        ("TCZYX", {"ome": True, "tile": (16, 16)}),
        ("TZCYX", {"imagej": True}),
    ],
)
def test_of_a_tiff_only_the_pages_of_a_time_point_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, axes: str, options: dict[str, Any]
) -> None:
    shape = tuple({"T": 6, "C": 2, "Z": 3, "Y": 32, "X": 33}[axis] for axis in axes)
    array = series(shape, "uint16")
    tifffile.imwrite(tmp_path / "a.tif", array, metadata={"axes": axes}, photometric="minisblack", **options)
    n_read = []
    for name in ("read", "readinto", "read_array"):
        method = getattr(tifffile.FileHandle, name)

        def counted(self: Any, *args: Any, _method: Any = method, **kwargs: Any) -> Any:
            result = _method(self, *args, **kwargs)
            n_read.append(result.nbytes if hasattr(result, "nbytes") else len(result or b""))
            return result

        monkeypatch.setattr(tifffile.FileHandle, name, counted)

    found = read_image(tmp_path / "a.tif", time=4)

    axis = axes.index("C") if "C" in axes else None
    expected = array[4] if axis is None else np.moveaxis(array[4], axis - 1, 0)
    np.testing.assert_array_equal(found.array, expected)
    assert sum(n_read) < array.nbytes / 2


def test_a_series_file_widens_its_type_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with SeriesFile(tmp_path / "a.nii.gz", 2, Geometry((2.0, 0.5, 0.5)), 30.0) as file:
        file.add(0, series((4, 5, 6)))
        file.add(1, series((4, 5, 6), "uint16") + 1000)
        file.write()
    found = read_image(tmp_path / "a.nii.gz")

    assert (found.array.dtype, found.time_step_s) == (np.uint16, 30.0)
    np.testing.assert_array_equal(found.array[0], series((4, 5, 6)))
    np.testing.assert_array_equal(found.array[1], series((4, 5, 6), "uint16") + 1000)
    with SeriesFile(tmp_path / "b.tif", 2, Geometry()) as file:
        file.add(0, series((4, 5, 6)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii.gz"], "nothing of what was not written"


def test_formats_without_time_name_one_with_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.mrc cannot keep a series in time, since \.mrc holds no several"):
        write_series(tmp_path / "a.mrc", series())
    turned = make_geometry((2.0, 0.5, 0.5), np.diag([-1.0, 1.0, 1.0]), (1.0, 2.0, 3.0), "ITK")
    with pytest.raises(UserError, match=r"holds no orientation and no origin. Choose \.nii\.gz"):
        write_series(tmp_path / "a.tif", series(), turned)
    for geometry in (turned, Geometry(), Geometry((None, 0.5, 0.5))):
        suffix = series_suffix(geometry, ".nrrd")
        assert holds_series(f"a{suffix}")
        assert parts_of(geometry) <= format_of(f"a{suffix}").holds(Path(f"a{suffix}"))


@pytest.mark.parametrize("kinds", ["domain domain domain time", "space space space time"])
def test_a_time_axis_of_nrrd(tmp_path: Path, kinds: str) -> None:
    array = series((3, 4, 5, 6))
    header = (
        f"NRRD0004\ntype: uint8\ndimension: 4\nsizes: 6 5 4 3\nspacings: 0.5 0.25 2 30\nkinds: {kinds}\n"
        'units: "um" "um" "um" "s"\nencoding: raw\n\n'
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + array.tobytes())

    found = read_image(tmp_path / "a.nrrd")

    assert found.axes == "tzyx"
    np.testing.assert_array_equal(found.array, array)
    assert found.voxel_size_um == pytest.approx((2.0, 0.25, 0.5))
    np.testing.assert_array_equal(read_image(tmp_path / "a.nrrd", time=2).array, array[2])
