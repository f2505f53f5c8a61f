"""The dock *Dataset*: makes a dataset folder, fills it from layers, lists, shows, checks and cleans it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image, Labels

from napari_unet3d.data.checks import CheckEvent, PairChecked, check_events
from napari_unet3d.data.dataset import (
    clean_dataset,
    create_dataset,
    files_to_clean,
    files_to_keep,
)
from napari_unet3d.data.issues import Issue, Severity
from napari_unet3d.data.pairs import Pair, Subset, list_pairs, pairing_notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.time_points import series_of
from napari_unet3d.data.trash import files_of
from napari_unet3d.errors import UserError
from napari_unet3d.formatting import format_count, quoted
from napari_unet3d.session.dataset_volumes import SeriesRead, has_volume, named_for, open_pair
from napari_unet3d.session.shared_volumes import SharedVolume, add_series_unless_shared, add_unless_shared
from napari_unet3d.widgets.components.containers import button, column, heading, row
from napari_unet3d.widgets.components.dialogs import confirm
from napari_unet3d.widgets.components.dock import Dock
from napari_unet3d.widgets.components.files_voxel_size import DatasetVoxelSizeRow
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.components.voxel_size_row import VoxelSizeRow
from napari_unet3d.widgets.dataset.lists import CleanDialog, IssueList, PairList, kept_text
from napari_unet3d.widgets.dataset.removal import RemovalButtons
from napari_unet3d.widgets.forms.channel_list import ChannelList
from napari_unet3d.widgets.forms.layer_menu import layer_menu, prefer_pair
from napari_unet3d.widgets.forms.paths import PathEdit
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.viewer import layers
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.layer_metadata import mark_dataset
from napari_unet3d.widgets.viewer.layers import connect_while_alive
from napari_unet3d.widgets.viewer.series_layers import show_series
from napari_unet3d.widgets.viewer.time_layers import LayerSeries, series_of_layers

if TYPE_CHECKING:
    from pathlib import Path

    import napari


class DatasetDock(Dock):
    """A dataset folder of the tutorial's layout, ``train|test/images|labels``, and what can be done with it.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose layers are added, and in which volumes are shown.

    Attributes
    ----------
    folder : PathEdit
        The dataset folder.
    channels : ChannelList
        The layers of further channels of the image.
    image_layer, labels_layer : ComboBox
        The layers that `add` writes.
    pairs : PairList
        The volumes of the dataset.
    removal : RemovalButtons
        Moves volumes to the trash of the dataset, and back.
    voxel_sizes : DatasetVoxelSizeRow
        The voxel sizes of these volumes.
    issues : IssueList
        What the last check found.
    """

    kind = "dataset"

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.folder = PathEdit("d", "dataset", "Folder with train|test/images|labels.")
        self.pairs, self.issues = PairList(), IssueList()
        self.removal = RemovalButtons(self.context, self.folder, self.pairs)
        self.voxel_sizes = DatasetVoxelSizeRow(self.context, self.kind, self.folder)
        self._notices_of_layers = ""  # of those that are being added
        self._asked: SharedVolume | None = None
        self._again: Callable[[], object] | None = None  # adds the volume that was asked about
        self._make_buttons()
        self.image_layer = layer_menu(
            self.viewer, Image, "The image of the new volume; its name becomes the file's.", label="Image"
        )
        self.channels = ChannelList(self.viewer, self.image_layer)
        self.labels_layer = layer_menu(
            self.viewer, Labels, "The labels of the new volume, of the same shape.", label="Labels"
        )
        self.voxel_size = VoxelSizeRow(self.context, self.image_layer)
        self.lay_out(
            heading("Dataset folder"),
            self.folder,
            self.pairs,
            self.voxel_sizes,
            row(self.open_button, self.refresh_button),
            self.removal,
            row(self.create_button, self.clean_button),
            self.use_button,
            self.issues,
            heading("Add layers to the dataset"),
            column(self.image_layer, self.channels, self.labels_layer, labels=True),
            self.voxel_size,
            row(self.train_button, self.test_button),
        )
        self.pin(self.job_bar)
        self.issues.hide()
        self.folder.changed.connect(self.refresh)
        prefer_pair(self.viewer, self.image_layer, self.labels_layer)
        self.pairs.itemDoubleClicked.connect(self.open_selected)
        self.pairs.itemSelectionChanged.connect(self._enable_buttons)
        self.removal.changed_dataset.connect(self.refresh)
        connect_while_alive(self.native, self.viewer.layers.selection.events.changed, self._choose_selected)
        self.refresh()
        self.attach_to_job()

    def _make_buttons(self) -> None:
        self.create_button = button(
            "Create folders", "Create train|test/images|labels in this folder.", self.create_folders
        )
        self.open_button = button("Open in viewer", "Show the selected volume with its labels.", self.open_selected)
        self.refresh_button = button("Refresh", "Read the folder again.", self.refresh)
        self.use_button = button("Train on this dataset…", "Open the dock Train with this folder.", self.train)
        self.clean_button = button(
            "Clean files…",
            "<qt>Move the files of the selected volumes, or of all if none is selected, to the folder 'trash' of the "
            "dataset; asks first. 'Restore removed' puts them back.</qt>",
            self.clean,
        )
        self.train_button = button(
            "Add to training set", "Write both layers to train/.", partial(self.add, Subset.TRAIN)
        )
        self.test_button = button("Add to test set", "Write both layers to test/.", partial(self.add, Subset.TEST))
        self.job_bar = JobBar(
            "Check",
            "Read all volumes and list problems that would affect training.",
            self.check,
            disabled_meanwhile=(self.open_button, self.clean_button, self.removal),
        )

    def follow_layers(self) -> None:
        """Update the layer menus; new layers are chosen unless others were."""
        super().follow_layers()
        if self.jobs.running(self.kind) is None:
            prefer_pair(self.viewer, self.image_layer, self.labels_layer)

    def receive(self, subject: HandOver) -> None:
        """Choose the dataset folder that is passed on."""
        if subject.dataset is not None:
            self.folder.value = subject.dataset

    def refresh(self) -> None:
        """Read the folder again and list its volumes."""
        self.pairs.clear()
        self.issues.hide()
        self.voxel_sizes.refresh()
        folder = self.folder.value
        with self.message.explaining():
            if folder is None or not os.path.exists(folder):
                self.message.show_message("Choose a folder; 'Create folders' or adding a volume makes a new dataset.")
            else:
                self.pairs.show_pairs(list_pairs(folder))
                if notice := pairing_notice(folder):
                    self.message.show_message(notice, "warning")
        self._enable_buttons()

    def create_folders(self) -> None:
        """Create the folders of a dataset."""
        with self.message.explaining():
            folder = create_dataset(self.folder.require("a folder for the dataset"))
            self.folder.keep()  # it exists now
            self.refresh()
            self.message.show_message(f"Created train|test/images|labels in {folder}")

    def train(self) -> None:
        """Open the dock Train with the folder."""
        with self.message.explaining():
            self.open_dock("Train", HandOver(dataset=self.folder.require("a dataset folder")))

    def open_selected(self) -> None:
        """Show the selected volume with its labels."""
        if (pair := self.pairs.selected) is None:
            return
        with self.message.explaining():
            self.jobs.start(self.kind, f"Open {pair.name}", lambda: open_pair(pair))

    def add(self, subset: Subset | str) -> None:
        """Write the chosen layers to the dataset, after a question where they replace a volume.

        Parameters
        ----------
        subset : Subset
            ``"train"`` or ``"test"``.
        """
        with self.message.explaining():
            subset, folder = Subset(subset), self.folder.require("a folder for the dataset")
            if (labels := self.labels_layer.value) is None:
                raise UserError("No labels layer is chosen; add one with 'New labels layer' and paint the objects.")
            layers = self.image_layer.value, labels, self.channels.layers[1:]
            if (series := series_of_layers(*layers, viewer=self.viewer)) is not None:
                self._add_series(folder, series, subset)
                return
            sample = named_for(subset, sample_from_layers(*layers))
            overwrite = has_volume(folder, subset, sample.name)
            question = f"The {subset} subset already has a volume '{sample.name}'. Replace it?"
            if overwrite and not confirm(self.native, "Replace volume?", question):
                return
            self._notices_of_layers = " ".join(sample.notices)
            self._start_adding(sample.name, partial(add_unless_shared, folder, sample, subset, overwrite))

    def _start_adding(self, name: str, work: Callable[..., Iterator[Pair | SharedVolume]]) -> None:
        """Add volumes, and once more if the user accepts that the other subset shows the same."""
        start = partial(self.jobs.start, self.kind, f"Add {name}")
        self._asked, self._again = None, partial(start, partial(work, is_accepted=True))
        start(work)

    def _add_series(self, folder: Path, series: LayerSeries, subset: Subset) -> None:
        """Write each time point as a volume, after a question where they replace others."""
        first = named_for(subset, series.sample(0))
        name = series_of(first.name)
        overwrite = has_volume(folder, subset, first.name)
        question = f"The {subset} subset already has time points of '{name}'. Replace them?"
        if overwrite and not confirm(self.native, "Replace volumes?", question):
            return
        self._notices_of_layers = " ".join(first.notices)
        work = partial(add_series_unless_shared, folder, series.sample, series.n_times, subset, overwrite)
        self._start_adding(name, work)

    def check(self) -> None:
        """Read all volumes and list problems that would affect training."""
        with self.message.explaining():
            folder = self.folder.require("a dataset folder")
            self.issues.clear()
            self.jobs.start(self.kind, "Check the dataset", lambda: check_events(folder), replay=(Issue,))

    def remove_selected(self) -> None:
        """Move the selected volumes to the trash of the dataset."""
        self.removal.remove_selected()

    def restore_removed(self) -> None:
        """Put back what was removed last and is still in the trash of the dataset."""
        self.removal.restore_latest()

    def clean(self) -> None:
        """Move the files of the selected volumes, or of all, to the trash, after a question that names them."""
        with self.message.explaining():
            folder, chosen = self.folder.require("a dataset folder"), self.pairs.all_selected
            files, kept, of = files_to_clean(folder), files_to_keep(folder), ""
            if chosen:
                wanted = {path for pair in chosen for path in files_of(pair)}
                files, kept = [path for path in files if path in wanted], []
                of = f"the selected {'volume' if len(chosen) == 1 else 'volumes'} {quoted(p.name for p in chosen)}"
            if not files:
                self.message.show_message(
                    f"There are no volumes to remove in {folder}. {kept_text(folder, kept)}".rstrip()
                )
            elif CleanDialog(folder, files, kept, self.native, of).exec():
                where = clean_dataset(folder, files).folder.relative_to(folder).as_posix()
                self.refresh()
                moved = f"Moved {len(files)} files to '{where}' in the dataset; 'Restore removed' undoes it."
                self.message.show_message(f"{moved} {kept_text(folder, kept)}".rstrip())

    def on_event(self, event: CheckEvent | Sample | SeriesRead | Pair | SharedVolume) -> None:
        """Show an opened volume, an added pair or an issue that the check found."""
        match event:
            case Sample():
                shown = layers.show_sample(self.viewer, event)
                mark_dataset(shown, self.folder.value)
                self.image_layer.value, self.labels_layer.value = shown
                if event.notices:
                    self.message.show_message(" ".join(event.notices), "warning")
            case SeriesRead():
                self.image_layer.value, self.labels_layer.value = show_series(
                    self.viewer, event.name, event.samples, event.time_step_s
                )
                if event.samples[0].notices:
                    self.message.show_message(" ".join(event.samples[0].notices), "warning")
            case Pair(name=name, subset=subset):
                self.folder.keep()  # which may be new
                self.refresh()
                added, notices = f"Added '{name}' to {subset}.", self._notices_of_layers
                self.message.show_message(f"{added} {notices}".rstrip(), "warning" if notices else "info")
                self._notices_of_layers = ""
            case SharedVolume():
                self._asked = event  # once the job has ended
            case Issue():
                self.issues.add(event)
            case PairChecked():
                pass  # the progress bar shows it

    def on_ended(self, job: Job) -> None:
        """Sum up a check, and make the buttons fit the selection again."""
        self._enable_buttons()
        shared, self._asked = self._asked, None
        if shared is not None and job.message is None:
            self._ask(shared)
        if job.message or not job.title.startswith("Check"):
            return
        n_errors = sum(issue.severity is Severity.ERROR for issue in job.replayed)
        n_warnings = len(job.replayed) - n_errors
        if job.stopped:
            self.message.show_message("The check was stopped; the list below is not complete.", "warning")
        elif not job.replayed:
            self.message.show_message("The check found no problems; the dataset is ready for training.")
        else:
            self.message.show_message(
                f"The check found {format_count(n_errors, 'error')} and {format_count(n_warnings, 'warning')}.",
                "error" if n_errors else "warning",
            )

    def _ask(self, shared: SharedVolume) -> None:
        title = f"Add to the {'training' if shared.subset is Subset.TRAIN else 'test'} set?"
        if self._again is not None and confirm(self.native, title, shared.question):
            with self.message.explaining():
                self._again()
        else:
            self.message.show_message(f"'{shared.name}' was not added; the dataset is as it was.")

    def _choose_selected(self, *_: object) -> None:
        for menu, kind in ((self.image_layer, Image), (self.labels_layer, Labels)):
            selected = [layer for layer in self.viewer.layers.selection if isinstance(layer, kind)]
            if selected and selected[0] in menu.choices:
                menu.value = selected[0]

    def _enable_buttons(self) -> None:
        if self.jobs.running(self.kind) is None:
            self.open_button.enabled = self.pairs.selected is not None
            self.removal.refresh()
