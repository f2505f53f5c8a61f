"""The one kind of error that a user can act on, and its sources outside this package."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import ValidationError


class UserError(Exception):
    """A problem that the user can solve: one sentence on what is wrong, with the values, and one on what to do.

    The docks show the message, the command prints it on stderr and exits with 1; neither shows a traceback.
    Anything else that escapes the engine is a bug of ours.
    """


@contextmanager
def explain_os_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn an `OSError` while reading or writing `path` into a `UserError`.

    Parameters
    ----------
    path : Path
        The file or folder at work.
    doing : str
        The verb for the message, such as ``"write"`` or ``"read"``.

    Raises
    ------
    UserError
        For every `OSError` raised inside the block.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"Cannot {doing} {path}: it does not exist. Check the path.") from None
    except OSError as error:
        raise UserError(f"Cannot {doing} {path}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "no space is left on the disk. Free some space or choose another folder."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "permission denied. Choose a folder that you may write to."
        case _:
            return f"{error.strerror or error}."


def explain_validation(error: ValidationError) -> str:
    """Put the first finding of a pydantic error into one sentence with the setting's name and value."""
    finding = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in finding["loc"])
    if finding["type"] == "extra_forbidden":
        return f"There is no setting called '{name}'. Check the spelling."
    message = finding["msg"].removeprefix("Value error, ").rstrip(".")
    if not name:
        return f"{message}."
    return f"The setting '{name}' cannot be {finding['input']!r}: {message[0].lower()}{message[1:]}."
