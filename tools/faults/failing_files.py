"""A failing file system: operations on files below a folder are counted, and one of them, or all from one on, fail."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from typing import Any

KINDS = ("ENOSPC", "EIO", "EACCES", "short")
"""A full disk from an operation on, one error of a disk, one refused permission, one write that writes a part."""

_OPERATIONS = ("open", "replace", "rename", "mkdir", "rmdir", "unlink", "remove", "link", "scandir", "listdir", "fsync")
_NEEDS_SPACE = ("write", "mkdir", "link")


class FailingFiles:
    """Patches this process: its operations on files below a folder fail from now on.

    Parameters
    ----------
    folder : str
        Operations on other paths are neither counted nor changed.
    number : int
        The operation that fails, from 1; 0 for none, to count them.
    kind : str
        One of `KINDS`.
    """

    def __init__(self, folder: str, number: int = 0, kind: str = "EIO") -> None:
        self.folder, self.number, self.kind, self.count = folder, number, kind, 0
        for name in _OPERATIONS:
            setattr(os, name, self._patched(name, getattr(os, name)))
        builtins.open = io.open = self._open  # type: ignore[assignment]

    def is_short(self, operation: str) -> bool:
        """Count an operation; raise its error, or return whether it should write a part only."""
        self.count += 1
        if self.number == 0 or self.count < self.number:
            return False
        if self.kind == "ENOSPC":  # a full disk stays full
            if operation in _NEEDS_SPACE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return False
        if self.count != self.number:
            return False
        if self.kind == "short":
            return operation == "write"
        number = getattr(errno, self.kind)
        raise OSError(number, os.strerror(number))

    def is_below(self, path: Any) -> bool:
        """Return whether a path is below the folder."""
        try:
            return os.path.abspath(os.fsdecode(path)).startswith(self.folder)
        except TypeError:  # a file descriptor
            return False

    def _patched(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(path: Any = ".", *args: Any, **options: Any) -> Any:
            if name == "fsync" or self.is_below(path):
                self.is_short(name)
            return original(path, *args, **options)

        return operation

    def _open(  # noqa: PLR0913 - the parameters of open
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        """Open a file as `open` does, with reads and writes that fail."""
        if not isinstance(file, int) and not self.is_below(file):
            return _OPEN(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if not isinstance(file, int):
            self.is_short("open")
        raw = _FailingFile(self, file, mode.replace("b", "").replace("t", ""), closefd, opener)
        if buffering == 0:
            return raw
        if "+" in mode:
            buffered: Any = io.BufferedRandom(raw)
        else:
            buffered = io.BufferedReader(raw) if "r" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline, buffering == 1)
        text.mode = mode  # type: ignore[misc]
        return text


_OPEN = io.open


class _FailingFile(io.FileIO):
    def __init__(self, faults: FailingFiles, file: Any, mode: str, closefd: bool, opener: Any) -> None:
        self._faults = faults
        super().__init__(file, mode, closefd, opener)
        self._counts = isinstance(file, int) is False or faults.is_below(_path_of(file))

    def write(self, data: Any) -> int:
        if self._counts and self._faults.is_short("write"):
            view = memoryview(data).cast("B")
            return super().write(view[: max(1, len(view) // 2)])
        return super().write(data)

    def readinto(self, buffer: Any) -> int:
        if self._counts:
            self._faults.is_short("read")
        return super().readinto(buffer)

    def readall(self) -> bytes:
        if self._counts:
            self._faults.is_short("read")
        return super().readall()


def _path_of(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return os.sep
