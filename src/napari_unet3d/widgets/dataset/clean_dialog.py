"""The question before the volumes of a dataset are deleted."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QListWidget, QPushButton, QVBoxLayout, QWidget

_MAX_NAMED = 3


def kept_text(folder: Path, kept: list[Path]) -> str:
    """Return a sentence that names what is kept because it is no volume, or an empty string."""
    if not kept:
        return ""
    names = ", ".join(str(path.relative_to(folder)) for path in kept[:_MAX_NAMED])
    others = f" and {len(kept) - _MAX_NAMED} more" if len(kept) > _MAX_NAMED else ""
    return f"Not deleted, since no volume: {names}{others}."


class CleanDialog(QDialog):
    """Names every file that would be deleted and what is kept; the caller deletes them when it is accepted."""

    def __init__(self, folder: Path, files: list[Path], kept: list[Path], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Delete files?")
        stays = f"{kept_text(folder, kept)}\n\n" if kept else ""
        text = QLabel(f"{stays}These {len(files)} files of {folder} will be deleted permanently:")
        text.setWordWrap(True)
        names = QListWidget()
        names.addItems([str(path.relative_to(folder)) for path in files])
        self.delete_button, self.cancel_button = QPushButton(f"Delete {len(files)} files"), QPushButton("Cancel")
        self.delete_button.setAutoDefault(False)
        self.cancel_button.setDefault(True)
        self.delete_button.clicked.connect(self.accept)
        self.cancel_button.clicked.connect(self.reject)
        buttons = QDialogButtonBox()
        buttons.addButton(self.delete_button, QDialogButtonBox.ButtonRole.DestructiveRole)
        buttons.addButton(self.cancel_button, QDialogButtonBox.ButtonRole.RejectRole)
        column = QVBoxLayout(self)
        for widget in (text, names, buttons):
            column.addWidget(widget)
        self.resize(480, 360)
