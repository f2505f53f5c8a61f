"""Headers of MetaImage and NRRD that SimpleITK must not see: some end the process, some read files of others."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.data.reading import read_volume
from napari_unet3d.errors import UserError

SHAPE = (8, 10, 12)
DATA = bytes(range(240)) * 4
ARRAY = np.frombuffer(DATA, np.uint8).reshape(SHAPE)
META = {"ObjectType": "Image", "NDims": "3", "BinaryData": "True", "CompressedData": "False"} | {
    "ElementSpacing": "1 1 1",
    "DimSize": "12 10 8",
    "ElementType": "MET_UCHAR",
    "ElementDataFile": "LOCAL",
}
NRRD = {"type": "uchar", "dimension": "3", "sizes": "12 10 8", "encoding": "raw", "spacings": "1 1 1"}


def write_meta(path: Path, changes: dict[str, str] | None = None, data: bytes = DATA) -> Path:
    fields = META | (changes or {})
    fields["ElementDataFile"] = fields.pop("ElementDataFile")  # the last line, behind which the data begin
    path.write_bytes("".join(f"{key} = {value}\n" for key, value in fields.items()).encode() + data)
    return path


def write_nrrd(path: Path, changes: dict[str, str] | None = None, data: bytes = DATA) -> Path:
    lines = "".join(f"{key}: {value}\n" for key, value in (NRRD | (changes or {})).items())
    path.write_bytes(f"NRRD0004\n{lines}".encode() + (b"" if path.suffix == ".nhdr" else b"\n" + data))
    return path


BAD_META = [
    *({"NDims": value} for value in ("100", "-1", "0", "11", "3.5", "three", "", "99999999999", "2", "4")),
    *({"DimSize": value} for value in ("-12 10 8", "0 10 8", "12 10", "12 10 8 1", "a b c", "12.5 10 8", "")),
    *({"DimSize": value} for value in ("12 10 9", "2147483647 2147483647 2147483647", "9" * 30 + " 1 1")),
    *({"ElementType": value} for value in ("MET_FOO", "MET_STRING", "", "MET_DOUBLE")),
    *({"ElementNumberOfChannels": value} for value in ("-1", "0", "many")),
    *({"HeaderSize": value} for value in ("-2", "99999999999", "many")),
    {"CompressedData": "True"},
    {"CompressedData": "True", "CompressedDataSize": "-5"},
    {"CompressedData": "True", "CompressedDataSize": "99999999999"},
    *({"ElementDataFile": f"a%{value}"} for value in ("s%s%s%n.raw 0 7 1", "d.raw 0 7 0", "d.raw 0 99999999 1", "d")),
]
BAD_NRRD = [
    *({"dimension": value} for value in ("100", "-1", "0", "17", "3.5", "three", "", "99999999999", "2", "4")),
    *({"sizes": value} for value in ("-12 10 8", "0 10 8", "12 10", "12 10 8 1", "a b c", "12.5 10 8", "")),
    *({"sizes": value} for value in ("12 10 9", "2147483647 2147483647 2147483647", "9" * 30 + " 1 1")),
    *({"type": value} for value in ("foo", "block", "", "double")),
    *({"byte skip": value} for value in ("-2", "99999999999", "many")),
    *({"line skip": value} for value in ("-1", "99999999999", "many")),
    *({"data file": f"a%{value}"} for value in ("s%s%s%n.raw 0 7 1", "d.raw 0 7 0", "d.raw 0 99999999 1", "d")),
]
READ_ALL = """
import sys
from pathlib import Path
from napari_unet3d.data.reading import read_volume
from napari_unet3d.errors import UserError
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read_volume(path)
        print("read", path.name)
    except UserError as error:
        print(error)
