"""TIFF from and for other programs: Fiji, OME readers, qim3d, Pillow."""

from __future__ import annotations

import importlib.util

import numpy as np
import PIL.Image
import pytest
import tifffile

from napari_unet3d.data.formats.tiff import flavour
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError

ARRAY = np.arange(6 * 7 * 8, dtype=np.uint16).reshape(6, 7, 8)


def test_fiji_finds_the_voxel_size(tmp_path):
    write_volume(tmp_path / "a.tif", ARRAY, (2.0, 0.5, 0.25))
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.imagej_metadata["slices"] == 6
        assert tif.imagej_metadata["spacing"] == 2.0
        assert tif.imagej_metadata["unit"] == "um"
        assert tif.pages[0].tags["XResolution"].value == (4, 1)
        assert tif.pages[0].tags["YResolution"].value == (2, 1)
        assert tif.series[0].axes == "ZYX"


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float64"])
def test_ome_readers_find_the_voxel_size(tmp_path, dtype):
    write_volume(tmp_path / "a.ome.tif", ARRAY.astype(dtype), (2.0, 0.5, 0.25))
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
        pixels = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]
    assert (pixels["SizeZ"], pixels["SizeY"], pixels["SizeX"]) == (6, 7, 8)
    assert [pixels[f"PhysicalSize{axis}"] for axis in "ZYX"] == [2.0, 0.5, 0.25]
    assert [pixels[f"PhysicalSize{axis}Unit"] for axis in "ZYX"] == ["µm"] * 3


@pytest.mark.parametrize(
    ("name", "dtype", "n_bytes", "expected"),
    [
        ("a.tif", "uint8", 2**20, "imagej"),
        ("a.tif", "uint8", 2**32, "ome"),  # ImageJ's offsets end there; OME goes into BigTIFF
        ("a.tif", "uint32", 2**20, "ome"),
        ("a.tif", "int64", 2**20, "plain"),
        ("a.OME.tiff", "uint8", 2**20, "ome"),
    ],
)
def test_the_header_is_one_that_knows_type_and_size(tmp_path, name, dtype, n_bytes, expected):
    assert flavour(tmp_path / name, np.dtype(dtype), n_bytes) == expected


def test_bigtiff_is_read(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", ARRAY, bigtiff=True, photometric="minisblack")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").array, ARRAY)


@pytest.mark.parametrize(
    ("unit", "um"), [("um", 1), ("micron", 1), ("\\u00B5m", 1), ("nm", 1e-3), ("mm", 1e3), ("inch", 25400)]
)
def test_imagej_units_become_micrometres(tmp_path, unit, um):
    metadata = {"axes": "ZYX", "spacing": 3.0, "unit": unit}
    tifffile.imwrite(tmp_path / "a.tif", ARRAY, imagej=True, resolution=(4, 2), metadata=metadata)
    assert read_volume(tmp_path / "a.tif").voxel_size_um == pytest.approx((3 * um, 0.5 * um, 0.25 * um))


@pytest.mark.parametrize("unit", ["pixel", "", "sec"])
def test_a_unit_that_is_no_length_gives_no_voxel_size(tmp_path, unit):
    tifffile.imwrite(tmp_path / "a.tif", ARRAY, imagej=True, metadata={"axes": "ZYX", "spacing": 3.0, "unit": unit})
    assert read_volume(tmp_path / "a.tif").voxel_size_um is None


@pytest.mark.parametrize(("unit", "um"), [("nm", 1e-3), ("mm", 1e3), ("µm", 1), (None, 1), ("Å", 1e-4)])
def test_ome_units_become_micrometres(tmp_path, unit, um):
    metadata = {"axes": "ZYX", "PhysicalSizeZ": 3.0, "PhysicalSizeY": 0.5, "PhysicalSizeX": 0.25}
    if unit:
        metadata |= {f"PhysicalSize{axis}Unit": unit for axis in "ZYX"}
    tifffile.imwrite(tmp_path / "a.ome.tif", ARRAY, metadata=metadata)
    assert read_volume(tmp_path / "a.ome.tif").voxel_size_um == pytest.approx((3 * um, 0.5 * um, 0.25 * um))


