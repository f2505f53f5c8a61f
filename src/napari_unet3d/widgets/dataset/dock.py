"""The dock *Dataset*: makes a dataset folder, fills it from layers, lists, shows, checks and cleans it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

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
from napari_unet3d.data.trash import files_of
from napari_unet3d.formatting import format_count, quoted
from napari_unet3d.session.dataset_volumes import SeriesRead, open_pair
from napari_unet3d.session.shared_volumes import SharedVolume
from napari_unet3d.widgets.components.containers import button, heading, row
from napari_unet3d.widgets.components.dock import Dock
from napari_unet3d.widgets.components.files_voxel_size import DatasetVoxelSizeRow
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.dataset.lists import CleanDialog, IssueList, PairList, kept_text
from napari_unet3d.widgets.dataset.new_volume import NewVolume
from napari_unet3d.widgets.dataset.removal import RemovalButtons
from napari_unet3d.widgets.forms.paths import PathEdit
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.viewer import layers
from napari_unet3d.widgets.viewer.layer_metadata import mark_dataset
from napari_unet3d.widgets.viewer.series_layers import show_series

if TYPE_CHECKING:
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
    new_volume : NewVolume
        Adds layers to the dataset.
    image_layer, labels_layer : ComboBox
        The layers that `add` writes.
    channels : ChannelList
        The layers of further channels of the image.
    voxel_size : VoxelSizeRow
        The voxel size of the image.
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
        self.new_volume = NewVolume(self.context, self.kind, self.folder)
        self.image_layer, self.labels_layer = self.new_volume.image_layer, self.new_volume.labels_layer
        self.channels, self.voxel_size = self.new_volume.channels, self.new_volume.voxel_size
        self._make_buttons()
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
            self.new_volume,
        )
        self.pin(self.job_bar)
        self.issues.hide()
        self.folder.changed.connect(self.refresh)
        self.pairs.itemDoubleClicked.connect(self.open_selected)
        self.pairs.itemSelectionChanged.connect(self._enable_buttons)
        self.removal.changed_dataset.connect(self.refresh)
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
            self.new_volume.prefer_available()

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
        self.new_volume.add(subset)

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
                self.new_volume.choose(*shown)
                if event.notices:
                    self.message.show_message(" ".join(event.notices), "warning")
            case SeriesRead():
                shown = show_series(self.viewer, event.name, event.samples, event.time_step_s)
                self.new_volume.choose(*shown)
                if event.samples[0].notices:
                    self.message.show_message(" ".join(event.samples[0].notices), "warning")
            case Pair():
                self.folder.keep()  # which may be new
                self.refresh()
                self.new_volume.show_added(event)
            case SharedVolume():
                self.new_volume.take_shared(event)
            case Issue():
                self.issues.add(event)
            case PairChecked():
                pass  # the progress bar shows it

    def on_ended(self, job: Job) -> None:
        """Sum up a check, and make the buttons fit the selection again."""
        self._enable_buttons()
        self.new_volume.ask(has_failed=job.message is not None)
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

    def _enable_buttons(self) -> None:
        if self.jobs.running(self.kind) is None:
            self.open_button.enabled = self.pairs.selected is not None
            self.removal.refresh()
