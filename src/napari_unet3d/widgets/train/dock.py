"""The Train dock: from volumes to a model, with the loss curves while it trains."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from magicgui.widgets import PushButton
from qtpy.QtWidgets import QFileDialog

from napari_unet3d.configs import NETWORK_SETTINGS, TrainingConfig
from napari_unet3d.session.last_run import UnfinishedRun, unfinished_run
from napari_unet3d.session.recent_runs import new_run_folder, plugin_data_folder, recent_runs, remember_run
from napari_unet3d.session.training_job import SampleDataReady, TrainingRequest, train_on_sample
from napari_unet3d.session.training_run import TrainingRun, load_run
from napari_unet3d.training.events import RunStarted
from napari_unet3d.widgets.components.containers import column, heading, show_text, wrapping_label
from napari_unet3d.widgets.components.dock import Dock
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.components.message_line import Kind
from napari_unet3d.widgets.components.qt_widget import QtWidget
from napari_unet3d.widgets.export.report_panel import ReportPanel
from napari_unet3d.widgets.forms.form import ConfigForm
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.train.data_source import TrainingSource
from napari_unet3d.widgets.train.model_actions import ModelActions
from napari_unet3d.widgets.train.monitor_panel import MonitorPanel
from napari_unet3d.widgets.train.pre_run_actions import PreRunActions
from napari_unet3d.widgets.train.prompts import ResumePrompt, SamplePrompt
from napari_unet3d.widgets.train.run_listener import RunListener
from napari_unet3d.widgets.train.run_options import RunFolderRow, SubprocessOption, TrainingBackend
from napari_unet3d.widgets.train.settings_area import SettingsArea
from napari_unet3d.widgets.train.start_training import begin_training
from napari_unet3d.widgets.viewer.layers import show_sample
from napari_unet3d.widgets.viewer.split_layer import show_blocks

_MIN_WIDTH = 350


class TrainDock(Dock):
    """Trains a 3D U-Net on a dataset folder, on layers, or on sample data when there is nothing else.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer, as napari passes it to the widget of a plugin.

    Attributes
    ----------
    source : TrainingSource
        What is trained on: ``source.kind`` is ``"folder"`` or ``"layers"``.
    dataset : PathEdit
        The dataset folder.
    image_layer, labels_layer : ComboBox
        The layers to train on; ``source.add_pair()`` adds further ones.
    run_folder : PathEdit
        Where the run is written.
    start_from : ModelPicker
        The model to start from; None for a new network.
    separate_process : CheckBox
        Whether the training runs in a separate process.
    settings : ConfigForm of TrainingConfig
        A widget per setting, such as ``settings.epochs``.
    run : TrainingRun or None
        The run that is shown.
    """

    kind = "train"

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.native.setMinimumWidth(_MIN_WIDTH)
        self.run: TrainingRun | None = None
        self._listener = RunListener(self.native)
        self.source = source = TrainingSource(self.context)
        self.dataset, self.image_layer, self.labels_layer = source.dataset, source.image_layer, source.labels_layer
        self.folder_row, self.subprocess_option = RunFolderRow(), SubprocessOption()
        self.run_folder, self.start_from = self.folder_row.folder, self.folder_row.start_from
        self.separate_process = self.subprocess_option.box
        self.settings = ConfigForm(TrainingConfig, "training", without=("num_workers",))
        self.pre_run = PreRunActions(self.context, self._request, self._draft_request)
        self.model_actions, self.report = ModelActions(self.context), ReportPanel(self.context)
        self.sample_prompt, self.resume_prompt = SamplePrompt(), ResumePrompt(self.context)
        self.monitor = MonitorPanel(self.context, source.labels_of)
        self.curves = self.monitor.curves
        self.hardware, self.status = wrapping_label(), wrapping_label()
        self.open_button = PushButton(
            text="Open run…",
            tooltip="Show the curves and the epochs of any run folder, also of one that the command or another process "
            "is writing.",
        )
        self._lay_out()
        self._connect()
        self.folder_row.suggest(source.folder)
        source.prefer_available()
        self._show_prompts(unfinished_run())
        self.attach_to_job(ended_too=True)

    def train(self) -> None:
        """Train with the settings."""
        with self.message.explaining():
            request = self._request()
            self._begin(self.subprocess_option.backend(request), request.run_folder)

    def train_on_sample_data(self) -> None:
        """Generate a small dataset and train on it with the settings."""
        with self.message.explaining():
            folder = plugin_data_folder() / "sample-dataset"
            run_folder = new_run_folder(folder)
            backend = self.subprocess_option.backend(TrainingRequest(folder, run_folder, self._config()))
            self._begin(replace(backend, events=partial(train_on_sample, folder, backend.events)), run_folder)

    def pause(self) -> None:
        """Pause the training at the end of a step."""
        if (job := self.jobs.running(self.kind)) is not None and not job.is_paused:
            self.job_bar.pause()

    def resume(self) -> None:
        """Continue the paused training, or else the interrupted run that is offered, with the settings of that run."""
        if (job := self.jobs.running(self.kind)) is not None and job.is_paused:
            self.job_bar.pause()
        elif (run := self.resume_prompt.run) is not None:
            with self.message.explaining():
                if run.dataset is None:
                    self.source.use_layers()
                else:
                    self.source.use_folder(run.dataset)
                request = TrainingRequest(self.source.data(), run.folder, None, resume=True)
                self._begin(self.subprocess_option.backend(request), run.folder)

    def stop(self) -> None:
        """Stop the training; its best model is kept."""
        self.job_bar.stop()

    def check(self) -> None:
        """Check data and settings, and show what was found in a window."""
        self.pre_run.check()

    def summarise(self) -> None:
        """Show layers, parameters and memory of the network in a window."""
        self.pre_run.summarise()

    def show_patches(self) -> None:
        """Show the first augmented patches of the training in the viewer."""
        self.pre_run.augmented.show_patches()

    def open_run(self, folder: Path | str | None = None) -> None:
        """Show the curves and epochs of a run folder; without one, ask for it."""
        if folder is None:
            start = str(recent[0].parent) if (recent := recent_runs()) else ""
            folder = QFileDialog.getExistingDirectory(self.native, "Choose a run folder", start)
        if not folder:
            return
        with self.message.explaining():
            run = load_run(Path(folder))
            if run.has_model:
                remember_run(run.run_folder)
            self._show_loaded(run)

    def predict(self) -> None:
        """Open the dock Predict with the model of the run."""
        self.model_actions.predict()

    def inspect(self) -> None:
        """Open the dock Inspect, and find the errors of the model."""
        self.model_actions.inspect()

    def follow_layers(self) -> None:
        """Bring the layer menus up to date, and offer what can be trained on."""
        super().follow_layers()
        if self.run is None:
            self.source.prefer_available()
        self._show_prompts(self.resume_prompt.run)

    def on_event(self, event: Any) -> None:
        """Show the run of the job, and in the viewer what it brings; the rest follows the signals of the run."""
        match event:
            case TrainingRun():
                self._show_run(event)
            case SampleDataReady(folder=folder, test=test):
                self.source.use_folder(folder)
                show_sample(self.viewer, test, "sample")
            case RunStarted(blocks=blocks):
                show_blocks(self.viewer, blocks)

    def on_ended(self, job: Job) -> None:
        """Show how the run ended, and offer to predict with its model."""
        self.folder_row.suggest(self.source.folder)
        self._show_prompts(unfinished_run())
        self._collapse_setup(False)
        if self.run is None:
            return
        self.run.end()
        self._show_status()
        self.monitor.refresh()
        if self.run.has_model:
            self.remember_model(job, self.run.run_folder)
            self.start_from.refresh()
        self._offer_model(self.run)
        end = self.run.describe_end(stopped=job.stopped, failed=job.message is not None)
        lines = [line for line in (job.message, end, self.run.notices_text) if line]
        kind: Kind = "error" if job.message else "warning" if self.run.notices else "info"
        self.message.show_message("\n".join(lines), kind)

    def _begin(self, backend: TrainingBackend, run_folder: Path) -> None:
        self._show_run(begin_training(self.jobs, backend.events, run_folder, backend.control))

    def _request(self) -> TrainingRequest:
        data, run_folder = self.source.data(), self.run_folder.require("a folder for the run")
        return TrainingRequest(data, run_folder, self._config(), self.start_from.value)

    def _draft_request(self) -> TrainingRequest:
        data = () if self.source.is_empty else self.source.data()
        return TrainingRequest(data, self.run_folder.value or Path(), self._config(), self.start_from.value)

    def _config(self) -> TrainingConfig:
        return self.settings.unlocked_values.model_copy(update={"num_workers": 0})  # a viewer must not be forked

    def _show_run(self, run: TrainingRun) -> None:
        self.sample_prompt.hide()
        self.resume_prompt.offer(None)
        self._collapse_setup(True)
        self._offer_model(None)
        self._follow(run)

    def _show_loaded(self, run: TrainingRun) -> None:
        self._follow(run)
        self._offer_model(run)

    def _follow(self, run: TrainingRun) -> None:
        self.run = run
        signals = run.events.status, run.events.started, run.events.notices
        self._listener.connect(*((signal, self._show_status) for signal in signals))
        self._show_status()
        self.monitor.show_run(run)

    def _collapse_setup(self, collapsed: bool) -> None:
        """Use the space of what is not needed during a run for the curves."""
        self.settings_area.collapse(collapsed)
        self._body.native.layout().setStretchFactor(self.settings_area.native, 0 if collapsed else 1)
        self.pre_run.visible = self.open_button.visible = not collapsed

    def _show_status(self) -> None:
        if self.run is None:
            return
        is_running = self.jobs.running(self.kind) is not None
        self.monitor.visible = self.run.started is not None or self.run.is_loaded
        show_text(self.hardware, self.run.setup_text)
        if not is_running:
            self.hardware.hide()  # results need its space
        show_text(self.status, self.run.status)
        if self.run.notices and is_running:
            self.message.show_message(self.run.notices_text, "warning")

    def _show_prompts(self, unfinished: UnfinishedRun | None) -> None:
        is_idle = self.jobs.running(self.kind) is None
        self.resume_prompt.offer(unfinished if is_idle else None)
        self.sample_prompt.visible = is_idle and self.source.is_empty and unfinished is None

    def _offer_model(self, run: TrainingRun | None) -> None:
        folder = run.run_folder if run is not None and run.has_model else None
        self.model_actions.offer(folder)
        self.report.offer(folder)

    def _on_source(self) -> None:
        self.folder_row.suggest(self.source.folder)
        self._show_prompts(self.resume_prompt.run)

    def _on_start_from(self) -> None:
        has_model = self.start_from.value is not None
        self.settings.set_locked((*NETWORK_SETTINGS, "normalisation") if has_model else ())

    def _connect(self) -> None:
        self.source.source_changed.connect(self._on_source)
        self.start_from.changed.connect(self._on_start_from)
        self.job_bar.start_button.clicked.connect(self.train)
        self.sample_prompt.start_button.clicked.connect(self.train_on_sample_data)
        self.resume_prompt.continue_button.clicked.connect(self.resume)
        self.resume_prompt.later_button.clicked.connect(lambda: self._show_prompts(None))
        self.open_button.clicked.connect(lambda: self.open_run())
        self.monitor.reloaded.connect(self._show_loaded)
        self.monitor.actions.model_saved.connect(self.start_from.refresh)
        self.scroll_area.shown.connect(self.subprocess_option.look_soon)

    def _lay_out(self) -> None:
        data = self.resume_prompt, self.sample_prompt, heading("Train on"), self.source
        run = heading("Run"), self.folder_row, self.subprocess_option
        setup = column(*data, *run, heading("Settings"), self.settings, spacing=4)
        setup.margins = (0, 0, 4, 0)
        setup.native.layout().addStretch(1)
        self.settings_area = SettingsArea(setup)
        tooltip = "Train with these settings; the best model so far is always kept."
        self.job_bar = JobBar("Train", tooltip, (setup,), "Stop and keep model", can_pause=True)
        above = self.settings_area, QtWidget(self.message), self.pre_run, self.job_bar, self.hardware, self.status
        self.lay_out(*above, self.monitor, self.model_actions, self.open_button, QtWidget(self.report))
        for hidden in (self.hardware, self.status, self.monitor):
            hidden.hide()
        # The settings scroll in the space that is left, so that the curves never do.
        layout = self._body.native.layout()
        layout.setStretch(layout.count() - 1, 0)
        layout.setStretchFactor(self.monitor.native, 2)
        self._collapse_setup(False)
