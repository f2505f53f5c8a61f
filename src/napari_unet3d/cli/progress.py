"""Output of the command: results on stdout, messages and progress bars on stderr."""

from __future__ import annotations

import sys
from contextlib import suppress
from types import TracebackType
from typing import Self

from tqdm import tqdm

from napari_unet3d.errors import printable


def print_result(text: str) -> None:
    """Print a result to stdout, where another program may read it."""
    sys.stdout.write(f"{printable(text)}\n")
    sys.stdout.flush()


def print_status(text: str) -> None:
    """Print a message to stderr, above a progress bar if there is one."""
    tqdm.write(printable(text), file=sys.stderr)
    sys.stderr.flush()


def is_terminal() -> bool:
    """Return whether stderr is a terminal, which can show progress bars."""
    return sys.stderr.isatty()


class Bar:
    """A progress bar on stderr, if that is a terminal.

    Parameters
    ----------
    unit : str
        What is counted, such as ``"epoch"``.
    total : int, optional
        Number of units, if it is known from the start.
    """

    def __init__(self, unit: str, total: int | None = None) -> None:
        self._bar = tqdm(total=total, unit=f" {unit}", file=sys.stderr, disable=not is_terminal(), dynamic_ncols=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # the terminal may be gone, which must not hide why the block ended
            self._bar.close()

    def describe(self, text: str) -> None:
        """Set the text behind the bar, which stays where it is."""
        self._bar.set_postfix_str(text)

    def show(self, done: float, total: int | None = None, text: str = "") -> None:
        """Move to `done` of `total`, with a text behind the bar."""
        if total is not None:
            self._bar.total = total
        if text:
            self._bar.set_postfix_str(text, refresh=False)
        self._bar.n = done
        self._bar.refresh()
