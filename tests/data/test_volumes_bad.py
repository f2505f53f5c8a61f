"""Files that cannot be used: each gives one message that says what is wrong and what to do."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet3d.data.formats.registry import readable_suffixes
from napari_unet3d.data.label_reading import read_labels
from napari_unet3d.data.reading import list_volumes, read_volume
from napari_unet3d.data.volumes import VolumeData, read_sample, write_volume
from napari_unet3d.errors import UserError

ARRAY = np.arange(6 * 7 * 8, dtype=np.uint16).reshape(6, 7, 8)
FILES = [".tif", ".ome.tif", ".nii", ".nii.gz", ".npy", ".nrrd", ".mha", ".mrc"]


@pytest.mark.parametrize("suffix", [*FILES, ".ome.zarr"])
def test_a_missing_file_is_named(tmp_path, suffix):
    with pytest.raises(UserError, match=rf"Cannot read .*gone{suffix}: it does not exist. Check the path"):
        read_volume(tmp_path / f"gone{suffix}")


@pytest.mark.parametrize("suffix", FILES)
def test_a_folder_or_text_with_the_suffix_of_a_volume(tmp_path, suffix):
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(UserError, match="Cannot read"):
        read_volume(tmp_path / f"folder{suffix}")
    for text in ("", "this is no volume\n" * 50):
        (tmp_path / f"text{suffix}").write_text(text)
        with pytest.raises(UserError, match=r"damaged or not in the format .*Copy or export it again"):
            read_volume(tmp_path / f"text{suffix}")


def test_a_file_where_an_ome_zarr_folder_should_be(tmp_path):
    (tmp_path / "a.zarr").write_text("no folder")
    with pytest.raises(UserError, match="Cannot read"):
        read_volume(tmp_path / "a.zarr")


def whole_files(folder: Path) -> dict[str, bytes]:
    files = {}
    for suffix in FILES:
        write_volume(folder / f"a{suffix}", ARRAY, (3, 2, 1))
        files[suffix] = (folder / f"a{suffix}").read_bytes()
    tifffile.imwrite(folder / "a.tif", ARRAY, compression="zlib", photometric="minisblack")
    files["compressed.tif"] = (folder / "a.tif").read_bytes()
    with tifffile.TiffWriter(folder / "a.tif") as tif:
        for plane in ARRAY:
            tif.write(plane, photometric="minisblack", metadata=None)
    files["pages.tif"] = (folder / "a.tif").read_bytes()
    return files


with TemporaryDirectory() as _folder:
    WHOLE = whole_files(Path(_folder))


def read_or_refuse(path: Path) -> VolumeData | None:
    """Read a file, or make sure that the message names it; anything but a `UserError` escapes."""
    try:
        return read_volume(path)
    except UserError as error:
        message = str(error)
    assert str(path) in message
    return None


@pytest.mark.parametrize("kind", WHOLE)
@settings(max_examples=60)
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_cut_file_is_refused_or_still_whole(kind, part):
    """Never half a volume, and never a traceback; bytes that hold no voxels may be missing."""
    content = WHOLE[kind]
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a{kind}"
        path.write_bytes(content[: int(part * len(content))])
        volume = read_or_refuse(path)
    if volume is not None:
        np.testing.assert_array_equal(volume.array, ARRAY)


@pytest.mark.parametrize("kind", WHOLE)
@settings(max_examples=60)
@given(data=st.data())
def test_a_garbled_header_is_refused_or_read(kind, data):
    content = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 500) - 1))] = data.draw(st.integers(0, 255))
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a{kind}"
        path.write_bytes(content)
        volume = read_or_refuse(path)
    assert volume is None or volume.array.ndim == 3


def test_petabytes_in_a_header_are_refused_before_memory_is_taken(tmp_path):
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (10**5, 10**5, 10**5)}
        )
    zarr.create_array(tmp_path / "a.zarr", shape=(10**5, 10**5, 10**5), chunks=(64, 64, 64), dtype="f8")
    header = nibabel.Nifti1Header()
    header.set_data_dtype("f8")
    header.set_data_shape((32000, 32000, 32000))
    (tmp_path / "a.nii").write_bytes(bytes(header.binaryblock))
    with pytest.raises(UserError, match="damaged"):  # mapping finds that the file is too short
        read_volume(tmp_path / "a.npy")
    for name in ("a.zarr", "a.nii"):
        with pytest.raises(UserError, match=r"declares [0-9,.]+ GB of shape .*this process may use [0-9.,]+ GB"):
            read_volume(tmp_path / name)


def test_petabytes_in_a_tiff_are_refused_before_memory_is_taken(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", ARRAY.astype(np.uint8), photometric="minisblack", bigtiff=True)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        for page in tif.pages:
            for name in ("ImageWidth", "ImageLength"):
                tag = page.aspage().tags[name]
                content[tag.offset + 2 : tag.offset + 4] = struct.pack("<H", 4)
                content[tag.offset + 12 : tag.offset + 16] = struct.pack("<I", 2**31)
    content = content.replace(b'"shape": [6, 7, 8]', b'"shape": [        ]')
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(UserError, match=r"declares|damaged"):
        read_volume(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((7, 8)), r"is a 2D image of shape \(7, 8\); a 3D volume"),
        (np.zeros((1, 7, 8)), "is a 2D image"),
        (np.zeros((2, 6, 7, 8)), r"has 4 dimensions of shape \(2, 6, 7, 8\); one 3D volume"),
        (np.zeros((0, 7, 8)), "is empty"),
        (np.zeros((2, 3, 4), complex), "has the data type complex128; intensities or labels"),
        (np.zeros((2, 3, 4), [("r", "u1"), ("g", "u1")]), "has the data type colour"),
        (np.zeros((2, 3, 4), "U3"), "has the data type <U3"),
    ],
)
def test_an_array_that_is_no_volume(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UserError, match=message):
        read_volume(tmp_path / "a.npy")


def test_pickles_and_archives_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[[{"run": "code"}]]]), allow_pickle=True)
    with pytest.raises(UserError, match="holds Python objects, which can run code"):
        read_volume(tmp_path / "a.npy")
    with (tmp_path / "b.npy").open("wb") as file:
        np.savez(file, ARRAY)
    with pytest.raises(UserError, match=r"a .npz archive"):
        read_volume(tmp_path / "b.npy")


def test_colours_and_time_in_nifti(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 3, 2, 5), np.uint8), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(UserError, match="has 5 time points"):
        read_volume(tmp_path / "a.nii")
    colours = np.zeros((4, 3, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colours, np.eye(4)), tmp_path / "b.nii")
    with pytest.raises(UserError, match="has the data type colour"):
        read_volume(tmp_path / "b.nii")


def test_several_values_per_voxel_in_nrrd(tmp_path):
    import SimpleITK

    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((2, 3, 4, 3)), isVector=True), str(tmp_path / "a.nrrd"))
    with pytest.raises(UserError, match=r"has 3 channels of shape .*; save one channel"):
        read_volume(tmp_path / "a.nrrd")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_with_nan_or_infinity(tmp_path, value):
    image = ARRAY.astype(np.float32)
    image[1, 2, 3:5] = value
    write_volume(tmp_path / "a.tif", image)
    with pytest.raises(UserError, match="'a' has 2 values that are NaN or infinite; replace them"):
        read_sample(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.5, "'a' have 1 values of type float32 that are not integers, such as 0.5. Save labels"),
        (np.nan, "have 1 values of type float32 that are not integers"),
        (-1e30, "go from -1e\\+30 to 0; renumber the objects"),
        (1e30, "go from 0 to 1e\\+30; renumber the objects"),
    ],
)
def test_float_labels_that_are_no_labels(tmp_path, value, message):
    labels = np.zeros((2, 3, 4), np.float32)
    labels[0, 1, 2] = value
    write_volume(tmp_path / "a.nii.gz", labels)
    with pytest.raises(UserError, match=message):
        read_labels(tmp_path / "a.nii.gz")


@pytest.mark.parametrize(("highest", "dtype"), [(3, np.int8), (200, np.int16), (40_000, np.int32)])
def test_negative_labels_stay_for_an_ignore_label(tmp_path, highest, dtype):
    labels = np.full((2, 3, 4), highest, np.int32)
    labels[0] = -1
    write_volume(tmp_path / "a.tif", labels)
    read = read_labels(tmp_path / "a.tif").array
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, labels)


def test_negative_masks(tmp_path):
    write_volume(tmp_path / "a.tif", np.ones((2, 3, 4), np.uint8))
    write_volume(tmp_path / "mask.tif", np.full((2, 3, 4), -1, np.int16))
    with pytest.raises(UserError, match="The mask of 'a' goes down to -1; set it to 1 where"):
        read_sample(tmp_path / "a.tif", tmp_path / "a.tif", tmp_path / "mask.tif")


def test_image_and_labels_of_different_shapes(tmp_path):
    write_volume(tmp_path / "a.tif", ARRAY)
    write_volume(tmp_path / "b.tif", ARRAY[:, :5])
    with pytest.raises(UserError, match=r"labels of 'a' have shape \(6, 5, 8\), its image \(6, 7, 8\)"):
        read_sample(tmp_path / "a.tif", tmp_path / "b.tif")


def test_a_format_without_its_library_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    (tmp_path / "a.nrrd").write_text("")
    for action in (lambda: read_volume(tmp_path / "a.nrrd"), lambda: write_volume(tmp_path / "b.mha", ARRAY)):
        with pytest.raises(UserError, match=r"needs SimpleITK. Install it with: .*napari-unet3d\[formats\]"):
            action()


def test_two_dimensions_are_not_written(tmp_path):
    with pytest.raises(UserError, match=r"shape \(7, 8\) .*must be 3D"):
        write_volume(tmp_path / "a.tif", ARRAY[0])


def test_a_file_never_replaces_a_folder(tmp_path):
    (tmp_path / "a.tif").mkdir()
    (tmp_path / "a.tif" / "precious.txt").write_text("kept")
    with pytest.raises(UserError, match=r"it is a folder. Give the name of a file"):
        write_volume(tmp_path / "a.tif", ARRAY)
    assert (tmp_path / "a.tif" / "precious.txt").read_text() == "kept"
    assert len(list(tmp_path.iterdir())) == 1


WRITE = """
import sys, numpy as np
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
try:
    write_volume(sys.argv[1], np.random.default_rng(0).integers(0, 60000, (40, 70, 80)).astype(np.uint16))
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize("suffix", [*FILES, ".ome.zarr"])
def test_no_space_is_one_message_and_the_old_volume_stays(tmp_path, suffix):
    resource = pytest.importorskip("resource", reason="limits the size of files as POSIX systems do")
    path = tmp_path / f"a{suffix}"
    write_volume(path, ARRAY)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(  # the limit is of a whole process
        [sys.executable, "-c", WRITE, str(path)], preexec_fn=limit, capture_output=True, text=True, check=True
    )
    assert f"Cannot write {path}: " in done.stdout
    assert "hoose another folder" in done.stdout
    np.testing.assert_array_equal(read_volume(path).array, ARRAY)
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".json"] == [path.name]


