"""A box for a path that is remembered, and is the same in all docks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from magicgui.types import FileDialogMode
from magicgui.widgets import FileEdit
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_unet3d.errors import UserError
from napari_unet3d.session.preferences import load_preference, save_preference


class _Changes(QObject):
    """Where boxes hear of each other; unlike a list of them it forgets boxes whose dock is gone."""

    happened = Signal(str, str)


_changes = _Changes()


class PathEdit(QWidget):
    """A line for a path and a button that opens the system's chooser; the last path is remembered.

    Parameters
    ----------
    mode : {"d", "r", "w"}
        A folder, an existing file, or a file to write.
    remember_as : str
        Name under which the path is kept; boxes with the same name in several docks show the same path.
    tooltip : str
        What the path is for.

    Attributes
    ----------
    changed : Signal()
        Emitted when the path was changed.
    """

    changed = Signal()

    def __init__(self, mode: Literal["d", "r", "w"], remember_as: str, tooltip: str = "") -> None:
        super().__init__()
        self._edit = FileEdit(mode=FileDialogMode(mode), nullable=True, tooltip=tooltip)
        self._edit.choose_btn.text = "…"
        self._edit.choose_btn.native.setMaximumWidth(32)
        self._remember_as = remember_as
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._edit.native)
        if isinstance(path := load_preference(remember_as), str):
            self._edit.value = Path(path)
        self._edit.changed.connect(self._on_change)
        _changes.happened.connect(self._follow)

    @property
    def value(self) -> Path | None:
        """The path, with ``~`` replaced by the home folder; None while the line is empty."""
        text = self._edit.line_edit.value.strip()
        return Path(text).expanduser() if text else None

    @value.setter
    def value(self, path: Path | str) -> None:
        self._edit.value = Path(path)

    def require(self, what: str) -> Path:
        """Return the path, or explain that there is none.

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

    def _on_change(self) -> None:
        if self.value is not None:
            save_preference(self._remember_as, str(self.value))
            _changes.happened.emit(self._remember_as, str(self.value))
        self.changed.emit()

    def _follow(self, remember_as: str, path: str) -> None:
        if remember_as == self._remember_as and Path(path) != self.value:
            self.value = path
