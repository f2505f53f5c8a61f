"""The choice of a model: a recent run, a run folder or a model file."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QMenu, QPushButton, QSizePolicy, QWidget

from napari_unet3d.errors import UserError
from napari_unet3d.session.recent_runs import recent_runs


class ModelPicker(QWidget):
    """A line for the path of a model or run folder; its menu holds the recent ones, the newest first.

    Parameters
    ----------
    without : str
        What the line says while it is empty.
    takes_newest : bool
        Whether the newest model is chosen when nothing else was, and whenever there is a new one.

    Attributes
    ----------
    changed : Signal()
        Emitted when another path was chosen or typed.
    """

    changed = Signal()

    def __init__(self, without: str = "No model yet; train one or choose", *, takes_newest: bool = True) -> None:
        super().__init__()
        self._combo = QComboBox()
        self._combo.setEditable(True)
        self._combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self._combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # paths must not widen it
        self._combo.setToolTip("A run folder, of which the best model is taken, or a model file (.safetensors, .pth).")
        self.line = self._combo.lineEdit()
        assert self.line is not None
        self.line.setPlaceholderText(without)
        self.browse_button = QPushButton("…")
        self.browse_button.setMaximumWidth(32)
        self.browse_button.setToolTip("Choose a run folder or a model file.")
        self.browse_button.setStyleSheet("QPushButton::menu-indicator { image: none; width: 0px; }")
        menu = QMenu(self.browse_button)
        menu.addAction("Run folder …", self._choose_folder)
        menu.addAction("Model file …", self._choose_file)
        self.browse_button.setMenu(menu)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._combo, 1)
        row.addWidget(self.browse_button)
        self._newest: Path | None = None
        self._takes_newest = takes_newest
        self.refresh()
        self._combo.currentTextChanged.connect(lambda _: self.changed.emit())

    @property
    def value(self) -> Path | None:
        """The path, with ``~`` replaced by the home folder; None while the line is empty."""
        text = self._combo.currentText().strip()
        return Path(text).expanduser() if text else None

    @value.setter
    def value(self, path: Path) -> None:
        self._combo.setEditText(str(path))
        self._show_end()

    def choose(self, path: Path) -> None:
        """Choose a model that another part of the plugin offers; only a model that is made later replaces it."""
        self.refresh()  # what is new by now is not to replace it when the box is refreshed next
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
                "No model is chosen; train one, or choose a run folder or a model file (.safetensors, .pth)."
            )
        return path

    def refresh(self) -> None:
        """Read the list of recent models again; a new one is chosen where the newest is wanted."""
        recent, chosen = recent_runs(), self.value
        newest = recent[0] if recent else None
        if self._takes_newest and newest is not None and newest != self._newest:
            chosen = newest
        self._newest = newest
        self._combo.blockSignals(True)
        self._combo.clear()
        self._combo.addItems([str(path) for path in recent])
        self._combo.setEditText("" if chosen is None else str(chosen))
        self._combo.blockSignals(False)
        self._show_end()
        self.changed.emit()

    def _show_end(self) -> None:
        assert self.line is not None
        self.line.end(False)  # the end of a path tells more than its beginning
        self._combo.setToolTip(self.line.text() or "A run folder or a model file (.safetensors or .pth).")

    def _choose_folder(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, "Choose a run folder", self._start()):
            self.value = Path(chosen)

    def _choose_file(self) -> None:
        pattern = "Models (*.safetensors *.pth *.pt);;All files (*)"
        chosen, _ = QFileDialog.getOpenFileName(self, "Choose a model file", self._start(), pattern)
        if chosen:
            self.value = Path(chosen)

    def _start(self) -> str:
        return "" if self.value is None else str(self.value.parent)
