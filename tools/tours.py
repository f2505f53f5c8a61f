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
from qtpy.QtCore import Qt  # noqa: E402
from tour_input import TourError, pump  # noqa: E402
from tour_user import User  # noqa: E402

EPOCHS, STEPS = 2, 2


def train(user: User, dock: Any, *, task: str = "") -> None:
    """Choose a short training in the form, press Train, and look at the first epoch and at the end."""
    if task:
        user.choose(dock.settings.task, task)
    user.type_into(dock.settings.epochs, str(EPOCHS))
    user.choose(dock.settings.patch.menu, "z y x")
    for box in dock.settings.patch.editor:
        user.type_into(box, "32")
    user.press("▸  Patches and data loading", dock)
    user.type_into(dock.settings.steps_per_epoch, str(STEPS))
    user.shoot("settings")
    user.press("Train", dock)
    pump(1)
    user.shoot("training-begins")
    user.wait(lambda: dock.run is not None and dock.run.latest_epoch, "the first epoch")
    user.shoot("first-epoch")
    user.idle(dock)
    user.shoot("trained")


def predict(user: User, dock: Any) -> None:
    """Press Predict, and look at the result in slices and in 3D."""
    user.shoot("predict-dock")
    user.press("Predict", dock)
    user.idle(dock)
    user.shoot("predicted")
    user.toggle_3d()
    user.shoot("predicted-3d")
    user.toggle_3d()


def inspect(user: User, dock: Any) -> None:
    """Go through errors with the keys, correct one, and look at what is side by side."""
    user.wait(lambda: dock.session.errors is not None, "the errors")
    user.idle(dock)
    user.shoot("errors")
    user.click(user.canvas)
    user.key("j")
    user.shoot("next-error")
    user.key("g")
    user.shoot("other-layer")
    user.press("Use ground truth", dock)
    user.shoot("corrected")
    user.press("Side by side", dock)
    user.shoot("side-by-side")
    user.press("Side by side", dock)


def fine_tune(user: User, dock: Any) -> None:
    """Fine-tune with the correction, and come back to the comparison of both models."""
    user.press("Fine-tune", dock)
    pump(2)
    user.shoot("fine-tuning")
    user.idle(dock, "correct")
    user.idle(dock, "train")
    user.idle(dock, "correct")
    user.shoot("fine-tuned")


def measure(user: User, dock: Any) -> None:
    """Measure the objects, go to one, colour them by a column, and save the table."""
    user.press("Measure", dock)
    user.idle(dock)
    user.shoot("objects")
    user.click_row(dock.table.view, 0)
    user.shoot("object")
    with user.answering(lambda dialog: user.choose_file(SCRATCH / "objects.csv", dialog), "save-table"):
        user.press("Save table…", dock)
    user.shoot("table-saved")
    if not (SCRATCH / "objects.csv").exists():
        raise TourError("The table of objects was not saved.")


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
    user.press("Paint", dock)
    user.drag([(0.45, 0.45), (0.55, 0.55)])
    user.press("Done painting", dock)
    user.shoot("corrected")
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
