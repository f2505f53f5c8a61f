"""The dock *Dataset*: makes a dataset folder, fills it from layers, lists, shows, checks and cleans it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QStyle,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from napari_unet3d.data.checks import CheckEvent, Issue, PairChecked, Severity, check_events
from napari_unet3d.data.dataset import (
    add_sample,
    clean_dataset,
    create_dataset,
    file_name,
    files_to_clean,
    files_to_keep,
    read_pair,
)
from napari_unet3d.data.pairs import Pair, Subset, list_pairs, pairing_notice, provenance_file
from napari_unet3d.data.provenance import read_provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.session.progress import Progress
from napari_unet3d.widgets.components.dialogs import CleanDialog, confirm, kept_words
from napari_unet3d.widgets.components.qt_dock import QtDock
from napari_unet3d.widgets.components.run_bar import RunBar, add_row, compact_form_layout, heading
from napari_unet3d.widgets.forms.path_edit import PathEdit
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.viewer import layers
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers

if TYPE_CHECKING:
    import napari

_VISIBLE_ROWS = 7
_STRETCH, _AS_NEEDED = QHeaderView.ResizeMode.Stretch, QHeaderView.ResizeMode.ResizeToContents


class DatasetDock(QtDock):
    """A dataset folder of the tutorial's layout, ``train|test/images|labels``, and what can be done with it.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose layers are added, and in which pairs are shown.
    """

    kind = "dataset"

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.folder = PathEdit("d", "dataset", "Folder that holds train|test/images|labels.")
        self.create_button = _button("Create folders", "Make train|test/images|labels in this folder.", self._create)
        self.column.addWidget(heading("Dataset folder"))
        self.column.addWidget(self.folder.native)
        self._add_list()
        self._add_adding()
        self.folder.changed.connect(self.refresh)
        self.connect_viewer(self.viewer.layers.selection.events.changed, self._choose_selected)
        self.refresh()
        self.attach_to_job()

    def _add_list(self) -> None:
        self.list = QTreeWidget()
        self.list.setHeaderLabels(["Volume", "Part", "Labels"])
        self.list.setToolTip("The volumes of the dataset; a double click opens one.")
        self.list.setRootIsDecorated(False)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setFixedHeight(self.list.fontMetrics().height() * (_VISIBLE_ROWS + 2) + 12)
        self.list.setMinimumWidth(200)
        self.list.itemDoubleClicked.connect(self._open)
        self.list.itemSelectionChanged.connect(self._enable_buttons)
        if (header := self.list.header()) is not None:
            header.setStretchLastSection(False)
            for column, mode in enumerate((_STRETCH, _AS_NEEDED, _AS_NEEDED)):
                header.setSectionResizeMode(column, mode)
        self.open_button = _button("Open in viewer", "Show the selected volume with its labels.", self._open)
        self.refresh_button = _button("Refresh", "Read the folder again.", self.refresh)
        self.clean_button = _button("Clean files…", "Delete volumes of this dataset; asks first.", self._clean)
        self.run_bar = RunBar("Check", also=(self.open_button, self.clean_button))
        self.run_bar.start_button.setToolTip("Read all volumes and report what would spoil a training.")
        self.run_bar.start_button.clicked.connect(self._check)
        self.findings = QListWidget()
        self.findings.setToolTip("What the check found, and what to do about it.")
        self.findings.setWordWrap(True)
        self.findings.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.findings.setMinimumHeight(120)
        self.findings.hide()
        self.column.addWidget(self.list)
        add_row(self.column, self.open_button, self.refresh_button)
        add_row(self.column, self.create_button, self.clean_button)
        self.column.addWidget(self.run_bar)
        self.column.addWidget(self.message)
        self.column.addWidget(self.findings)

    def _add_adding(self) -> None:
        self.image_layer = self.layer_box(Image, "The image of the new volume; its name becomes the file's.")
        self.labels_layer = self.layer_box(Labels, "The labels of the new volume, of the same shape.")
        self.train_button = _button("Add as train", "Write both layers to train/.", lambda: self._add(Subset.TRAIN))
        self.test_button = _button("Add as test", "Write both layers to test/.", lambda: self._add(Subset.TEST))
        rows = compact_form_layout()
        rows.addRow("Image", self.image_layer.native)
        rows.addRow("Labels", self.labels_layer.native)
        self.column.addWidget(heading("Add layers to the dataset"))
        self.column.addLayout(rows)
        add_row(self.column, self.train_button, self.test_button)

    def _choose_selected(self) -> None:
        for box, kind in ((self.image_layer, Image), (self.labels_layer, Labels)):
            layer = self.selected_layer(kind)
            if layer is not None and layer in box.choices:
                box.value = layer

    def refresh(self) -> None:
        """Read the folder again and list its volumes."""
        self.list.clear()
        self.findings.hide()
        folder = self.folder.value
        with self.message.explaining():
            if folder is None or not folder.exists():
                self.message.show_message("Choose a folder; 'Create folders' or adding a volume makes a new dataset.")
            else:
                for pair in list_pairs(folder):
                    self.list.addTopLevelItem(_row(pair))
                if notice := pairing_notice(folder):
                    self.message.show_message(notice, "warning")
        self._enable_buttons()

    def _enable_buttons(self) -> None:
        if self.jobs.running(self.kind) is None:
            self.open_button.setEnabled(self._selected() is not None)

    def _selected(self) -> Pair | None:
        items = self.list.selectedItems()
        return items[0].data(0, Qt.ItemDataRole.UserRole) if items else None

    def _create(self) -> None:
        with self.message.explaining():
            folder = create_dataset(self.folder.require("a folder for the dataset"))
            self.refresh()
            self.message.show_message(f"Created train|test/images|labels in {folder}")

    def _open(self) -> None:
        if (pair := self._selected()) is None:
            return
        with self.message.explaining():
            self.jobs.start(self.kind, f"Open {pair.name}", lambda: _read(pair))

    def _add(self, part: Subset) -> None:
        with self.message.explaining():
            folder = self.folder.require("a folder for the dataset")
            if (labels := self.labels_layer.value) is None:
                raise UserError("No labels layer is chosen; add one with 'New labels layer' and paint the objects.")
            sample = _named_for(part, sample_from_layers(self.image_layer.value, labels))
            overwrite = _is_taken(folder, part, sample.name)
            if overwrite and not self._may_replace(part, sample.name):
                return
            self.jobs.start(self.kind, f"Add {sample.name}", lambda: _write(folder, sample, part, overwrite))

    def _may_replace(self, part: Subset, name: str) -> bool:
        return confirm(self, "Replace volume?", f"The {part} part has a volume '{name}' already. Replace it?")

    def _check(self) -> None:
        with self.message.explaining():
            folder = self.folder.require("a dataset folder")
            self.findings.clear()
            self.jobs.start(
                self.kind, "Check the dataset", lambda: check_events(folder), progress=_measure, replay=(Issue,)
            )

    def _clean(self) -> None:
        with self.message.explaining():
            folder = self.folder.require("a dataset folder")
            files, kept = files_to_clean(folder), files_to_keep(folder)
            if not files:
                self.message.show_message(
                    f"There is nothing to delete in {folder}. {kept_words(folder, kept)}".rstrip()
                )
            elif CleanDialog(folder, files, kept, self).exec():
                clean_dataset(folder, files)
                self.refresh()
                self.message.show_message(f"Deleted {len(files)} files. {kept_words(folder, kept)}".rstrip())

    def on_event(self, event: CheckEvent | Sample | Pair) -> None:
        """Show an opened volume, an added pair or a finding of the check."""
        match event:
            case Sample():
                self.image_layer.value, self.labels_layer.value = layers.show_sample(self.viewer, event)
            case Pair(name=name, subset=part):
                self.refresh()
                self.message.show_message(f"Added '{name}' to {part}.")
            case Issue():
                self.findings.addItem(_finding_item(self, event))
                self.findings.show()
            case PairChecked():
                pass  # the progress bar shows it

    def on_ended(self, job: Job) -> None:
        """Sum up a check, and make the buttons fit the selection again."""
        self._enable_buttons()
        if job.message or not job.title.startswith("Check"):
            return
        n_errors = sum(finding.severity is Severity.ERROR for finding in job.replayed)
        n_warnings = len(job.replayed) - n_errors
        if job.stopped:
            self.message.show_message("The check was stopped; the list below is not complete.", "warning")
        elif not job.replayed:
            self.message.show_message("The check found no problems; the dataset is ready for training.")
        else:
            self.message.show_message(
                f"The check found {_count(n_errors, 'error')} and {_count(n_warnings, 'warning')}.",
                "error" if n_errors else "warning",
            )


def _button(text: str, tooltip: str, on_click: Any) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    button.clicked.connect(lambda *_: on_click())
    return button


def _row(pair: Pair) -> QTreeWidgetItem:
    if pair.image is None:
        state = "no image"
    elif pair.labels is None:
        state = "missing"
    elif pair.label_mask is not None:
        state = "✓ in part"
    else:
        state = "by order" if pair.matched_by_order else "✓"
    row = QTreeWidgetItem([pair.name, str(pair.subset.value), state])
    row.setData(0, Qt.ItemDataRole.UserRole, pair)
    row.setToolTip(0, "\n".join(str(path) for path in (pair.image, pair.labels, pair.label_mask) if path is not None))
    return row


def _finding_item(widget: QWidget, finding: Issue) -> QListWidgetItem:
    is_error = finding.severity is Severity.ERROR
    pixmap = QStyle.StandardPixmap.SP_MessageBoxCritical if is_error else QStyle.StandardPixmap.SP_MessageBoxWarning
    style = widget.style()
    assert style is not None  # every widget has one
    item = QListWidgetItem(style.standardIcon(pixmap), finding.message)
    item.setToolTip(finding.message)
    return item


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _measure(event: CheckEvent) -> Progress | None:
    return Progress(event.n_checked, event.n_pairs) if isinstance(event, PairChecked) else None


def _read(pair: Pair) -> Iterator[Sample]:
    # The same name may stand in both parts; the layer says which it is.
    yield replace(read_pair(pair), name=f"{pair.name} ({pair.subset})")


def _named_for(part: Subset, sample: Sample) -> Sample:
    """Take the part off the name of a volume that was opened from it, so that a corrected one replaces it."""
    return replace(sample, name=sample.name.removesuffix(f" ({part})"))


def _write(folder: Path, sample: Sample, part: Subset, overwrite: bool) -> Iterator[Pair]:
    if overwrite and sample.label_mask is not None:  # a corrected volume stays one
        name = file_name(sample.name).casefold()
        old = next(pair for pair in list_pairs(folder, part) if pair.name.casefold() == name)
        known = None if old.label_mask is None else read_provenance(provenance_file(old.label_mask))
        sample = replace(sample, provenance=known)
    yield add_sample(folder, sample, part, overwrite=overwrite)


def _is_taken(folder: Path, part: Subset, name: str) -> bool:
    if not (folder / part / "images").is_dir():
        return False
    return any(pair.name.casefold() == file_name(name).casefold() for pair in list_pairs(folder, part))
