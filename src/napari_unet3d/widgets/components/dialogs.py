"""Questions, where to save a file, and windows beside the viewer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QFileDialog, QMessageBox, QPushButton, QVBoxLayout, QWidget

from napari_unet3d.data.dataset import file_name
from napari_unet3d.errors import UserError
from napari_unet3d.session.preferences import load_preference, save_preference

_KEY = "save-folder"


def confirm(parent: QWidget, title: str, question: str, *, by_default: bool = False) -> bool:
    """Ask with OK and Cancel whether to proceed.

    Parameters
    ----------
    parent : QWidget
        The widget that the question belongs to.
    title, question : str
        The title of the window, and what is asked.
    by_default : bool
        Whether the Enter key means OK.
    """
    ok, cancel = QMessageBox.StandardButton.Ok, QMessageBox.StandardButton.Cancel
    return bool(QMessageBox.question(parent, title, question, ok | cancel, ok if by_default else cancel) == ok)


def ask_for_file(
    parent: QWidget, title: str, name: str, suffixes: Sequence[str], folder: Path | None = None
) -> Path | None:
    """Ask where to save something; a name without an ending gets the first one.

    Parameters
    ----------
    parent : QWidget
        The widget that the dialog belongs to.
    title : str
        What is saved.
    name : str
        The name to suggest, without ending; characters that no file name may have become ``_``.
    suffixes : sequence of str
        The endings of what can be written, the preferred one first.
    folder : Path, optional
        Where to suggest it; without it, in the folder that was used last.

    Returns
    -------
    Path or None
        None when it was cancelled.

    Raises
    ------
    UserError
        When a file would be replaced that the dialog has not asked about.
    """
    known = load_preference(_KEY)
    start = folder or (Path(known) if isinstance(known, str) else Path.home())
    pattern = " ".join(f"*{suffix}" for suffix in suffixes)
    chosen, _ = QFileDialog.getSaveFileName(parent, title, str(start / f"{file_name(name)}{suffixes[0]}"), pattern)
    if not chosen:
        return None
    path = Path(chosen)
    if not path.suffix:
        path = path.with_name(f"{path.name}{suffixes[0]}")
        if os.path.exists(path):
            raise UserError(f"{path} exists already. Choose another name, or type '{path.name}' to replace it.")
    save_preference(_KEY, str(path.parent))
    return path


class PluginWindow(QDialog):
    """What is shown, and below it the button that closes the window for good.

    Parameters
    ----------
    parent : QWidget
        The dock; the window closes with it.
    title : str
        The title of the window.
    *content : QWidget
        What it shows, from top to bottom; the last one takes the room that is left.
    """

    def __init__(self, parent: QWidget, title: str, *content: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        close_button = QPushButton("Close")
        close_button.setToolTip("Close this window.")
        close_button.clicked.connect(self.close)
        column = QVBoxLayout(self)
        for widget in content:
            column.addWidget(widget)
        column.setStretchFactor(content[-1], 1)
        column.addWidget(close_button, alignment=Qt.AlignmentFlag.AlignRight)
