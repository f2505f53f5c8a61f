"""Errors that users can solve, and their sources outside this package."""

from __future__ import annotations

import errno
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import ValidationError


_NOT_PRINTED = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control characters, parts of surrogate pairs, line separators
_WEB = re.compile(r"([a-z][a-z0-9+.-]+):/+", re.IGNORECASE)
_MOST_LETTERS = 200  # of a name or value in a message
_NO_SPACE = "no space is left on the disk. Free some space or choose another folder."


class UserError(Exception):
    """A problem that the user can solve: one sentence on what is wrong, with the values, and one on what to do.

    Docks show the message, and the command prints it on stderr and exits with 1, both without a traceback. Any other
    exception is a bug. Control characters in the message, which names from files can have, are written as escapes, so
    that they do nothing on a terminal.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    r"""Return a text with control characters and parts of characters, which may come from names of files, as escapes.

    >>> printable("cell\x1b[31m.tif")
    'cell\\x1b[31m.tif'
    """
    return "".join(
        each if each in "\n\t" or unicodedata.category(each) not in _NOT_PRINTED else repr(each)[1:-1] for each in text
    )


NO_MEMORY = (
    "There is not enough memory for this. Close other programs, raise the memory limit of the shell, job or container, "
    "or use smaller volumes."
)
_MEMORY_PHRASES = (
    *("out of memory", "cannot allocate memory", "can't allocate memory", "not enough memory", "unable to allocate"),
    *("failed to map segment", "can't start new thread"),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory has run out, also while a library was loaded."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, (ImportError, OSError, RuntimeError)) and any(
        phrase in str(error).lower() for phrase in _MEMORY_PHRASES
    )


class OutOfMemory(UserError):
    """There is not enough memory; where possible, the operation is retried with smaller batches or patches."""


@contextmanager
def explain_os_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn an `OSError` while reading or writing `path` into a `UserError`.

    Parameters
    ----------
    path : Path
        The file or folder.
    doing : str
        The verb for the message, such as ``"write"`` or ``"read"``.

    Raises
    ------
    UserError
        For each `OSError` in the block.

    Examples
    --------
    >>> from pathlib import Path
    >>> with explain_os_errors(Path("no such file"), "read"):
    ...     open("no such file")
    Traceback (most recent call last):
    napari_unet3d.errors.UserError: Cannot read no such file: it does not exist. Check the path.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(web_address(path) or f"Cannot {doing} {path}: it does not exist. {_advice(path)}") from None
    except OSError as error:
        raise UserError(f"Cannot {doing} {path}: {_reason(error)}") from error


def web_address(path: object) -> str:
    """Return a sentence if a path is a web address, of which `Path` leaves a single slash; else an empty text.

    >>> from pathlib import Path
    >>> web_address(Path("https://example.org/a.tif"))
    'https://example.org/a.tif is a web address. Download the file first.'
    """
    address = _WEB.match(str(path))
    if address is None:
        return ""
    return f"{address[1]}://{str(path)[address.end() :]} is a web address. Download the file first."


def _advice(path: Path) -> str:
    if path.parts[:1] == ("~",):
        return f"In quotes, ~ is not your home folder; write {path.expanduser()}."
    return "Check the path."


def _reason(error: OSError) -> str:
    if error.errno is None and "written" in str(error):  # numpy raises it without errno
        return _NO_SPACE
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return _NO_SPACE
        case errno.EFBIG:
            return "the disk does not support files of that size. Choose another folder."
        case errno.EACCES | errno.EPERM:
            return "permission denied. Choose another place or change its permissions."
        case errno.EROFS:
            return "the disk is read-only. Choose another folder."
        case errno.EISDIR:
            return "it is a folder. Give the name of a file."
        case errno.ENOTDIR | errno.EEXIST:
            return "a part of that path is a file, not a folder. Choose another folder."
        case errno.ENAMETOOLONG:
            return "the name is too long. Choose a shorter one."
        case _:
            reason = (error.strerror or str(error) or type(error).__name__).splitlines()[0]
            return f"{reason.rstrip('. ')}. Check the path and the disk."


def explain_validation(error: ValidationError) -> str:
    """Return the first problem of a pydantic error as a message with the name and value of the setting."""
    first = error.errors(include_url=False)[0]
    # Pydantic adds the types that it tried to the location, which are not part of the user's input.
    name = ".".join(str(part) for part in first["loc"] if "[" not in str(part))
    if first["type"] == "extra_forbidden":
        return f"There is no setting called '{shorten(name, _MOST_LETTERS)}'. Check the spelling."
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    if not name:
        return f"{message}."
    value = shorten(repr(first["input"]), _MOST_LETTERS)
    return f"The setting '{shorten(name, _MOST_LETTERS)}' cannot be {value}: {message[0].lower()}{message[1:]}."


def shorten(text: str, most: int) -> str:
    """Return a text with its end replaced by an ellipsis if it is longer than a number of characters.

    >>> shorten("a long name", 7), shorten("name", 7)
    ('a long…', 'name')
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"
