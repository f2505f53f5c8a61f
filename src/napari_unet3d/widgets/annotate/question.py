"""The question whether to continue an annotation that was saved."""

from __future__ import annotations

from enum import Enum, auto

from qtpy.QtWidgets import QMessageBox, QWidget

from napari_unet3d.session.annotation_store import SavedAnnotation


class Answer(Enum):
    """What to do with an annotation that was saved before."""

    CONTINUE = auto()
    NEW = auto()
    CANCEL = auto()


def ask_to_continue(parent: QWidget, saved: SavedAnnotation) -> Answer:
    """Ask whether to continue a saved annotation or to begin a new one, which leaves the saved one as it is.

    Parameters
    ----------
    parent : QWidget
        The dock.
    saved : SavedAnnotation
        What was found.
    """
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Continue the annotation?")
    box.setText(f"An annotation of this image was saved at {saved.when}, with {saved.n_annotated} annotated voxels.")
    box.setInformativeText("A new one leaves the saved one as it is.")
    go_on = box.addButton("Continue it", QMessageBox.ButtonRole.AcceptRole)
    new = box.addButton("Begin a new one", QMessageBox.ButtonRole.DestructiveRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(go_on)
    box.exec()
    clicked = box.clickedButton()
    return Answer.CONTINUE if clicked is go_on else Answer.NEW if clicked is new else Answer.CANCEL
