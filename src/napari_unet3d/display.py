"""Detection of a display, and virtual displays for programs that need one."""

from __future__ import annotations

import os
import re
import shutil
import sys

from napari_unet3d.errors import UserError

VIRTUAL_DISPLAY = ("xvfb-run", "-a", "-s", "-screen 0 1600x1000x24")


def has_display() -> bool:
    """Return whether windows can be shown: always on macOS and Windows, elsewhere with X11 or Wayland."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def with_display(command: list[str]) -> list[str]:
    """Return a command, with a virtual display if there is no display.

    Raises
    ------
    UserError
        If there is neither a display nor xvfb-run.
    """
    if has_display():
        return command
    if not shutil.which(VIRTUAL_DISPLAY[0]):
        raise UserError(
            "There is no display to open napari on, and no xvfb-run for a virtual one. "
            "Install it (on Debian or Ubuntu: apt-get install xvfb xauth), or work without the viewer."
        )
    return [*VIRTUAL_DISPLAY, *command]


def is_software_renderer(renderer: str) -> bool:
    """Return whether an OpenGL renderer, by its name, is a software renderer.

    >>> is_software_renderer("llvmpipe (LLVM 15.0.7, 256 bits)")
    True
    """
    return re.search("llvmpipe|softpipe|swrast", renderer) is not None
