"""Mutations of bytes, texts and files; `structures` knows the formats."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

NUMBERS = (0, 1, -1, 2, 3, 7, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63, 2**64)
WORDS = (
    "",
    "self",
    "nan",
    "inf",
    "-inf",
    "1e309",
    "1e-310",
    "0",
    "-1",
    "1e999",
    "=cmd|' /C calc'!A0",
    "a\0b",
    "\x1b[31m",
)
MORE_WORDS = ("../../../etc/passwd", "/etc/passwd", "/dev/zero", "\ud800", "é" * 3, "x" * 5000, "9" * 400, "9" * 5000)
VALUES: tuple[Any, ...] = (
    *(None, True, False, [], {}, [[]], [None], {"a": 1}, [1, 2, 3], [0, 0, 0], [1e-310] * 3, "1", "x"),
    *(0, -1, 1, 2**31, 2**63, 2**70, -(2**70), 10**400, 0.0, -0.0, 1e-310, 1e308, -1.5, float("nan"), float("inf")),
)


def mutate_bytes(content: bytes, rng: Random) -> bytes:
    """Flip, set, insert, remove, repeat, cut."""
    data = bytearray(content or b"\0")
    change = rng.choice((_flip, _set, _set_number, _cut, _remove, _insert, _repeat, _extend, _set_many))
    change(data, _place(data, rng), rng)
    return bytes(data)


def _flip(data: bytearray, at: int, rng: Random) -> None:
    data[at] ^= 1 << rng.randrange(8)


def _set(data: bytearray, at: int, rng: Random) -> None:
    data[at] = rng.choice((0, 255, 127, 128, rng.randrange(256)))


def _set_number(data: bytearray, at: int, rng: Random) -> None:
    code = rng.choice(("<h", ">h", "<i", ">i", "<q", ">q", "<f", "<d"))
    size = struct.calcsize(code)
    if code[1] in "fd":
        packed = struct.pack(code, rng.choice((0.0, -1.0, 1e30, 1e-40, float("nan"), float("inf"))))
    else:
        packed = (rng.choice(NUMBERS) % 2 ** (8 * size)).to_bytes(size, "little" if code[0] == "<" else "big")
    at -= at % size
    data[at : at + size] = packed


def _cut(data: bytearray, at: int, rng: Random) -> None:
    del data[at:]


def _remove(data: bytearray, at: int, rng: Random) -> None:
    del data[at : at + rng.choice((1, 2, 4, 8, 64))]


def _insert(data: bytearray, at: int, rng: Random) -> None:
    data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8, 64)))


def _repeat(data: bytearray, at: int, rng: Random) -> None:
    data[at:at] = data[at : at + rng.choice((4, 16, 256))]


def _extend(data: bytearray, at: int, rng: Random) -> None:
    data += rng.choice((bytes(1000), rng.randbytes(100), bytes(data)))


def _set_many(data: bytearray, at: int, rng: Random) -> None:
    for _ in range(rng.randrange(2, 20)):
        data[_place(data, rng)] = rng.randrange(256)


def _place(data: bytearray, rng: Random) -> int:
    """Return a position, more often one near the beginning, where headers are, or near the end."""
    n = len(data)
    match rng.randrange(4):
        case 0:
            return rng.randrange(n)
        case 1:
            return max(0, n - 1 - rng.randrange(min(n, 600)))
        case _:
            return rng.randrange(min(n, 700))


def mutate_json(content: bytes, rng: Random) -> bytes:
    """Change a node of a JSON value, or the text."""
    try:
        value = json.loads(content)
    except ValueError:
        return mutate_bytes(content, rng)
    match rng.randrange(12):
        case 0:
            return mutate_bytes(content, rng)
        case 1:
            key = rng.choice((b"[", b'{"a":'))
            return key * 100_000 + (b"1" + b"}" * 100_000 if key == b'{"a":' else b"]" * 100_000)
        case 2:
            return json.dumps(rng.choice(VALUES)).encode()
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        value = change_node(value, rng)
    return json.dumps(value).encode()


def change_node(value: Any, rng: Random) -> Any:
    """Return a JSON value in which a node has another value, is absent, or has another name."""
    places = list(_nodes(value))
    if not places:
        return rng.choice(VALUES)
    parent, key = rng.choice(places)
    match rng.randrange(8):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[rng.choice((*WORDS, *MORE_WORDS[:4]))] = parent.pop(key)
        case 1 | 2:
            parent[key] = [parent[key]] if rng.random() < 0.5 else {"a": parent[key]}
        case 3:
            parent[key] = rng.choice((*WORDS, *MORE_WORDS))
        case 4 if isinstance(parent[key], int | float):
            parent[key] = rng.choice((*NUMBERS, -parent[key], parent[key] * 2, parent[key] + 1, parent[key] / 3))
        case 4 if isinstance(parent[key], list) and parent[key]:
            parent[key] = parent[key] * rng.choice((2, 3, 1000)) if rng.random() < 0.5 else parent[key][:-1]
        case 5:
            other, other_key = rng.choice(places)
            parent[key] = json.loads(json.dumps(other.get(other_key) if isinstance(other, dict) else None))
        case _:
            parent[key] = rng.choice(VALUES)
    return value


def _nodes(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _nodes(inner)


def mutate_lines(content: bytes, rng: Random) -> bytes:
    """Change lines of a text: numbers, words, order, repetitions; for CSV, TOML, XML and headers of volumes."""
    if rng.randrange(6) == 0:
        return mutate_bytes(content, rng)
    lines = content.split(b"\n")
    at = rng.randrange(min(len(lines), 40))
    word = rng.choice((*WORDS, *MORE_WORDS, *map(str, NUMBERS))).encode("utf-8", "surrogatepass")
    match rng.randrange(7):
        case 0 | 1:
            lines[at] = _replace_one(rb"-?\d[\d.e+-]*", lines[at], word, rng)
        case 2:
            lines[at] = _replace_one(rb"[\w.]+", lines[at], word, rng)
        case 3:
            del lines[at]
        case 4:
            lines.insert(rng.randrange(len(lines)), lines[at])
        case 5:
            lines[at] = lines[at] * rng.choice((2, 100))
        case _:
            before, separator, _ = (
                re.split(rb"([,=:])", lines[at], maxsplit=1)
                if re.search(rb"[,=:]", lines[at])
                else (
                    lines[at],
                    b" ",
                    b"",
                )
            )
            lines[at] = before + separator + b" " + word
    return b"\n".join(lines)


def _replace_one(pattern: bytes, line: bytes, word: bytes, rng: Random) -> bytes:
    found = list(re.finditer(pattern, line))
    if not found:
        return line + word
    place = rng.choice(found)
    return line[: place.start()] + word + line[place.end() :]


def mutate_file(path: Path, rng: Random) -> None:
    """Replace a file by something that is none, or is elsewhere."""
    kind = rng.choice((_pipe, _folder, _device, _loop, _elsewhere, _empty, _sparse, _gone, _renamed))
    kind(path)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _elsewhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _sparse(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(2**36)


def _gone(path: Path) -> None:
    path.unlink()


def _renamed(path: Path) -> None:
    path.rename(path.with_name(f"{path.name[:9]}\x1b[2J\udcff{path.suffix}"))


Mutation = Callable[[bytes, Random], bytes]
