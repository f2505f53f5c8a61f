"""The Train dock: from volumes to a model, with the loss curves while it learns."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet3d.configs import NETWORK_SETTINGS, TrainingConfig
from napari_unet3d.session.last_run import UnfinishedRun, unfinished_run
from napari_unet3d.session.recent_runs import new_run_folder, plugin_data_folder
from napari_unet3d.session.training_job import SampleReady, TrainingRequest, train_on_sample
from napari_unet3d.session.training_run import TrainingRun
from napari_unet3d.training.events import RunStarted
from napari_unet3d.widgets.components.qt_dock import QtDock
from napari_unet3d.widgets.components.run_bar import Kind, RunBar, heading, wrapping_label
from napari_unet3d.widgets.export.report_panel import ReportPanel
from napari_unet3d.widgets.forms.form import ConfigForm
from napari_unet3d.widgets.train.data_source import TrainingSource
from napari_unet3d.widgets.train.loss_curves import LossCurves
from napari_unet3d.widgets.train.monitor_panel import MonitorPanel
from napari_unet3d.widgets.train.pre_run_actions import PreRunActions
from napari_unet3d.widgets.train.prompts import ResumePrompt, SamplePrompt
from napari_unet3d.widgets.train.run_actions import ModelActions, OpenRunButton
from napari_unet3d.widgets.train.run_listener import RunListener
from napari_unet3d.widgets.train.run_options import RunFolderRow, SubprocessOption, TrainingBackend
from napari_unet3d.widgets.train.settings_area import SettingsArea
from napari_unet3d.widgets.train.start_training import begin_training
from napari_unet3d.widgets.viewer.layers import show_sample
from napari_unet3d.widgets.viewer.split_layer import show_blocks

if TYPE_CHECKING:
    from napari_unet3d.widgets.jobs.jobs import Job


class TrainDock(QtDock):
    """Trains a 3D U-Net on a dataset folder, on layers, or on sample data when there is nothing else.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer, as napari hands it to a plugin's widget.
    """

    kind = "train"

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.setMinimumWidth(350)
        self.run: TrainingRun | None = None
        self._listener = RunListener(self)
        self.source = TrainingSource(self)
        self.run_folder, self.subprocess_option = RunFolderRow(), SubprocessOption()
        self.form = ConfigForm(TrainingConfig, "training", without=("num_workers",))
        self.pre_run = PreRunActions(self, self._request, self._draft_request)
        self.model_actions, self.report = ModelActions(self), ReportPanel(self.context)
        self.sample_prompt, self.resume_prompt = SamplePrompt(), ResumePrompt(self)
        self.monitor = MonitorPanel(self, self.source.labels_of)
        self.open_run = OpenRunButton(self)
        self.hardware, self.status = wrapping_label(), wrapping_label()
        self._setup = QWidget()
        self.settings_area = SettingsArea(self._setup)
        self.run_bar = RunBar("Train", also=[self._setup], stop_text="Stop and keep model", can_pause=True)
        self.run_bar.start_button.setToolTip("Train with these settings; the best model so far is always kept.")
        self._lay_out()
        self._connect()
        self.run_folder.suggest(self.source.dataset)
        self.source.prefer_what_is_there()
        self._show_offers(unfinished_run())
        self.attach_to_job(ended_too=True)

    def follow_layers(self) -> None:
        """Bring the layer menus up to date, and offer what can be trained on."""
        super().follow_layers()
        self.source.forget_lost_layers()
        if self.run is None:
            self.source.prefer_what_is_there()
        self._show_offers(self.resume_prompt.run)

    def on_event(self, event: Any) -> None:
        """Show the run of the job, and in the viewer what it brings; the rest follows the signals of the run."""
        match event:
            case TrainingRun():
                self._show_record(event)
            case SampleReady(folder=folder, test=test):
                self.source.use_folder(folder)
                show_sample(self.viewer, test, "sample")
            case RunStarted(blocks=blocks):
                show_blocks(self.viewer, blocks)

    def on_ended(self, job: Job) -> None:
        """Say how the run ended and offer to predict with its model."""
        self.run_folder.suggest(self.source.dataset)
        self._show_offers(unfinished_run())
        self._set_aside(False)
        if self.run is None:
            return
        self.run.end()
        self._show_status()
        self.monitor.refresh()
        if self.run.has_model:
            self.remember_model(job, self.run.run_folder)
            self.run_folder.start_from.refresh()
        self._offer_model(self.run)
        outcome = self.run.describe_end(stopped=job.stopped, failed=job.message is not None)
        sentences = [sentence for sentence in (job.message, outcome, self.run.notices_text) if sentence]
        kind: Kind = "error" if job.message else "warning" if self.run.notices else "info"
        self.message.show_message("\n".join(sentences), kind)

    def _start(self) -> None:
        with self.message.explaining():
            order = self._request()
            self._begin(self.subprocess_option.training(order), order.run_folder)

    def _start_with_sample(self) -> None:
        with self.message.explaining():
            folder = plugin_data_folder() / "sample-dataset"
            run_folder = new_run_folder(folder)
            training = self.subprocess_option.training(TrainingRequest(folder, run_folder, self._config()))
            self._begin(replace(training, events=partial(train_on_sample, folder, training.events)), run_folder)

    def _continue(self) -> None:
        if (run := self.resume_prompt.run) is None:
            return
        with self.message.explaining():
            if run.dataset is None:
                self.source.use_layers()
            else:
                self.source.use_folder(run.dataset)
            order = TrainingRequest(self.source.data(), run.folder, None, resume=True)  # with the settings of the run
            self._begin(self.subprocess_option.training(order), run.folder)

    def _begin(self, training: TrainingBackend, run_folder: Path) -> None:
        self._show_record(begin_training(self.jobs, training.events, run_folder, training.control))

    def _request(self) -> TrainingRequest:
        data, run_folder = self.source.data(), self.run_folder.folder.require("a folder for the run")
        return TrainingRequest(data, run_folder, self._config(), self.run_folder.start_from.value)

    def _draft_request(self) -> TrainingRequest:
        data = () if self.source.is_empty else self.source.data()
        return TrainingRequest(
            data, self.run_folder.folder.value or Path(), self._config(), self.run_folder.start_from.value
        )

    def _config(self) -> TrainingConfig:
        return self.form.unlocked_values.model_copy(update={"num_workers": 0})  # a viewer must not be forked

    @property
    def curves(self) -> LossCurves:
        """The curves of the run that is shown."""
        return self.monitor.curves

    def _show_record(self, record: TrainingRun) -> None:
        self._listen_to(record)
        self.sample_prompt.hide()
        self.resume_prompt.offer(None)
        self._set_aside(True)
        self._offer_model(None)
        self._show_status()
        self.monitor.show_record(record)

    def _show_opened(self, record: TrainingRun) -> None:
        self._listen_to(record)
        self._show_status()
        self.monitor.show_record(record)
        self._offer_model(record)

    def _listen_to(self, run: TrainingRun) -> None:
        self.run = run
        signals = run.events
        self._listener.connect(
            *((signal, self._show_status) for signal in (signals.status, signals.started, signals.notices))
        )

    def _set_aside(self, aside: bool) -> None:
        """Return the room of what is not needed during a run to the curves."""
        self.settings_area.set_folded(aside)
        self.column.setStretchFactor(self.settings_area, 0 if aside else 1)
        self.pre_run.setHidden(aside)
        self.open_run.setHidden(aside)

    def _show_status(self) -> None:
        if self.run is None:
            return
        self.monitor.setVisible(self.run.started is not None or self.run.is_loaded)
        is_going_on = self.jobs.running(self.kind) is not None
        for label, words in ((self.hardware, self.run.setup_text), (self.status, self.run.status)):
            label.setText(words)
            label.setVisible(bool(words) and (label is self.status or is_going_on))  # results need its room later
        if self.run.notices and self.jobs.running(self.kind):
            self.message.show_message(self.run.notices_text, "warning")

    def _show_offers(self, unfinished: UnfinishedRun | None) -> None:
        is_idle = self.jobs.running(self.kind) is None
        self.resume_prompt.offer(unfinished if is_idle else None)
        self.sample_prompt.setVisible(is_idle and self.source.is_empty and unfinished is None)

    def _offer_model(self, record: TrainingRun | None) -> None:
        run = record.run_folder if record is not None and record.has_model else None
        for part in (self.model_actions, self.report):
            part.offer(run)

    def _on_source(self) -> None:
        self.run_folder.suggest(self.source.dataset)
        self._show_offers(self.resume_prompt.run)

    def _on_start_from(self) -> None:
        has_model = self.run_folder.start_from.value is not None
        self.form.set_locked((*NETWORK_SETTINGS, "normalisation") if has_model else ())

    def _connect(self) -> None:
        self.source.changed.connect(self._on_source)
        self.run_folder.start_from.changed.connect(self._on_start_from)
        self.run_bar.start_button.clicked.connect(self._start)
        self.sample_prompt.start_button.clicked.connect(self._start_with_sample)
        self.resume_prompt.continue_button.clicked.connect(self._continue)
        self.resume_prompt.later_button.clicked.connect(lambda: self._show_offers(None))
        self.open_run.opened.connect(self._show_opened)
        self.monitor.reloaded.connect(self._show_opened)
        self.monitor.keep.model_kept.connect(self.run_folder.start_from.refresh)

    def _lay_out(self) -> None:
        data = self.resume_prompt, self.sample_prompt, heading("Train on"), self.source
        run = heading("Run"), self.run_folder, self.subprocess_option
        _stack(self._setup, *data, *run, heading("Settings"), self.form.native)
        content = self.widget()
        around = None if content is None else content.layout()
        assert isinstance(around, QVBoxLayout)
        around.setStretch(0, 1)  # the settings scroll in the room that is left, so that the curves never do
        around.setStretch(1, 0)
        self.column.addWidget(self.settings_area, 1)
        for part in (self.message, self.pre_run, self.run_bar, self.hardware, self.status, self.monitor):
            self.column.addWidget(part)
        self.column.setStretchFactor(self.monitor, 2)
        for below in (self.model_actions, self.open_run, self.report):
            self.column.addWidget(below)
        for hidden in (self.hardware, self.status, self.monitor):
            hidden.hide()


def _stack(parent: QWidget, *widgets: QWidget) -> None:
    column = QVBoxLayout(parent)
    column.setContentsMargins(0, 0, 4, 0)
    column.setSpacing(4)
    column.setAlignment(Qt.AlignmentFlag.AlignTop)
    for widget in widgets:
        column.addWidget(widget)
