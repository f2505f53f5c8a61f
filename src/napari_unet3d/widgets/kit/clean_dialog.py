"""The question before volumes of a dataset are deleted."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QListWidget, QPushButton, QVBoxLayout, QWidget


class CleanDialog(QDialog):
    """Names every file that would be deleted, and deletes nothing unless asked to."""

    def __init__(self, folder: Path, files: list[Path], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Delete files?")
        text = QLabel(f"These {len(files)} files of {folder} will be deleted for good:")
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
