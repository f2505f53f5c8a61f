"""JSON, YAML, TOML and CSV files, read within limits: a damaged or hostile file is a message, never a hang or crash."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import stat
import tomllib
from io import StringIO
from itertools import islice
from typing import TYPE_CHECKING, Any

import yaml

from napari_unet3d.errors import UserError, explain_os_errors

if TYPE_CHECKING:
    from pathlib import Path

MAX_TEXT_BYTES = 64 * 2**20
_MAX_DEPTH = 32
_MAX_INTEGER = 2**63
_MAX_TOML_DOTS = 2000  # tomllib needs memory for the square of the length of a dotted key
_MAX_YAML_BYTES, _MAX_YAML_NODES = 2**18, 100_000
_MAX_CSV_ROWS = 2_000_000
_FORMULA = re.compile("'*[-=+@\t\r]")


def open_regular(path: Path) -> int:
    """Open a file for reading and return its descriptor; pipes and devices, which can block for ever, are refused.

    Raises
    ------
    UserError
        If it cannot be opened, or is no regular file.
    """
    with explain_os_errors(path, "read"):
        if path.is_dir():
            raise IsADirectoryError(21, os.strerror(21))
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file(path)
    return descriptor


def check_is_regular(path: Path) -> None:
    """Raise an error if a path is a pipe or a device, which can block for ever; files and folders are allowed.

    Raises
    ------
    UserError
        If it is one, or does not exist.
    """
    with explain_os_errors(path, "read"):
        mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise _no_file(path)


def _no_file(path: Path) -> UserError:
    return UserError(f"{path} is a pipe or a device, not a file. Choose a file.")


def read_limited(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """Read a file of at most `max_bytes` bytes.

    Raises
    ------
    UserError
        If it cannot be read, is no regular file, or is larger.
    """
    with explain_os_errors(path, "read"), os.fdopen(open_regular(path), "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise UserError(f"{path} is larger than {max_bytes / 2**20:g} MiB, too large for what it should be.")
    return content


def read_start(path: Path, n_bytes: int) -> bytes:
    """Read the first bytes of a file, fewer if it is shorter.

    Raises
    ------
    UserError
        If it cannot be read, or is no regular file.
    """
    with explain_os_errors(path, "read"), os.fdopen(open_regular(path), "rb") as file:
        return file.read(n_bytes)


def read_end(path: Path, n_bytes: int) -> bytes:
    """Read the last bytes of a file; raises as `read_start`."""
    with explain_os_errors(path, "read"), os.fdopen(open_regular(path), "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - n_bytes))
        return file.read(n_bytes)


def parse_json(content: bytes | str, *, allow_nan: bool = False) -> Any:
    """Parse JSON from outside.

    Parameters
    ----------
    content : bytes or str
        The text, in UTF-8.
    allow_nan : bool
        Whether NaN and infinite numbers are allowed, which scores can be.

    Raises
    ------
    ValueError
        If it is no JSON, is nested deeper than 32 levels, or holds integers of more than 64 bits, NUL characters,
        halves of surrogate pairs or, unless allowed, numbers that are not finite.
    """
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    check_plain(value, allow_nan=allow_nan)
    return value


def parse_toml(content: bytes) -> dict[str, Any]:
    """Parse TOML from outside; errors are those of `parse_json`."""
    text = content.decode("utf-8-sig").replace("\r\n", "\n")
    if text.count(".") > _MAX_TOML_DOTS:
        raise ValueError(f"it holds more than {_MAX_TOML_DOTS} dots")
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    check_plain(values)
    return values


def parse_yaml(content: bytes) -> Any:
    """Parse YAML from outside, of at most 256 KiB.

    Raises
    ------
    ValueError
        If it is no YAML, has references that make it larger than 100,000 values, or exceeds a limit of `parse_json`.
    """
    if len(content) > _MAX_YAML_BYTES:
        raise ValueError(f"it is larger than {_MAX_YAML_BYTES / 2**10:g} KiB")
    try:
        loader = yaml.SafeLoader(content.decode("utf-8-sig"))  # not the one in C, which may overflow the stack
    except yaml.YAMLError:  # characters that are not allowed
        raise ValueError("it holds a character that YAML does not allow") from None
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _count_nodes(root, {}, set())
        value = loader.construct_document(root)
    except yaml.YAMLError as error:
        raise ValueError(str(getattr(error, "problem", None) or error).splitlines()[0]) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    finally:
        loader.dispose()
    check_plain(value, allow_nan=True)
    return value


def _count_nodes(node: yaml.Node, known: dict[int, int], above: set[int]) -> int:
    """Return how many values a node stands for when its references are followed, before any of them is made."""
    if id(node) in above:
        raise ValueError("it contains itself")
    if id(node) not in known:
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        below = [each for part in parts for each in (part if isinstance(part, tuple) else (part,))]
        known[id(node)] = 1 + sum(_count_nodes(each, known, above | {id(node)}) for each in below)
    if known[id(node)] > _MAX_YAML_NODES:
        raise ValueError(f"it has more than {_MAX_YAML_NODES:,} values")
    return known[id(node)]


def read_json(path: Path, *, allow_nan: bool = False) -> Any:
    """Read a JSON file, see `parse_json`.

    Raises
    ------
    UserError
        If it cannot be read or parsed.
    """
    content = read_limited(path)
    try:
        return parse_json(content, allow_nan=allow_nan)
    except ValueError as error:
        raise UserError(f"{path} cannot be read as JSON: {error}.") from None


def read_json_object(path: Path, *, allow_nan: bool = False) -> dict[str, Any]:
    """Read a JSON file that holds an object, see `read_json`."""
    value = read_json(path, allow_nan=allow_nan)
    if not isinstance(value, dict):
        raise UserError(f"{path} is no JSON object.")
    return value


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file with column names, see `parse_csv`.

    Raises
    ------
    UserError
        If it cannot be read, or is no table.
    """
    content = read_limited(path)
    try:
        return parse_csv(content)
    except ValueError as error:
        raise UserError(f"{path} cannot be read as a table: {error}.") from None


