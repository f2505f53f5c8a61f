"""The Train dock: from volumes to a model, with the loss curves while it trains."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt

from napari_unet3d.session.detached_training import DetachedTraining
from napari_unet3d.session.recent_runs import detached_runs, plugin_data_folder, unfinished_run
from napari_unet3d.session.training_job import SampleDatasetReady, TrainingRequest, train_on_sample
from napari_unet3d.session.training_run import TrainingRun
from napari_unet3d.training.events import RunStarted
from napari_unet3d.widgets.components.action_menu import ActionMenu
from napari_unet3d.widgets.components.containers import Section, show_text, wrapping_label
from napari_unet3d.widgets.components.context import Kind
from napari_unet3d.widgets.components.dock import Dock
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.train.monitor_panel import MonitorPanel
from napari_unet3d.widgets.train.pre_run_actions import PreRunActions
from napari_unet3d.widgets.train.run_actions import RunActions
from napari_unet3d.widgets.train.run_job import RunListener, begin_training
from napari_unet3d.widgets.train.sections import PROGRESS, RESULT, SETTINGS, Phase, TrainSections
from napari_unet3d.widgets.train.shared_volumes_question import SharedVolumesQuestion
from napari_unet3d.widgets.train.training_setup import TrainingSetup
from napari_unet3d.widgets.viewer.connections import connect_while_alive
from napari_unet3d.widgets.viewer.layer_metadata import mark_dataset
from napari_unet3d.widgets.viewer.layers import show_sample
from napari_unet3d.widgets.viewer.split_layer import show_blocks


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
        The layers to train on; ``source.layers.add_pair()`` adds further ones.
    run_folder : PathEdit
        Where the run is written.
    start_from : ModelPicker
        The model to start from; None for a new network.
    run_on : EnumMenu of RunOn
        Where the training runs.
    settings : ConfigForm of TrainingConfig
        A widget per setting, such as ``settings.epochs``.
    run : TrainingRun or None
        The run that is shown.
    """

    kind = "train"
    least_width = 353

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.run: TrainingRun | None = None
        self._listener = RunListener(self.native)
        self.setup = setup = TrainingSetup(self.context)
        self.source, self.settings = setup.source, setup.settings
        self.dataset, self.image_layer = self.source.dataset, self.source.image_layer
        self.labels_layer = self.source.labels_layer
        self.run_folder, self.start_from = setup.run_options.folder, setup.run_options.start_from
        self.run_on = setup.run_on_panel.menu
        self.menu = ActionMenu()
        self.pre_run = PreRunActions(
            *(self.context, self.menu, setup.request, setup.draft, self.settings, setup.run_on_panel.slurm)
        )
        self.run_actions = RunActions(self.context, self.menu)
        self.report = self.run_actions.report
        self._question = SharedVolumesQuestion(self.native, self.context)
        self.monitor = MonitorPanel(self.context, self.source.labels_of)
        self.hardware, self.status = wrapping_label(), wrapping_label()
        self.status.native.setAlignment(Qt.AlignmentFlag.AlignTop)  # it is alone until the curves begin
        self._lay_out()
        self._connect()
        connect_while_alive(self.native, self.viewer.layers.selection.events.changed, lambda *_: self.follow_layers())
        setup.offer(unfinished_run())
        self.attach_to_job(ended_too=True)
        self._find_detached()

    def train(self) -> None:
        """Train with the settings."""
        with self.message.explaining():
            request = self.setup.request()
            volumes = () if isinstance(request.data, Path) else request.data
            self._question.ask_then(volumes, self.source.known_datasets(), partial(self._begin, request))

    def train_on_sample_data(self) -> None:
        """Generate a small dataset and train on it with the settings."""
        with self.message.explaining():
            folder = plugin_data_folder() / "sample-dataset"
            self._begin(self.setup.sample_request(folder), sample_folder=folder)

    def pause(self) -> None:
        """Pause the training at the end of a step."""
        if (job := self.jobs.running(self.kind)) is not None and not job.is_paused:
            self.job_bar.pause()

    def resume(self) -> None:
        """Continue the paused training, or else the interrupted run that is offered, with the settings of that run."""
        if (job := self.jobs.running(self.kind)) is not None and job.is_paused:
            self.job_bar.pause()
        elif (run := self.setup.resume_prompt.run) is not None:
            with self.message.explaining():
                self._begin(self.setup.resume_request(run))

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
        self.run_actions.open_run(folder)

    def receive(self, subject: HandOver) -> None:
        """Choose the dataset folder, or the image and its labels, that another dock passes on."""
        if subject.dataset is not None:
            self.source.use_folder(subject.dataset)
            self.message.show_message(f"{subject.dataset} is chosen: check the settings, then train.")
        elif (image := subject.image) is not None and (truth := subject.truth) is not None:
            self.source.use_layers(image, truth, subject.channels)
            self.message.show_message(f"'{image.name}' and '{truth.name}' are chosen: check the settings, then train.")

    def predict(self) -> None:
        """Open the dock Predict with the model of the run."""
        self.run_actions.predict()

    def inspect(self) -> None:
        """Open the dock Inspect, and find the errors of the model."""
        self.run_actions.inspect()

    def follow_layers(self) -> None:
        """Update the layer menus, and choose what can be trained on."""
        super().follow_layers()
        if self.jobs.running(self.kind) is None:
            self.source.prefer_available()

    def on_event(self, event: Any) -> None:
        """Show the run of the job, and in the viewer what it brings; the rest follows the signals of the run."""
        match event:
            case TrainingRun():
                self.message.clear()  # it may be of an earlier run, when another dock has started this one
                self.setup.allow(False)
                self.run_actions.offer(None)
                # Of a run that ended before the dock was opened, layers are shown when somebody asks for them.
                self._follow(event, in_viewer=self.jobs.running(self.kind) is not None)
                self._show_result()
                self.sections.enter(Phase.RUNNING)
                self.scroll_area.bring_to_top(self._body.native)
            case SampleDatasetReady(folder=folder, test=test):
                self.source.show_folder(folder, is_shared=True)
                mark_dataset(show_sample(self.viewer, test, "sample"), folder)
            case RunStarted(blocks=blocks):
                show_blocks(self.viewer, blocks)

    def on_ended(self, job: Job) -> None:
        """Show how the run ended, and offer to predict with its model."""
        self.setup.run_options.suggest(self.source.folder)
        self.setup.allow(True)
        self.setup.offer(unfinished_run())
        if self.run is None:
            return
        self.run.end()
        self._show_phase()
        self._show_status()
        self.monitor.refresh()
        if self.run.has_model:
            self.remember_model(job, self.run.run_folder)
            self.start_from.refresh()
        self.run_actions.offer(self.run)
        self._show_result()
        end = self.run.describe_end(stopped=job.stopped, failed=job.message is not None)
        lines = [line for line in (job.message, end, self.run.notices_text) if line]
        kind: Kind = "error" if job.message else "warning" if self.run.notices else "info"
        self.message.show_message("\n".join(lines), kind)

    def _begin(self, request: TrainingRequest, sample_folder: Path | None = None) -> None:
        backend = self.setup.run_on_panel.backend(request)
        events = partial(train_on_sample, sample_folder, backend.events) if sample_folder else backend.events
        self.on_event(begin_training(self.jobs, events, request.run_folder, backend.control))
        layers = None if isinstance(request.data, Path) else self.source.subject()
        self.run_actions.remember_layers(request.run_folder, layers)

    def _find_detached(self) -> None:
        """Follow a training again that has gone on after its viewer was closed."""
        if self.jobs.latest(self.kind) is None and (folders := detached_runs()):
            detached = DetachedTraining(folders[0])
            self.on_event(begin_training(self.jobs, detached.events, folders[0], detached))

    def _show_opened(self, run: TrainingRun) -> None:
        self._show_reloaded(run)
        if self.jobs.running(self.kind) is None:
            self._show_phase()

    def _show_reloaded(self, run: TrainingRun) -> None:
        self._follow(run)
        self.run_actions.offer(run)
        self._show_result()

    def _show_phase(self) -> None:
        """Open and close the sections after the end of a run, with the run in view."""
        self.sections.enter(Phase.ENDED if self._has_progress else Phase.SETTING_UP)
        self.scroll_area.bring_to_top(self.progress_section.native if self._has_progress else self._body.native)

    @property
    def _has_progress(self) -> bool:
        return self.run is not None and (self.run.started is not None or self.run.is_loaded)

    def _follow(self, run: TrainingRun, *, in_viewer: bool = True) -> None:
        self.run = run
        signals = run.events.status, run.events.started, run.events.notices
        self._listener.connect(*((signal, self._show_status) for signal in signals))
        self._show_status()
        self.monitor.show_run(run, in_viewer=in_viewer)

    def _show_status(self) -> None:
        if self.run is None:
            return
        is_running = self.jobs.running(self.kind) is not None
        self.monitor.visible = self._has_progress
        self.progress_section.visible = is_running or self._has_progress
        show_text(self.hardware, self.run.setup_text)
        show_text(self.status, self.run.status)
        if self.run.notices and is_running:
            self.message.show_message(self.run.notices_text, "warning")

    def _connect(self) -> None:
        self.setup.sample_prompt.start_button.clicked.connect(self.train_on_sample_data)
        self.setup.resume_prompt.continue_button.clicked.connect(self.resume)
        self.run_actions.opened.connect(self._show_opened)
        self.monitor.reloaded.connect(self._show_reloaded)
        self.monitor.actions.model_saved.connect(self.start_from.refresh)
        for signal in (self.source.source_changed, self.labels_layer.changed):
            signal.connect(self.message.withdraw_refusal)
        self.scroll_area.shown.connect(self.setup.run_on_panel.look_soon)
        self.scroll_area.shown.connect(self.source.voxel_sizes.refresh)

    def _show_result(self) -> None:
        """Show what can be done with the model of the run, if there is one."""
        run = self.run
        self.result_section.visible = run is not None and run.has_model and self.jobs.running(self.kind) is None

    def _lay_out(self) -> None:
        tooltip = "Train with these settings; the best model so far is always kept."
        self.job_bar = JobBar(
            "Train",
            tooltip,
            self.train,
            (self.setup.content,),
            "Stop and keep model",
            can_pause=True,
            beside=self.menu,
        )
        self.progress_section = Section("Progress", self.status, self.monitor, self.hardware)
        self.result_section = Section("Result", self.run_actions)
        self.lay_out(self.setup, self.pre_run.augmented, self.progress_section, self.result_section)
        self.pin(self.job_bar)
        for hidden in (self.hardware, self.status, self.monitor, self.progress_section, self.result_section):
            hidden.hide()
        self.sections = TrainSections(
            {SETTINGS: self.setup.section, PROGRESS: self.progress_section, RESULT: self.result_section}
        )
        layout = self._body.native.layout()
        layout.setStretch(layout.count() - 1, 0)
        layout.setStretchFactor(self.progress_section.native, 1)  # the curves take the space that is left
