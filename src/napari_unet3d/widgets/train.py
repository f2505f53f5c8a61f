"""The Train dock: from volumes to a model, with the loss curves while it learns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QFrame, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_unet3d.configs import Difficulty, SyntheticConfig, TrainingConfig
from napari_unet3d.data.dataset import Part, list_pairs, read_samples
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.base import Dock, ScrollDock
from napari_unet3d.widgets.curves import LossCurves
from napari_unet3d.widgets.form import SettingsForm
from napari_unet3d.widgets.layers import show_sample
from napari_unet3d.widgets.parts import Kind, RunBar, heading
from napari_unet3d.widgets.paths import PathBox
from napari_unet3d.widgets.runs import TrainingRecord, new_run_folder, plugin_data_folder, remember_run
from napari_unet3d.widgets.summary import SummaryWindow, summarise_for
from napari_unet3d.widgets.train_source import TrainingSource

if TYPE_CHECKING:
    from napari_unet3d.widgets.jobs import Job

SAMPLE_CONFIG = SyntheticConfig(
    difficulty=Difficulty.MEDIUM,
    shape=(64, 64, 64),
    objects=6,
    object_shape_min=(20, 20, 20),
    object_shape_max=(32, 32, 32),
)
_N_TRAIN, _N_TEST = 5, 1


@dataclass(frozen=True, slots=True)
class SampleReady:
    """The sample dataset is on disk; `test` is its test volume."""

    folder: Path
    test: Sample


def train_on(data: Path | Sequence[Sample], run_folder: Path, config: TrainingConfig) -> Iterator[Any]:
    """Give the events of `train`; torch is imported in the thread that asks for the first one."""
    from napari_unet3d.training.loop import train

    yield from train(data, run_folder, config)


def train_on_sample(folder: Path, run_folder: Path, config: TrainingConfig) -> Iterator[Any]:
    """Generate the sample dataset, unless an earlier one is whole, and train on it.

    Yields
    ------
    DatasetEvent, SampleReady, TrainEvent
        In this order.
    """
    if not _is_whole(folder):
        from napari_unet3d.data.synthetic_dataset import generate

        yield from generate(folder, SAMPLE_CONFIG, n_train=_N_TRAIN, n_test=_N_TEST, overwrite=True)
    yield SampleReady(folder, read_samples(folder, Part.TEST)[0])
    yield from train_on(folder, run_folder, config)


def _is_whole(folder: Path) -> bool:
    try:
        pairs = list_pairs(folder)
    except UserError:
        return False
    whole = [pair.part for pair in pairs if None not in (pair.image, pair.labels)]
    return whole.count(Part.TRAIN) >= _N_TRAIN and whole.count(Part.TEST) >= _N_TEST


class _SettingsArea(ScrollDock):
    """Scrolls the settings in the room that the curves leave."""

    def sizeHint(self) -> QSize:
        return QSize(super().sizeHint().width(), 180)

    def minimumSizeHint(self) -> QSize:
        return QSize(super().minimumSizeHint().width(), 180)


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
        self.run_folder = PathBox("d", "run-folder", "Where the model, its settings and the loss history are written.")
        self.form = SettingsForm(TrainingConfig, "training", without=("workers",))
        self.summary_button = QPushButton("Model summary")
        self.summary_button.setToolTip("Layers, shapes, parameters and memory of this network.")
        self.sample_button = QPushButton("Generate sample data and train")
        self.predict_button = QPushButton("Predict with this model")
        self.curves = LossCurves(self.viewer)
        self.hardware, self.status = _line(), _line()
        self._setup = QWidget()
        self.run_bar = RunBar("Train", also=[self._setup], stop_text="Stop and keep model")
        self._suggested: Path | None = None
        self._lay_out()
        self._connect()
        self._suggest_run_folder()
        self.source.prefer_what_is_there()
        self._show_offer()
        self.find_job(ended_too=True)

    def reset_choices(self, *args: Any) -> None:
        """Bring the layer menus up to date; napari calls it when layers come, go or are renamed."""
        super().reset_choices(*args)
        self.source.forget_lost_layers()
        if self.record is None:
            self.source.prefer_what_is_there()
        self._show_offer()

    def on_event(self, event: Any) -> None:
        """Show one event of the run; its record has noted it already."""
        match event:
            case TrainingRecord():
                self._show_record(event)
            case SampleReady(folder=folder, test=test):
                self.source.use_folder(folder)
                show_sample(self.viewer, test, "sample")
        self._show_status()
        self.curves.refresh()

    def on_ended(self, job: Job) -> None:
        """Say how the run ended and offer to predict with its model."""
        self._suggest_run_folder()
        self._show_offer()
        if self.record is None:
            return
        if self.record.started is None:
            self.record.status = ""  # nothing goes on any more, and nothing was reached
        self._show_status()
        if self.record.has_model:
            remember_run(self.record.run_folder)
        self.predict_button.setVisible(self.record.has_model)
        outcome = self.record.outcome(stopped=job.stopped, failed=job.message is not None)
        sentences = [sentence for sentence in (job.message, *self.record.notices, outcome) if sentence]
        kind: Kind = "error" if job.message else "warning" if self.record.notices else "info"
        self.message.show_message("\n".join(sentences), kind)

    def _start(self) -> None:
        with self.message.explaining():
            data, run_folder = self.source.data(), self.run_folder.require("a folder for the run")
            self._begin(partial(train_on, data, run_folder, self._config()), run_folder)

    def _start_with_sample(self) -> None:
        with self.message.explaining():
            folder = plugin_data_folder() / "sample-dataset"
            run_folder = new_run_folder(folder)
            self._begin(partial(train_on_sample, folder, run_folder, self._config()), run_folder)

    def _begin(self, events: Callable[[], Iterator[Any]], run_folder: Path) -> None:
        record = TrainingRecord(run_folder)

        def with_record() -> Iterator[Any]:
            yield record
            yield from events()

        self.jobs.start(
            self.kind, f"Training {run_folder.name}", with_record, measure=record.add, keep=(TrainingRecord,)
        )
        self._show_record(record)

    def _config(self) -> TrainingConfig:
        return self.form.value.model_copy(update={"workers": 0})  # a viewer must not be forked

    def _show_record(self, record: TrainingRecord) -> None:
        self.record = record
        self.offer.hide()
        self.predict_button.hide()
        self.curves.show_history(record.history)
        self._show_status()

    def _show_status(self) -> None:
        if self.record is None:
            return
        self.curves.setVisible(self.record.started is not None)
        for label, words in ((self.hardware, self.record.setting_words), (self.status, self.record.status)):
            label.setText(words)
            label.setVisible(bool(words))
        if self.record.notices and self.jobs.running(self.kind):
            self.message.show_message("\n".join(self.record.notices), "warning")

    def _show_offer(self) -> None:
        running = self.jobs.running(self.kind) is not None
        self.offer.setVisible(self.source.is_empty and not running)

    def _suggest_run_folder(self) -> None:
        mine = self.run_folder.value
        if self._suggested is None or mine is None or mine == self._suggested or (mine / "config.json").exists():
            self._suggested = new_run_folder(self.source.dataset)
            self.run_folder.value = self._suggested

    def _summarise(self) -> None:
        with self.message.explaining():
            data = None if self.source.is_empty else self.source.data()
            job = self.jobs.start("summary", "Model summary", partial(summarise_for, data, self._config()))
            self.summary_button.setEnabled(False)
            job.reported.connect(lambda summary: SummaryWindow(self, summary.text).show())
            job.failed.connect(lambda message: self.message.show_message(message, "error"))
            job.ended.connect(lambda: self.summary_button.setEnabled(True))

    def _open_predict(self) -> None:
        self.viewer.window.add_plugin_dock_widget("napari-unet3d", "Predict")

    def _on_source(self) -> None:
        self._suggest_run_folder()
        self._show_offer()

    def _connect(self) -> None:
        self.source.changed.connect(self._on_source)
        self.run_bar.start_button.clicked.connect(self._start)
        self.sample_button.clicked.connect(self._start_with_sample)
        self.summary_button.clicked.connect(self._summarise)
        self.predict_button.clicked.connect(self._open_predict)

    def _lay_out(self) -> None:
        self.offer = self._make_offer()
        setup = QVBoxLayout(self._setup)
        setup.setContentsMargins(0, 0, 4, 0)
        setup.setSpacing(4)
        setup.setAlignment(Qt.AlignmentFlag.AlignTop)
        for widget in (
            self.offer,
            heading("Train on"),
            self.source,
            heading("Run folder"),
            self.run_folder,
            heading("Settings"),
            self.form,
            self.summary_button,
        ):
            setup.addWidget(widget)
        scroll = _SettingsArea(self._setup)
        content = self.widget()
        assert content is not None
        around = content.layout()
        assert isinstance(around, QVBoxLayout)
        around.setStretch(0, 1)  # the settings scroll in the room that is left, so that the curves never do
        around.setStretch(1, 0)
        self.column.addWidget(scroll, 1)
        for below in (self.message, self.run_bar, self.hardware, self.status, self.curves, self.predict_button):
            self.column.addWidget(below)
        for hidden in (self.hardware, self.status, self.curves, self.predict_button):
            hidden.hide()

    def _make_offer(self) -> QFrame:
        offer = QFrame()
        offer.setObjectName("offer")
        offer.setStyleSheet("QFrame#offer { border: 1px solid rgba(128, 128, 128, 120); border-radius: 4px; }")
        column = QVBoxLayout(offer)
        words = QLabel("No data yet? See how it works on a small generated dataset; it takes less than a minute.")
        words.setWordWrap(True)
        self.sample_button.setMinimumHeight(36)
        column.addWidget(words)
        column.addWidget(self.sample_button)
        return offer


def _line() -> QLabel:
    line = QLabel()
    line.setWordWrap(True)
    line.setMinimumWidth(1)
    line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return line