def parse_csv(content: bytes) -> list[dict[str, str]]:
    """Parse CSV from outside; cells that a row lacks are empty, and surplus ones are left out.

    Raises
    ------
    ValueError
        If it is no UTF-8, has cells of more than 128 KiB, or more than two million rows.
    """
    reader = csv.DictReader(StringIO(content.decode("utf-8-sig"), newline=""), restkey="", restval="")
    try:
        rows = list(islice(reader, _MAX_CSV_ROWS + 1))
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if len(rows) > _MAX_CSV_ROWS:
        raise ValueError(f"it has more than {_MAX_CSV_ROWS:,} rows")
    return [
        {name: cell[cell[:1] == "'" and bool(_FORMULA.match(cell)) :] for name, cell in row.items() if name}
        for row in rows
    ]


def csv_cell(value: Any) -> Any:
    """Return what to write into a cell: text that a spreadsheet would compute gets an apostrophe, as spreadsheets do.

    `parse_csv` removes it.

    >>> csv_cell("=SUM(A1)"), csv_cell("cells"), csv_cell(-1.5)
    ("'=SUM(A1)", 'cells', -1.5)
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def check_plain(value: Any, *, allow_nan: bool = False) -> None:
    """Check a parsed value against the limits of `parse_json`; nothing is recursive, so that depth does no harm.

    Raises
    ------
    ValueError
        If a limit is exceeded.
    """
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > _MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {_MAX_DEPTH} levels")
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += each.keys()
                below += each.values()
            elif isinstance(each, list | tuple):
                below += each
            else:
                _check_atom(each, allow_nan=allow_nan)
        level = below


def _check_atom(value: Any, *, allow_nan: bool) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("it holds a NUL character")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("it holds half of a surrogate pair, which is no character") from None
    elif isinstance(value, float):
        if not allow_nan and not math.isfinite(value):
            raise ValueError(f"it holds the number {value}")
    elif isinstance(value, int) and not -_MAX_INTEGER <= value < _MAX_INTEGER:
        raise ValueError("it holds an integer of more than 64 bits")
