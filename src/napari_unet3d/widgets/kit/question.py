"""A question before something is lost."""

from __future__ import annotations

from qtpy.QtWidgets import QMessageBox, QWidget


def is_wanted(parent: QWidget, title: str, question: str, *, by_default: bool = False) -> bool:
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
