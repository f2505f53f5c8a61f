"""The files of a package: a zip archive or its unpacked folder; only files that are asked for are read.

Nothing is unpacked onto the disk, so that names in an archive lead nowhere.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.paths import is_file, is_folder
from napari_unet3d.text_files import open_regular, parse_yaml, read_limited

DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml")
SUFFIX = ".zip"
_MOST_ENTRIES, _MOST_TEXT = 10_000, 2**20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError, ValueError)


class PackageFiles:
    """The files of a package.

    Parameters
    ----------
    path : Path
        The zip archive, the folder, or the description in it.

    Raises
    ------
    UserError
        If there is no description in it, or it is no archive, or one with too many files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.parent if path.name in DESCRIPTIONS else path
        self._entries: dict[str, zipfile.ZipInfo] | None = None
        self._top = ""
        if not is_folder(self.path):
            with self._archive() as archive:
                self._entries = self._checked(archive.infolist())
        found = self._find_description()
        if found is None:
            raise UserError(
                f"{path} is no package of bioimage.io: there is no {' or '.join(DESCRIPTIONS)} in it. Download the "
                "model again as a zip file."
            )
        self._description = found

    def description(self) -> Any:
        """Return the parsed description.

        Raises
        ------
        UserError
            If it cannot be read.
        """
        try:
            return parse_yaml(self.read(self._description, _MOST_TEXT))
        except ValueError as error:
            raise UserError(f"{self._description} in {self.path} cannot be read as YAML: {error}.") from None

    def holds(self, name: str) -> bool:
        """Return whether there is a file of this name."""
        if self._entries is not None:
            return self._top + name in self._entries
        return is_file(self.path / name)

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a file of the package.

        Parameters
        ----------
        name : str
            Its path in the package, as the description gives it.
        max_bytes : int
            How large it may be.

        Raises
        ------
        UserError
            If it is not in the package, is a link, leads out of it, or is larger.
        """
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if "://" in name:
            raise UserError(
                f"The description of {self.path} refers to {name}, which is not in the package. Download the model as "
                "a zip file, which holds all files."
            )
        if not parts or ".." in parts or PurePosixPath(name).is_absolute() or ":" in name:
            raise UserError(f"The description of {self.path} refers to '{name}', which is outside the package.")
        inside = "/".join(parts)
        if self._entries is None:
            return self._read_file(inside, max_bytes)
        return self._read_entry(inside, max_bytes)

    def _read_file(self, name: str, max_bytes: int) -> bytes:
        file = self.path / name
        with explain_os_errors(file, "read"):
            if not file.resolve(strict=True).is_relative_to(self.path.resolve()):
                raise UserError(f"{file} is a link that leads out of the package. Copy the file into it.")
        return read_limited(file, max_bytes)

    def _read_entry(self, name: str, max_bytes: int) -> bytes:
        assert self._entries is not None
        entry = self._entries.get(self._top + name)
        if entry is None:
            raise UserError(f"{self.path} does not hold {name}, which its description names. Download it again.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise UserError(f"{name} in {self.path} is a link. Pack the file itself.")
        if entry.flag_bits & 1 or entry.compress_type not in _METHODS:
            raise UserError(f"{name} in {self.path} is encrypted or packed in an unusual way. Unpack the file first.")
        # What the directory says may be wrong, so the limit holds for what is read, too.
        if entry.file_size <= max_bytes:
            with self._archive() as archive, archive.open(entry) as file:
                content = file.read(max_bytes + 1)
            if len(content) <= max_bytes:
                return content
        raise UserError(f"{name} in {self.path} is larger than {max_bytes / 2**20:g} MiB, too large for what it is.")

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        with explain_os_errors(self.path, "read"), os.fdopen(open_regular(self.path), "rb") as file:
            try:
                with zipfile.ZipFile(file) as archive:
                    yield archive
            except _DAMAGE as error:
                raise UserError(f"{self.path} is no zip file, or it is damaged ({error}). Download it again.") from None

    def _checked(self, entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        if len(entries) > _MOST_ENTRIES:
            raise UserError(f"{self.path} holds {len(entries):,} files, too many for a model.")
        return {entry.filename: entry for entry in entries}

    def _find_description(self) -> str | None:
        """Return the name of the description, at the top or in the only folder there, as archives of folders have."""
        if (found := next(filter(self.holds, DESCRIPTIONS), None)) is not None or not self._entries:
            return found
        tops = {name.split("/")[0] for name in self._entries}
        if len(tops) == 1:
            self._top = f"{tops.pop()}/"
        return next(filter(self.holds, DESCRIPTIONS), None)


def is_package(path: Path) -> bool:
    """Return whether a path is that of a package: its folder, its description, or a zip archive with one in it."""
    if is_folder(path):
        return any(is_file(path / name) for name in DESCRIPTIONS)
    if path.name in DESCRIPTIONS:
        return is_file(path)
    if path.suffix.lower() != SUFFIX or not is_file(path):
        return False
    try:
        PackageFiles(path)
    except UserError:
        return False
    return True
