"""Lines for paths: a folder or file that is remembered, and a model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from magicgui.types import FileDialogMode
from magicgui.widgets import FileEdit
from magicgui.widgets.bases import ValuedContainerWidget
from psygnal import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QLineEdit, QMenu, QPushButton, QSizePolicy

from napari_unet3d.errors import UserError
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.session.recent_runs import recent_runs
from napari_unet3d.widgets.components.containers import QtWidget
from napari_unet3d.widgets.viewer.connections import connect_while_alive

_BROWSE_WIDTH = 32
_TOOLTIP = (
    "A run folder, of which the best model is taken, a model file (.safetensors, .pth, .onnx), or a package of "
    "bioimage.io (.zip, or its unpacked folder)."
)


class _Paths:
    """How lines for paths learn of each other, and what they show in this session."""

    changed = Signal(str, str)

    def __init__(self) -> None:
        self.of_session: dict[str, str] = {}

    def share(self, key: str, path: str) -> None:
        """Show a path in all lines of a key."""
        self.of_session[key] = path
        self.changed.emit(key, path)


_paths = _Paths()


class PathEdit(FileEdit):
    """A line for a path and a button that opens the system's chooser; the last path that was chosen is remembered.

    Only what exists is remembered and shown in other docks, and not before it is typed to its end: a typing mistake
    must not become the folder to write to. What the plugin only offers (`offer`) is neither.

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
        self._is_pending = False  # being typed, or offered
        path = _paths.of_session.get(remember_as) or load_preference(remember_as)
        if isinstance(path, str) and os.path.exists(path):
            self.value = Path(path)
        self.line_edit.native.textEdited.connect(self._on_typed)
        self.line_edit.native.editingFinished.connect(self._on_edited)
        self.line_edit.changed.connect(self._on_line)
        connect_while_alive(self.native, _paths.changed, self._follow)

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

    @property
    def is_of_session(self) -> bool:
        """Whether somebody has chosen a path in this session, here or in another line of the same name."""
        return self._remember_as in _paths.of_session

    def offer(self, path: Path, *, is_shared: bool = False) -> None:
        """Show a path that the user has not chosen: it is not remembered.

        Parameters
        ----------
        path : Path
            The path.
        is_shared : bool
            Whether other docks show it, too, also those that are opened later in this session.
        """
        self._is_pending = True
        try:
            self.value = path
        finally:
            self._is_pending = False
        if is_shared:
            _paths.share(self._remember_as, str(path))

    def keep(self) -> None:
        """Remember the path, if it exists by now, and show it in other docks."""
        if (path := self.value) is not None and os.path.exists(path):
            save_preference(self._remember_as, str(path))
            _paths.share(self._remember_as, str(path))

    def _on_typed(self) -> None:
        self._is_pending = True

    def _on_edited(self) -> None:
        if self._is_pending:
            self._is_pending = False
            self.keep()

    def _on_line(self) -> None:
        if not self._is_pending:  # else it comes from the chooser, or a script
            self.keep()

    def _follow(self, remember_as: str, path: str) -> None:
        if remember_as == self._remember_as and Path(path) != self.value:
            self.offer(Path(path))


class ModelPicker(ValuedContainerWidget[Path | None]):
    """A line for the path of a model or run folder; its menu holds the recent ones, the newest first.

    Parameters
    ----------
    without : str
        What the line shows while it is empty.
    takes_newest : bool
        Whether the newest model is chosen when nothing else was, and whenever there is a new one.
    **options : Any
        As of every container of magicgui.
    """

    def __init__(
        self, without: str = "No model yet; train one or choose", *, takes_newest: bool = True, **options: Any
    ) -> None:
        self._combo, self.browse_button = QComboBox(), QPushButton("…")  # a menu of magicgui cannot be typed into
        widgets = [QtWidget(self._combo), QtWidget(self.browse_button)]
        super().__init__(widgets=widgets, layout="horizontal", labels=False, **{"tooltip": _TOOLTIP, **options})
        self.margins = (0, 0, 0, 0)
        self._combo.setEditable(True)
        self._combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self._combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # paths must not widen it
        self.line = self._combo.lineEdit() or QLineEdit()  # it has one, since it can be edited
        self.line.setPlaceholderText(without)
        self._set_up_browsing()
        self._newest: Path | None = None
        self._takes_newest = takes_newest
        self.refresh()
        self._combo.currentTextChanged.connect(lambda _: self.changed.emit(self.value))

    def get_value(self) -> Path | None:
        """Return the path, with ``~`` replaced by the home folder; None while the line is empty."""
        text = self._combo.currentText().strip()
        return Path(text).expanduser() if text else None

    def set_value(self, path: Path | str | None) -> None:
        """Show a path; None empties the line."""
        self._combo.setEditText("" if path is None else str(path))
        self._show_end()

    def choose(self, path: Path) -> None:
        """Choose a model that another part of the plugin offers; only a model that is made later replaces it."""
        self.refresh()  # what is new by now is not to replace it when the line is refreshed next
        self.value = path

    def require(self) -> Path:
        """Return the path.

        Raises
        ------
        UserError
            While the line is empty.
        """
        if (path := self.value) is None:
            raise UserError(
                "No model is chosen; train one, or choose a run folder, a model file (.safetensors, .pth, .onnx) or a "
                "package of bioimage.io (.zip)."
            )
        return path

    def refresh(self) -> None:
        """Read the list of recent models again; a new one is chosen where the newest is wanted."""
        recent, chosen = recent_runs(), self.get_value()
        newest = recent[0] if recent else None
        if self._takes_newest and newest is not None and newest != self._newest:
            chosen = newest
        self._newest = newest
        self._combo.blockSignals(True)
        self._combo.clear()
        self._combo.addItems([str(path) for path in recent])
        self.set_value(chosen)
        self._combo.blockSignals(False)
        self.changed.emit(self.value)

    def _show_end(self) -> None:
        self.line.end(False)  # the end of a path tells more than its beginning
        self._combo.setToolTip(self.line.text() or _TOOLTIP)

    def _set_up_browsing(self) -> None:
        self.browse_button.setMaximumWidth(32)
        self.browse_button.setToolTip("Choose a run folder, a model file or a package of bioimage.io.")
        self.browse_button.setStyleSheet("QPushButton::menu-indicator { image: none; width: 0px; }")
        menu = QMenu(self.browse_button)
        menu.addAction("Run folder …", self._choose_folder)
        menu.addAction("Model file …", self._choose_file)
        self.browse_button.setMenu(menu)

    def _choose_folder(self) -> None:
        self._take(QFileDialog.getExistingDirectory(self.native, "Choose a run folder", self._start()))

    def _choose_file(self) -> None:
        pattern = "Models (*.safetensors *.pth *.pt *.onnx *.zip rdf.yaml bioimageio.yaml);;All files (*)"
        self._take(QFileDialog.getOpenFileName(self.native, "Choose a model file", self._start(), pattern)[0])

    def _take(self, chosen: str) -> None:
        if chosen:
            self.value = Path(chosen)

    def _start(self) -> str:
        return "" if self.value is None else str(self.value.parent)
