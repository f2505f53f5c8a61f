"""Volumes whose headers lie or name other files: one sentence, and neither memory nor other files are used."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import re
import struct
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from numpy.lib import format as npy_format
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from napari_unet3d import read_image, write_volume
from napari_unet3d.data.array_archive import open_arrays
from napari_unet3d.data.formats.registry import FORMATS
from napari_unet3d.errors import UserError

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and links are of Unix")

WRITTEN = [each.suffixes[0] for each in FORMATS if each.write is not None] + [".mha", ".mrc"]
ARRAY = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A volume outside the folder of the one that names it."""
    tifffile.imwrite(tmp_path / "secret.tif", ARRAY, photometric="minisblack")
    (tmp_path / "secret.raw").write_bytes(ARRAY.tobytes())
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside"


def _ome(path: Path, name: str, **sizes: int) -> None:
    """Write an OME-TIFF whose second to last slices are in another file."""
    counts = {"Z": 3, "C": 1, "T": 1} | sizes
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        f'DimensionOrder="XYZCT" Type="uint8" SizeX="5" SizeY="4" SizeZ="{counts["Z"]}" SizeC="{counts["C"]}" '
        f'SizeT="{counts["T"]}"><TiffData IFD="0" FirstZ="0" PlaneCount="1">'
        f'<UUID FileName="{path.name}">urn:uuid:a</UUID></TiffData>'
        f'<TiffData IFD="1" FirstZ="1" PlaneCount="{counts.get("planes", 2)}"><UUID FileName="{name}">urn:uuid:b</UUID>'
        "</TiffData></Pixels></Image></OME>"
    )
    tifffile.imwrite(path, ARRAY[0], description=xml, metadata=None)


@pytest.mark.parametrize("name", ["../secret.tif", "{absolute}", "link.tif", "pipe.tif"])
def test_an_ome_tiff_reads_no_file_outside_its_folder(name: str, secret: Path) -> None:
    (secret / "link.tif").symlink_to(secret.parent / "secret.tif")
    os.mkfifo(secret / "pipe.tif")
    _ome(secret / "a.ome.tif", name.format(absolute=secret.parent / "secret.tif"))
    with pytest.raises(UserError, match=r"in another folder|is a pipe or a device"):
        read_image(secret / "a.ome.tif")


def test_an_ome_tiff_in_several_files_is_read_also_through_links(secret: Path) -> None:
    tifffile.imwrite(secret / "b.tif", ARRAY, photometric="minisblack")
    _ome(secret / "a.ome.tif", "b.tif")
    links = secret.parent / "links"
    links.mkdir()
    for name in ("a.ome.tif", "b.tif"):
        (links / name).symlink_to(secret / name)
    for folder in (secret, links):
        np.testing.assert_array_equal(read_image(folder / "a.ome.tif").array, ARRAY)


@pytest.mark.parametrize("sizes", [{"T": 10**9}, {"Z": 10**15}, {"planes": 10**9}])
def test_slices_that_nobody_has_are_not_listed(sizes: dict[str, int], secret: Path) -> None:
    _ome(secret / "a.ome.tif", "a.ome.tif", **sizes)
    with pytest.raises(UserError, match=r"its description says \d+ slices"):
        read_image(secret / "a.ome.tif")


def test_a_header_of_metaimage_follows_no_link_out_of_its_folder(secret: Path) -> None:
    header = "NDims = 3\nDimSize = 5 4 3\nElementType = MET_UCHAR\nElementDataFile = a.raw\n"
    (secret / "a.mhd").write_text(header)
    (secret / "a.raw").symlink_to(secret.parent / "secret.raw")
    with pytest.raises(UserError, match="in another folder"):
        read_image(secret / "a.mhd")
    (secret.parent / "b.mhd").symlink_to(secret / "a.mhd")
    (secret / "a.raw").unlink()
    (secret / "a.raw").write_bytes(ARRAY.tobytes())
    (secret.parent / "a.raw").symlink_to(secret / "a.raw")
    np.testing.assert_array_equal(read_image(secret.parent / "b.mhd").array, ARRAY)  # links of both


def _external(path: Path, name: str) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", ARRAY.shape, np.uint8, external=[(name, 0, ARRAY.size)])


def _virtual(path: Path, name: str) -> None:
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout(ARRAY.shape, np.uint8)
        layout[:] = h5py.VirtualSource(name, "data", ARRAY.shape)
        file.create_virtual_dataset("data", layout)


