"""The tutorial from start to end: generate, train, evaluate, and view the result in napari.

The three long steps are generators of the engine, which the command follows.
``python -m napari_unet3d.demo FOLDER [SCREENSHOT]`` shows a finished demo, in a process that may have a virtual
display.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_unet3d.configs import EvaluationConfig, LabelKind, ResizeMode, SyntheticConfig, TrainingConfig
from napari_unet3d.display import has_display, with_display
from napari_unet3d.errors import UserError
from napari_unet3d.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.viewer import Viewer

    from napari_unet3d.data.events import DatasetEvent
    from napari_unet3d.inference.events import EvaluateEvent
    from napari_unet3d.training.events import TrainEvent

N_TRAIN, N_TEST = 5, 1
# Settings of the tutorial; all others are the defaults.
VOLUMES = SyntheticConfig(label_kind=LabelKind.FOREGROUND)
TRAINING = TrainingConfig(resize_mode=ResizeMode.CROP)


@dataclass(frozen=True, slots=True)
class Demo:
    """The folder of a demo, its contents, and the three steps that produce them.

    Attributes
    ----------
    folder : Path
        The folder, to which everything is written.
    volumes : SyntheticConfig
        The volumes to generate; those of the tutorial by default.
    training : TrainingConfig
        The training settings; those of the tutorial by default.
    """

    folder: Path
    volumes: SyntheticConfig = VOLUMES
    training: TrainingConfig = TRAINING

    @property
    def n_volumes(self) -> int:
        """Number of generated volumes."""
        return N_TRAIN + N_TEST

    @property
    def dataset(self) -> Path:
        """The generated volumes."""
        return self.folder / "dataset"

    @property
    def run(self) -> Path:
        """The run folder with the model."""
        return self.folder / "run"

    @property
    def evaluation(self) -> Path:
        """Predictions, differences, figures and metrics of the test volume."""
        return self.folder / "evaluation"

    @property
    def curves(self) -> Path:
        """The figure of the loss curves."""
        return self.folder / "curves.png"

    @property
    def screenshot(self) -> Path:
        """The screenshot of the viewer, saved if there is no display."""
        return self.folder / "screenshot.png"

    def check_new(self) -> None:
        """Raise a `UserError` if the folder already holds a demo or anything else."""
        if os.path.exists(self.folder) and (not os.path.isdir(self.folder) or any(self.folder.iterdir())):
            raise UserError(f"{self.folder} is not empty. Choose another folder, or replace its demo with --overwrite.")

    def generate(self) -> Iterator[DatasetEvent]:
        """Generate five training volumes and one test volume."""
        from napari_unet3d.data.synthetic.dataset import generate

        return generate(self.dataset, self.volumes, n_train=N_TRAIN, n_test=N_TEST, overwrite=True)

    def train(self) -> Iterator[TrainEvent]:
        """Train on the training volumes."""
        from napari_unet3d.training.loop import train

        return train(self.dataset, self.run, self.training, overwrite=True)

    def evaluate(self) -> Iterator[EvaluateEvent]:
        """Predict the test volume and compare it with its ground truth."""
        from napari_unet3d.inference.evaluate import evaluate

        return evaluate(self.run, self.dataset, out=self.evaluation, config=EvaluationConfig())


def check_display() -> None:
    """Raise a `UserError` if no viewer can be shown, not even on a virtual display."""
    with_display([])


def show(demo: Demo, screenshot: Path | None = None) -> Path | None:
    """Show the result in napari, in a separate process, and wait until it is closed.

    Parameters
    ----------
    demo : Demo
        A finished demo.
    screenshot : Path, optional
        Save a screenshot there and end. This is always done without a display, on a virtual one.

    Returns
    -------
    Path or None
        The screenshot, if one was saved.

    Raises
    ------
    UserError
        If no window can be shown, or napari fails to open one.
    """
    if screenshot is None and not has_display():
        screenshot = demo.screenshot
    command = [sys.executable, "-m", __name__, str(demo.folder), *([str(screenshot)] if screenshot else [])]
    done = subprocess.run(with_display(command), check=False)
    if done.returncode != 0:
        raise UserError(
            f"napari could not show the result (exit code {done.returncode}); run napari-unet3d doctor to find out "
            f"why. All files of the demo are in {demo.folder}."
        )
    return screenshot


def open_viewer(demo: Demo) -> Viewer:
    """Open the test volume with ground truth, prediction and difference in 3D; only the difference is visible."""
    import napari

    from napari_unet3d.data.dataset import Subset, list_pairs, read_pair
    from napari_unet3d.data.ground_truth import GroundTruth
    from napari_unet3d.data.reading import read_volume
    from napari_unet3d.evaluation.metrics.differences import difference_labels
    from napari_unet3d.widgets.viewer import layers

    viewer = napari.Viewer(title="napari-unet3d demo")
    viewer.window.resize(1300, 900)
    pair = list_pairs(demo.dataset, Subset.TEST)[0]
    sample = read_pair(pair)
    image = layers.show_image(viewer, f"test volume {sample.name}", sample.image, sample.geometry)
    truth = layers.show_labels(viewer, "truth", np.asarray(sample.labels), image)
    prediction = read_volume(demo.evaluation / "predictions" / f"{sample.name}_labels.tif").array
    difference = difference_labels(prediction, GroundTruth(np.asarray(sample.labels)))
    predicted = layers.show_labels(viewer, "prediction", prediction, image)
    layers.show_difference(viewer, "extra red, missed blue", difference, image)
    truth.visible = predicted.visible = False
    image.rendering, image.opacity = "attenuated_mip", 0.5
    viewer.layers.selection.active = image  # napari 0.9.2 reports an error for an active Labels layer in 3D
    viewer.dims.ndisplay = 3
    return viewer


def main(folder: str, screenshot: str | None = None) -> None:
    """Show the demo in `folder` until the viewer is closed, or save a screenshot and end."""
    import napari

    logging.getLogger("vispy").setLevel(logging.ERROR)  # it warns that virtual displays have no resolution
    viewer = open_viewer(Demo(Path(folder)))
    if screenshot is None:
        napari.run()
        return
    with atomic_write(Path(screenshot)) as temporary:
        viewer.screenshot(str(temporary), canvas_only=False, flash=False)
    viewer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
