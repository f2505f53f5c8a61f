"""Files as other tools write them: the right voxels, voxel size and channels, or a sentence on what to do."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_unet3d.data.formats.units import um_per_unit
from napari_unet3d.data.label_reading import read_labels
from napari_unet3d.data.reading import list_volumes, read_image, read_volume
from napari_unet3d.errors import UserError

VALUES = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
OTHER = VALUES[::-1] + 1000


def letters(value: object) -> np.ndarray:
    """Return text as Imaris stores it."""
    return np.array(list(str(value)), "S1")


def write_imaris(path: Path, *, unit: str = "um", low: tuple[float, ...] = (0.0, 0.0, 0.0)) -> None:
    """Write two channels with two resolution levels, padded to whole chunks as Imaris does."""
    with h5py.File(path, "w") as file:
        for level, step in ((0, 1), (1, 2)):
            for channel, values in enumerate((VALUES, OTHER)):
                values = values[::step, ::step, ::step]
                group = file.create_group(f"DataSet/ResolutionLevel {level}/TimePoint 0/Channel {channel}")
                group["Data"] = np.pad(values, [(0, -n % 8) for n in values.shape])
                for axis, length in zip("ZYX", values.shape, strict=True):
                    group.attrs[f"ImageSize{axis}"] = letters(length)
        info = file.create_group("DataSetInfo/Image")
        info.attrs["Unit"] = letters(unit)
        for number, (length, start) in enumerate(zip((7 * 0.25, 6 * 0.5, 5 * 2.0), low, strict=True)):
            info.attrs[f"ExtMin{number}"] = letters(start)
            info.attrs[f"ExtMax{number}"] = letters(start + length)
        for channel, name in enumerate(("DAPI", "(name not specified)")):
            file.create_group(f"DataSetInfo/Channel {channel}").attrs["Name"] = letters(name)


def test_imaris_is_read_without_its_padding_and_smaller_levels(tmp_path: Path) -> None:
    write_imaris(tmp_path / "a.ims")
    volume = read_image(tmp_path / "a.ims")
    np.testing.assert_array_equal(volume.array, [VALUES, OTHER])
    assert volume.voxel_size_um == (2.0, 0.5, 0.25)
    assert volume.channel_names == ("DAPI", "channel 2")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.ims", channel=1).array, OTHER)
    write_imaris(tmp_path / "b.ims", unit="nm", low=(1000.0, 0.0, -500.0))
    geometry = read_image(tmp_path / "b.ims").geometry
    assert geometry.sizes == pytest.approx((2e-3, 5e-4, 2.5e-4))
    assert geometry.origin == pytest.approx((1.0 + 1.25e-4, 2.5e-4, -0.5 + 1e-3))  # the centre of the first voxel


def write_bdv(path: Path, n_times: int = 1) -> None:
    """Write two views with two resolution levels; BigDataViewer stores 16 bits without sign as with one."""
    with h5py.File(path, "w") as file:
        for view, values in enumerate((VALUES + 40_000, OTHER)):
            file[f"s{view:02d}/resolutions"] = np.array([[1.0, 1, 1], [2, 2, 1]])
            for time in range(n_times):
                group = file.create_group(f"t{time:05d}/s{view:02d}")
                group["0/cells"], group["1/cells"] = ((values + time).view(np.int16)[..., ::n] for n in (1, 2))
    view = "<ViewSetup><id>1</id><voxelSize><unit>nm</unit><size>250 500 2000</size></voxelSize></ViewSetup>"
    path.with_suffix(".xml").write_text(
        f"<SpimData><SequenceDescription><ViewSetups>{view}</ViewSetups></SequenceDescription></SpimData>"
    )


def test_bigdataviewer_has_a_volume_for_each_view_with_the_voxel_size_of_its_xml(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_bdv(path)
    assert [(each.name, each.shape) for each in list_volumes(path)] == [("s00", (1, 5, 6, 7)), ("s01", (1, 5, 6, 7))]
    volume = read_volume(path / "s00")
    np.testing.assert_array_equal(volume.array, VALUES + 40_000)
    assert volume.voxel_size_um is None
    assert read_volume(path / "s01").voxel_size_um == (2.0, 0.5, 0.25)
    write_bdv(path, n_times=3)
    series = read_image(path / "s01")
    assert series.axes == "tzyx"
    np.testing.assert_array_equal(series.array, [OTHER, OTHER + 1, OTHER + 2])
    np.testing.assert_array_equal(read_volume(path / "s01", time=2).array, OTHER + 2)


def test_cremi_has_its_lengths_in_nanometres(tmp_path: Path) -> None:
    path = tmp_path / "sample_A.hdf"
    with h5py.File(path, "w") as file:
        file.attrs["file_format"] = "0.2"
        for name in ("volumes/raw", "volumes/labels/neuron_ids"):
            file[name] = VALUES
            file[name].attrs["resolution"] = [40.0, 4.0, 4.0]
        file["volumes/labels/neuron_ids"].attrs["offset"] = [80.0, 8.0, 4.0]
    assert read_volume(path / "volumes/raw").voxel_size_um == pytest.approx((0.04, 0.004, 0.004))
    assert read_labels(path / "volumes/labels/neuron_ids").geometry.origin == pytest.approx((0.004, 0.008, 0.08))


@pytest.mark.parametrize(
    ("attributes", "sizes", "is_um"),
    [
        ({"axistags": ("zyx", [2, 0.5, 0.25]), "axis_units": '{"z": "μm", "y": "um", "x": "nm"}'}, (2, 0.5, 2.5e-4), 1),
        ({"axistags": ("zyx", [2, 0.5, 0.25])}, (2, 0.5, 0.25), 0),
        ({"axistags": ("zyx", [0, 0, 0])}, (None, None, None), 1),
        ({"axistags": ("xyz", [0.25, 0.5, 2]), "axis_units": '{"z": "μm", "y": "μm", "x": "μm"}'}, (2, 0.5, 0.25), 1),
    ],
)
def test_ilastik_has_sizes_in_its_axis_tags(tmp_path: Path, attributes: Any, sizes: tuple, is_um: int) -> None:
    keys, resolution = attributes["axistags"]
    tags = [{"key": key, "typeFlags": 2, "resolution": side} for key, side in zip(keys, resolution, strict=True)]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["exported_data"] = VALUES if keys == "zyx" else VALUES.T
        file["exported_data"].attrs.update({**attributes, "axistags": json.dumps({"axes": tags})})
    volume = read_volume(tmp_path / "a.h5")
    np.testing.assert_array_equal(volume.array, VALUES)
    assert (volume.geometry.sizes, volume.geometry.is_um) == (pytest.approx(sizes), bool(is_um))


@pytest.mark.parametrize(
    "attributes",
    [
        {"pixelResolution": {"unit": "nm", "dimensions": [250, 500, 2000]}},
        {
            "transform": {
                "axes": ["z", "y", "x"],
                "scale": [2000, 500, 250],
                "units": ["nm"] * 3,
                "translate": [0, 0, 0],
            }
        },
    ],
)
def test_attributes_of_n5_and_openorganelle_in_zarr(tmp_path: Path, attributes: dict) -> None:
    array = zarr.open_group(tmp_path / "a.zarr", mode="w").create_array("raw", data=VALUES)
    array.attrs.update(attributes)
    assert read_volume(tmp_path / "a.zarr/raw").voxel_size_um == pytest.approx((2.0, 0.5, 0.25))


@pytest.mark.parametrize("suffix", [".h5", ".zarr"])
@pytest.mark.parametrize(
    ("background", "lost", "is_told"),
    [(9, (slice(2, 4), slice(0, 6), slice(4, 8)), True), (9, None, False), (0, None, False)],
)
def test_blocks_that_were_lost_are_named_and_empty_ones_are_not(
    tmp_path: Path, suffix: str, background: int, lost: tuple[slice, ...] | None, is_told: bool
) -> None:
    """Blocks are left out where they are 0: in an image whose background is 0 they are empty, not lost."""
    values = np.full((6, 6, 8), background, np.uint8)
    values[:2, 1:4, 1:4] = 100
    parts = [(slice(z, z + 2), slice(0, 6), slice(x, x + 4)) for z in (0, 2, 4) for x in (0, 4)]
    written = [part for part in parts if part != lost and values[part].any()]
    options: Any = {"shape": values.shape, "chunks": (2, 6, 4), "dtype": values.dtype}
    path = tmp_path / f"a{suffix}"
    if suffix == ".h5":
        with h5py.File(path, "w") as file:
            dataset = file.create_dataset("raw", **options)
            for part in written:
                dataset[part] = values[part]
    else:
        array = zarr.open_group(path, mode="w").create_array("raw", **options)
        for part in written:
            array[part] = values[part]
    told = "1 of the 6 blocks" in "".join(read_image(path).notices)
    assert told == is_told
    assert not read_labels(path).notices


def test_a_compression_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk(VALUES.shape)
        properties.set_filter(32004, h5py.h5z.FLAG_OPTIONAL)  # LZ4
        space = h5py.h5s.create_simple(VALUES.shape)
        h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT16, space, properties)
    with pytest.raises(UserError, match=r"HDF5 filter 32004.* is not installed. Save it with gzip"):
        read_volume(tmp_path / "a.h5")


def test_a_mask_that_tifffile_wrote_is_not_inverted(tmp_path: Path) -> None:
    mask = VALUES > 100
    tifffile.imwrite(tmp_path / "a.tif", mask)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif").array, tifffile.imread(tmp_path / "a.tif"))
    (tmp_path / "slices").mkdir()
    for number, plane in enumerate(mask):
        tifffile.imwrite(tmp_path / "slices" / f"{number}.tif", plane)
    np.testing.assert_array_equal(read_labels(tmp_path / "slices").array, mask)
    # Values whose header alone says that 0 is white are inverted: here the background is stored as 255.
    tifffile.imwrite(tmp_path / "white.tif", 255 - mask.astype(np.uint8), photometric="miniswhite")
    np.testing.assert_array_equal(read_labels(tmp_path / "white.tif").array, mask)


GREY = (VALUES % 200).astype(np.uint8)


@pytest.mark.parametrize("n_samples", [3, 4])
@pytest.mark.parametrize("kind", ["stack.tif", "slices.png"])
def test_greyscale_images_that_were_saved_as_colours_are_one_channel(tmp_path: Path, n_samples: int, kind: str) -> None:
    colours = np.stack([GREY] * 3 + [np.full_like(GREY, 255)] * (n_samples - 3), -1)
    if kind == "stack.tif":
        options: Any = {"extrasamples": ("unassalpha",)} if n_samples == 4 else {}
        tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb", **options)
        path = tmp_path / "a.tif"
    else:
        path = tmp_path / "a"
        path.mkdir()
        for number, plane in enumerate(colours):
            Image.fromarray(plane).save(path / f"{number:03d}.png")
    volume = read_image(path)
    np.testing.assert_array_equal(volume.array, GREY)
    assert "greyscale image in colour" in "".join(volume.notices)
    np.testing.assert_array_equal(read_labels(path).array, GREY)
    np.testing.assert_array_equal(read_image(path, channel="green").array, GREY)


def test_colours_that_differ_stay_channels_without_a_constant_alpha(tmp_path: Path) -> None:
    colours = np.stack([GREY, GREY[::-1], GREY, np.full_like(GREY, 255)], -1)
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb", extrasamples=("unassalpha",))
    volume = read_image(tmp_path / "a.tif")
    assert volume.channel_names == ("red", "green", "blue")
    np.testing.assert_array_equal(volume.array, [GREY, GREY[::-1], GREY])
    assert "alpha channel" in "".join(volume.notices)
    with pytest.raises(UserError, match="labels in colours to numbers"):
        read_labels(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["slices", "stack.tif"])
def test_jpeg_is_for_images_and_not_for_labels(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("imagecodecs")
    values, path = np.zeros((4, 16, 16), np.uint8), tmp_path / kind
    values[:, 4:11, 4:11] = 255
    if kind == "slices":
        path.mkdir()
        for number, plane in enumerate(values):
            Image.fromarray(plane).save(path / f"{number}.jpg")
    else:
        tifffile.imwrite(path, values, compression="jpeg", photometric="minisblack")
    assert read_image(path).array.shape == values.shape
    with pytest.raises(UserError, match=r"JPEG, which changes their values. Save them as TIFF"):
        read_labels(path)


def test_a_part_of_an_ome_tiff_names_the_file_to_choose(tmp_path: Path) -> None:
    xml = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1"><BinaryOnly MetadataFile='
    for whole, advice in (("whole.ome.tif", "That file is missing"), ("a.companion.ome", "Open it in Fiji")):
        part = tmp_path / "part_1.ome.tif"
        tifffile.imwrite(part, VALUES, description=f'{xml}"{whole}" UUID="urn:uuid:2"/></OME>', metadata=None)
        if whole == "a.companion.ome":
            (tmp_path / whole).write_text(xml)
        with pytest.raises(UserError, match=f"a part of a volume in several files, which {whole} describes. {advice}"):
            read_volume(part)
    tifffile.imwrite(tmp_path / "a.companion.ome", VALUES)
    (tmp_path / "whole.ome.tif").touch()
    tifffile.imwrite(part, VALUES, description=f'{xml}"whole.ome.tif" UUID="urn:uuid:2"/></OME>', metadata=None)
    with pytest.raises(UserError, match=r"Choose .*whole.ome.tif instead"):
        read_volume(part)


@pytest.mark.parametrize(
    ("spacing", "version", "z"),
    [("spacing=2\n", "1.54f", 2.0), ("", "1.54f", 1.0), ("", "1.11a", None)]
    + [(f"spacing={text}\n", "1.54f", None) for text in ("0", "NaN", "inf")],
)
def test_the_distance_of_slices_in_imagej(tmp_path: Path, spacing: str, version: str, z: float | None) -> None:
    """ImageJ writes no spacing of 1; tifffile (as version 1.11a) writes none if none was given."""
    header = f"ImageJ={version}\nimages=5\nslices=5\nunit=micron\n{spacing}"
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, VALUES, description=header, metadata=None, resolution=(4, 2), resolutionunit="NONE")
    assert read_volume(path).voxel_size_um == (z, 0.5, 0.25)


@pytest.mark.parametrize(
    ("unit", "um"),
    [
        *[(name, 1e-4) for name in ("\\u00C5", "A", "Å", "Angstroms")],
        *[(name, 1.0) for name in ("\\u00B5m", "\\u03BCm", "micron")],
        *[(name, 25_400.0) for name in ("in", "inch")],
        *[(name, None) for name in ("pixel", "voxels", "", "s")],
    ],
)
def test_units_as_software_writes_them(unit: str, um: float | None) -> None:
    assert um_per_unit(unit) == um


@pytest.mark.parametrize(
    ("pixdim", "size"), [(0.0, None), (np.nan, None), (np.inf, None), (-2.0, 2000.0), (2.0, 2000.0)]
)
@pytest.mark.parametrize("has_qform", [False, True])
def test_a_nifti_without_a_size_has_none(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], pixdim: float, size: float | None, has_qform: bool
) -> None:
    image = nibabel.Nifti1Image(VALUES.T, None)
    image.header.set_xyzt_units("mm")
    image.header["pixdim"][1:4] = 0.25, 0.5, pixdim
    image.header["qform_code"] = int(has_qform)
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    assert read_volume(tmp_path / "a.nii").voxel_size_um == (size, 500.0, 250.0)
    assert capfd.readouterr() == ("", "")  # of nibabel


@pytest.mark.parametrize(
    ("codes", "origin", "first"),
    [
        ((1, 0), (1e3, 2e3, 3e3), "R"),
        ((1, 2), (4e3, 5e3, 6e3), "L"),
        ((0, 2), (4e3, 5e3, 6e3), "L"),
        ((0, 0), None, ""),
    ],
)
def test_the_place_of_a_nifti_is_its_sform_else_its_qform_else_unknown(
    tmp_path: Path, codes: tuple[int, int], origin: tuple[float, ...] | None, first: str
) -> None:
    image = nibabel.Nifti1Image(VALUES.T, None)
    image.header.set_xyzt_units("mm")
    for place, signs, start in (("qform", (1, 1, 1), (1, 2, 3)), ("sform", (-1, 1, 1), (4, 5, 6))):
        affine = np.diag([*(np.array([0.25, 0.5, 2]) * signs), 1.0])
        affine[:3, 3] = start
        getattr(image, f"set_{place}")(affine, codes[("qform", "sform").index(place)])
    nibabel.save(image, tmp_path / "a.nii.gz")
    geometry = read_volume(tmp_path / "a.nii.gz").geometry
    assert geometry.sizes == pytest.approx((2000, 500, 250))
    assert geometry.origin == (None if origin is None else pytest.approx(origin))
    assert (geometry.directions is None) == (origin is None)
    assert geometry.orientation.startswith(first)


def test_label_and_macro_images_of_a_scanner_are_no_volumes(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tif:
        sizes = {"PhysicalSizeZ": 2.0, "PhysicalSizeY": 0.5, "PhysicalSizeX": 0.25}
        tif.write(np.zeros((9, 8, 3), np.uint8), photometric="rgb", metadata={"axes": "YXS", "Name": "label image"})
        tif.write(VALUES, photometric="minisblack", metadata={"axes": "ZYX", "Name": "scan", **sizes})
        tif.write(np.zeros((19, 8, 3), np.uint8), photometric="rgb", metadata={"axes": "YXS", "Name": "macro image"})
    volume = read_volume(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(volume.array, VALUES)
    assert volume.voxel_size_um == (2.0, 0.5, 0.25)


def write_mrc(path: Path, order: tuple[int, int, int] = (1, 2, 3), cell: tuple[float, ...] = (70, 120, 200)) -> None:
    header = bytearray(1024)
    struct.pack_into("<10i", header, 0, 7, 6, 5, 6, 0, 0, 0, *(7, 6, 5))
    struct.pack_into("<6f", header, 40, *cell, 90, 90, 90)
    struct.pack_into("<3i", header, 64, *order)
    header[208:216] = b"MAP \x44\x44\0\0"
    path.write_bytes(bytes(header) + VALUES.tobytes())


@pytest.mark.parametrize("suffix", [".mrc", ".rec", ".map"])
def test_maps_whose_axes_are_in_another_order(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("SimpleITK")
    write_mrc(tmp_path / f"a{suffix}")
    volume = read_volume(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(volume.array, VALUES)
    assert volume.voxel_size_um == pytest.approx((4e-3, 2e-3, 1e-3))
    write_mrc(tmp_path / f"b{suffix}", order=(3, 1, 2))  # columns along z, rows along x, sections along y
    volume = read_volume(tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(volume.array, VALUES.transpose(2, 0, 1))
    assert volume.voxel_size_um == pytest.approx((4e-3, 2e-3, 1e-3))
    write_mrc(tmp_path / f"c{suffix}", cell=(70, 120, float("nan")))
    with pytest.raises(UserError, match="is not a number"):
        read_volume(tmp_path / f"c{suffix}")


@pytest.mark.parametrize("bad", [0.0, -2.0, float("nan"), float("inf")])
def test_impossible_sizes_in_ome_zarr_are_unknown(tmp_path: Path, bad: float) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_array("0", data=VALUES)
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [bad, 0.5, 0.25]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    assert read_volume(tmp_path / "a.zarr").voxel_size_um == (None, 0.5, 0.25)


def test_what_cellpose_saves_is_refused_with_a_remedy(tmp_path: Path) -> None:
    np.save(tmp_path / "a_seg.npy", {"masks": VALUES}, allow_pickle=True)
    with pytest.raises(UserError, match=r"holds Python objects, which can run code.* the masks as TIFF"):
        read_labels(tmp_path / "a_seg.npy")