def test_ome_gives_the_sizes_that_it_has_and_none_in_pixels(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", ARRAY, metadata={"axes": "ZYX", "PhysicalSizeX": 1.0})
    assert read_volume(tmp_path / "a.ome.tif").voxel_size_um == (None, None, 1.0)
    metadata = (
        {"axes": "ZYX"} | {f"PhysicalSize{a}": 2.0 for a in "ZYX"} | {f"PhysicalSize{a}Unit": "pixel" for a in "ZYX"}
    )
    tifffile.imwrite(tmp_path / "b.ome.tif", ARRAY, metadata=metadata)
    assert read_volume(tmp_path / "b.ome.tif").voxel_size_um is None


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_volumes_as_qim3d_writes_them(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "1.tif", ARRAY.astype(dtype), bigtiff=False, compression=None)  # qim3d.io.save's call
    volume = read_volume(tmp_path / "1.tif")
    np.testing.assert_array_equal(volume.array, ARRAY.astype(dtype))
    assert volume.array.dtype == dtype
    assert volume.voxel_size_um is None


def test_compressed_tiles_are_read(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", ARRAY, compression="zlib", tile=(16, 16), photometric="minisblack")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").array, ARRAY)


def test_slices_that_were_appended_one_by_one_are_one_volume(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for plane in ARRAY:
            tif.write(plane, photometric="minisblack")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").array, ARRAY)


def pillow_stack(path, compression):
    planes = [PIL.Image.fromarray(plane.astype(np.uint8)) for plane in ARRAY]
    planes[0].save(path, save_all=True, append_images=planes[1:], compression=compression)


def test_a_multipage_file_of_another_writer(tmp_path):
    pillow_stack(tmp_path / "a.tif", None)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").array, ARRAY.astype(np.uint8))


def test_a_missing_codec_is_named(tmp_path):
    pillow_stack(tmp_path / "a.tif", "tiff_lzw")
    if importlib.util.find_spec("imagecodecs"):
        np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").array, ARRAY.astype(np.uint8))
    else:
        with pytest.raises(UserError, match=r"needs imagecodecs.*napari-unet3d\[formats\]"):
            read_volume(tmp_path / "a.tif")


def test_a_stack_that_calls_its_slices_time_points_is_a_volume(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", ARRAY, imagej=True, metadata={"axes": "TYX"})
    assert read_volume(tmp_path / "a.tif").array.shape == (6, 7, 8)


@pytest.mark.parametrize("n_columns", [3, 4])
def test_three_or_four_columns_are_no_colours(tmp_path, n_columns):
    for suffix in (".tif", ".ome.tif"):
        write_volume(tmp_path / f"a{suffix}", ARRAY[:, :, :n_columns].astype(np.uint8))
        assert read_volume(tmp_path / f"a{suffix}").array.shape == (6, 7, n_columns)


def test_the_highest_resolution_of_a_pyramid_is_read(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as tif:
        tif.write(ARRAY, subifds=1, metadata={"axes": "ZYX"}, photometric="minisblack")
        tif.write(ARRAY[:, ::2, ::2], subfiletype=1, photometric="minisblack")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.ome.tif").array, ARRAY)


@pytest.mark.parametrize(
    ("axes", "shape", "message"),
    [
        ("YX", (7, 8), "is a 2D image of shape"),
        ("ZCYX", (5, 2, 7, 8), "has 2 channels"),
        ("TZYX", (3, 5, 7, 8), "has 3 time points"),
        ("CYX", (3, 7, 8), "has 3 channels"),
    ],
)
@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_what_is_no_single_volume_says_what_to_do(tmp_path, axes, shape, message, kind):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros(shape, np.uint8), metadata={"axes": axes}, photometric="minisblack", **{kind: True})
    with pytest.raises(UserError, match=message) as error:
        read_volume(path)
    assert "ave" in str(error.value)
    assert str(path) in str(error.value)


def test_colours_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.arange(840, dtype=np.uint8).reshape(5, 7, 8, 3), photometric="rgb")
    with pytest.raises(UserError, match=r"colour image of shape .*convert it to grey"):
        read_volume(tmp_path / "a.tif")


def test_several_volumes_in_one_file_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tif:
        tif.write(ARRAY, photometric="minisblack")
        tif.write(ARRAY[:, 1:], photometric="minisblack")
    with pytest.raises(UserError, match=r"holds 2 volumes: Image0 .*Choose one by its path"):
        read_volume(tmp_path / "a.ome.tif")


def write_ome(path, planes, n_slices, files=()):
    """Write planes with the OME header of a volume of `n_slices` slices, which lie in one file or one in each."""
    places = "".join(
        f'<TiffData FirstZ="{z}" IFD="{0 if files else z}" PlaneCount="1">'
        + (f'<UUID FileName="{files[z]}">urn:uuid:{z}</UUID>' if files else "")
        + "</TiffData>"
        for z in range(n_slices)
    )
    uuid = files.index(path.name) if files else 0
    xml = (
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{uuid}"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="8" SizeY="7" SizeZ="{n_slices}" SizeC="1" '
        f'SizeT="1" PhysicalSizeX="0.25" PhysicalSizeY="0.5" PhysicalSizeZ="2"><Channel ID="Channel:0:0"/>{places}'
        "</Pixels></Image></OME>"
    )
    with tifffile.TiffWriter(path) as tif:
        for number, plane in enumerate(planes):
            description = xml if number == 0 else None
            tif.write(plane, photometric="minisblack", description=description, metadata=None)


def test_missing_files_of_an_ome_tiff_are_named_and_no_zeros(tmp_path):
    files = [f"s{z}.ome.tif" for z in range(6)]
    for z, name in enumerate(files):
        write_ome(tmp_path / name, ARRAY[z : z + 1], 6, files)
    volume = read_volume(tmp_path / "s0.ome.tif")
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.voxel_size_um == (2, 0.5, 0.25)
    (tmp_path / "s2.ome.tif").unlink()
    with pytest.raises(UserError, match=r"s2\.ome\.tif \(1 of 6 slices\) cannot be found"):
        read_volume(tmp_path / "s0.ome.tif")
    (tmp_path / "s5.ome.tif").unlink()
    for name in ("s0.ome.tif", "s3.ome.tif"):
        with pytest.raises(UserError, match=r"s2\.ome\.tif and 1 more \(2 of 6 slices\) .*. Copy all files"):
            read_volume(tmp_path / name)


def test_a_damaged_file_of_an_ome_tiff_is_no_zeros(tmp_path):
    files = [f"s{z}.ome.tif" for z in range(6)]
    for z, name in enumerate(files):
        write_ome(tmp_path / name, ARRAY[z : z + 1], 6, files)
    for name in (files[1], files[4]):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"declares 6 slices, but 1, 4 \(counted from 0\) cannot be read"):
        read_volume(tmp_path / "s0.ome.tif")


def test_of_an_ome_tiff_that_ended_early_the_slices_that_exist_are_read_with_a_notice(tmp_path):
    write_ome(tmp_path / "a.ome.tif", ARRAY[:4], 6)
    volume = read_volume(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(volume.array, ARRAY[:4])
    (notice,) = volume.notices
    assert "declares 6 slices and ends after 4" in notice


def test_an_ome_tiff_of_another_name_than_it_says_is_read(tmp_path):
    write_ome(tmp_path / "a.ome.tif", ARRAY[:1], 1, ["a.ome.tif"])
    xml = tifffile.tiffcomment(tmp_path / "a.ome.tif").replace('SizeZ="1"', 'SizeZ="6"')
    xml = xml.replace('PlaneCount="1"', 'PlaneCount="6"').replace("a.ome.tif", "old.ome.tif")
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as tif:
        for number, plane in enumerate(ARRAY):
            tif.write(plane, photometric="minisblack", description=xml if number == 0 else None, metadata=None)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.ome.tif").array, ARRAY)
