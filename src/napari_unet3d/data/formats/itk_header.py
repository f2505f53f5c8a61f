"""Checks of MetaImage and NRRD headers before SimpleITK reads the file, which can crash on an invalid header."""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from napari_unet3d.data.formats.beside import file_beside
from napari_unet3d.data.formats.units import um_per_unit
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.errors import UserError

_MAX_HEADER_BYTES = 2**20
_CHUNK_BYTES = 2**20
_MAX_DIMENSIONS = 10  # the maximum of MetaImage and ITK
_MAX_FILES = 100_000
_TRUE = ("t", "1", "y")
_META_TYPES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 4, "LONG_LONG": 8} | {"FLOAT": 4, "DOUBLE": 8}
_NRRD_TYPES = (
    (1, r"signed char|int8(_t)?|uchar|unsigned char|uint8(_t)?"),
    (2, r"((signed )?short( int)?|int16(_t)?|ushort|unsigned short( int)?|uint16(_t)?)"),
    (4, r"((signed )?int|int32(_t)?|uint|unsigned int|uint32(_t)?|float)"),
    (8, r"(signed )?long ?long( int)?|int64(_t)?|ulonglong|unsigned long long( int)?|uint64(_t)?|double"),
)
_NUMBERED = re.compile(r"([^%]*%0?[0-9]{0,3}d[^%]*?)\s+(\d{1,9})\s+(\d{1,9})\s+(\d{1,9})(\s+\d)?")

_UM_PER_MM = 1e3
_NRRD_VECTORS = re.compile(rb"kinds: *(\S*vector|list)")
_NRRD_PLACE = re.compile(rb"space|kinds")
_META_PLACE = re.compile(rb"TransformMatrix|Offset|CenterOfRotation|AnatomicalOrientation")
_META_GEOMETRY = re.compile(_META_PLACE.pattern + rb"|ElementSpacing")

# In these spaces, lengths without a unit are in mm, as in NIfTI and DICOM.
_IN_MM = re.compile(r"((right|left)-(anterior|posterior)-superior|[RL][AP]ST?|scanner-xyz)(-time)?", re.IGNORECASE)


def read_header(path: Path) -> dict[str, str]:
    """Read the header of a MetaImage or NRRD file and check that the data match it.

    Parameters
    ----------
    path : Path
        A ``.mha``, ``.mhd``, ``.nrrd`` or ``.nhdr`` file.

    Returns
    -------
    dict of str to str
        The fields; names are in lower case without spaces.

    Raises
    ------
    ValueError
        If a value in the header is invalid, or the data are shorter than declared.
    UserError
        If a data file is missing or in another folder.
    """
    return _read_meta(path) if path.suffix.lower() in (".mha", ".mhd") else _read_nrrd(path)


def um_per_length(path: Path, fields: Mapping[str, str]) -> float | None:
    """Return the unit of length of a file in µm, the first of several; None if it is unknown."""
    if path.suffix.lower() in (".mha", ".mhd"):
        return um_per_unit(fields.get("distanceunits", "mm"))
    units = [*_units(fields, "spaceunits"), *_units(fields, "units")]
    return next((um for um in units if um is not None), None)


def nrrd_sizes(fields: Mapping[str, str]) -> tuple[list[float | None], bool]:
    """Return the size of a voxel of an NRRD file along x, y, z, None where it is unknown, and whether it is in µm."""
    vectors = re.findall(r"none|\([^)]*\)", fields.get("spacedirections", "").lower())
    units, world = _units(fields, "units"), _units(fields, "spaceunits")
    along = [[_number(number) for number in vector[1:-1].split(",")] for vector in vectors]
    if not vectors:
        along = [[_number(size)] for size in fields.get("spacings", "").split()]
    is_um = any(unit is not None for unit in (*units, *world)[: 2 * _MAX_DIMENSIONS])
    if not is_um:
        return [None if math.isnan(size := math.hypot(*lengths)) else size for lengths in along], False
    sizes: list[float | None] = []
    for lengths, own in zip(along, units, strict=False):
        of_axes = [own if unit is None and vectors else unit for unit in world] if vectors else [own]
        used = [(length, unit) for length, unit in zip(lengths, of_axes, strict=False) if length]
        known = [length * unit for length, unit in used if unit is not None]
        sizes.append(math.hypot(*known) if known and len(known) == len(used) else None)
    return sizes, True


