"""What the Train dock offers above its settings: sample data, and to resume an interrupted run."""

from __future__ import annotations

from magicgui.widgets import Container, PushButton, Widget
from qtpy.QtCore import Qt

from napari_unet3d.configs.snippets import RunSnippet, training_snippet
from napari_unet3d.errors import UserError
from napari_unet3d.session.last_run import UnfinishedRun
from napari_unet3d.widgets.components.containers import row, wrapping_label
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.copy_run import CopyButton
from napari_unet3d.widgets.components.qt_widget import QtWidget

_FRAME = "QWidget#prompt { border: 1px solid rgba(128, 128, 128, 120); border-radius: 4px; }"


class Prompt(Container[Widget]):
    """A frame with a sentence or two and buttons.

    Parameters
    ----------
    *buttons : Widget
        What can be chosen, from left to right.
    """

    def __init__(self, *buttons: Widget) -> None:
        self.text = wrapping_label()
        super().__init__(widgets=[self.text, row(*buttons)], labels=False)
        self.native.setObjectName("prompt")
        self.native.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)  # else a plain QWidget has no border
        self.native.setStyleSheet(_FRAME)
        for button in buttons:
            button.native.setMinimumHeight(36 if len(buttons) == 1 else 28)


class SamplePrompt(Prompt):
    """Offers sample data to those who have none."""

    def __init__(self) -> None:
        self.start_button = PushButton(
            text="Generate sample data and train",
            tooltip="Generate five small volumes with exact labels, and train on them with these settings.",
        )
        super().__init__(self.start_button)
        self.text.value = "No data yet? See how it works on a small generated dataset; it takes less than a minute."


class ResumePrompt(Prompt):
    """Offers to resume the last run when it was interrupted.

    Parameters
    ----------
    context : Context
        Its message line shows what was copied.

    Attributes
    ----------
    run : UnfinishedRun or None
        The run that is offered.
    """

    def __init__(self, context: Context) -> None:
        self.continue_button = PushButton(
            text="Continue", tooltip="Resume after the last complete epoch, with the settings of that run."
        )
        self.later_button = PushButton(
            text="Not now", tooltip="It is offered again when napari is opened the next time."
        )
        self.copy_button = CopyButton(context.message, self._snippet)
        super().__init__(self.continue_button, self.later_button, QtWidget(self.copy_button))
        self.run: UnfinishedRun | None = None

    def offer(self, run: UnfinishedRun | None) -> None:
        """Offer to resume a run, or hide the offer."""
        self.run = run
        if run is not None:
            done = f"{run.progress.n_done} of {run.progress.n_epochs} epochs are done"
            data = f"the dataset '{run.dataset.name}'" if run.dataset else "layers, and continues with those below"
            self.text.value = f"Continue last run? {done} in '{run.folder.name}'. It was trained on {data}."
            self.tooltip = str(run.folder)
        self.visible = run is not None

    def _snippet(self) -> RunSnippet:
        assert self.run is not None  # else nothing is offered
        if self.run.dataset is None:
            raise UserError("The run was trained on layers, which a text cannot name; continue it here.")
        return training_snippet(self.run.dataset, self.run.folder, None, resume=True)
