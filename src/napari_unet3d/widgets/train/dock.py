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
from napari_unet3d.session.training_job import Order, SampleReady, train_on_sample
from napari_unet3d.session.training_run import TrainingRecord
from napari_unet3d.training.events import RunStarted
from napari_unet3d.widgets.components.dock import Dock
from napari_unet3d.widgets.components.run_bar import Kind, RunBar, heading, line
from napari_unet3d.widgets.export.report_panel import ReportPart
from napari_unet3d.widgets.forms.form import SettingsForm
from napari_unet3d.widgets.train.data_source import TrainingSource
from napari_unet3d.widgets.train.loss_curves import LossCurves
from napari_unet3d.widgets.train.monitor_panel import WatchPart
from napari_unet3d.widgets.train.pre_run_actions import Looks
from napari_unet3d.widgets.train.prompts import ContinueOffer, SampleOffer
from napari_unet3d.widgets.train.run_actions import ModelActions, OpenRunButton
from napari_unet3d.widgets.train.run_options import OwnProcess, RunPlace, Training
from napari_unet3d.widgets.train.settings_area import SettingsArea
from napari_unet3d.widgets.train.start_training import begin_training
from napari_unet3d.widgets.viewer.layers import show_sample
from napari_unet3d.widgets.viewer.split_layer import show_blocks

if TYPE_CHECKING:
    from napari_unet3d.widgets.jobs.jobs import Job


