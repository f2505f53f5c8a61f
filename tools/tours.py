"""Walk through the viewer as a new user would, with mouse and keyboard, and take a screenshot at each step.

    tools/with-display .venv/bin/python tools/tours.py FOLDER --tour sample
    tools/with-display .venv/bin/python tools/tours.py FOLDER --tour nuclei --image image.tif --labels labels.tif
    tools/with-display .venv/bin/python tools/tours.py FOLDER --tour bone --image image.tif
    tools/with-display .venv/bin/python tools/tours.py FOLDER --tour channels --image volume.h5

What a user could not do ends a tour with a sentence. What the pictures look like is for a person to judge. Trainings
are as short as possible, so that the scores mean nothing. It needs an X11 display of at least 1366 × 768, and does
not touch the settings of the user.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRATCH = Path(tempfile.mkdtemp(prefix="tour-"))
os.environ |= {
    "XDG_CONFIG_HOME": str(SCRATCH / "config"),
    "XDG_DATA_HOME": str(SCRATCH / "data"),
    "XDG_CACHE_HOME": str(SCRATCH / "cache"),
    "NAPARI_CONFIG": str(SCRATCH / "napari.yaml"),
}

sys.path.append(str(Path(__file__).parents[1] / "tests/gui"))  # has `geometry`, which finds what is cut off

import napari  # noqa: E402 - after the folders are redirected
from qtpy.QtCore import QPoint, Qt  # noqa: E402
from tour_input import pump  # noqa: E402
from tour_user import User  # noqa: E402

from napari_unet3d.widgets.viewer.layer_metadata import is_live, is_prediction  # noqa: E402

EPOCHS, STEPS, PATCH = 2, 2, 16


def train(user: User, dock: Any, *, task: str = "") -> None:
    """Choose a short training in the form, press Train, and look at the first epoch and at all at the end."""
    if task:
        user.choose(dock.settings.task, task)
    user.type_into(dock.settings.epochs, str(EPOCHS))
    user.choose(dock.settings.patch.menu, "z y x")
    for box in dock.settings.patch.editor:
        user.type_into(box, str(PATCH))
    user.press("▸  Patches and data loading", dock)
    user.type_into(dock.settings.steps_per_epoch, str(STEPS))
    user.shoot("settings")
    user.press("Train", dock)
    pump(1)
    user.shoot("training-begins")
    user.wait_in_job(dock, lambda: dock.run is not None and dock.run.latest_epoch, "the first epoch")
    user.shoot("first-epoch")
    user.idle(dock)
    user.expect(dock.run.has_model, f"The training has ended without a model: {dock.message.text()}")
    if dock.run.started.val_names:
        look_at_epochs(user, dock)
    else:  # too little is annotated to set something aside
        user.shoot("trained-without-validation")


def look_at_epochs(user: User, dock: Any) -> None:
    """Look at what the last epoch predicts, and go back to an earlier one with the slider."""
    user.wait(lambda: any(map(is_live, user.viewer.layers)), "what the last epoch predicts in the viewer", 60)
    user.shoot("trained")
    user.click(dock.monitor.epoch_slider.slider, QPoint(4, dock.monitor.epoch_slider.slider.native.height() // 2))
    user.wait(lambda: dock.monitor.epoch_slider.epoch < EPOCHS, "an earlier epoch", 60)
    user.shoot("earlier-epoch")


def predict(user: User, dock: Any) -> None:
    """Press Predict, look at the result in slices and in 3D, and save pictures and scores."""
    user.shoot("predict-dock")
    user.press("Predict", dock)
    user.idle(dock)
    user.expect(any(map(is_prediction, user.viewer.layers)), "There is no layer with a prediction.")
    user.shoot("predicted")
    user.toggle_3d()
    user.shoot("predicted-3d")
    user.toggle_3d()
    user.press("▸  Save metrics and pictures", dock)
    if dock.results.export.results.metrics_button.enabled:  # which needs ground truth
        user.save("Save metrics…", dock, SCRATCH / "metrics.csv")
        user.save("Save figure…", dock, SCRATCH / "figure.png")
    user.save("Save screenshot…", dock, SCRATCH / "screenshot.png")
    user.shoot("saved")


def inspect(user: User, dock: Any) -> None:
    """Go through errors with the keys, correct two, and look at what is side by side."""
    user.wait(lambda: dock.session.errors is not None, "the errors")
    user.idle(dock)
    user.expect(len(dock.session.errors) > 1, "There are no errors to go through.")
    user.shoot("errors")
    user.click(user.canvas)
    user.key("j")
    user.expect(dock.session.selection is not None, "The key J has selected no error.")
    user.shoot("next-error")
    user.key("g")
    user.shoot("other-layer")
    user.press("Use ground truth", dock)
    user.shoot("corrected")
    user.click(user.canvas)
    user.key("j")
    paint_correction(user, dock)
    if len(dock.session.corrections.done) == 1:  # the brush has erased where nothing was
        user.press("Use prediction", dock)
    user.expect(len(dock.session.corrections.done) == 2, "There are not two corrections.")
    user.press("Side by side", dock)
    user.shoot("side-by-side")
    user.press("Side by side", dock)


def paint_correction(user: User, dock: Any, *, erases: bool = False) -> None:
    """Paint at the error or place in view, or erase there."""
    user.press("Paint", dock)
    if erases:
        user.key("1")
    user.drag([(0.45, 0.45), (0.55, 0.5), (0.5, 0.58)])
    user.shoot("painting")
    user.press("Done painting", dock)
    user.shoot("painted")


def fine_tune(user: User, dock: Any) -> None:
    """Fine-tune with the corrections, and come back to the comparison of both models."""
    compared: list[Any] = []
    dock.session.events.models_compared.connect(compared.append)
    user.press("Fine-tune", dock)
    pump(2)
    user.shoot("fine-tuning")
    user.wait(lambda: compared or not any(map(dock.jobs.running, ("correct", "train"))), "both models", 1800)
    for kind in ("correct", "train"):
        user.idle(dock, kind)
    user.expect(compared, f"Both models were not compared: {dock.fine_tuning.message.text()}")
    user.shoot("fine-tuned")


def measure(user: User, dock: Any) -> None:
    """Measure the objects, go to one, and save the table."""
    user.press("Measure", dock)
    user.idle(dock)
    user.expect(dock.session.table is not None and len(dock.session.table), "No objects were measured.")
    user.shoot("objects")
    user.click_row(dock.table.view, 0)
    user.expect(dock.session.selection, "A click into the table has selected no object.")
    user.shoot("object")
    user.save("Save table…", dock, SCRATCH / "objects.csv")
    user.shoot("table-saved")


def sample_tour(user: User, _options: argparse.Namespace) -> None:
    """Follow *Start here* from the sample to a correction."""
    start = user.open_dock("Start here")
    user.shoot("start")
    user.press("Open sample", start)
    user.press("Open Train", start)
    train(user, user.dock("Train"))
    user.show_tab("Start here")
    user.shoot("start-again")
    user.press("Open Predict", start)
    predict(user, user.dock("Predict"))
    user.show_tab("Start here")
    user.press("Inspect the prediction", start)
    inspect(user, user.dock("Inspect"))
    fine_tune(user, user.dock("Inspect"))
    measure(user, user.open_dock("Objects"))
    user.show_tab("Start here")
    user.shoot("start-at-the-end")


def nuclei_tour(user: User, options: argparse.Namespace) -> None:
    """Train on an image with an id per nucleus, and go all the way to the table of objects."""
    user.open_files(options.image, options.labels)
    user.shoot("opened")
    dock = user.open_dock("Train")
    train(user, dock, task="Single objects")
    user.press("Predict with it", dock)
    predict(user, user.dock("Predict"))
    user.press("Inspect these errors", user.dock("Predict"))
    inspect(user, user.dock("Inspect"))
    fine_tune(user, user.dock("Inspect"))
    measure(user, user.open_dock("Objects"))
    user.viewer.theme = "light"
    user.shoot("objects-light")


def bone_tour(user: User, options: argparse.Namespace) -> None:
    """Do everything in the wrong order first; then annotate, train, predict, and correct without ground truth."""
    user.open_files(options.image)
    for name, button in {"Inspect": "Inspect", "Objects": "Measure", "Predict": "Predict", "Train": "Train"}.items():
        user.press(button, user.open_dock(name))
        user.shoot(f"{name.lower()}-too-early")
    dock = user.open_dock("Annotate")
    user.press("Annotate", dock)
    user.shoot("annotate")
    paint(user, dock)
    user.press("Train on this", dock)
    train(user, user.dock("Train"))
    user.press("Predict with it", user.dock("Train"))
    user.choose(user.dock("Predict").truth_layer, "-----")  # what is annotated is not the whole ground truth
    predict(user, user.dock("Predict"))
    user.show_tab("Annotate")
    user.press("Suggest where to annotate", dock)
    user.idle(dock)
    user.shoot("suggested")
    correct_without_truth(user)
    measure(user, user.open_dock("Objects"))


def paint(user: User, dock: Any) -> None:
    """Paint background and object in two slices, and fill between them."""
    for slice_step, height in enumerate((0.3, 0.34)):
        user.press("Object", dock)
        user.drag([(0.3, height), (0.6, height), (0.65, height + 0.1)])
        user.press("Background", dock)
        user.drag([(0.3, height + 0.2), (0.6, height + 0.25)])
        user.shoot(f"painted-{slice_step + 1}")
        if not slice_step:
            for _ in range(4):
                user.key(Qt.Key.Key_Right)
    for _ in range(2):
        user.key(Qt.Key.Key_Left)
    user.press("Fill between slices", dock)
    pump(2)
    user.shoot("filled")


def correct_without_truth(user: User) -> None:
    """Paint into the prediction, where there is no ground truth."""
    user.show_tab("Predict")
    user.press("Correct this prediction", user.dock("Predict"))
    dock = user.dock("Inspect")
    user.shoot("correct")
    paint_correction(user, dock)
    if not dock.session.corrections.done:  # the brush has painted what was predicted there
        paint_correction(user, dock, erases=True)
    fine_tune(user, dock)


def channels_tour(user: User, options: argparse.Namespace) -> None:
    """Train on both channels of a volume, predict, inspect and measure."""
    user.open_files(options.image)
    user.shoot("opened")
    dock = user.open_dock("Train")
    train(user, dock, task="Single objects")
    user.press("Predict with it", dock)
    predict(user, user.dock("Predict"))
    user.press("Inspect these errors", user.dock("Predict"))
    inspect(user, user.dock("Inspect"))
    measure(user, user.open_dock("Objects"))


TOURS: dict[str, Callable[[User, argparse.Namespace], None]] = {
    "sample": sample_tour,
    "nuclei": nuclei_tour,
    "bone": bone_tour,
    "channels": channels_tour,
}


def main() -> int:
    """Walk one tour; return 1 when a user could not go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tour", choices=TOURS, default="sample")
    parser.add_argument("--image", type=Path, help="the volume of all tours but that of the sample")
    parser.add_argument("--labels", type=Path, help="its labels, for the tour of nuclei")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    options = parser.parse_args()
    viewer = napari.Viewer(show=False)
    viewer.theme = options.theme
    viewer.window.show()
    user = User(viewer, options.folder)
    with user.reporting() as problems:
        TOURS[options.tour](user, options)
    viewer.close()
    for remark, number in user.remarks.items():
        print(f"Picture {number}: {remark}")  # noqa: T201
    for problem in problems:
        print(problem)  # noqa: T201
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
