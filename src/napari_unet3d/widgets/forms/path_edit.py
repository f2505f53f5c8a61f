"""A line for a path that is remembered, and is the same in all docks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from magicgui.types import FileDialogMode
from magicgui.widgets import FileEdit
from psygnal import Signal

from napari_unet3d.errors import UserError
from napari_unet3d.session.preferences import load_preference, save_preference

_BROWSE_WIDTH = 32


class _Paths:
    """How lines for paths learn of each other."""

    changed = Signal(str, str)


_paths = _Paths()


class PathEdit(FileEdit):
    """A line for a path and a button that opens the system's chooser; the last path is remembered.

    Parameters
    ----------
    mode : {"d", "r", "w"}
        A folder, an existing file, or a file to write.
    remember_as : str
        Name under which the path is kept; lines with the same name in several docks show the same path.
    tooltip : str
        What the path is for.
    **options : Any
        As of `magicgui.widgets.FileEdit`.
    """

    def __init__(self, mode: Literal["d", "r", "w"], remember_as: str, tooltip: str = "", **options: Any) -> None:
        super().__init__(mode=FileDialogMode(mode), nullable=True, tooltip=tooltip, **options)
        self.choose_btn.text = "…"
        self.choose_btn.native.setMaximumWidth(_BROWSE_WIDTH)
        self._remember_as = remember_as
        if isinstance(path := load_preference(remember_as), str):
            self.value = Path(path)
        self.line_edit.changed.connect(self._keep)
        _paths.changed.connect(self._follow)
        self.native.destroyed.connect(lambda: _paths.changed.disconnect(self._follow))

    @property
    def value(self) -> Path | None:
        """The path, with ``~`` replaced by the home folder; None while the line is empty."""
        return self.get_value()

    @value.setter  # type: ignore[override]  # one path, not several
    def value(self, path: Path | str | None) -> None:
        self.set_value(path)

    def get_value(self) -> Path | None:
        """Return what `value` is."""
        text = self.line_edit.value.strip()
        return Path(text).expanduser() if text else None

    def require(self, what: str) -> Path:
        """Return the path.

        Parameters
        ----------
        what : str
            What to choose, such as ``"a dataset folder"``.

        Raises
        ------
        UserError
            While the line is empty.
        """
        if (path := self.value) is None:
            raise UserError(f"No path is chosen; choose {what} first.")
        return path

    def _keep(self) -> None:
        if (path := self.value) is not None:
            save_preference(self._remember_as, str(path))
            _paths.changed.emit(self._remember_as, str(path))

    def _follow(self, remember_as: str, path: str) -> None:
        if remember_as == self._remember_as and Path(path) != self.value:
            self.value = Path(path)
