"""Make the screenshots of the README: use the docks in a real window and save pictures of the screen.

    tools/with-display .venv/bin/python tools/screenshots.py docs/images [--nuclei IMAGE LABELS]

With a volume of touching nuclei (an id per nucleus) it also makes the pictures and the animation of training,
inspecting and comparing. It needs an X11 display of at least 1366 × 768, and does not touch the settings of the user.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRATCH = Path(tempfile.mkdtemp())
os.environ["XDG_CONFIG_HOME"] = str(SCRATCH / "config")
os.environ["XDG_DATA_HOME"] = str(SCRATCH / "data")

import napari  # noqa: E402 - after the folders are redirected
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from qtpy.QtCore import QEventLoop, QTimer  # noqa: E402
from qtpy.QtGui import QGuiApplication  # noqa: E402

from napari_unet3d.configs import Difficulty, TrainingConfig  # noqa: E402
from napari_unet3d.data.dataset import Subset, add_sample, create_dataset  # noqa: E402
from napari_unet3d.data.sample import Sample  # noqa: E402
from napari_unet3d.data.volumes import read_sample  # noqa: E402
from napari_unet3d.evaluation.reports.animation import write_animation  # noqa: E402
from napari_unet3d.widgets.predict.request import Target  # noqa: E402


def pump(seconds: float) -> None:
    """Process events for a while."""
    loop = QEventLoop()
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()


def wait_until(condition: Callable[[], Any]) -> None:
    """Process events until a condition holds."""
    while not condition():
        pump(0.1)


def save_screen(path: Path) -> None:
    """Save the corner of the screen in which the window is."""
    QGuiApplication.primaryScreen().grabWindow(0, 0, 0, 1366, 768).save(str(path))


class Photographer:
    """Takes pictures of a viewer of 1366 × 768 in the corner of the screen, and of its docks."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.viewer = napari.Viewer(show=False)
        self.viewer.theme = "dark"
        self.viewer.window.show()
        self.viewer.window._qt_window.setGeometry(0, 0, 1366, 768)
        pump(0.5)

    def dock(self, name: str) -> Any:
        """Open a dock."""
        _, widget = self.viewer.window.add_plugin_dock_widget("napari-unet3d", name)
        pump(0.3)
        return widget

    def shoot(self, name: str) -> None:
        """Save a picture of the window."""
        pump(0.8)
        save_screen(self.folder / f"{name}.png")

    def idle(self, kind: str) -> None:
        """Wait until no job of a kind runs."""
        dock_jobs = self.jobs
        wait_until(lambda: dock_jobs.running(kind) is None)

    def clear(self) -> None:
        """Remove all layers and docks."""
        self.viewer.layers.clear()
        self.viewer.window.remove_dock_widget("all")
        self.viewer.dims.ndisplay = 2
        pump(0.3)

    def train(self) -> None:
        """Go from nothing to a loss curve, a prediction and its errors."""
        train = self.dock("Train")
        self.jobs = train.jobs
        self.shoot("train-start")
        train.train_on_sample_data()
        wait_until(lambda: train.run and train.run.latest_epoch and train.run.latest_epoch.epoch >= 18)
        self.idle("train")
        train.predict()
        pump(0.5)
        predict = next(w for name, w in self.viewer.window.dock_widgets.items() if name.startswith("Predict"))
        predict.predict()
        self.idle("predict")
        self.shoot("predict-2d")
        self.viewer.dims.ndisplay = 3
        self.viewer.reset_view()
        self.shoot("predict")
        self.viewer.dims.ndisplay = 2
        predict.target.kind.value = Target.TEST_SET
        predict.predict()
        self.idle("predict")
        self.shoot("predict-test-set")

    def generate(self) -> None:
        """Show a noisy volume, and write a dataset of such volumes."""
        generate = self.dock("Generate data")
        generate.settings.difficulty.value = Difficulty.MEDIUM
        small = {
            "shape": (64, 64, 64),
            "objects": 40,
            "object_shape_min": (12, 12, 12),
            "object_shape_max": (22, 22, 22),
        }
        generate.settings.value = generate.settings.value.model_copy(update=small)
        generate.preview()
        self.idle("generate")
        self.shoot("generate")
        generate.folder.value = SCRATCH / "dataset"
        generate.write_dataset()
        self.idle("generate")

    def annotate(self) -> None:
        """Paint two slices of the volume and fill between them."""
        image = next(layer for layer in self.viewer.layers if isinstance(layer, napari.layers.Image))
        truth = next(layer for layer in self.viewer.layers if isinstance(layer, napari.layers.Labels))
        annotate = self.dock("Annotate")
        truth.visible = False
        annotate.annotate()
        painted = self.viewer.layers[f"{image.name} annotation"]
        for z in (28, 32):
            background = np.zeros(truth.data[z].shape, bool)
            background[6:58, 6:58] = True
            plane = np.where(truth.data[z] > 0, 2, np.where(background, 1, 0)).astype(painted.data.dtype)
            painted.data[z] = plane
        painted.refresh()
        self.viewer.dims.set_current_step(0, 30)
        annotate.fill_between()
        pump(2)
        self.shoot("annotate")
        self.viewer.layers.remove(painted)
        truth.visible = True

    def objects(self) -> None:
        """Measure the objects of the volume."""
        objects = self.dock("Objects")
        objects.measure()
        self.idle("objects")
        self.viewer.dims.ndisplay = 3
        self.viewer.reset_view()
        self.shoot("objects")
        self.viewer.dims.ndisplay = 2

    def dataset_folder(self) -> None:
        """Check the dataset with one volume missing."""
        (SCRATCH / "dataset" / "train" / "labels" / "3.tif").unlink(missing_ok=True)
        dataset = self.dock("Dataset")
        pump(0.5)
        dataset.check()
        self.idle("dataset")
        self.shoot("dataset")