class TrainDock(Dock):
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
        self.record: TrainingRecord | None = None
        self.source = TrainingSource(self)
        self.place, self.own_process = RunPlace(), OwnProcess()
        self.form = SettingsForm(TrainingConfig, "training", without=("workers",))
        self.looks = Looks(self, self._order, self._sketch)
        self.model_actions, self.report = ModelActions(self), ReportPart(self)
        self.sample_offer, self.continue_offer = SampleOffer(), ContinueOffer(self)
        self.watch = WatchPart(self, self.source.labels_of)
        self.open_run = OpenRunButton(self)
        self.hardware, self.status = line(), line()
        self._setup = QWidget()
        self.settings_area = SettingsArea(self._setup)
        self.run_bar = RunBar("Train", also=[self._setup], stop_text="Stop and keep model", can_pause=True)
        self.run_bar.start_button.setToolTip("Train with these settings; the best model so far is always kept.")
        self._lay_out()
        self._connect()
        self.place.suggest(self.source.dataset)
        self.source.prefer_what_is_there()
        self._show_offers(unfinished_run())
        self.find_job(ended_too=True)

    def follow_layers(self) -> None:
        """Bring the layer menus up to date, and offer what can be trained on."""
        super().follow_layers()
        self.source.forget_lost_layers()
        if self.record is None:
            self.source.prefer_what_is_there()
        self._show_offers(self.continue_offer.run)

    def on_event(self, event: Any) -> None:
        """Show one event of the run; its record has noted it already."""
        match event:
            case TrainingRecord():
                self._show_record(event)
            case SampleReady(folder=folder, test=test):
                self.source.use_folder(folder)
                show_sample(self.viewer, test, "sample")
            case RunStarted(blocks=blocks):
                show_blocks(self.viewer, blocks)
        self._show_status()
        self.watch.on_event(event)

    def on_ended(self, job: Job) -> None:
        """Say how the run ended and offer to predict with its model."""
        self.place.suggest(self.source.dataset)
        self._show_offers(unfinished_run())
        self._set_aside(False)
        if self.record is None:
            return
        if self.record.started is None:
            self.record.status = ""  # nothing goes on any more, and nothing was reached
        self._show_status()
        self.watch.refresh()
        if self.record.has_model:
            self.remember_model(job, self.record.run_folder)
            self.place.start_from.refresh()
        self._offer_model(self.record)
        outcome = self.record.outcome(stopped=job.stopped, failed=job.message is not None)
        sentences = [sentence for sentence in (job.message, outcome, self.record.notice_words) if sentence]
        kind: Kind = "error" if job.message else "warning" if self.record.notices else "info"
        self.message.show_message("\n".join(sentences), kind)

    def _start(self) -> None:
        with self.message.explaining():
            order = self._order()
            self._begin(self.own_process.training(order), order.run_folder)

    def _start_with_sample(self) -> None:
        with self.message.explaining():
            folder = plugin_data_folder() / "sample-dataset"
            run_folder = new_run_folder(folder)
            training = self.own_process.training(Order(folder, run_folder, self._config()))
            self._begin(replace(training, events=partial(train_on_sample, folder, training.events)), run_folder)

    def _continue(self) -> None:
        if (run := self.continue_offer.run) is None:
            return
        with self.message.explaining():
            if run.dataset is None:
                self.source.use_layers()
            else:
                self.source.use_folder(run.dataset)
            order = Order(self.source.data(), run.folder, None, resume=True)  # with the settings of the run
            self._begin(self.own_process.training(order), run.folder)

    def _begin(self, training: Training, run_folder: Path) -> None:
        self._show_record(begin_training(self.jobs, training.events, run_folder, training.control))

    def _order(self) -> Order:
        data, run_folder = self.source.data(), self.place.folder.require("a folder for the run")
        return Order(data, run_folder, self._config(), self.place.start_from.value)

    def _sketch(self) -> Order:
        data = () if self.source.is_empty else self.source.data()
        return Order(data, self.place.folder.value or Path(), self._config(), self.place.start_from.value)

    def _config(self) -> TrainingConfig:
        return self.form.free_values.model_copy(update={"workers": 0})  # a viewer must not be forked

    @property
    def curves(self) -> LossCurves:
        """The curves of the run that is shown."""
        return self.watch.curves

    def _show_record(self, record: TrainingRecord) -> None:
        self.record = record
        self.sample_offer.hide()
        self.continue_offer.offer(None)
        self._set_aside(True)
        self._offer_model(None)
        self._show_status()
        self.watch.show_record(record)

    def _show_opened(self, record: TrainingRecord) -> None:
        self.record = record
        self._show_status()
        self.watch.show_record(record)
        self._offer_model(record)

    def _set_aside(self, aside: bool) -> None:
        """Give the room of what is not needed during a run to the curves."""
        self.settings_area.set_folded(aside)
        self.column.setStretchFactor(self.settings_area, 0 if aside else 1)
        self.looks.setHidden(aside)
        self.open_run.setHidden(aside)

    def _show_status(self) -> None:
        if self.record is None:
            return
        self.watch.setVisible(self.record.started is not None or self.record.is_opened)
        is_going_on = self.jobs.running(self.kind) is not None
        for label, words in ((self.hardware, self.record.setting_words), (self.status, self.record.status)):
            label.setText(words)
            label.setVisible(bool(words) and (label is self.status or is_going_on))  # results need its room later
        if self.record.notices and self.jobs.running(self.kind):
            self.message.show_message(self.record.notice_words, "warning")

    def _show_offers(self, unfinished: UnfinishedRun | None) -> None:
        is_idle = self.jobs.running(self.kind) is None
        self.continue_offer.offer(unfinished if is_idle else None)
        self.sample_offer.setVisible(is_idle and self.source.is_empty and unfinished is None)

    def _offer_model(self, record: TrainingRecord | None) -> None:
        run = record.run_folder if record is not None and record.has_model else None
        for part in (self.model_actions, self.report):
            part.offer(run)

    def _on_source(self) -> None:
        self.place.suggest(self.source.dataset)
        self._show_offers(self.continue_offer.run)

    def _on_start_from(self) -> None:
        has_model = self.place.start_from.value is not None
        self.form.lock((*NETWORK_SETTINGS, "normalisation") if has_model else ())

    def _connect(self) -> None:
        self.source.changed.connect(self._on_source)
        self.place.start_from.changed.connect(self._on_start_from)
        self.run_bar.start_button.clicked.connect(self._start)
        self.sample_offer.start_button.clicked.connect(self._start_with_sample)
        self.continue_offer.continue_button.clicked.connect(self._continue)
        self.continue_offer.later_button.clicked.connect(lambda: self._show_offers(None))
        self.open_run.opened.connect(self._show_opened)
        self.watch.reloaded.connect(self._show_opened)
        self.watch.keep.model_kept.connect(self.place.start_from.refresh)

    def _lay_out(self) -> None:
        data = self.continue_offer, self.sample_offer, heading("Train on"), self.source
        _stack(self._setup, *data, heading("Run"), self.place, self.own_process, heading("Settings"), self.form)
        content = self.widget()
        around = None if content is None else content.layout()
        assert isinstance(around, QVBoxLayout)
        around.setStretch(0, 1)  # the settings scroll in the room that is left, so that the curves never do
        around.setStretch(1, 0)
        self.column.addWidget(self.settings_area, 1)
        for part in (self.message, self.looks, self.run_bar, self.hardware, self.status, self.watch):
            self.column.addWidget(part)
        self.column.setStretchFactor(self.watch, 2)
        for below in (self.model_actions, self.open_run, self.report):
            self.column.addWidget(below)
        for hidden in (self.hardware, self.status, self.watch):
            hidden.hide()


def _stack(parent: QWidget, *widgets: QWidget) -> None:
    column = QVBoxLayout(parent)
    column.setContentsMargins(0, 0, 4, 0)
    column.setSpacing(4)
    column.setAlignment(Qt.AlignmentFlag.AlignTop)
    for widget in widgets:
        column.addWidget(widget)
