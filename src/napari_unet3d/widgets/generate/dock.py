"""The dock *Generate data*: previews a synthetic volume and writes datasets of them."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import SpinBox
from napari.layers import Image, Labels, Points

import napari_unet3d
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
from napari_unet3d.session.progress import GenerationProgress
from napari_unet3d.widgets.components.containers import button, column, heading, row
from napari_unet3d.widgets.components.copy_run import CopyButton
from napari_unet3d.widgets.components.dialogs import confirm
from napari_unet3d.widgets.components.dock import Dock
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.forms.form import ConfigForm
from napari_unet3d.widgets.forms.layer_menu import layer_menu
from napari_unet3d.widgets.forms.paths import PathEdit
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.viewer import layers
from napari_unet3d.widgets.viewer.from_layers import objects_from_layer, positions_from_points

if TYPE_CHECKING:
    import napari

PREVIEW_NAME = "Synthetic"


class GenerateDock(Dock):
    """Settings of synthetic volumes, a preview in the viewer, and the writing of a dataset folder.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer to show previews in.

    Attributes
    ----------
    settings : ConfigForm of SyntheticConfig
        A widget per setting, such as ``settings.objects``.
    objects_layer, positions_layer : ComboBox
        The layers to take objects and positions from; None without.
    folder : PathEdit
        The folder of the dataset.
    n_train, n_test : SpinBox
        The number of training and test volumes.
    """

    kind = "generate"
    least_width = 350

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.settings = ConfigForm(SyntheticConfig, "generate")
        self.objects_layer = layer_menu(
            self.viewer,
            Image | Labels | None,
            "Place the objects of this layer (each id of a Labels layer) instead of new ones.",
            label="Objects from layer",
        )
        self.positions_layer = layer_menu(
            self.viewer,
            Points | None,
            "Place the objects at the points of this layer instead of at random.",
            label="Positions from layer",
        )
        self.folder = PathEdit(
            "d", "dataset", "Folder of the dataset: train|test/images|labels are created in it.", label="Folder"
        )
        self.n_train = SpinBox(
            value=5, min=0, max=9999, tooltip="Number of training volumes.", label="Training volumes"
        )
        self.n_test = SpinBox(value=1, min=0, max=9999, tooltip="Number of test volumes.", label="Test volumes")
        self._shortfalls: list[str] = []
        self._written: Path | None = None
        self._make_buttons()
        self.lay_out(
            self.settings,
            column(self.objects_layer, self.positions_layer, labels=True),
            row(self.seed_button, self.preview_button),
            heading("Write a dataset"),
            column(self.folder, self.n_train, self.n_test, labels=True),
            self.train_button,
        )
        self.pin(self.job_bar)
        self.train_button.hide()
        self.attach_to_job()

    def _make_buttons(self) -> None:
        self.seed_button = button(
            "New seed", "Draw another seed, for other objects with the same settings.", self.draw_seed
        )
        self.preview_button = button(
            "Preview", "Show one volume as an Image and a Labels layer; the next preview updates them.", self.preview
        )
        self.train_button = button(
            "Train on this dataset…", "Open the dock Train with the dataset that was written.", self.train
        )
        self.copy_button = CopyButton(self.message, self._snippet)
        self.job_bar = JobBar(
            "Write dataset",
            "Generate the volumes and write them to the folder, with their labels.",
            self.write_dataset,
            disabled_meanwhile=(self.preview_button, self.seed_button),
            beside=self.copy_button,
        )

    def train(self) -> None:
        """Open the dock Train with the dataset that was written last."""
        self.open_dock("Train", HandOver(dataset=self._written))

    def draw_seed(self) -> None:
        """Set another seed, for other objects with the same settings."""
        self.settings.editors["seed"].value = random.randrange(2**31)

    def preview(self) -> None:
        """Generate one volume and show it as an Image and a Labels layer; the next preview updates them."""
        with self.message.explaining():
            config = self.settings.value
            inputs = self._inputs(config)
            self._forget_last()
            self.jobs.start(
                self.kind,
                "Generate a preview",
                lambda: napari_unet3d.generate_volume(config, name=PREVIEW_NAME, **inputs),
                progress=GenerationProgress(1),
            )

    def write_dataset(self) -> None:
        """Generate the volumes and write them to the folder, after a question where it has volumes already."""
        with self.message.explaining():
            config, folder = self.settings.value, self.folder.require("a folder for the dataset")
            inputs = self._inputs(config)
            n_train, n_test = self.n_train.value, self.n_test.value
            overwrite = _has_volumes(folder)
            if overwrite and not self._may_overwrite(folder):
                return
            self._forget_last()
            self.jobs.start(
                self.kind,
                "Write a synthetic dataset",
                lambda: napari_unet3d.generate(
                    folder, config, n_train=n_train, n_test=n_test, overwrite=overwrite, **inputs
                ),
                progress=GenerationProgress(n_train + n_test),
                replay=(VolumeWritten,),
            )

    def _inputs(self, config: SyntheticConfig) -> dict[str, Any]:
        objects, points = self.objects_layer.value, self.positions_layer.value
        return {
            "objects": None if objects is None else objects_from_layer(objects),
            "positions": None if points is None else positions_from_points(points, config.voxel_size_um),
        }

    def _snippet(self) -> RunSnippet:
        if self.objects_layer.value is not None or self.positions_layer.value is not None:
            raise UserError(
                "A command cannot refer to layers. Choose no layers for objects and positions, or save them and pass "
                "their files to the command with --objects-from and --positions."
            )
        folder = self.folder.require("a folder for the dataset")
        return generation_snippet(folder, self.settings.value, n_train=self.n_train.value, n_test=self.n_test.value)

    def _forget_last(self) -> None:
        self._shortfalls.clear()
        self.train_button.hide()

    def _may_overwrite(self, folder: Path) -> bool:
        return confirm(
            self.native,
            "Replace volumes?",
            f"{folder} already has volumes. Those with the names of the new ones (1, 2, …) will be replaced.",
        )

    def on_event(self, event: GenerateEvent | DatasetEvent) -> None:
        """Show a finished volume, collect what did not fit, and show where a dataset was written."""
        match event:
            case VolumeGenerated(sample=sample, shortfall=shortfall):
                layers.show_sample(self.viewer, sample, PREVIEW_NAME)
                self._show_result(f"{len(event.positions)} objects, shown in '{PREVIEW_NAME}'.", shortfall)
            case VolumeWritten(shortfall=str(shortfall)):
                self._shortfalls.append(shortfall)
            case DatasetWritten(folder=folder, n_train=n_train, n_test=n_test):
                text = f"Wrote {n_train} training and {n_test} test volumes to {folder}"
                self._show_result(text, *self._shortfalls[:1])
                self.folder.keep()  # it exists now
                self._written = folder
                self.train_button.show()
            case ObjectPlaced() | SlicesImaged() | VolumeWritten():
                pass  # the progress bar shows them

    def on_ended(self, job: Job) -> None:
        """Show that a stopped job has ended; what it had written stays."""
        if job.stopped and not job.message:
            self.message.show_message("Stopped. Volumes that were already written are kept.")

    def _show_result(self, text: str, *shortfalls: str | None) -> None:
        complaints = [shortfall for shortfall in shortfalls if shortfall]
        self.message.show_message(" ".join([text, *complaints]), "warning" if complaints else "info")


def _has_volumes(folder: Path) -> bool:
    from napari_unet3d.data.dataset import list_pairs

    return any(os.path.isdir(folder / subset) for subset in ("train", "test")) and bool(list_pairs(folder))