def remove_place(path: Path, spacing_um: VoxelSize | None) -> None:
    """Remove directions and origin from a file that SimpleITK has written, which always writes some.

    Parameters
    ----------
    path : Path
        A ``.mha`` or ``.nrrd`` file.
    spacing_um : tuple of float, or None
        The voxel size along z, y, x in µm, which is kept; None removes that, too.
    """
    content, is_nrrd = path.read_bytes(), path.suffix.lower() == ".nrrd"
    end = re.search(rb"\n\n" if is_nrrd else rb"ElementDataFile = .*\n", content)
    if end is None:
        raise ValueError("its header has no end")
    removed = _NRRD_PLACE if is_nrrd else _META_PLACE if spacing_um else _META_GEOMETRY
    header = content[: end.end()].splitlines(keepends=True)
    kinds = [line for line in header if _NRRD_VECTORS.match(line)]
    lines = [line for line in header if not removed.match(line) or line in kinds]
    if is_nrrd and spacing_um:
        sizes = " ".join(repr(size / _UM_PER_MM) for size in spacing_um[::-1])
        # The axis of vectors is the first one that ITK writes.
        spacings, units = ("nan " * len(kinds) + sizes).encode(), b'"" ' * len(kinds) + b'"mm" "mm" "mm"'
        lines[-1:-1] = [b"spacings: " + spacings + b"\n", b"units: " + units + b"\n"]
    path.write_bytes(b"".join(lines) + content[end.end() :])


def _units(fields: Mapping[str, str], name: str) -> list[float | None]:
    """Return the units of the axes in µm: those of the field, else mm in medical spaces, else None."""
    default = 1e3 if _IN_MM.fullmatch(fields.get("space", "")) else None
    names = re.findall(r'"([^"]*)"', fields.get(name, "").replace("\udcb5", "\N{MICRO SIGN}"))
    names += [""] * (_MAX_DIMENSIONS - len(names))
    return [um_per_unit(unit) if unit.strip() else default for unit in names]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_HEADER_BYTES)


def _read_meta(path: Path) -> dict[str, str]:
    content, fields, end = _first_bytes(path), dict[str, str](), 0
    while "elementdatafile" not in fields:
        line, newline, _ = content[end:].partition(b"\n")
        key, equals, value = line.decode("utf-8", "surrogateescape").partition("=")
        if not newline or (line.strip() and not equals):
            raise ValueError("its header has no line ElementDataFile")
        end += len(line) + 1
        _add_field(fields, key, value)
    n_axes = _whole_number(fields, "ndims", "NDims", 1, _MAX_DIMENSIONS)
    shape = _sizes(fields, "dimsize", "DimSize", n_axes)
    kind = re.fullmatch(r"MET_U?(\w+?)(_ARRAY)?", fields.get("elementtype", ""))
    if kind is None or kind[1] not in _META_TYPES:
        raise ValueError(f"its header says ElementType = {fields.get('elementtype', '')}")
    channels = _whole_number(fields, "elementnumberofchannels", "ElementNumberOfChannels", 1, 2**16, "1")
    n_bytes = math.prod(shape) * channels * _META_TYPES[kind[1]]
    skipped = _whole_number(fields, "headersize", "HeaderSize", -1, 2**62, "0")
    source = fields["elementdatafile"]
    if source.upper() == "LOCAL":
        files, begin = [path], max(end, skipped)
    else:
        listed = content[end:].decode("utf-8", "surrogateescape").splitlines()
        files, begin = _data_files(path, source, listed, math.prod(shape)), max(0, skipped)
    if fields.get("compresseddata", "").lower().startswith(_TRUE):
        if len(files) > 1:
            raise ValueError("its compressed data are in several files")
        _check_zlib(fields, files[0], begin, n_bytes)
    elif fields.get("binarydata", "true").lower().startswith(_TRUE):
        _check_length(files, begin, n_bytes)
    return fields


