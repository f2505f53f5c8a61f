"""The header of a NumPy array, in a file or in a member of an archive, read within limits."""

from __future__ import annotations

import io
import struct
import tokenize
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy_format

_MAX_BYTES = 2**16


class ArrayHeader(NamedTuple):
    """What a header says of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def n_bytes(self) -> int:
        """Size of the array; Python's integers do not overflow."""
        size = self.dtype.itemsize
        for length in self.shape:
            size *= length
        return size


def read_array_header(file: BinaryIO | Any) -> ArrayHeader:
    """Read the header at the position of a file; numpy itself would read as many bytes as it says it has.

    Raises
    ------
    ValueError
        If it is none, is longer than 64 KiB, or has an impossible shape.
    """
    start = file.read(npy_format.MAGIC_LEN)
    version = npy_format.read_magic(io.BytesIO(start))
    code = "<H" if version == (1, 0) else "<I"
    n_length = struct.calcsize(code)
    length = file.read(n_length)
    if len(length) < n_length:
        raise ValueError("its header is cut short")
    n_bytes = struct.unpack(code, length)[0]
    if n_bytes > _MAX_BYTES:
        raise ValueError(f"its header says that it has {n_bytes} bytes")
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    try:
        shape, _, dtype = read(io.BytesIO(length + file.read(n_bytes)))
    except (SyntaxError, tokenize.TokenError) as error:
        raise ValueError("its header cannot be read") from error
    if any(side < 0 for side in shape):
        raise ValueError(f"its header says the shape {shape}")
    return ArrayHeader(tuple(shape), dtype)