@pytest.mark.parametrize("write", [_external, _virtual])
def test_hdf5_reads_no_values_outside_its_folder(write, secret: Path) -> None:
    with h5py.File(secret.parent / "secret.h5", "w") as file:
        file["data"] = ARRAY
    name = "secret.raw" if write is _external else "secret.h5"
    write(secret / "a.h5", str(secret.parent / name))
    with pytest.raises(UserError, match="in another folder"):
        read_image(secret / "a.h5")


def test_a_link_in_hdf5_to_a_pipe_does_not_block(secret: Path) -> None:
    os.mkfifo(secret / "pipe.h5")
    with h5py.File(secret / "a.h5", "w") as file:
        file["data"], file["s00"] = ARRAY, h5py.ExternalLink("pipe.h5", "/")
    with pytest.raises(UserError, match="is a pipe or a device"):
        read_image(secret / "a.h5")


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (108, struct.pack("<f", 1e9), r"data begin at 1e\+09"),
        (108, struct.pack("<f", float("nan")), "data begin at nan"),
        (348, b"\1\0\0\0" + struct.pack("<ii", 2**31 - 16, 6), "a comment has 2.14748e"),
        (348, b"\1\0\0\0" + struct.pack("<ii", -8, 6), "a comment has -8 bytes"),
    ],
)
def test_a_nifti_header_does_not_have_gigabytes_decompressed(at: int, value: bytes, words: str, tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii.gz", ARRAY)
    content = bytearray(gzip.decompress((tmp_path / "a.nii.gz").read_bytes()))
    content[352:352] = bytes(64)  # room for comments
    content[108:112] = struct.pack("<f", 416)
    content[at : at + len(value)] = value
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(UserError, match=words):
        read_image(tmp_path / "a.nii.gz")


def test_a_nifti_file_that_ends_early_is_damaged(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii", ARRAY)
    (tmp_path / "a.nii").write_bytes((tmp_path / "a.nii").read_bytes()[:-7])
    with pytest.raises(UserError, match=r"it is damaged or not in the format NIfTI \(Expected"):
        read_image(tmp_path / "a.nii")


def _npy_with_long_header(length: int) -> bytes:
    return (
        npy_format.magic(2, 0)
        + struct.pack("<I", length)
        + b"{'descr': '|u1', 'fortran_order': False, 'shape': (3, 4, 5), }"
    )


def test_the_header_of_an_array_is_short(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        file.write(_npy_with_long_header(2**32 - 1))
        file.truncate(2**33)  # takes no space
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("raw.npy", _npy_with_long_header(2**28) + bytes(2**24))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(UserError, match="its header says that it has"):
            read_image(tmp_path / name)


@pytest.mark.parametrize("shape", [(2**70,), (2**40, 2**40, 4), (-1, 4, 5)])
def test_an_archive_is_checked_before_an_array_is_made(shape: tuple[int, ...], tmp_path: Path) -> None:
    header = repr({"descr": "|u1", "fortran_order": False, "shape": shape}).encode()
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("labels.npy", npy_format.magic(1, 0) + struct.pack("<H", len(header)) + header + bytes(60))
    with pytest.raises(ValueError, match=r"shorter than its header|says the shape"), open_arrays(tmp_path / "a.npz"):
        pass


def test_a_pipe_inside_a_zarr_folder_does_not_block(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.zarr", ARRAY)
    chunk = tmp_path / "a.zarr" / "0" / "c" / "0" / "0" / "0"
    assert chunk.is_file()
    chunk.unlink()
    os.mkfifo(chunk)
    with pytest.raises(UserError, match=re.escape(f"{chunk} is a pipe or a device")):
        read_image(tmp_path / "a.zarr")


@pytest.mark.parametrize("suffix", [*WRITTEN, ".mhd"])
@pytest.mark.parametrize("name", ["folder\udcff/a", "folder/a\udcff"])
def test_names_that_are_not_utf8_are_written_and_read(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}{suffix}"
    path.parent.mkdir()
    if suffix == ".mhd":
        path.write_text("NDims = 3\nDimSize = 5 4 3\nElementType = MET_UCHAR\nElementDataFile = a.raw\n")
        (path.parent / "a.raw").write_bytes(ARRAY.tobytes())
        if name.startswith("folder/"):
            with pytest.raises(UserError, match="Rename it"):
                read_image(path)
            return
    else:
        write_volume(path, ARRAY)
    np.testing.assert_array_equal(read_image(path).array, ARRAY)
    assert {each.name for each in path.parent.iterdir()} <= {path.name, f"{path.name}.json", "a.raw"}


def _zstd(n_bytes: int) -> bytes:
    """Return the begin of a frame that says how many bytes it has."""
    return b"\x28\xb5\x2f\xfd" + b"\xe0" + struct.pack("<Q", n_bytes) + b"\x03\0\x10\0"


def _zstd_of_unknown_size(n_blocks: int) -> bytes:
    """Return a frame of blocks that repeat a byte 2¹⁷ times, without the number of all bytes."""
    return b"\x28\xb5\x2f\xfd" + b"\0\x58" + ((2**17 << 3 | 1 << 1).to_bytes(3, "little") + b"\0") * n_blocks


def _blosc(n_bytes: int) -> bytes:
    return b"\2\1\0\1" + struct.pack("<III", n_bytes, 2**18, 64) + bytes(48)


BOMBS = {
    "zstd": _zstd(2**40),
    "zstd of unknown size": _zstd_of_unknown_size(2100),
    "blosc": _blosc(2**31 - 1),
    "gzip": gzip.compress(bytes(2**24), 1) * 20,
    "bz2": bz2.compress(bytes(2**24)) * 20,
    "xz": lzma.compress(bytes(2**24), preset=0) * 20,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_block_of_zarr_that_would_fill_the_memory_is_not_decompressed(kind: str, tmp_path: Path) -> None:
    write_volume(tmp_path / "a.zarr", ARRAY)
    (tmp_path / "a.zarr" / "0" / "c" / "0" / "0" / "0").write_bytes(BOMBS[kind])
    with pytest.raises(UserError, match="a block of it would take"):
        read_image(tmp_path / "a.zarr")


def test_a_block_of_hdf5_that_would_fill_the_memory_is_not_decompressed(tmp_path: Path) -> None:
    packer = zlib.compressobj(1)
    content = b"".join([packer.compress(bytes(2**24)) for _ in range(20)]) + packer.flush()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("data", data=ARRAY, chunks=ARRAY.shape, compression="gzip")
        dataset.id.write_direct_chunk((0, 0, 0), content)
    with pytest.raises(UserError, match="a block of it would take"):
        read_image(tmp_path / "a.h5")


def test_blocks_of_hdf5_are_about_as_large_as_the_array(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        how = {"maxshape": (None,) * 3, "chunks": (2**9, 2**10, 2**11)}
        file.create_dataset("data", ARRAY.shape, np.uint8, **how)
    with pytest.raises(UserError, match="it says that its blocks have the shape"):
        read_image(tmp_path / "a.h5")


def test_blocks_of_zarr_are_about_as_large_as_the_array(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.zarr", ARRAY)
    metadata = tmp_path / "a.zarr" / "0" / "zarr.json"
    content = json.loads(metadata.read_text())
    content["chunk_grid"]["configuration"]["chunk_shape"] = [2**20, 2**20, 2**20]
    metadata.write_text(json.dumps(content))
    with pytest.raises(UserError, match="it says that its blocks have the shape"):
        read_image(tmp_path / "a.zarr")


@pytest.mark.parametrize("codec", [ZstdCodec(), GzipCodec(), BloscCodec()])
def test_sound_blocks_are_read_whatever_compresses_them(codec, tmp_path: Path) -> None:
    for name, shards in (("a", None), ("b", (4, 4, 6))):
        how = {"shape": ARRAY.shape, "dtype": ARRAY.dtype, "chunks": (2, 2, 3), "shards": shards, "compressors": codec}
        zarr.create_array(tmp_path / f"{name}.zarr", **how)[:] = ARRAY
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.zarr").array, ARRAY)


@pytest.mark.parametrize("header", [b"{'descr': 7", b"(" * 300, b"'\\", b"{'descr': '|u1'}"])
def test_a_header_of_an_array_that_is_no_python_is_a_value_error(header: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("labels.npy", npy_format.magic(1, 0) + struct.pack("<H", len(header)) + header)
    with pytest.raises(ValueError, match=r"."), open_arrays(tmp_path / "a.npz"):
        pass
