"""The part of the Train dock in which a training is set up, with what is offered above the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_unet3d.configs import NETWORK_SETTINGS, TrainingConfig
from napari_unet3d.runs.run_files import is_copy_of_layers
from napari_unet3d.session.recent_runs import UnfinishedRun, new_run_folder
from napari_unet3d.session.training_job import TrainingRequest
from napari_unet3d.widgets.components.containers import (
    Panel,
    Section,
    column,
    heading,
)
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.forms.form import ConfigForm
from napari_unet3d.widgets.forms.layer_menu import is_volume
from napari_unet3d.widgets.forms.preference_link import share_preferences
from napari_unet3d.widgets.train.annotation_note import AnnotationNote
from napari_unet3d.widgets.train.data_source import TrainingSource
from napari_unet3d.widgets.train.prompts import AnnotatePrompt, ResumePrompt, SamplePrompt
from napari_unet3d.widgets.train.run_on_panel import RunOnPanel
from napari_unet3d.widgets.train.run_options import RunFolderRow

_SHARED = ("task", "preset", "epochs", "device")  # settings that are preferences of the plugin, too


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
    run_on_panel : RunOnPanel
        Where the training runs.
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
        self.run_on_panel = RunOnPanel()
        self.settings = ConfigForm(TrainingConfig, "training", without=("num_workers",))
        shared = {name: self.settings.editors[name] for name in _SHARED}
        share_preferences(self, shared, self.settings.changed)
        self.source.voxel_sizes.follow_setting(self.settings)
        self.sample_prompt, self.annotate_prompt = SamplePrompt(), AnnotatePrompt(context)
        self.resume_prompt = ResumePrompt(context)
        self._is_idle = True
        data = heading("Train on"), self.source, self.annotation_note
        run = heading("Run"), self.run_options, self.run_on_panel
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
