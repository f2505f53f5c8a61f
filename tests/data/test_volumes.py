"""Round trips through every format, and what names and suffixes mean."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_unet3d.data.formats.registry import (
    is_volume,
    readable_suffixes,
    volume_name,
    volume_suffix,
    writable_suffix,
)
from napari_unet3d.data.label_reading import read_labels
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.volumes import read_sample, write_volume
from napari_unet3d.errors import UserError

TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"]
TYPES_OF_FORMAT = {
    ".ome.tif": {*TYPES} - {"uint64", "int64", "float16"},
    ".nii": {*TYPES} - {"float16"},
    ".nii.gz": {*TYPES} - {"float16"},
    ".nrrd": {*TYPES} - {"float16"},
    ".mha": {*TYPES} - {"float16"},
    ".mrc": {"uint8", "uint16", "int16", "float32"},
    ".tif": {*TYPES},
    ".npy": {*TYPES},
    ".ome.zarr": {*TYPES},
}
VOXEL_SIZE = (2.5, 0.4, 0.3)


def counting(shape: tuple[int, int, int], dtype: str = "uint8") -> NDArray[Any]:
    """Every voxel differs from its neighbours along each axis, so that a swapped axis shows."""
    return (np.arange(np.prod(shape)).reshape(shape) % 101).astype(dtype)


shapes = st.tuples(*[st.integers(2, 9)] * 3)
voxel_sizes = st.tuples(*[st.floats(0.001, 1000)] * 3)


@pytest.mark.parametrize("suffix", TYPES_OF_FORMAT)
@settings(max_examples=15)
@given(data=st.data(), shape=shapes, voxel_size=voxel_sizes)
def test_every_format_gives_back_values_type_and_voxel_size(suffix, data, shape, voxel_size):
    dtype = data.draw(st.sampled_from(sorted(TYPES_OF_FORMAT[suffix])))
    array = counting(shape, dtype)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"volume{suffix}"
        write_volume(path, array, voxel_size)
        volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, array)
    assert volume.array.dtype == array.dtype
    assert volume.voxel_size_um == pytest.approx(voxel_size, rel=1e-6)


@pytest.mark.parametrize("suffix", [".ome.tif", ".nii", ".nrrd", ".mrc"])
def test_a_type_the_format_cannot_hold_is_refused_and_not_converted(tmp_path, suffix):
    for dtype in {*TYPES} - TYPES_OF_FORMAT[suffix]:
        with pytest.raises(UserError, match=f"cannot hold {dtype}. Choose .tif or .npy"):
            write_volume(tmp_path / f"a{suffix}", counting((2, 3, 4), dtype))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", TYPES_OF_FORMAT)
def test_true_and_false_become_one_and_zero(tmp_path, suffix):
    write_volume(tmp_path / f"mask{suffix}", counting((3, 4, 5)) > 30)
    assert read_volume(tmp_path / f"mask{suffix}").array.sum() == 60 - 31


def test_other_programs_read_the_nifti_at_its_size(tmp_path):
    write_volume(tmp_path / "a.nii.gz", counting((3, 4, 5), "int16"), (3000, 2000, 1000))
    image = nibabel.load(tmp_path / "a.nii.gz")
    assert image.shape == (5, 4, 3)
    assert image.header.get_zooms() == (1, 2, 3)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.dataobj[4, 0, 1] == counting((3, 4, 5))[1, 0, 4]


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1000), ("micron", 1), ("meter", 1e6), ("unknown", 1000)])
def test_nifti_lengths_follow_the_header_s_unit(tmp_path, unit, factor):
    image = nibabel.Nifti1Image(counting((2, 3, 4)), np.diag([0.1, 0.2, 0.3, 1]))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    assert volume.array.shape == (4, 3, 2)
    assert volume.voxel_size_um == pytest.approx((0.3 * factor, 0.2 * factor, 0.1 * factor))


def test_nifti_values_are_scaled_and_a_single_time_point_is_dropped(tmp_path):
    image = nibabel.Nifti1Image(np.full((2, 3, 4, 1), 7, np.int16), np.eye(4))
    image.header.set_slope_inter(2, -1)
    nibabel.save(image, tmp_path / "a.nii")
    scaled = nibabel.load(tmp_path / "a.nii").get_fdata()
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").array, scaled[..., 0].T)


def test_a_prediction_lies_where_its_nifti_source_lies(tmp_path):
    turned = np.array([[0, -2, 0, 10], [1.5, 0, 0, -4], [0, 0, 3, 7], [0, 0, 0, 1.0]])
    nibabel.save(nibabel.Nifti1Image(counting((5, 4, 3)), turned), tmp_path / "scan.nii.gz")
    volume = read_volume(tmp_path / "scan.nii.gz")
    write_volume(tmp_path / "p.nii.gz", volume.array > 9, geometry=volume.geometry)
    np.testing.assert_allclose(nibabel.load(tmp_path / "p.nii.gz").affine, turned)
    assert read_volume(tmp_path / "p.nii.gz").voxel_size_um == pytest.approx((3000, 2000, 1500))


def test_a_prediction_lies_where_its_nrrd_source_lies(tmp_path):
    image = SimpleITK.GetImageFromArray(counting((3, 4, 5)))
    image.SetOrigin((4, 5, 6))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    SimpleITK.WriteImage(image, str(tmp_path / "scan.nrrd"))
    write_volume(tmp_path / "p.nrrd", counting((3, 4, 5)), geometry=read_volume(tmp_path / "scan.nrrd").geometry)
    written = SimpleITK.ReadImage(str(tmp_path / "p.nrrd"))
    assert written.GetOrigin() == image.GetOrigin()
    assert written.GetDirection() == image.GetDirection()


def test_mrc_lengths_are_angstroms(tmp_path):
    image = SimpleITK.GetImageFromArray(counting((2, 3, 4)))
    image.SetSpacing((10, 20, 30))
    SimpleITK.WriteImage(image, str(tmp_path / "a.mrc"))
    assert read_volume(tmp_path / "a.mrc").voxel_size_um == pytest.approx((0.003, 0.002, 0.001))


def test_detached_headers_are_read_and_results_go_into_one_file(tmp_path):
    image = SimpleITK.GetImageFromArray(counting((2, 3, 4)))
    for name, sister in (("a.mhd", ".mha"), ("a.nhdr", ".nrrd")):
        SimpleITK.WriteImage(image, str(tmp_path / name))
        np.testing.assert_array_equal(read_volume(tmp_path / name).array, counting((2, 3, 4)))
        assert writable_suffix(tmp_path / name) == sister
        with pytest.raises(UserError, match=f"choose {sister} instead"):
            write_volume(tmp_path / name, counting((2, 3, 4)))


def test_the_voxel_size_of_npy_stands_beside_it(tmp_path):
    write_volume(tmp_path / "a.npy", counting((2, 3, 4)), VOXEL_SIZE)
    assert json.loads((tmp_path / "a.npy.json").read_text()) == {"voxel_size_um": [2.5, 0.4, 0.3]}
    (tmp_path / "a.npy.json").unlink()
    assert read_volume(tmp_path / "a.npy").voxel_size_um is None


@pytest.mark.parametrize("text", ["{", "[1, 1, 1]", '{"voxel_size_um": [1, 2]}', '{"voxel_size_um": [1, 1, -1]}'])
def test_a_wrong_voxel_size_file_is_named(tmp_path, text):
    write_volume(tmp_path / "a.npy", counting((2, 3, 4)))
    (tmp_path / "a.npy.json").write_text(text)
    with pytest.raises(UserError, match=r"a\.npy\.json should contain .* Correct or delete it"):
        read_volume(tmp_path / "a.npy")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", [".tif", ".npy", ".nii"])
def test_both_byte_orders_arrive_in_that_of_this_machine(tmp_path, order, suffix):
    array, path = counting((2, 3, 4), "uint16") + np.uint16(300), tmp_path / f"a{suffix}"
    match suffix:
        case ".tif":
            tifffile.imwrite(path, array, byteorder=order, photometric="minisblack")
        case ".npy":
            np.save(path, array.astype(f"{order}u2"))
        case _:
            header = nibabel.Nifti1Header(endianness=order)
            header.set_data_dtype("u2")
            nibabel.save(nibabel.Nifti1Image(array.T, np.eye(4), header), path)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, array)
    assert volume.array.dtype == np.dtype("=u2")
    assert volume.array.flags.c_contiguous
    assert volume.array.flags.writeable
    assert type(volume.array) is np.ndarray  # a memory map would change with its file


@pytest.mark.parametrize(
    ("name", "suffix", "stem"),
    [
        ("1.tif", ".tif", "1"),
        ("brain.v2.OME.TIF", ".ome.tif", "brain.v2"),
        ("scan.nii.gz", ".nii.gz", "scan"),
        ("big.ome.zarr", ".ome.zarr", "big"),
        ("big.zarr", ".zarr", "big"),
        ("Ärzte 3.npy", ".npy", "Ärzte 3"),
    ],
)
def test_the_longest_suffix_names_the_format(name, suffix, stem):
    assert volume_suffix(name) == suffix
    assert volume_name(Path("folder.tif") / name) == stem
    assert is_volume(name)


@pytest.mark.parametrize("name", [".tif", ".hidden.tif", "notes.txt", "a.npy.json", "tif", "a.tif.part"])
def test_other_files_are_no_volumes(name):
    assert not is_volume(name)


def test_an_unknown_format_lists_the_known_ones(tmp_path):
    with pytest.raises(UserError, match=r"no format that can be read; use one of .ome.tiff") as error:
        read_volume(tmp_path / "a.docx")
    assert all(suffix in str(error.value) for suffix in readable_suffixes())


@pytest.mark.parametrize(
    ("highest", "dtype"),
    [(0, "u1"), (255, "u1"), (256, "u2"), (65535, "u2"), (65536, "u4"), (2**32, "u8"), (2**63, "u8")],
)
def test_labels_get_the_smallest_type_that_holds_them(tmp_path, highest, dtype):
    labels = np.zeros((2, 3, 4), np.uint64)
    labels[1, 2, 3] = highest
    write_volume(tmp_path / "a.tif", labels)
    read = read_labels(tmp_path / "a.tif").array
    np.testing.assert_array_equal(read, labels)
    assert read.dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_whole_numbers_of_any_type_are_labels(tmp_path, dtype):
    labels = (counting((2, 3, 4)) > 7).astype(dtype)
    write_volume(tmp_path / "a.npy", labels)
    read = read_labels(tmp_path / "a.npy").array
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, labels)


def test_a_sample_takes_name_and_voxel_size_of_the_image(tmp_path):
    write_volume(tmp_path / "scan_image.tif", counting((3, 4, 5)), VOXEL_SIZE)
    write_volume(tmp_path / "other.tif", counting((3, 4, 5)), (1, 1, 1))
    sample = read_sample(tmp_path / "scan_image.tif", tmp_path / "other.tif")
    assert sample.name == "scan_image"
    assert sample.voxel_size_um == pytest.approx(VOXEL_SIZE)


def test_an_image_without_voxel_size_takes_that_of_its_labels_or_none(tmp_path):
    np.save(tmp_path / "image.npy", counting((3, 4, 5)))
    write_volume(tmp_path / "labels.tif", counting((3, 4, 5)), VOXEL_SIZE)
    assert read_sample(tmp_path / "image.npy").voxel_size_um is None
    sample = read_sample(tmp_path / "image.npy", tmp_path / "labels.tif")
    assert sample.voxel_size_um == pytest.approx(VOXEL_SIZE)


def test_writing_makes_the_folder_and_replaces_a_volume(tmp_path):
    for suffix in TYPES_OF_FORMAT:
        path = tmp_path / "new" / "folder" / f"a{suffix}"
        write_volume(path, counting((3, 4, 5)))
        write_volume(path, counting((4, 5, 6)))
        assert read_volume(path).array.shape == (4, 5, 6)
    names = {f"a{suffix}" for suffix in TYPES_OF_FORMAT} | {"a.npy.json"}
    assert {path.name for path in path.parent.iterdir()} == names
