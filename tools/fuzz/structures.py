"""Mutations that know a format: entries of a header are changed, and what surrounds them stays sound."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
import zlib
from pathlib import PurePosixPath
from random import Random

from mutations import NUMBERS, Mutation, change_node, mutate_bytes, mutate_json, mutate_lines

_FLOATS = (0.0, -1.0, 1e-40, 1e30, 3e38, float("nan"), float("inf"), 352.0, 1e9)


def mutation_of(name: str) -> Mutation:
    """Return the mutation for a file, by its name; half of the time it is one of bytes."""
    suffix = PurePosixPath(name).suffix
    known = _BY_SUFFIX.get(suffix)
    if name.endswith(".nii.gz"):
        known = mutate_gzip
    if suffix == "" and "zarr" in name and PurePosixPath(name).name.startswith("."):
        known = mutate_json  # .zarray, .zattrs
    return known or mutate_bytes


def mutate_zip(content: bytes, rng: Random) -> bytes:
    """Change a member of an archive, its name or its compression, or the directory of the archive."""
    if rng.randrange(3) == 0:
        return mutate_bytes(content, rng)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        return mutate_bytes(content, rng)
    name = rng.choice(list(members))
    kind = rng.choice(
        (zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2)
    )
    match rng.randrange(6):
        case 0:
            del members[name]
        case 1:
            members[rng.choice(("../x.npy", "/etc/x.npy", "a/b.npy", "\u00e9.npy", name + "x"))] = members.pop(name)
        case 2:
            members[name] += bytes(rng.choice((10, 10**6, 10**8)))
        case _:
            members[name] = _mutate_member(name, members[name], rng)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", kind) as archive:
        for each, data in members.items():
            archive.writestr(each, data)
    return written.getvalue()


def _mutate_member(name: str, data: bytes, rng: Random) -> bytes:
    if name.endswith(".npy"):
        return mutate_npy(data, rng)
    return mutate_pickle(data, rng) if name.endswith(".pkl") else mutate_bytes(data, rng)


_OPCODES = (
    *(b"(", b"t", b"0", b"2", b"}", b"]", b")", b"N", b"K\x01", b"R", b"b", b"s", b"u", b"Q", b"e", b"a", b"h\0"),
    *(b"cos\nsystem\n", b"X\4\0\0\0abcd", b"\x8a\xff" + b"\x7f" * 255, b"G\x7f\xf0\0\0\0\0\0\0"),
    *(b"q\xff", b"\x85", b"\x86", b"\x87"),
)


def mutate_pickle(content: bytes, rng: Random) -> bytes:
    """Change opcodes of a pickle: insert, replace, repeat and remove them."""
    import pickletools

    try:
        starts = [at for _, _, at in pickletools.genops(content)]
    except ValueError:
        return mutate_bytes(content, rng)
    data, at = bytearray(content), rng.choice(starts)
    inserted = rng.choice(_OPCODES)
    match rng.randrange(4):
        case 0:
            data[at:at] = inserted * rng.choice((1, 1, 2, 1000))
        case 1:
            end = min((each for each in starts if each > at), default=len(data))
            del data[at:end]
        case 2:
            other = rng.choice(starts)
            data[at:at] = data[min(at, other) : max(at, other)]
        case _:
            return mutate_bytes(content, rng)
    return bytes(data)


def mutate_npy(content: bytes, rng: Random) -> bytes:
    """Change the text of the header, or its length."""
    end = content.find(b"\n", 10) + 1
    if content[:6] != b"\x93NUMPY" or not end or rng.randrange(5) == 0:
        return mutate_bytes(content, rng)
    header = mutate_lines(content[10:end], rng)
    if rng.randrange(5) == 0:  # version 2, whose length has four bytes
        length = rng.choice((len(header), 2**31, 2**32 - 1, 0, 100_000))
        return content[:6] + b"\2\0" + struct.pack("<I", length) + header + content[end:]
    length = len(header) if rng.randrange(4) else rng.choice((0, 1, 65535))
    return content[:8] + struct.pack("<H", min(length, 65535)) + header + content[end:]


def mutate_safetensors(content: bytes, rng: Random) -> bytes:
    """Change the JSON of the header, or the JSON that is a text in it."""
    if rng.randrange(6) == 0 or len(content) < 10:
        return mutate_bytes(content, rng)
    length = struct.unpack("<Q", content[:8])[0]
    try:
        header = json.loads(content[8 : 8 + length])
        inner = json.loads(header["__metadata__"]["header"])
    except (ValueError, KeyError):
        return mutate_bytes(content, rng)
    if rng.randrange(4):
        text = (
            json.dumps(change_node(inner, rng))
            if rng.randrange(8)
            else mutate_json(json.dumps(inner).encode(), rng).decode("utf-8", "replace")
        )
        header["__metadata__"]["header"] = text
    else:
        header = change_node(header, rng)
    encoded = json.dumps(header).encode()
    claimed = len(encoded) if rng.randrange(20) else rng.choice((0, 2**40, 2**63, len(encoded) + 1))
    return struct.pack("<Q", claimed) + encoded + content[8 + length :]


def mutate_tiff(content: bytes, rng: Random) -> bytes:
    """Change a tag: its code, type, count or value; make lists of pages loop; change the description."""
    order = "<" if content[:2] == b"II" else ">"
    is_big = content[2:4] in (b"+\0", b"\0+")
    if rng.randrange(4) == 0 or len(content) < 16:
        return mutate_bytes(content, rng)
    if rng.randrange(4) == 0 and (start := content.find(b"<OME")) > 0:
        end = content.find(b"</OME>", start) + 6
        changed = mutate_lines(content[start:end].replace(b" ", b"\n"), rng).replace(b"\n", b" ")
        return content[:start] + changed[: end - start].ljust(end - start) + content[end:]
    data = bytearray(content)
    entry, size, head = (20, 8, 8) if is_big else (12, 4, 2)
    offset = int.from_bytes(data[8:16] if is_big else data[4:8], "little" if order == "<" else "big")
    pages = []
    while 0 < offset < len(data) - head and offset not in pages and len(pages) < 100:
        pages.append(offset)
        n = struct.unpack_from(order + ("Q" if is_big else "H"), data, offset)[0]
        end = offset + head + n * entry
        if end + size > len(data):
            break
        offset = struct.unpack_from(order + ("Q" if is_big else "I"), data, end)[0]
    page = rng.choice(pages or [8])
    n = struct.unpack_from(order + ("Q" if is_big else "H"), data, page)[0] if pages else 1
    at = page + head + rng.randrange(max(1, min(n, 50))) * entry
    number = rng.choice((*NUMBERS, *pages, page, len(data)))
    match rng.randrange(6):
        case 0:
            struct.pack_into(
                order + "H", data, at, rng.choice((256, 257, 258, 259, 270, 273, 277, 279, 322, 324, 65000))
            )
        case 1:
            struct.pack_into(order + "H", data, at + 2, rng.choice((0, 1, 2, 3, 4, 5, 11, 12, 13, 16, 99)))
        case 2:
            _put(data, at + 4, number, size, order)
        case 3 | 4:
            _put(data, at + 4 + size, number, rng.choice((2, size)), order)
        case _:
            _put(data, page + head + n * entry, rng.choice((*pages, number)), size, order)
    return bytes(data)


def _put(data: bytearray, at: int, number: int, size: int, order: str) -> None:
    data[at : at + size] = (number % 2 ** (8 * size)).to_bytes(size, "little" if order == "<" else "big")


def mutate_gzip(content: bytes, rng: Random) -> bytes:
    """Change what is compressed, or the compressed bytes."""
    if rng.randrange(3) == 0:
        return mutate_bytes(content, rng)
    try:
        return gzip.compress(mutate_nifti(gzip.decompress(content), rng), 1)
    except (OSError, EOFError, zlib.error):
        return mutate_bytes(content, rng)


_NIFTI = [("<i", 0), *(("<h", 40 + 2 * n) for n in range(8)), ("<h", 68), ("<h", 70), ("<h", 72), ("<B", 123)]
_NIFTI += (
    [("<f", 76 + 4 * n) for n in range(11)] + [("<h", 252), ("<h", 254)] + [("<f", 256 + 4 * n) for n in range(18)]
)
_NIFTI += [("<i", 352), ("<i", 356)]
_MRC = [
    *(("<i", 4 * n) for n in range(10)),
    *(("<f", 40 + 4 * n) for n in range(6)),
    *(("<i", 64 + 4 * n) for n in range(8)),
]
_MRC += [("<i", 152), ("<i", 156), ("<i", 212)]


def mutate_nifti(content: bytes, rng: Random) -> bytes:
    """Change a field of the header."""
    return _mutate_fields(content, _NIFTI, rng)


def mutate_mrc(content: bytes, rng: Random) -> bytes:
    """Change a field of the header."""
    return _mutate_fields(content, _MRC, rng)


def _mutate_fields(content: bytes, fields: list[tuple[str, int]], rng: Random) -> bytes:
    if rng.randrange(6) == 0 or len(content) < 400:
        return mutate_bytes(content, rng)
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 3))):
        code, at = rng.choice(fields)
        size = struct.calcsize(code)
        if code[1] == "f":
            struct.pack_into(code, data, at, rng.choice(_FLOATS))
        else:
            data[at : at + size] = (rng.choice((*NUMBERS, -5, 4, 8, 16, 64, 512)) % 2 ** (8 * size)).to_bytes(
                size, "little"
            )
    return bytes(data)


def mutate_header_lines(content: bytes, rng: Random) -> bytes:
    """Change the header of NRRD or MetaImage, which is text before the data."""
    end = (
        content.find(b"\n\n") if content.startswith(b"NRRD") else content.find(b"\n", content.find(b"ElementDataFile"))
    )
    if end <= 0 or rng.randrange(5) == 0:
        return mutate_bytes(content, rng)
    return mutate_lines(content[:end], rng) + content[end:]


def mutate_hdf5(content: bytes, rng: Random) -> bytes:
    """Change bytes, a number near a signature, or the objects in the file."""
    if rng.randrange(3):
        marks = [
            content.find(mark, rng.randrange(len(content))) for mark in (b"TREE", b"SNOD", b"HEAP", b"OHDR", b"GCOL")
        ]
        at = rng.choice([each for each in marks if each >= 0] or [0]) + rng.randrange(64)
        return content[:at] + mutate_bytes(content[at : at + 64] or b"\0", rng) + content[at + 64 :]
    return mutate_bytes(content, rng)


_BY_SUFFIX: dict[str, Mutation] = {
    ".json": mutate_json,
    **dict.fromkeys((".csv", ".toml", ".xml"), mutate_lines),
    **dict.fromkeys((".npz", ".pth"), mutate_zip),
    ".npy": mutate_npy,
    ".safetensors": mutate_safetensors,
    ".tif": mutate_tiff,
    ".nii": mutate_nifti,
    ".mrc": mutate_mrc,
    **dict.fromkeys((".nrrd", ".nhdr", ".mha", ".mhd"), mutate_header_lines),
    **dict.fromkeys((".h5", ".ims"), mutate_hdf5),
}