def _read_nrrd(path: Path) -> dict[str, str]:
    content = _first_bytes(path)
    blank = re.search(rb"\r?\n\r?\n", content)
    head = content if blank is None else content[: blank.start()]
    magic, *lines = head.decode("utf-8", "surrogateescape").splitlines() or [""]
    if not re.fullmatch(r"NRRD\d{4}\s*", magic):
        raise ValueError("it does not begin with NRRD")
    fields, listed = dict[str, str](), list[str]()
    for line in lines:
        key, colon, value = line.partition(":")
        if fields.get("datafile", "").startswith("LIST"):
            listed.append(line)
        elif colon and not line.startswith("#") and not value.startswith("="):
            _add_field(fields, key, value)
    n_axes = _whole_number(fields, "dimension", "dimension", 1, _MAX_DIMENSIONS)
    shape = _sizes(fields, "sizes", "sizes", n_axes)
    width = next((width for width, names in _NRRD_TYPES if re.fullmatch(names, fields.get("type", "").lower())), None)
    if width is None:
        raise ValueError(f"its header says type: {fields.get('type', '')}")
    byte_skip = _whole_number(fields, "byteskip", "byte skip", -1, 2**62, "0")
    line_skip = _whole_number(fields, "lineskip", "line skip", 0, 2**31, "0")
    if "datafile" in fields:
        files, begin = _data_files(path, fields["datafile"], listed, math.prod(shape)), 0
    elif blank is None:
        raise ValueError("its header has no end")
    else:
        files, begin = [path], blank.end()
    if fields.get("encoding", "").lower() == "raw" and not line_skip:
        _check_length(files, begin + max(0, byte_skip), math.prod(shape) * width)
    return fields


def _add_field(fields: dict[str, str], key: str, value: str) -> None:
    name = key.lower().replace(" ", "").strip()
    if name in fields and fields[name] != value.strip():
        raise ValueError(f"its header says {key.strip()} twice")
    if name:
        fields[name] = value.strip()


def _whole_number(fields: Mapping[str, str], name: str, label: str, low: int, high: int, default: str = "") -> int:
    text = fields.get(name, default)
    if not re.fullmatch(r"[+-]?\d{1,19}", text) or not low <= int(text) <= high:
        raise ValueError(f"its header says {label} = {text[:40] or 'nothing'}")
    return int(text)


def _sizes(fields: Mapping[str, str], name: str, label: str, n_axes: int) -> list[int]:
    text = fields.get(name, "")
    sizes = text.split()
    if len(sizes) != n_axes or not all(re.fullmatch(r"\d{1,18}", size) and int(size) > 0 for size in sizes):
        raise ValueError(f"its header says {label} = {text[:40] or 'nothing'} for dimension {n_axes}")
    return [int(size) for size in sizes]


def _data_files(path: Path, source: str, listed: Sequence[str], n_most: int) -> list[Path]:
    """Return the data files of a header, all of which are in its folder."""
    if re.fullmatch(r"LIST(\s+\d+)?", source):
        names = [line.strip() for line in listed if line.strip()]
    elif "%" in source:
        names = _numbered(source, n_most)
    else:
        names = [source]
    if not names or not all(name and min(name) >= " " for name in names):
        raise ValueError("its header names no data file")
    files = [file_beside(path, name) for name in names]
    missing = [file.name for file in files if not os.path.isfile(file)]  # Path.is_file raises for long names
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"The header {path} refers to {missing[0][:200]}{others}, which does not exist. Put the data into the "
            "folder of the header."
        )
    return files


def _numbered(source: str, n_most: int) -> list[str]:
    match = _NUMBERED.fullmatch(source)
    first, last, step = map(int, match.groups()[1:4]) if match else (0, 0, 0)
    if match is None or step == 0 or not 0 <= (last - first) // step < min(n_most, _MAX_FILES):
        raise ValueError(f"its header says that the data are in {source[:40]}")
    return [match[1] % number for number in range(first, last + 1, step)]


def _check_length(files: Sequence[Path], begin: int, n_bytes: int) -> None:
    """Raise a `ValueError` if one of the files, which hold equal parts, is too short."""
    found = min(max(0, file.stat().st_size - begin) for file in files) * len(files)
    if found < n_bytes:
        raise ValueError(f"its header says {n_bytes:,} bytes of data, and there are {found:,}")


def _check_zlib(fields: Mapping[str, str], file: Path, begin: int, n_bytes: int) -> None:
    """Decompress the data once in chunks, since MetaImage's reader ignores errors."""
    left = _whole_number(fields, "compresseddatasize", "CompressedDataSize", 1, 2**62)
    _check_length([file], begin, left)
    found, decompress = 0, zlib.decompressobj(wbits=47)  # a zlib or gzip header
    with file.open("rb") as data:
        data.seek(begin)
        while left > 0 and found < n_bytes and not decompress.eof:
            chunk = data.read(min(left, _CHUNK_BYTES))
            left -= len(chunk)
            while chunk and found < n_bytes:
                found += len(decompress.decompress(chunk, _CHUNK_BYTES))
                chunk = decompress.unconsumed_tail
    if found < n_bytes:
        raise ValueError(f"its header says {n_bytes:,} bytes of data, and there are {found:,}")
