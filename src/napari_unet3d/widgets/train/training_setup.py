"""The part of the Train dock in which a training is set up, with what is offered above the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from magicgui.widgets import PushButton, Widget
from napari.layers import Image
from qtpy.QtCore import Qt

from napari_unet3d.configs import NETWORK_SETTINGS, TrainingConfig
from napari_unet3d.configs.snippets import RunSnippet, training_snippet
from napari_unet3d.errors import UserError
from napari_unet3d.runs.run_files import is_copy_of_layers
from napari_unet3d.session.recent_runs import UnfinishedRun, new_run_folder
from napari_unet3d.session.training_job import TrainingRequest
from napari_unet3d.widgets.components.containers import (
    Panel,
    Section,
    button,
    column,
    heading,
    row,
    wrapping_label,
)
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.copy_run import CopyButton
from napari_unet3d.widgets.components.dock_window import open_dock
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.components.point_at import point_at
from napari_unet3d.widgets.forms.form import ConfigForm
from napari_unet3d.widgets.forms.layer_menu import is_volume
from napari_unet3d.widgets.forms.preference_link import share_preferences
from napari_unet3d.widgets.train.annotation_note import AnnotationNote
from napari_unet3d.widgets.train.data_source import TrainingSource
from napari_unet3d.widgets.train.run_options import RunFolderRow, SubprocessOption

_SHARED = ("task", "preset", "epochs", "device")  # settings that are preferences of the plugin, too
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


class TrainingSetup(Panel):
    """Data, run folder and settings of a training in a section, and above it what is offered while no job runs.

    Parameters
    ----------
    context : Context
        Viewer, jobs and message line.

    Attributes
    ----------
    source : TrainingSource
        What is trained on.
    run_options : RunFolderRow
        The run folder and the model to start from.
    subprocess_option : SubprocessOption
        Whether the training runs in a separate process.
    settings : ConfigForm of TrainingConfig
        The settings.
    sample_prompt, annotate_prompt, resume_prompt : Prompt
        What is offered while no job runs.
    content : Container
        Data, run folder and settings.
    section : Section
        Shows and hides them.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(spacing=4)
        self.source, self.run_options = TrainingSource(context), RunFolderRow()
        self.annotation_note = AnnotationNote(self.source)
        self.subprocess_option = SubprocessOption()
        self.settings = ConfigForm(TrainingConfig, "training", without=("num_workers",))
        shared = {name: self.settings.editors[name] for name in _SHARED}
        share_preferences(self, shared, self.settings.changed)
        self.source.voxel_sizes.follow_setting(self.settings)
        self.sample_prompt, self.annotate_prompt = SamplePrompt(), AnnotatePrompt(context)
        self.resume_prompt = ResumePrompt(context)
        self._is_idle = True
        data = heading("Train on"), self.source, self.annotation_note
        run = heading("Run"), self.run_options, self.subprocess_option
        self.content = column(*data, *run, heading("Settings"), self.settings, spacing=4)
        self.section = Section("Data and settings", self.content, is_open=True)
        self.lay_out(self.resume_prompt, self.sample_prompt, self.annotate_prompt, self.section)
        self.source.source_changed.connect(self._on_source)
        self.source.labels_layer.changed.connect(self._on_labels)
        self.source.image_layer.changed.connect(lambda _image: self.offer(self.resume_prompt.run))
        self.run_options.start_from.changed.connect(self._on_start_from)
        self.resume_prompt.later_button.clicked.connect(lambda: self.offer(None))
        self.run_options.suggest(self.source.folder)
        self.source.prefer_available()
        self.offer(None)

    def request(self) -> TrainingRequest:
        """Return what is to be trained.

        Raises
        ------
        UserError
            When something is missing, or settings contradict each other.
        """
        config = self._config()
        data, run_folder = self.source.data(config.fourth_axis), self.run_options.folder.require("a folder for the run")
        return TrainingRequest(data, run_folder, config, self.run_options.start_from.value)

    def draft(self) -> TrainingRequest:
        """Return what is to be trained, without data or run folder where there is none; raises as `request`."""
        config = self._config()
        data = () if self.source.is_empty else self.source.data(config.fourth_axis)
        run_folder = self.run_options.folder.value or Path()
        return TrainingRequest(data, run_folder, config, self.run_options.start_from.value)

    def sample_request(self, folder: Path) -> TrainingRequest:
        """Return a training on the sample dataset in a folder with the settings; raises as `request`."""
        return TrainingRequest(folder, new_run_folder(folder), self._form_values())

    def resume_request(self, run: UnfinishedRun) -> TrainingRequest:
        """Return how to resume a run with its own settings, after its data is chosen; raises as `request`."""
        if run.dataset is None:
            self.source.use_layers()
            return TrainingRequest(self.source.data(self._config().fourth_axis), run.folder, None, resume=True)
        if not is_copy_of_layers(run.dataset, run.folder):  # which is of no use for another run
            self.source.show_folder(run.dataset)
        return TrainingRequest(run.dataset, run.folder, None, resume=True)

    def allow(self, is_idle: bool) -> None:
        """Set whether something can be offered, which is not while a job runs."""
        self._is_idle = is_idle
        self.offer(None)

    def offer(self, unfinished: UnfinishedRun | None) -> None:
        """Offer to resume a run or, where there is nothing to train on, to annotate the image that is open.

        Without an image, sample data is offered; while a job runs, nothing.
        """
        self.resume_prompt.offer(unfinished if self._is_idle else None)
        has_data = not self.source.is_empty or self.source.can_convert
        is_free = self._is_idle and not has_data and unfinished is None
        image = self.source.image_layer.value if is_volume(self.source.image_layer.value) else None
        self.annotate_prompt.offer(image if is_free else None)
        self.sample_prompt.visible = is_free and image is None

    def reset_choices(self, *_: Any) -> None:
        """Update the layer menus, and offer what can be trained on."""
        self.section.reset_choices()
        self.offer(self.resume_prompt.run)

    def _config(self) -> TrainingConfig:
        return self.annotation_note.apply(self._form_values())

    def _form_values(self) -> TrainingConfig:
        return self.settings.unlocked_values.model_copy(update={"num_workers": 0})  # a viewer must not be forked

    def _on_source(self) -> None:
        self.run_options.suggest(self.source.folder)
        self.offer(self.resume_prompt.run)
        self._on_labels()

    def _on_labels(self, _: Any = None) -> None:
        self.annotation_note.refresh()
        self._lock_settings()

    def _on_start_from(self) -> None:
        self._lock_settings()

    def _lock_settings(self) -> None:
        has_model = self.run_options.start_from.value is not None
        of_model = (*NETWORK_SETTINGS, "normalisation", "percentiles") if has_model else ()
        self.settings.set_locked((*of_model, *self.annotation_note.locked))