print("alive")
"""


def test_no_header_ends_the_process_or_is_believed(tmp_path):
    for number, changes in enumerate(BAD_META):
        write_meta(tmp_path / f"m{number:02}.mha", changes)
        write_meta(tmp_path / f"d{number:02}.mhd", changes)
    for number, changes in enumerate(BAD_NRRD):
        write_nrrd(tmp_path / f"n{number:02}.nrrd", changes)
        write_nrrd(tmp_path / f"h{number:02}.nhdr", changes)
    child = [sys.executable, "-c", READ_ALL, str(tmp_path)]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    *messages, last = done.stdout.splitlines() or [""]
    assert (done.returncode, last) == (0, "alive")
    for path, message in zip(sorted(tmp_path.iterdir()), messages, strict=True):
        assert message.startswith(f"Cannot read {path}: it is damaged")
        assert message.endswith("Copy or export it again.")


@pytest.mark.parametrize(
    ("name", "write", "field"), [("a.mhd", write_meta, "ElementDataFile"), ("a.nhdr", write_nrrd, "data file")]
)
def test_data_files_exist_and_lie_beside_their_header(tmp_path, name, write, field):
    (tmp_path / "folder").mkdir()
    path, outside = tmp_path / "folder" / name, tmp_path / "precious.raw"
    outside.write_bytes(DATA)
    for elsewhere in (str(outside), "../precious.raw", "C:\\precious.raw", "LIST\nb.raw\n../precious.raw"):
        write(path, {field: elsewhere}, b"")
        with pytest.raises(UserError, match=rf"{name} refers to data in another folder, .*precious.raw. Put both"):
            read_volume(path)
    for missing in ("b.raw", "LIST\nb.raw", "b%02d.raw 0 7 1", "b" * 5000):
        write(path, {field: missing}, b"")
        with pytest.raises(UserError, match=rf"{name} refers to b.*, which does not exist. Put the data"):
            read_volume(path)
    (tmp_path / "folder" / "b.raw").write_bytes(DATA)
    np.testing.assert_array_equal(read_volume(write(path, {field: "b.raw"}, b"")).array, ARRAY)
    (tmp_path / "folder" / "b.raw").write_bytes(DATA[:-1])
    with pytest.raises(UserError, match="says 960 bytes of data, and there are 959"):
        read_volume(path)


@pytest.mark.parametrize(
    ("name", "write", "field"), [("a.mhd", write_meta, "ElementDataFile"), ("a.nhdr", write_nrrd, "data file")]
)
@pytest.mark.parametrize("kind", ["s%02d.raw 0 7 1", "\n".join(["LIST", *(f"s{z:02}.raw" for z in range(8))])])
def test_a_file_per_slice_is_read_when_all_are_there(tmp_path, name, write, field, kind):
    for z in range(8):
        (tmp_path / f"s{z:02}.raw").write_bytes(ARRAY[z].tobytes())
    path = write(tmp_path / name, {field: kind}, b"")
    np.testing.assert_array_equal(read_volume(path).array, ARRAY)
    (tmp_path / "s03.raw").write_bytes(ARRAY[3].tobytes()[:-1])
    with pytest.raises(UserError, match="says 960 bytes of data, and there are 952"):
        read_volume(path)
    (tmp_path / "s03.raw").unlink()
    (tmp_path / "s05.raw").unlink()
    with pytest.raises(UserError, match=r"refers to s03\.raw and 1 more, which does not exist"):
        read_volume(path)


def test_compressed_data_that_end_early_are_no_zeros(tmp_path):
    whole, path = zlib.compress(DATA), tmp_path / "a.mha"
    for data in (whole, zlib.compress(DATA[:-1]), whole[:20], b"x" * 90):
        write_meta(path, {"CompressedData": "True", "CompressedDataSize": str(len(data))}, data)
        if data == whole:
            np.testing.assert_array_equal(read_volume(path).array, ARRAY)
            continue
        with pytest.raises(UserError, match=r"says 960 bytes of data, and there are \d+|while decompressing"):
            read_volume(path)
    write_meta(path, {"CompressedData": "True", "CompressedDataSize": "20"}, whole)
    with pytest.raises(UserError, match=r"says 960 bytes of data, and there are \d+"):
        read_volume(path)


def test_the_format_follows_from_the_suffix_and_not_from_the_content(tmp_path):
    write_nrrd(tmp_path / "a.mha")
    write_meta(tmp_path / "b.nrrd")
    for path in tmp_path.iterdir():
        with pytest.raises(UserError, match=r"its header has no line ElementDataFile|it does not begin with NRRD"):
            read_volume(path)


def test_what_itk_says_comes_without_places_in_its_sources(tmp_path):
    write_nrrd(tmp_path / "a.nrrd", {"spacings": "a b c"})
    write_meta(tmp_path / "a.mha", {"ElementSpacing": "1"})
    for path in tmp_path.iterdir():
        with pytest.raises(UserError, match="damaged") as error:
            read_volume(path)
        assert "Exception thrown" not in str(error.value)
        assert "0x" not in str(error.value)
