"""What the Train dock offers above its settings: sample data, and to go on with the run that was left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from napari_unet3d.configs.snippets import RunSnippet, training_snippet
from napari_unet3d.errors import UserError
from napari_unet3d.session.last_run import UnfinishedRun
from napari_unet3d.widgets.components.copy_run import CopyButton
from napari_unet3d.widgets.components.run_bar import wrapping_label

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.qt_dock import QtDock as Dock


class Prompt(QFrame):
    """A frame with a sentence or two and buttons.

    Parameters
    ----------
    *buttons : QPushButton
        What can be chosen, from left to right.
    """

    def __init__(self, *buttons: QPushButton) -> None:
        super().__init__()
        self.setObjectName("offer")
        self.setStyleSheet("QFrame#offer { border: 1px solid rgba(128, 128, 128, 120); border-radius: 4px; }")
        self.words = wrapping_label()
        column = QVBoxLayout(self)
        column.addWidget(self.words)
        row = QHBoxLayout()
        for button in buttons:
            button.setMinimumHeight(36 if len(buttons) == 1 else 28)
            row.addWidget(button, 1)
        column.addLayout(row)


class SamplePrompt(Prompt):
    """Offers sample data to those who have none."""

    def __init__(self) -> None:
        self.start_button = QPushButton("Generate sample data and train")
        self.start_button.setToolTip(
            "Make five small volumes with exact labels, and train on them with these settings."
        )
        super().__init__(self.start_button)
        self.words.setText("No data yet? See how it works on a small generated dataset; it takes less than a minute.")


class ResumePrompt(Prompt):
    """Offers to go on with the last run when it did not reach its end.

    Parameters
    ----------
    dock : Dock
        Its message line says what was copied.

    Attributes
    ----------
    run : UnfinishedRun or None
        What is offered.
    """

    def __init__(self, dock: Dock) -> None:
        self.continue_button, self.later_button = QPushButton("Continue"), QPushButton("Not now")
        self.copy_button = CopyButton(dock.message, self._as_text)
        self.continue_button.setToolTip("Go on after the last whole epoch, with the settings of that run.")
        self.later_button.setToolTip("It is offered again when napari is opened the next time.")
        super().__init__(self.continue_button, self.later_button, self.copy_button)
        self.run: UnfinishedRun | None = None

    def offer(self, run: UnfinishedRun | None) -> None:
        """Show a run, or nothing."""
        self.run = run
        if run is not None:
            done = f"{run.progress.n_done} of {run.progress.n_epochs} epochs are done"
            data = f"the dataset '{run.dataset.name}'" if run.dataset else "layers, and goes on with those chosen below"
            self.words.setText(f"Continue last run? {done} in '{run.folder.name}'. It learnt from {data}.")
            self.setToolTip(str(run.folder))
        self.setVisible(run is not None)

    def _as_text(self) -> RunSnippet:
        assert self.run is not None  # else nothing is offered
        if self.run.dataset is None:
            raise UserError("The run learnt from layers, which a text cannot name; continue it here.")
        return training_snippet(self.run.dataset, self.run.folder, None, resume=True)
