"""The dock *Generate data*: previews a synthetic volume and writes datasets of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import SpinBox
from napari.layers import Image, Labels, Points
from qtpy.QtWidgets import QPushButton

from napari_unet3d.configs import SyntheticConfig
from napari_unet3d.configs.snippets import RunSnippet, generation_snippet
from napari_unet3d.data.events import (
    DatasetEvent,
    DatasetWritten,
    GenerateEvent,
    ObjectPlaced,
    SlicesImaged,
    VolumeGenerated,
    VolumeWritten,
)
from napari_unet3d.errors import UserError
from napari_unet3d.session.progress import Progress
from napari_unet3d.widgets.components.copy_run import CopyButton
from napari_unet3d.widgets.components.dialogs import confirm
from napari_unet3d.widgets.components.dock import Dock
from napari_unet3d.widgets.components.run_bar import RunBar, add_row, heading
from napari_unet3d.widgets.forms.form import ConfigForm, compact_form_layout
from napari_unet3d.widgets.forms.path_edit import PathEdit
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.viewer import layers
from napari_unet3d.widgets.viewer.from_layers import objects_from_layer, positions_from_points

if TYPE_CHECKING:
    import napari

PREVIEW_NAME = "Synthetic"
_OBJECTS_PART = 0.8  # of the time that a volume takes; the rest is blur and noise


class GenerateDock(Dock):
    """Settings of synthetic volumes, a preview in the viewer, and the writing of a dataset folder.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer to show previews in.
    """

    kind = "generate"

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.form = ConfigForm(SyntheticConfig, "generate")
        self.column.addWidget(self.form)
        self._add_inputs()
        self._add_preview()
        self._add_dataset()
        self._shortfalls: list[str] = []
        self.attach_to_job()

    def _add_inputs(self) -> None:
        self.objects_layer = self.layer_box(
            Image | Labels | None, "Place the objects of this layer (each id of a Labels layer) instead of new ones."
        )
        self.positions_layer = self.layer_box(
            Points | None, "Place the objects at the points of this layer instead of at random."
        )
        rows = compact_form_layout()
        rows.addRow("Objects from layer", self.objects_layer.native)
        rows.addRow("Positions from layer", self.positions_layer.native)
        self.column.addLayout(rows)

    def _add_preview(self) -> None:
        self.seed_button = QPushButton("New seed")
        self.seed_button.setToolTip("Draw another seed, for other objects with the same settings.")
        self.seed_button.clicked.connect(self._draw_seed)
        self.preview_button = QPushButton("Preview")
        self.preview_button.setToolTip("Show one volume as an Image and a Labels layer; the next preview updates them.")
        self.preview_button.clicked.connect(self._start_preview)
        add_row(self.column, self.seed_button, self.preview_button)

    def _add_dataset(self) -> None:
        self.column.addWidget(heading("Write a dataset"))
        self.folder = PathEdit("d", "dataset", "Folder of the dataset: train|test/images|labels are made in it.")
        self.n_train = SpinBox(value=5, min=0, max=9999, tooltip="Number of training volumes.")
        self.n_test = SpinBox(value=1, min=0, max=9999, tooltip="Number of test volumes.")
        rows = compact_form_layout()
        rows.addRow("Folder", self.folder)
        rows.addRow("Training volumes", self.n_train.native)
        rows.addRow("Test volumes", self.n_test.native)
        self.column.addLayout(rows)
        self.copy_button = CopyButton(self, self._as_text)
        not_meanwhile = (self.preview_button, self.seed_button)
        self.run_bar = RunBar("Write dataset", also=not_meanwhile, beside=self.copy_button)
        self.run_bar.start_button.setToolTip("Generate the volumes and write them to the folder, with their labels.")
        self.run_bar.start_button.clicked.connect(self._start_dataset)
        self.column.addWidget(self.run_bar)
        self.column.addWidget(self.message)
        self.train_button = QPushButton("Train on this dataset…")
        self.train_button.setToolTip("Open the dock Train; it offers the folder above.")
        self.train_button.clicked.connect(lambda: self.open_dock("Train"))
        self.train_button.hide()
        self.column.addWidget(self.train_button)

    def _draw_seed(self) -> None:
        self.form.editors["seed"].value = random.randrange(2**31)

    def _inputs(self, config: SyntheticConfig) -> dict[str, Any]:
        objects, points = self.objects_layer.value, self.positions_layer.value
        return {
            "objects": None if objects is None else objects_from_layer(objects),
            "positions": None if points is None else positions_from_points(points, config.voxel_size_um),
        }

    def _start_preview(self) -> None:
        with self.message.explaining():
            config = self.form.value
            inputs = self._inputs(config)
            self._forget_last()
            self.jobs.start(
                self.kind,
                "Generate a preview",
                lambda: _preview(config, inputs),
                progress=_Measure(1),
            )

    def _start_dataset(self) -> None:
        with self.message.explaining():
            config, folder = self.form.value, self.folder.require("a folder for the dataset")
            inputs = self._inputs(config)
            n_train, n_test = self.n_train.value, self.n_test.value
            overwrite = _holds_volumes(folder)
            if overwrite and not self._may_overwrite(folder):
                return
            self._forget_last()
            self.jobs.start(
                self.kind,
                "Write a synthetic dataset",
                lambda: _dataset(folder, config, n_train, n_test, overwrite, inputs),
                progress=_Measure(n_train + n_test),
                replay=(VolumeWritten,),
            )

    def _as_text(self) -> RunSnippet:
        if self.objects_layer.value is not None or self.positions_layer.value is not None:
            raise UserError(
                "A text cannot name layers. Choose no layers for objects and positions, or save them and give their "
                "files to the command with --objects-from and --positions."
            )
        folder = self.folder.require("a folder for the dataset")
        return generation_snippet(folder, self.form.value, n_train=self.n_train.value, n_test=self.n_test.value)

    def _forget_last(self) -> None:
        self._shortfalls.clear()
        self.train_button.hide()

    def _may_overwrite(self, folder: Path) -> bool:
        return confirm(
            self,
            "Replace volumes?",
            f"{folder} holds volumes already. Those with the names of the new ones (1, 2, …) will be replaced.",
        )

    def on_event(self, event: GenerateEvent | DatasetEvent) -> None:
        """Show a finished volume, collect what did not fit, and say where a dataset was written."""
        match event:
            case VolumeGenerated(sample=sample, shortfall=shortfall):
                layers.show_sample(self.viewer, sample, PREVIEW_NAME)
                self._say(f"{len(event.positions)} objects, shown in '{PREVIEW_NAME}'.", shortfall)
            case VolumeWritten(shortfall=str(shortfall)):
                self._shortfalls.append(shortfall)
            case DatasetWritten(folder=folder, n_train=n_train, n_test=n_test):
                self._say(f"Wrote {n_train} training and {n_test} test volumes to {folder}", *self._shortfalls[:1])
                self.train_button.show()
            case ObjectPlaced() | SlicesImaged() | VolumeWritten():
                pass  # the progress bar shows them

    def on_ended(self, job: Job) -> None:
        """Say that a stopped job has ended; what it had written stays."""
        if job.stopped and not job.message:
            self.message.show_message("Stopped. Volumes that were written already are kept.")

    def _say(self, message: str, *shortfalls: str | None) -> None:
        complaints = [shortfall for shortfall in shortfalls if shortfall]
        self.message.show_message(" ".join([message, *complaints]), "warning" if complaints else "info")


def _preview(config: SyntheticConfig, inputs: dict[str, Any]) -> Iterator[GenerateEvent]:
    from napari_unet3d.data.synthetic.generate import generate_volume

    return generate_volume(config, name=PREVIEW_NAME, **inputs)


def _dataset(
    folder: Path, config: SyntheticConfig, n_train: int, n_test: int, overwrite: bool, inputs: dict[str, Any]
) -> Iterator[DatasetEvent]:
    from napari_unet3d.data.synthetic.dataset import generate

    return generate(folder, config, n_train=n_train, n_test=n_test, overwrite=overwrite, **inputs)


def _holds_volumes(folder: Path) -> bool:
    from napari_unet3d.data.dataset import list_pairs

    return any((folder / part).is_dir() for part in ("train", "test")) and bool(list_pairs(folder))


class _Measure:
    """Counts volumes, and what is done of the one at work as part of a volume."""

    def __init__(self, n_volumes: int) -> None:
        self._n_volumes = n_volumes
        self._n_written = 0

    def __call__(self, event: GenerateEvent | DatasetEvent) -> Progress | None:
        match event:
            case ObjectPlaced(n_placed=n_placed, n_objects=n_objects):
                return Progress(self._n_written + _OBJECTS_PART * n_placed / n_objects, self._n_volumes)
            case SlicesImaged(n_imaged=n_imaged, n_slices=n_slices):
                imaged = _OBJECTS_PART + (1 - _OBJECTS_PART) * n_imaged / n_slices
                return Progress(self._n_written + imaged, self._n_volumes)
            case VolumeWritten(n_written=n_written):
                self._n_written = n_written
                return Progress(n_written, self._n_volumes)
        return None