class NucleiPhotographer(Photographer):
    """Trains on the lower half of a volume, monitors the upper half, and inspects its errors."""

    n_epochs = 24

    def __init__(self, folder: Path, image: Path, labels: Path) -> None:
        super().__init__(folder)
        self.frames: list[Any] = []
        self.volume = read_sample(image, labels)
        middle = self.volume.image.shape[0] // 2
        self.dataset = create_dataset(SCRATCH / "nuclei")
        for name, slices in (("lower half", slice(0, middle)), ("upper half", slice(middle + 6, None))):
            add_sample(self.dataset, self.part(name, slices), Subset.TRAIN)
        self.upper = self.part("nuclei", slice(middle + 6, None))

    def part(self, name: str, slices: slice) -> Sample:
        """Return some slices of the volume."""
        volume = self.volume
        assert volume.labels is not None
        return Sample(name, volume.image[slices], volume.labels[slices], volume.voxel_size_um)

    def film(self, n: int = 1) -> None:
        """Add the screen to the animation, for `n` frames."""
        pump(0.8)
        path = SCRATCH / "frame.png"
        save_screen(path)
        with Image.open(path) as picture:
            small = picture.convert("RGB").resize((956, 538), Image.Resampling.LANCZOS)
        self.frames += [np.asarray(small)] * n

    def monitor(self) -> Path:
        """Train, then play the epochs into the animation."""
        train = self.dock("Train")
        self.jobs = train.jobs
        train.source.use_folder(self.dataset)
        # Slowly, so that every epoch shows progress; with this seed, the first of two volumes is used for validation.
        train.settings.value = TrainingConfig(
            task="instance",
            preset="xsmall",
            epochs=self.n_epochs,
            learning_rate=2e-4,
            lr_schedule="constant",
            val_fraction=0.5,
            seed=0,
        )
        train.train()
        wait_until(lambda: train.run and train.run.n_epochs_done >= self.n_epochs - 4)
        self.shoot("train")
        self.idle("train")
        for index, epoch in enumerate(train.monitor.epoch_slider.epochs):
            train.monitor.epoch_slider.go_to(epoch)
            self.film(3 if index == 0 else 1)
        self.film(4)
        return train.run.run_folder

    def inspect(self) -> None:
        """Predict the upper half as a layer and go through its errors."""
        place = {"scale": self.upper.voxel_size_um, "units": ("um",) * 3, "axis_labels": ("z", "y", "x")}
        self.viewer.add_image(self.upper.image, name=self.upper.name, **place)
        self.viewer.add_labels(self.upper.labels, name=f"{self.upper.name} labels", **place)
        predict = self.dock("Predict")
        predict.target.kind.value = Target.LAYER
        predict.predict()
        self.idle("predict")
        predict.inspect()
        inspect = next(w for name, w in self.viewer.window.dock_widgets.items() if name.startswith("Inspect"))
        wait_until(lambda: inspect.session.errors is not None)
        self.idle("inspect")
        for number in range(5):
            inspect.next_error()
            self.film(4)
            if number == 2:
                self.shoot("inspect")
        self.viewer.reset_view()
        inspect.views.side_button.toggle()
        pump(1)
        self.shoot("compare")
        self.film(8)

    def write_film(self) -> None:
        """Write the animation."""
        for _ in write_animation(self.folder / "training.webp", self.frames, seconds=0.3 * len(self.frames)):
            pass


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nuclei", type=Path, nargs=2, metavar=("IMAGE", "LABELS"))
    parser.add_argument("--only-nuclei", action="store_true", help="leave the other pictures as they are")
    arguments = parser.parse_args()
    if not arguments.only_nuclei:
        photographer = Photographer(arguments.folder)
        photographer.train()
        photographer.clear()
        photographer.viewer.theme = "light"
        photographer.generate()
        photographer.annotate()
        photographer.objects()
        photographer.dataset_folder()
        photographer.viewer.close()
    if arguments.nuclei:
        nuclei = NucleiPhotographer(arguments.folder, *arguments.nuclei)
        nuclei.monitor()
        nuclei.clear()
        nuclei.inspect()
        nuclei.write_film()
        nuclei.viewer.close()


if __name__ == "__main__":
    main()
