"""Whether windows can be shown here, and how a program is given a virtual display where they cannot."""

from __future__ import annotations

import os
import re
import shutil
import sys

from napari_unet3d.errors import UserError

VIRTUAL_DISPLAY = ("xvfb-run", "-a", "-s", "-screen 0 1600x1000x24")


def has_display() -> bool:
    """Whether windows can be shown: always on macOS and Windows, with X11 or Wayland elsewhere."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def with_display(command: list[str]) -> list[str]:
    """Return the command as it is where there is a display, otherwise one that runs it under a virtual display.

    Raises
    ------
    UserError
        If there is neither a display nor the program for a virtual one.
    """
    if has_display():
        return command
    if not shutil.which(VIRTUAL_DISPLAY[0]):
        raise UserError(
            "There is no display to open napari on, and no xvfb-run for a virtual one. "
            "Install it (on Debian or Ubuntu: apt-get install xvfb xauth), or do without the viewer."
        )
    return [*VIRTUAL_DISPLAY, *command]


def is_software_renderer(renderer: str) -> bool:
    """Whether the name that OpenGL gives its renderer is that of one without a graphics card."""
    return re.search("llvmpipe|softpipe|swrast", renderer) is not None