@pytest.mark.parametrize("values", [[0, 1.00004578, 2.00009156], [0, 0.9999999993, 3.02], [-0.98, 1.98, 255.019]])
def test_labels_near_whole_numbers_are_rounded_with_a_notice(tmp_path, values):
    array = np.array(values * 8, np.float64).reshape(2, 3, 4)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii")
    volume = read_labels(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume.array, np.rint(array).transpose())
    assert volume.array.dtype.kind in "iu"
    notice = next(notice for notice in volume.notices if "rounded" in notice)
    assert str(values[1]) in notice


@pytest.mark.parametrize(("value", "shown"), [(0.5, "0.5"), (1.03, "1.03"), (np.nan, "nan"), (np.inf, "inf")])
def test_labels_that_are_no_whole_numbers_are_shown_with_a_remedy(tmp_path, value, shown):
    np.save(tmp_path / "a.npy", np.array([[[0, 1, value], [0, 1, 1.01]]] * 2, np.float32))
    with pytest.raises(
        UserError, match=rf"2 values of type float32 .* integers, such as {shown}.* by nearest neighbours"
    ):
        read_labels(tmp_path / "a.npy")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of Unix")
@pytest.mark.parametrize("suffix", [suffix for suffix in readable_suffixes() if "zarr" not in suffix])
def test_a_pipe_does_not_block(suffix: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"pipe{suffix}")
    with pytest.raises(UserError, match="a pipe or a device"):
        read_volume(tmp_path / f"pipe{suffix}")
    with pytest.raises(UserError, match="a pipe or a device"):
        list_volumes(tmp_path / f"pipe{suffix}")


@pytest.mark.parametrize("shape", [(2**70, 1, 1), (2**62, 2, 2), (-1, 4, 4), (2**40, 1, 1)])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_shape_that_no_file_can_have_is_explained(suffix: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        path.write_bytes(header.getvalue() + b"1234")
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", header.getvalue() + b"1234")
    with pytest.raises(UserError, match="damaged or not in the format"):
        read_volume(path)
