"""What the Train dock offers while nothing runs: sample data, an annotation, or the run that was interrupted."""

from __future__ import annotations

from magicgui.widgets import PushButton, Widget
from napari.layers import Image
from qtpy.QtCore import Qt

from napari_unet3d.configs.snippets import RunSnippet, training_snippet
from napari_unet3d.errors import UserError
from napari_unet3d.runs.run_files import is_copy_of_layers
from napari_unet3d.session.recent_runs import UnfinishedRun
from napari_unet3d.widgets.components.containers import (
    Panel,
    button,
    row,
    wrapping_label,
)
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.copy_run import CopyButton
from napari_unet3d.widgets.components.dock_window import open_dock
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.components.point_at import point_at

_FRAME = "QWidget#prompt { border: 1px solid rgba(128, 128, 128, 120); border-radius: 4px; }"


class Prompt(Panel):
    """A frame with a sentence or two and buttons.

    Parameters
    ----------
    *buttons : Widget
        What can be chosen, from left to right.
    """

    def __init__(self, *buttons: Widget) -> None:
        self.text = wrapping_label()
        super().__init__(self.text, row(*buttons))
        self.margins = (9, 9, 9, 9)
        self.native.setObjectName("prompt")
        self.native.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)  # else a plain QWidget has no border
        self.native.setStyleSheet(_FRAME)
        for each in buttons:
            each.native.setMinimumHeight(36 if len(buttons) == 1 else 28)


class SamplePrompt(Prompt):
    """Offers sample data to those who have none."""

    def __init__(self) -> None:
        self.start_button = PushButton(
            text="Generate sample data and train",
            tooltip="Generate five small volumes with exact labels, and train on them with these settings.",
        )
        super().__init__(self.start_button)
        self.text.value = "No data yet? See how it works on a small generated dataset; it takes less than a minute."


class AnnotatePrompt(Prompt):
    """Offers to annotate to those who have opened an image that has no labels.

    Parameters
    ----------
    context : Context
        Its viewer gets the dock Annotate.

    Attributes
    ----------
    image : Image or None
        The image that is offered.
    """

    def __init__(self, context: Context) -> None:
        self._viewer = context.viewer
        self.image: Image | None = None
        self.open_button = button(
            "Annotate it", "Open the dock Annotate with this image, to paint a few slices.", self._open
        )
        super().__init__(self.open_button)

    def offer(self, image: Image | None) -> None:
        """Offer to annotate an image, or hide the offer."""
        self.image = image
        if image is not None:
            self.text.value = f"'{image.name}' has no labels yet. A few painted slices are enough to train on."
        self.visible = image is not None

    def _open(self) -> None:
        point_at(open_dock(self._viewer, "Annotate", HandOver(image=self.image)).annotate_button)


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
        super().__init__(self.continue_button, self.later_button, self.copy_button)
        self.run: UnfinishedRun | None = None

    def offer(self, run: UnfinishedRun | None) -> None:
        """Offer to resume a run, or hide the offer."""
        self.run = run
        if run is not None:
            done = f"{run.progress.n_done} of {run.progress.n_epochs} epochs are done"
            data = f"the dataset '{run.dataset.name}'" if run.dataset else "layers, and continues with those below"
            if run.dataset is not None and is_copy_of_layers(run.dataset, run.folder):
                data = "layers, of which it has a copy"
            self.text.value = f"Continue last run? {done} in '{run.folder.name}'. It was trained on {data}."
            self.tooltip = str(run.folder)
        self.visible = run is not None

    def _snippet(self) -> RunSnippet:
        assert self.run is not None  # else nothing is offered
        if self.run.dataset is None:
            raise UserError("The run was trained on layers, which a command cannot refer to; continue it here.")
        return training_snippet(self.run.dataset, self.run.folder, None, resume=True)
