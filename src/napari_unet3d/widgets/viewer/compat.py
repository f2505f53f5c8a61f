"""Size, grid and text of the canvas, which napari 0.9 moved."""

from __future__ import annotations

from typing import Any

_FONT_SIZE = 14.0


def canvas_size(viewer: Any) -> tuple[int, int]:
    """Return height and width in pixels, at least 1, also where docks cover all of the canvas."""
    height, width = viewer.canvas.size if hasattr(viewer, "canvas") else viewer._canvas_size
    return max(1, int(height)), max(1, int(width))


def grid_of(viewer: Any) -> Any:
    """Return the settings of the viewer's grid."""
    return viewer.canvas.grid if hasattr(viewer, "canvas") else viewer.grid


def text_of(viewer: Any) -> Any:
    """Return the text that the viewer can show in a corner of the canvas."""
    return viewer.canvas.overlays.text if hasattr(viewer, "canvas") else viewer.text_overlay


class CanvasText:
    """A text in the corner of the canvas; the user's own text comes back when it is cleared.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer of the canvas.
    """

    _PARTS = ("text", "font_size", "position", "visible")

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._before: dict[str, Any] | None = None

    def show(self, content: str) -> None:
        """Show a text in place of the one before."""
        text = text_of(self._viewer)
        if self._before is None:
            self._before = {part: getattr(text, part) for part in self._PARTS}
        text.text, text.font_size, text.position, text.visible = content, _FONT_SIZE, "top_left", True

    def clear(self) -> None:
        """Show the user's own text again."""
        if self._before is None:
            return
        text, before, self._before = text_of(self._viewer), self._before, None
        for part, value in before.items():
            setattr(text, part, value)
