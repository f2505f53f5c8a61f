"""What SimpleITK does not read of an MRC header (MRC2014 and the flags of IMOD)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_unet3d.errors import UserError

_HEADER_BYTES = 1024
_MODE, _SAMPLING, _CELL, _AXES = 12, 28, 40, 64  # offsets in bytes
_STATISTICS, _IMOD_STAMP, _IMOD_FLAGS = 76, 152, 156
_IMOD, _IS_SIGNED = 1146047817, 1
_HALF_PRECISION, _BYTE_ORDER_LIMIT = 12, 1000
_MODES = {4: "complex numbers", 3: "complex numbers", 101: "4-bit integers"} | {_HALF_PRECISION: "16-bit floats"}


def check_mode(path: Path) -> None:
    """Raise a `UserError` if the file has a data type that SimpleITK does not read.

    Raises
    ------
    ValueError
        If the size of the volume is not a number.
    """
    if not np.isfinite(_numbers(path, np.dtype(np.float32), _CELL, 3)).all():
        raise ValueError("the size of the volume in its header is not a number")
    mode = int(_numbers(path, np.dtype(np.int32), _MODE, 1)[0])
    if mode in _MODES:
        raise UserError(f"{path} has the data type {_MODES[mode]} (mode {mode}). Convert it to 32-bit floats (mode 2).")


def sizes(path: Path) -> list[float | None]:
    """Return the size of a voxel along x, y, z of the world in Å, None where it is unknown."""
    lengths, counts = _numbers(path, np.dtype(np.float32), _CELL, 3), _numbers(path, np.dtype(np.int32), _SAMPLING, 3)
    known = [0 < length < np.inf and count > 0 for length, count in zip(lengths, counts, strict=True)]
    return [
        float(length) / int(count) if is_known else None
        for length, count, is_known in zip(lengths, counts, known, strict=True)
    ]


def axes(path: Path) -> str:
    """Return the axes of the array, slowest first: ``"zyx"``, or another order in maps of crystallography."""
    numbers = _numbers(path, np.dtype(np.int32), _AXES, 3).tolist()
    return "".join("xyz"[number - 1] for number in numbers[::-1]) if sorted(numbers) == [1, 2, 3] else "zyx"


def byte_type(path: Path) -> type[np.int8] | type[np.uint8]:
    """Return the type of bytes: signed as in MRC2014, unless a flag of IMOD or the statistics tell otherwise."""
    stamp, flags = _numbers(path, np.dtype(np.int32), _IMOD_STAMP, 2)
    if stamp == _IMOD:
        return np.int8 if flags & _IS_SIGNED else np.uint8
    lowest, highest = _numbers(path, np.dtype(np.float32), _STATISTICS, 2)
    return np.uint8 if 0 <= lowest <= highest and highest > np.iinfo(np.int8).max else np.int8


def complete(path: Path, *, has_cell: bool, is_unsigned: bool) -> None:
    """Complete a header that SimpleITK has written.

    Parameters
    ----------
    path : Path
        The file.
    has_cell : bool
        Whether the voxel size is known; otherwise the size of the volume is set to 0.
    is_unsigned : bool
        Whether its bytes are unsigned, which only a flag of IMOD says.
    """
    with path.open("r+b") as file:
        if not has_cell:
            file.seek(_CELL)
            file.write(bytes(12))
        if is_unsigned:
            file.seek(_IMOD_STAMP)
            file.write(np.array([_IMOD, 0], "<i4").tobytes())


def _numbers(path: Path, dtype: np.dtype[np.int32] | np.dtype[np.float32], offset: int, count: int) -> np.ndarray:
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        raise ValueError("its header is cut short")
    is_swapped = not 0 <= int(np.frombuffer(header, "<i4", 1, _MODE)[0]) < _BYTE_ORDER_LIMIT
    return np.frombuffer(header, dtype.newbyteorder(">" if is_swapped else "<"), count, offset)
