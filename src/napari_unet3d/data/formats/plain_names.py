"""Paths for libraries that end the process on names that are not UTF-8, which files of other systems can have."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from napari_unet3d.errors import UserError

_HEADERS = (".mhd", ".nhdr")  # of files that name others in their folder


def is_plain(name: Path | str) -> bool:
    """Return whether a name can be written as UTF-8.

    >>> is_plain("zelle_µ.nrrd"), is_plain("cell_" + chr(0xDCFF))
    (True, False)
    """
    try:
        str(name).encode()
    except UnicodeEncodeError:
        return False
    return True


def plain_path(path: Path, files: ExitStack) -> Path:
    """Return a path of the same file whose name is UTF-8; a link, if need be, that is removed with the stack.

    Raises
    ------
    UserError
        For a header that names other files, if its own name is not UTF-8.
    """
    if is_plain(path):
        return path
    folder = files.enter_context(_plain_folder(path.parent))
    if is_plain(path.name):
        return folder / path.name
    if path.suffix.lower() in _HEADERS:
        raise UserError(
            f"The name of {path} has characters that cannot be read. Rename it, and keep its data beside it."
        )
    link = folder.parent / f"volume{path.suffix}"
    link.symlink_to(path.absolute())
    return link


@contextmanager
def plain_target(path: Path) -> Iterator[Path]:
    """Yield a path with a plain name to write to, in the folder of `path`; it is renamed to `path` at the end."""
    if is_plain(path):
        yield path
        return
    with _plain_folder(path.parent) as folder:
        target = folder / f".{uuid.uuid4().hex}{path.suffix}"
        try:
            yield target
            os.replace(target, path)
        finally:
            target.unlink(missing_ok=True)


@contextmanager
def _plain_folder(folder: Path) -> Iterator[Path]:
    with TemporaryDirectory(prefix="napari-unet3d-") as temporary:
        link = Path(temporary) / "folder"
        link.symlink_to(folder.absolute(), target_is_directory=True)
        yield link
