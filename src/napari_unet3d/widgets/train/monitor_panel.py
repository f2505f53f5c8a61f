"""The part of the Train dock that shows a run: curves, what was predicted after each epoch, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING

from magicgui.widgets import Label
from napari.layers import Labels
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_unet3d.configs import Task
from napari_unet3d.errors import UserError
from napari_unet3d.runs.diagnosis import diagnose
from napari_unet3d.runs.snapshot_files import SnapshotData
from napari_unet3d.runs.snapshots import SnapshotRun, open_snapshots
from napari_unet3d.session.epoch_view import EpochView, describe_epoch, load_epoch
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.session.training_run import TrainingRun, describe_throughput, load_run
from napari_unet3d.widgets.components.containers import (
    Panel,
    QtWidget,
    button,
    column,
    row,
    show_text,
    single_shot,
    wrapping_label,
)
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.keys import bind_key
from napari_unet3d.widgets.components.legend import difference_legend
from napari_unet3d.widgets.forms.choices import Menu
from napari_unet3d.widgets.jobs.latest_only import LatestOnly
from napari_unet3d.widgets.train.epoch_slider import PLAY_KEY, EpochActions, EpochSlider
from napari_unet3d.widgets.train.first_visit import FirstVisit, go_to_volume
from napari_unet3d.widgets.train.run_job import TRAIN, RunListener
from napari_unet3d.widgets.train.snapshot_layers import SnapshotLayers

if TYPE_CHECKING:
    from napari_unet3d.widgets.train.loss_curves import LossCurves

_KEY = "watch"  # of the preference
_POLL_MS = 2000
_NO_VOLUME = -1
_HINT = "QLabel { background-color: #6b4e00; color: white; border-radius: 3px; padding: 4px; }"


class MonitorPanel(Panel):
    """Shows a run: its curves, and in the viewer what it predicted after each epoch.

    Parameters
    ----------
    context : Context
        Viewer, jobs and message line.
    labels_of : callable
        Returns the Labels layers with the ground truth of a volume.

    Attributes
    ----------
    reloaded : Signal(TrainingRun)
        Emitted when a run that was opened has more epochs by now, with its new record, which is to be shown.
    epoch_slider, actions : EpochSlider, EpochActions
        The epoch that is shown, and what can be done with it.
    volume : ComboBox
        The index of the validation volume that is shown; -1 for none.
    throughput, hint, epoch_text : Label
        The speed of the steps, what goes wrong, and which epoch is shown.
    run : TrainingRun or None
        The run.
    """

    reloaded = Signal(object)

    def __init__(self, context: Context, labels_of: Callable[[str], Sequence[Labels]]) -> None:
        super().__init__(spacing=4)
        self._context = context
        self.run: TrainingRun | None = None
        self._snapshots: SnapshotRun | None = None
        self._data: SnapshotData | None = None
        self._view: EpochView | None = None
        self._layer: Labels | None = None
        self._in_viewer = True
        self.epoch_slider, self.actions = EpochSlider(), EpochActions(context)
        self.throughput, self.hint, self.epoch_text = (wrapping_label() for _ in range(3))
        self.hint.native.setStyleSheet(_HINT)
        self.epoch_text.tooltip = (
            "The epoch that is shown, and its Dice over all validation volumes. Of a volume that is predicted in part, "
            "validation uses that part alone; elsewhere nothing is compared."
        )
        self.volume = Menu(
            choices=self._volume_choices,
            tooltip="The validation volume whose prediction and errors are shown in the viewer.",
        )
        self.legend = wrapping_label()
        self.legend.tooltip = "What the colours in the viewer mean: how the prediction differs from the ground truth."
        self.there_button = button(
            "Go there",
            "Move slices and camera to this volume. At the first epoch of a run that happens by itself, unless you "
            "have moved the view since the run started.",
            self.go_there,
        )
        self._listener = RunListener(self.native)
        self._layers = SnapshotLayers(context.viewer, labels_of)
        self._work = LatestOnly(self.native, context.jobs, "watch")
        self._first_visit = FirstVisit(context.viewer)
        self._expect_visit = single_shot(self.native, self._first_visit.expect)
        self._poll = QTimer(self.native)
        self._poll.setInterval(_POLL_MS)
        self._lay_out()
        self._connect()
        self._show_state()

    @cached_property
    def curves(self) -> LossCurves:
        """Losses and Dice; made when a run is first shown, since importing the plotting library takes 0.2 s."""
        from napari_unet3d.widgets.train.loss_curves import LossCurves

        curves = LossCurves(self._context.viewer)
        curves.epoch_pointed_at.connect(self._on_pointed)
        self.insert(1, QtWidget(curves))
        self.native.layout().setStretch(1, 1)
        return curves

    def show_run(self, run: TrainingRun, *, in_viewer: bool = True) -> None:
        """Show another run, or the same one again.

        Parameters
        ----------
        run : TrainingRun
            The run.
        in_viewer : bool
            Whether its volumes are shown in the viewer at once, rather than when somebody chooses one.
        """
        self._in_viewer = in_viewer
        if self.run is None or self.run.run_folder != run.run_folder:
            self._layers.note_present_layers()
            self._forget()
        self.run = run
        self._listener.connect(
            (run.events.history, self.curves.show_history),
            (run.events.started, self._on_started),
            (run.events.latest_epoch, self._on_epoch),
            (run.events.throughput, self._on_epoch),
            (run.events.latest_snapshot, self.refresh),
        )
        self.curves.show_history(run.history)
        (self._poll.start if run.is_loaded else self._poll.stop)()
        self.refresh()

    def refresh(self) -> None:
        """Look for new epochs in the folder of the run."""
        if self.run is None:
            return
        try:
            found = open_snapshots(self.run.run_folder)
            epochs = () if found is None else tuple(filter(self._is_known, found.epochs()))
        except UserError as error:
            self._context.message.show_message(str(error), "warning")
            return
        if found is None or self._snapshots is None or found.manifest != self._snapshots.manifest:
            self._snapshots, self._data = found, None
            self._offer_volumes()
        self._snapshot_controls.visible = found is not None
        self.epoch_slider.show_epochs(epochs)
        self._show_state()

    def keep_layer(self) -> None:
        """Copy the shown prediction to a layer of its own."""
        if self._view is not None:
            layer = self._layers.keep(self._view)
            self._context.message.show_message(
                f"Epoch {self._view.epoch} is kept in the layer '{layer.name}', which is hidden."
            )

    def go_there(self) -> None:
        """Move slices and camera to the volume that is shown."""
        if self._view is not None and self._layer is not None and self._layer in self._context.viewer.layers:
            go_to_volume(self._context.viewer, self._layer, self._view)

    def _forget(self) -> None:
        """Forget the run; its layers stay until another run shows something."""
        self._work.cancel()
        self._first_visit.cancel()
        self._layers.expect_other_run()
        self._snapshots = self._data = self._view = None
        self.epoch_slider.show_epochs(())
        self.curves.point_at(None)

    def _on_started(self) -> None:
        self._expect_visit.start()  # after the blocks of the run were drawn
        self._layers.note_present_layers()
        self.refresh()

    def _on_epoch(self) -> None:
        if self._snapshots is None:
            self._layers.remove()  # those of an earlier run
        self._show_state()

    def _is_known(self, epoch: int) -> bool:
        # The files of a run may be ahead of its events, and of the curves.
        return self.run is not None and (self.run.is_loaded or epoch <= self.run.n_epochs_done)

    def _reload(self) -> None:
        if self.run is None:
            return
        with suppress(UserError):  # the folder may be gone
            newest = load_run(self.run.run_folder)
            if newest.history.records == self.run.history.records:
                self.refresh()
            else:
                self.reloaded.emit(newest)

    def _volume_choices(self, _menu: object) -> list[tuple[str, int]]:
        volumes = () if self._snapshots is None else self._snapshots.manifest.volumes
        names = [volume.volume for volume in volumes]  # shorter than those of blocks, as 'cells [validation]'
        names = names if len(set(names)) == len(names) else [volume.name for volume in volumes]
        return [("Nothing", _NO_VOLUME), *((name, index) for index, name in enumerate(names))]

    def _offer_volumes(self) -> None:
        with self.volume.changed.blocked():
            self.volume.reset_choices()
            is_shown = self._in_viewer and len(self.volume.choices) > 1 and load_preference(_KEY) != "nothing"
            self.volume.value = 0 if is_shown else _NO_VOLUME

    def _on_volume(self, index: int) -> None:
        save_preference(_KEY, "nothing" if index == _NO_VOLUME else "something")
        self._work.cancel()
        self._layers.remove()
        self._data = self._view = None
        if self.epoch_slider.epoch is not None:
            self._show_epoch(self.epoch_slider.epoch)

    def _show_epoch(self, epoch: int) -> None:
        self.curves.point_at(epoch)
        self._show_state()
        if self._snapshots is None or self.volume.value == _NO_VOLUME:
            self.epoch_slider.mark_drawn(epoch)
            return
        load = partial(load_epoch, self._snapshots, epoch, self.volume.value, self._data)
        self._work.request(f"Epoch {epoch}", load, self._on_loaded)

    def _on_loaded(self, view: EpochView) -> None:
        self._data, self._view = view.volume, view
        goes_there = self._first_visit.is_due()
        self._layer = self._layers.show(view)
        if goes_there:
            self.go_there()
        self.epoch_slider.mark_drawn(view.epoch)
        self._show_state()

    def _on_failed(self, message: str) -> None:
        before = self.epoch_slider.epochs
        self.refresh()  # the run may have deleted the epoch meanwhile
        if self.epoch_slider.epochs == before:
            self._context.message.show_message(message, "warning")

    def _show_state(self) -> None:
        run, epoch = self.run, self.epoch_slider.epoch
        is_running = self._context.jobs.running(TRAIN) is not None
        throughput = run.throughput if run is not None and is_running else None
        hint = None if run is None else diagnose(run.history.records)
        self.epoch_slider.live_button.visible = is_running or (run is not None and run.is_loaded)
        show_text(self.throughput, "" if throughput is None else describe_throughput(throughput))
        show_text(self.hint, "" if hint is None else hint.message)
        self.actions.show_epoch(self._snapshots, epoch)
        self.there_button.enabled = self._view is not None
        is_semantic = self._snapshots is not None and self._snapshots.manifest.task is Task.SEMANTIC
        show_text(self.legend, "" if self._view is None else difference_legend(with_classes=is_semantic))
        self.actions.layer_button.enabled = self._view is not None and self._view.epoch == epoch
        self.epoch_text.value = "" if run is None or epoch is None else describe_epoch(run, epoch, self._view)

    def _on_pointed(self, epoch: float) -> None:
        self.epoch_slider.go_to(epoch)
        self.curves.point_at(self.epoch_slider.epoch)

    def _connect(self) -> None:
        self.epoch_slider.epoch_chosen.connect(self._show_epoch)
        self.volume.changed.connect(self._on_volume)
        self._work.failed.connect(self._on_failed)
        self._poll.timeout.connect(self._reload)
        self.actions.layer_button.clicked.connect(self.keep_layer)
        bind_key(self._context, PLAY_KEY, "Play the epochs, or stop playing", self.epoch_slider.play)

    def _lay_out(self) -> None:
        shown = row(Label(value="In view"), self.volume, self.there_button, wide=(1,))
        self._snapshot_controls = column(
            self.epoch_text, self.legend, shown, self.epoch_slider, self.actions, spacing=4
        )
        self.lay_out(self.hint, self.throughput, self._snapshot_controls)
        self._snapshot_controls.hide()
