"""A question before something is lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QListWidget,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet3d.data.dataset import file_name
from napari_unet3d.errors import UserError
from napari_unet3d.session.preferences import load_preference, save_preference


def confirm(parent: QWidget, title: str, question: str, *, by_default: bool = False) -> bool:
    """Ask with OK and Cancel whether to go on.

    Parameters
    ----------
    parent : QWidget
        What the question belongs to.
    title, question : str
        The words in the frame, and what is asked.
    by_default : bool
        Whether the Enter key means OK.
    """
    ok, cancel = QMessageBox.StandardButton.Ok, QMessageBox.StandardButton.Cancel
    return bool(QMessageBox.question(parent, title, question, ok | cancel, ok if by_default else cancel) == ok)


_MAX_NAMED = 3


def kept_words(folder: Path, kept: list[Path]) -> str:
    """Return a sentence that names what stays in the folders of volumes and is no volume, or an empty string."""
    if not kept:
        return ""
    names = ", ".join(str(path.relative_to(folder)) for path in kept[:_MAX_NAMED])
    others = f" and {len(kept) - _MAX_NAMED} more" if len(kept) > _MAX_NAMED else ""
    return f"Not deleted, since no volume: {names}{others}."


class CleanDialog(QDialog):
    """Names every file that would be deleted and what stays, and deletes nothing unless asked to."""

    def __init__(self, folder: Path, files: list[Path], kept: list[Path], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Delete files?")
        stays = f"{kept_words(folder, kept)}\n\n" if kept else ""
        text = QLabel(f"{stays}These {len(files)} files of {folder} will be deleted for good:")
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


_KEY = "save-folder"


def ask_for_file(
    parent: QWidget, title: str, name: str, suffixes: Sequence[str], folder: Path | None = None
) -> Path | None:
    """Ask where to save something; a name without an ending gets the first one.

    Parameters
    ----------
    parent : QWidget
        What the dialog belongs to.
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
        None when the person thought better of it.

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
        if path.exists():
            raise UserError(f"{path} exists already. Give its name with the ending to replace it.")
    save_preference(_KEY, str(path.parent))
    return path
