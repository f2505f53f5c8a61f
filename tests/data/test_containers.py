"""Files with several volumes, channels and time points: listed, chosen by path, refused without a choice."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_unet3d.data.label_reading import read_labels
from napari_unet3d.data.reading import list_volumes, read_image, read_volume
from napari_unet3d.data.volumes import read_sample, write_volume
from napari_unet3d.errors import UserError

ARRAY = np.arange(120, dtype=np.uint16).reshape(4, 5, 6)
BYTES = ARRAY.astype(np.uint8)
TWO = np.stack([ARRAY, ARRAY + 1000])


def make_h5(path: Path, **arrays: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name.replace("__", "/")] = array
    return path


def test_hdf5_without_a_choice_lists_what_it_holds(tmp_path: Path) -> None:
    path = make_h5(tmp_path / "a.h5", raw=ARRAY, volumes__labels=ARRAY % 3, table=np.zeros((9, 2)))
    with pytest.raises(UserError, match=r"holds 2 volumes: raw \(4 × 5 × 6, uint16\), volumes/labels .*path.*/raw"):
        read_volume(path)
    np.testing.assert_array_equal(read_volume(path / "raw").array, ARRAY)
    np.testing.assert_array_equal(read_volume(path / "volumes/labels").array, ARRAY % 3)
    np.testing.assert_array_equal(read_volume(path / "volumes").array, ARRAY % 3)
    with pytest.raises(UserError, match="has no volume 'row'; it holds raw"):
        read_volume(path / "row")
    assert [(each.name, each.shape) for each in list_volumes(path)] == [
        ("raw", (4, 5, 6)),
        ("volumes/labels", (4, 5, 6)),
    ]


def test_image_and_labels_of_one_file_are_told_apart_by_their_names(tmp_path: Path) -> None:
    path = make_h5(tmp_path / "a.h5", raw=ARRAY, label=ARRAY % 3)
    sample = read_sample(path, path)
    np.testing.assert_array_equal(sample.image, ARRAY)
    np.testing.assert_array_equal(sample.labels, ARRAY % 3)
    assert any("raw is used as images, and label is not" in notice for notice in sample.notices)


def test_the_voxel_size_of_ilastik_and_plantseg_counts_whatever_the_axes(tmp_path: Path) -> None:
    path = make_h5(tmp_path / "a.h5", data=np.moveaxis(TWO, 0, -1)[None])
    with h5py.File(path, "r+") as file:
        file["data"].attrs["element_size_um"] = [2.0, 0.5, 0.25]
        file["data"].attrs["axistags"] = json.dumps({"axes": [{"key": key, "typeFlags": 2} for key in "tzyxc"]})
    volume = read_image(path)
    assert (volume.axes, volume.voxel_size_um) == ("czyx", (2.0, 0.5, 0.25))
    np.testing.assert_array_equal(volume.array, TWO)


def test_axis_tags_in_another_order_are_turned(tmp_path: Path) -> None:
    path = make_h5(tmp_path / "a.h5", data=ARRAY.transpose())
    with h5py.File(path, "r+") as file:
        file["data"].attrs["axistags"] = json.dumps({"axes": [{"key": key} for key in "xyz"]})
    np.testing.assert_array_equal(read_volume(path).array, ARRAY)


@pytest.mark.parametrize(
    ("attributes", "size", "is_um"),
    [
        ({"resolution": [40, 4, 4]}, (40, 4, 4), False),
        ({"resolution": [40, 4, 4], "units": ["nm", "nm", "nm"]}, (0.04, 0.004, 0.004), True),
        ({"voxel_size": [2, 0.5, 0.25], "units": "um"}, (2, 0.5, 0.25), True),
        ({"element_size_um": [2, 0.5, 0.25]}, (2, 0.5, 0.25), True),
        ({"element_size_um": [0, 0.5, 0.25]}, (None, 0.5, 0.25), True),
        ({"resolution": [4, 4]}, (None, None, None), True),
    ],
)
@pytest.mark.parametrize("kind", ["h5", "zarr"])
def test_attributes_of_other_tools(tmp_path: Path, attributes: dict, size: tuple, is_um: bool, kind: str) -> None:
    if kind == "h5":
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["raw"] = ARRAY
            file["raw"].attrs.update(attributes)
    else:
        zarr.open_group(tmp_path / "a.zarr").create_array("raw", data=ARRAY).attrs.update(attributes)
    geometry = read_volume(tmp_path / f"a.{kind}" / "raw").geometry
    assert (geometry.sizes, geometry.is_um) == (pytest.approx(size), is_um)


def test_arrays_and_groups_inside_a_zarr(tmp_path: Path) -> None:
    root = zarr.open_group(tmp_path / "a.zarr")
    root.create_array("volumes/raw", data=ARRAY)
    root.create_array("volumes/labels/ids", data=ARRAY % 3)
    with pytest.raises(
        UserError, match=r"holds 2 volumes: volumes/labels/ids .*, volumes/raw .*a\.zarr/volumes/labels"
    ):
        read_volume(tmp_path / "a.zarr")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.zarr" / "volumes" / "raw").array, ARRAY)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.zarr" / "volumes" / "labels").array, ARRAY % 3)
    with pytest.raises(UserError, match="has no volume 'volumes/rw'; it holds"):
        read_volume(tmp_path / "a.zarr" / "volumes" / "rw")


def make_plate(path: Path, fields: dict[str, np.ndarray]) -> Path:
    wells = sorted({name.rsplit("/", 1)[0] for name in fields})
    zarr.open_group(path, mode="w").attrs["ome"] = {"version": "0.5", "plate": {"wells": [{"path": w} for w in wells]}}
    for name, array in fields.items():
        write_volume(path / f"{name}.zarr", array, (2.0, 0.5, 0.25))
        (path / f"{name}.zarr").rename(path / name)
    for parent in {part for well in wells for part in (well, well.split("/")[0])}:
        zarr.open_group(path / parent, mode="a")
    return path


def test_fields_of_a_plate(tmp_path: Path) -> None:
    path = make_plate(tmp_path / "p.zarr", {"A/1/0": ARRAY, "A/1/1": ARRAY + 1, "B/2/0": ARRAY + 2})
    assert [each.name for each in list_volumes(path)] == ["A/1/0", "A/1/1", "B/2/0"]
    with pytest.raises(UserError, match="holds 3 volumes: A/1/0"):
        read_volume(path)
    volume = read_volume(path / "B")
    np.testing.assert_array_equal(volume.array, ARRAY + 2)
    assert volume.voxel_size_um == (2.0, 0.5, 0.25)


def test_labels_of_an_ome_zarr_and_its_levels(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.zarr"
    write_volume(path, ARRAY, (2.0, 0.5, 0.25))
    write_volume(path / "labels" / "cells.zarr", ARRAY % 3, (2.0, 0.5, 0.25))
    (path / "labels" / "cells.zarr").rename(path / "labels" / "cells")
    zarr.open_group(path / "labels", mode="a")
    assert [each.name for each in list_volumes(path)] == ["", "labels/cells"]
    np.testing.assert_array_equal(read_volume(path).array, ARRAY)
    labels = read_labels(path / "labels" / "cells")
    np.testing.assert_array_equal(labels.array, ARRAY % 3)
    assert read_volume(path / "0").voxel_size_um == labels.voxel_size_um == (2.0, 0.5, 0.25)


def test_series_of_bioformats2raw_are_named(tmp_path: Path) -> None:
    path = make_plate(tmp_path / "b.zarr", {"0": ARRAY, "1": ARRAY + 1})
    zarr.open_group(path, mode="a").attrs["ome"] = {"version": "0.5", "bioformats2raw.layout": 3}
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert any("holds 2 series; the first, 0, is used. The others are" in notice for notice in volume.notices)
    np.testing.assert_array_equal(read_volume(path / "1").array, ARRAY + 1)


def test_series_of_a_tiff_are_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        for number, name in enumerate(("left", "right")):
            tif.write(ARRAY + number, photometric="minisblack", metadata={"axes": "ZYX", "Name": name})
        tif.write(np.zeros((32, 32, 3), np.uint8), photometric="rgb", metadata={"axes": "YXS", "Name": "label"})
    assert [each.name for each in list_volumes(path)] == ["left", "right"]
    np.testing.assert_array_equal(read_volume(path / "right").array, ARRAY + 1)


def test_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", data=ARRAY, about=np.arange(3))
    np.testing.assert_array_equal(read_volume(tmp_path / "one.npz").array, ARRAY)
    np.savez_compressed(tmp_path / "two.npz", x=ARRAY, y=ARRAY % 3)
    with pytest.raises(UserError, match="holds 2 volumes: x"):
        read_volume(tmp_path / "two.npz")
    np.testing.assert_array_equal(read_volume(tmp_path / "two.npz" / "y").array, ARRAY % 3)
    np.savez(tmp_path / "bad.npz", x=np.array([[[{"run": "code"}]]], dtype=object))
    with pytest.raises(UserError, match="Python objects in 'x'"):
        read_volume(tmp_path / "bad.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "one.npz").read_bytes()[:200])
    with pytest.raises(UserError, match="damaged or not in the format NumPy archive"):
        read_volume(tmp_path / "cut.npz")


def make_slices(folder: Path, names: list[str], array: np.ndarray = BYTES) -> Path:
    folder.mkdir()
    for number, name in enumerate(names):
        if name.endswith(".tif"):
            tifffile.imwrite(folder / name, array[number % 4])
        else:
            Image.fromarray(array[number % 4]).save(folder / name)
    return folder


@pytest.mark.parametrize("suffix", [".tif", ".png", ".bmp"])
def test_a_folder_of_slices_is_a_volume_in_natural_order(tmp_path: Path, suffix: str) -> None:
    folder = make_slices(tmp_path / "brain", [f"s{number}{suffix}" for number in (8, 9, 10, 11)])
    volume = read_volume(folder)
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.notices == ()
    sample = read_sample(folder)
    assert sample.name == "brain"


def test_the_voxel_size_of_slices_lacks_z(tmp_path: Path) -> None:
    folder = make_slices(tmp_path / "a", [])
    for number in range(3):
        tifffile.imwrite(
            folder / f"{number}.tif", ARRAY[number], imagej=True, resolution=(2, 4), metadata={"unit": "um"}
        )
    assert read_volume(folder).voxel_size_um == (None, 0.25, 0.5)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a1.png", "a2.png", "a4.png"], "Slices are missing in .* but not 3"),
        (["a1.png", "a01.png", "a2.png"], "several slices with the number 1"),
        (["z0_c0.png", "z0_c1.png", "z1_c0.png", "z1_c1.png"], "2 numbers that differ"),
        (["a1.png", "b2.png", "a3.png"], "different names"),
        (["a1.png", "a2.tif", "a3.png"], "several formats"),
    ],
)
def test_slices_that_are_no_single_volume_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_volume(make_slices(tmp_path / "a", names))


def test_what_is_assumed_of_slices_is_said(tmp_path: Path) -> None:
    folder = make_slices(tmp_path / "a", ["s0.png", "s10.png", "s20.png"])
    (folder / "notes.txt").touch()
    notices = " ".join(read_volume(folder).notices)
    assert "steps of 10" in notices
    assert "notes.txt, which is left out" in notices


def test_slices_of_different_shape_are_refused(tmp_path: Path) -> None:
    folder = make_slices(tmp_path / "a", ["s0.tif", "s1.tif"])
    tifffile.imwrite(folder / "s2.tif", ARRAY[0, 1:].astype(np.uint8))
    with pytest.raises(UserError, match=r"s0.tif has shape \(5, 6\) .* s2.tif has shape \(4, 6\)"):
        read_volume(folder)


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif"])
def test_channels_and_time_points_of_tiff(tmp_path: Path, suffix: str) -> None:
    array = np.stack([TWO, TWO + 7, TWO + 9])
    channels = {"Channel": {"Name": ["DAPI", "GFP"]}} if "ome" in suffix else {}
    metadata = {"axes": "TZCYX"} | channels
    values = np.moveaxis(array, 1, 2)
    tifffile.imwrite(tmp_path / f"a{suffix}", values, metadata=metadata, imagej=not channels, ome=bool(channels))
    volume = read_image(tmp_path / f"a{suffix}")
    assert volume.axes == "tczyx"
    np.testing.assert_array_equal(volume.array, array)
    assert volume.channel_names == (("DAPI", "GFP") if channels else ("channel 1", "channel 2"))
    last = read_volume(tmp_path / f"a{suffix}", channel=volume.channel_names[1], time=2)
    assert (last.axes, last.channel_names) == ("zyx", ())
    np.testing.assert_array_equal(last.array, array[2, 1])
    with pytest.raises(UserError, match=r"no channel 'RFP'. Choose one of 0 \("):
        read_volume(tmp_path / f"a{suffix}", channel="RFP", time=0)
    with pytest.raises(UserError, match=r"no time point 3\. Choose one from 0 to 2"):
        read_volume(tmp_path / f"a{suffix}", channel=0, time=3)


def test_time_of_nifti_and_channels_without_names(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.moveaxis(TWO, 0, -1).transpose(2, 1, 0, 3), np.eye(4)), tmp_path / "a.nii.gz")
    volume = read_image(tmp_path / "a.nii.gz")
    assert volume.axes == "tzyx"
    np.testing.assert_array_equal(volume.array, TWO)
    np.save(tmp_path / "a.npy", TWO)
    volume = read_image(tmp_path / "a.npy")
    assert volume.axes == "czyx"
    assert any("does not name its axes" in notice for notice in volume.notices)
    with pytest.raises(UserError, match="has 4 dimensions"):
        read_volume(tmp_path / "a.npy")


def test_time_points_without_z_are_slices_with_a_notice(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", ARRAY, imagej=True, metadata={"axes": "TYX"})
    volume = read_volume(tmp_path / "a.tif")
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert any("its 4 time points are taken as slices" in notice for notice in volume.notices)
