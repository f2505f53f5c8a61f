"""The folder of a result that is not finished: its settings, which blocks are done, and who works on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.file_lock import HELD_ERRORS, lock
from napari_unet3d.files import write_json
from napari_unet3d.text_files import read_json_object

ENDING = ".unfinished"
_SETTINGS, _LOCK, _MOVING = "settings.json", "in_use.lock", "complete.json"


class Journal:
    """Records of what is done, each of which is on disk when `add` returns.

    A record that a killed process has written only partly is not read.

    Parameters
    ----------
    path : Path
        The file.
    dtype : dtype
        Type of a record, whose field ``block`` is the number of a block.
    """

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self._path, self._dtype = path, np.dtype(dtype)

    def read(self) -> NDArray[Any]:
        """Return the records of each block, the last one if there are several, ordered by block."""
        content = self._path.read_bytes() if self._path.exists() else b""
        n_records = len(content) // self._dtype.itemsize
        records = np.frombuffer(content, self._dtype, count=n_records)[::-1]
        _, first = np.unique(records["block"], return_index=True)
        found: NDArray[Any] = records[first]
        return found

    def done(self) -> set[int]:
        """Return the blocks that are done."""
        return set(self.read()["block"].tolist())

    def add(self, *values: Any) -> None:
        """Add a record."""
        content = self._path.stat().st_size if self._path.exists() else 0
        with self._path.open("r+b" if content else "wb") as file:
            file.seek(content // self._dtype.itemsize * self._dtype.itemsize)  # over half a record
            file.write(np.array([values], self._dtype).tobytes())


class Unfinished:
    """The folder ``RESULT.unfinished`` beside a result, which is removed when that is complete.

    Parameters
    ----------
    result : Path
        The labels that are written.
    """

    def __init__(self, result: Path) -> None:
        self.folder = result.with_name(result.name + ENDING)

    def path(self, name: str) -> Path:
        """Return the path of something in the folder."""
        return self.folder / name

    @property
    def is_begun(self) -> bool:
        """Whether an earlier start has left the folder."""
        return self.path(_SETTINGS).is_file()

    @property
    def is_complete(self) -> bool:
        """Whether only the results have to be moved to their places."""
        return self.path(_MOVING).exists()

    def mark_complete(self, kinds: Sequence[str]) -> None:
        """Note that only results of these kinds have to be moved to their places; some may be there already then."""
        write_json(self.path(_MOVING), {"kinds": list(kinds)})

    def complete_kinds(self) -> list[str]:
        """Return the kinds of the results that are complete."""
        return [str(kind) for kind in read_json_object(self.path(_MOVING))["kinds"]]

    def settings(self) -> dict[str, Any]:
        """Return the settings of the earlier start; none if there was no start."""
        return read_json_object(self.path(_SETTINGS)) if self.is_begun else {}

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Begin a result, or check that the settings are those that it was begun with.

        Parameters
        ----------
        settings : mapping of str to value
            What the result depends on, by words for messages; the values are those of JSON.

        Raises
        ------
        UserError
            If a setting is another one; it is named with both values.
        """
        if not self.is_begun:
            write_json(self.path(_SETTINGS), dict(settings))
            return
        before = self.settings()
        for name in sorted({*before, *settings}):
            if before.get(name) != settings.get(name):
                raise UserError(
                    f"{self.folder} is an unfinished result with another {name}: {_describe(before.get(name))} "
                    f"instead of {_describe(settings.get(name))}. Use the same settings to finish it; or remove it, "
                    "as --overwrite does, to start anew; or choose another output."
                )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder, so that no other process works on the same result; it is created if it is missing.

        Raises
        ------
        UserError
            If another process holds it, or it cannot be written to.
        """
        with explain_os_errors(self.folder, "write to"):
            self.folder.mkdir(parents=True, exist_ok=True)
            file = FileIO(self.path(_LOCK), "a+")
        try:
            try:
                lock(file)
            except OSError as error:
                if error.errno in HELD_ERRORS:
                    raise UserError(
                        f"{self.folder} is being written by another process. Wait until it has finished, or choose "
                        "another output."
                    ) from None
            try:
                yield
            finally:
                if not self.is_begun:  # something was wrong before the first block
                    self.remove()
        finally:
            file.close()

    def clear(self) -> None:
        """Delete what an earlier start has left, but not the lock."""
        for path in self.folder.iterdir():
            if path.name == _LOCK:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _describe(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return str(value)
