"""Make the pictures of the README: drive the docks in a real window and save what is on the screen.

    tools/with-display .venv/bin/python tools/screenshots.py docs/images

It wants ImageMagick's ``import`` and a display of at least 1366 × 768, and leaves the user's settings alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRATCH = Path(tempfile.mkdtemp())
os.environ["XDG_CONFIG_HOME"] = str(SCRATCH / "config")
os.environ["XDG_DATA_HOME"] = str(SCRATCH / "data")

import napari  # noqa: E402 - after the folders are redirected
from qtpy.QtCore import QEventLoop, QTimer  # noqa: E402

from napari_unet3d.configs import Difficulty  # noqa: E402
from napari_unet3d.widgets.predict_target import Target  # noqa: E402


def pump(seconds: float) -> None:
    """Let the viewer work for a while."""
    loop = QEventLoop()
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()


def wait_until(condition: Callable[[], Any]) -> None:
    """Let the viewer work until a condition holds."""
    while not condition():
        pump(0.1)


class Photographer:
    """A viewer of 1366 × 768 at the screen's corner, its docks, and pictures of it."""

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
        return getattr(widget, "native", widget)

    def shoot(self, name: str) -> None:
        """Save a picture of the window."""
        pump(0.8)
        path = self.folder / f"{name}.png"
        subprocess.run(["import", "-window", "root", "-crop", "1366x768+0+0", "+repage", str(path)], check=True)

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
        """Go from nothing to a curve, a prediction and its mistakes."""
        train = self.dock("Train")
        self.jobs = train.jobs
        self.shoot("train-start")
        train.sample_offer.start_button.click()
        wait_until(lambda: train.record and train.record.latest and train.record.latest.epoch >= 18)
        self.shoot("train")
        self.idle("train")
        train.predict_button.click()
        pump(0.5)
        predict = next(w for name, w in self.viewer.window.dock_widgets.items() if name.startswith("Predict"))
        predict = getattr(predict, "native", predict)
        predict.run_bar.start_button.click()
        self.idle("predict")
        self.shoot("predict-2d")
        self.viewer.dims.ndisplay = 3
        self.viewer.reset_view()
        self.shoot("predict")
        self.viewer.dims.ndisplay = 2
        predict.target.buttons[Target.TEST_SET].click()
        predict.run_bar.start_button.click()
        self.idle("predict")
        self.shoot("predict-test-set")

    def generate(self) -> None:
        """Show a noisy volume, and write a dataset of such."""
        generate = self.dock("Generate data")
        generate.form.boxes["difficulty"].value = Difficulty.MEDIUM
        small = {
            "shape": (64, 64, 64),
            "objects": 40,
            "object_shape_min": (12, 12, 12),
            "object_shape_max": (22, 22, 22),
        }
        generate.form.value = generate.form.value.model_copy(update=small)
        generate.preview_button.click()
        self.idle("generate")
        self.shoot("generate")
        generate.folder.value = SCRATCH / "dataset"
        generate.run_bar.start_button.click()
        self.idle("generate")

    def dataset(self) -> None:
        """Check the dataset with a volume missing."""
        (SCRATCH / "dataset" / "train" / "labels" / "3.tif").unlink(missing_ok=True)
        dataset = self.dock("Dataset")
        pump(0.5)
        dataset.run_bar.start_button.click()
        self.idle("dataset")
        self.shoot("dataset")


def main(folder: Path) -> None:
    """Make all pictures."""
    photographer = Photographer(folder)
    photographer.train()
    photographer.clear()
    photographer.viewer.theme = "light"
    photographer.generate()
    photographer.dataset()
    photographer.viewer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
