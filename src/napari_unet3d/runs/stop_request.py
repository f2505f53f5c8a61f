"""The request to stop a training: a file in its run folder, which it looks for between steps.

It works from any process and any computer that can write to the folder. Only its presence counts, not its content.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from napari_unet3d.files import write_text

STOP_FILE = "stop.request"


def request_stop(run_folder: Path) -> None:
    """Ask the training that writes to a run folder to save its state and end.

    Raises
    ------
    UserError
        If the folder cannot be written to.
    """
    write_text(run_folder / STOP_FILE, "")


def is_stop_requested(run_folder: Path) -> bool:
    """Return whether there is a request; without permission to look, there is none."""
    return os.path.lexists(run_folder / STOP_FILE)


def withdraw_stop(run_folder: Path) -> None:
    """Remove the request, as far as possible."""
    with suppress(OSError):
        (run_folder / STOP_FILE).unlink(missing_ok=True)
