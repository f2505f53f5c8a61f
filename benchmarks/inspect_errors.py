"""Measure the time to compute the table of errors and to go to the next error, for volumes of several sizes.

    tools/with-display .venv/bin/python benchmarks/inspect_errors.py

Two volumes are measured. ``usual``: generated objects, 640 in 512³; the prediction is off by a voxel or two at their
surfaces, and some are missed, merged, split, or in the wrong place (Dice 0.9). ``hard``: 6 % of all voxels are wrong,
in regions that extend through the whole volume; it is a small volume repeated. Seconds are wall time and, in brackets,
processor time, which other work on the machine affects less.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from table import spread

from napari_unet3d.configs import SyntheticConfig, Task
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.synthetic.generate import generate_volume
from napari_unet3d.evaluation.errors.find import list_errors

PIECE = 128
N_JUMPS = 20
Labels = NDArray[Any]
T = TypeVar("T")


def main() -> None:
    """Measure and print the results per size and volume."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--volumes", nargs="+", default=["usual", "hard"], choices=["usual", "hard"])
    parser.add_argument("--tolerance", type=float, default=1.0, help="in µm; voxels are 1 µm wide")
    parser.add_argument("--no-viewer", action="store_true")
    arguments = parser.parse_args()
    for side in arguments.sides:
        for name in arguments.volumes:
            truth, prediction = usual(side) if name == "usual" else hard(side)
            find_errors(f"{side}³, {name}", truth, prediction, arguments.tolerance)
            if not arguments.no_viewer:
                masks = [(each > 0).astype(np.uint8) for each in (truth, prediction)]
                walk(f"{side}³, {name}", *masks, arguments.tolerance)


def usual(side: int) -> tuple[Labels, Labels]:
    """Generate objects, and a prediction with errors."""
    objects = round(640 * (side / 512) ** 3)
    *_, event = generate_volume(SyntheticConfig(shape=(side,) * 3, objects=objects, seed=1))
    truth = event.sample.labels
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(size=(PIECE,) * 3), 2.5, mode="wrap")
    noise /= noise.std()
    predicted = np.zeros_like(truth)
    for number, box in enumerate(ndimage.find_objects(truth), start=1):
        wide = tuple(slice(max(0, side.start - 5), side.stop + 5) for side in box)
        mask = truth[wide] == number
        depth = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
        at = tuple(slice(start, start + n) for start, n in zip(rng.integers(0, 64, 3), mask.shape, strict=True))
        predict(predicted, truth, wide, depth + noise[at] > 0, number, rng)
    return truth, predicted


def predict(
    predicted: Labels,
    truth: Labels,
    box: tuple[slice, ...],
    mask: NDArray[np.bool_],
    number: int,
    rng: np.random.Generator,
) -> None:
    """Draw the prediction of one object, or a typical error instead."""
    chance = rng.random()
    if chance < 0.04:  # extra
        first = (rng.random(3) * np.subtract(truth.shape, mask.shape)).astype(int)
        box = tuple(slice(start, start + n) for start, n in zip(first, mask.shape, strict=True))
        mask = mask & (truth[box] == 0)
    view = predicted[box]
    mask = mask & (view == 0)
    view[mask] = number
    neighbours = np.setdiff1d(truth[box], [0, number])
    if 0.92 < chance < 0.96 and len(neighbours):
        view[mask] = neighbours[0]
    elif chance > 0.96:
        mask[: len(mask) // 2] = False
        view[mask] = int(truth.max()) + number


def hard(side: int) -> tuple[Labels, Labels]:
    """Make rounded blobs, and a prediction that is wrong at many surfaces and in some regions."""
    rng = np.random.default_rng(0)
    smooth, rough, fine = (
        ndimage.gaussian_filter(rng.normal(size=(PIECE,) * 3), sigma, mode="wrap") for sigma in (6, 3, 1.2)
    )
    truth = smooth > np.percentile(smooth, 80)
    wrong = smooth / smooth.std() + 0.25 * rough / rough.std() + 0.06 * fine / fine.std()
    pieces = truth, wrong > np.percentile(wrong, 79)
    target, predicted = (ndimage.label(np.tile(each, (side // PIECE,) * 3))[0] for each in pieces)
    return target, predicted


def timed(work: Callable[[], T]) -> tuple[T, str]:
    """Call a function; return its result and how long it took."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, f"{time.perf_counter() - wall:.1f} s ({time.process_time() - processor:.1f} s)"


def find_errors(title: str, truth: Labels, prediction: Labels, tolerance: float) -> None:
    """Measure the computation of the errors for each task."""
    part = np.count_nonzero((truth > 0) != (prediction > 0)) / truth.size
    print(f"{title}: {part:.1%} of the voxels are wrong")
    for task in Task:
        target, predicted = (as_task(each, task) for each in (truth, prediction))
        errors, seconds = timed(partial(list_errors, predicted, GroundTruth(target), task, tolerance=tolerance))
        print(f"{title}, {task.label}: {counts(errors)} {seconds}", flush=True)
    print(f"{title}: peak memory so far {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def as_task(ids: Labels, task: Task) -> Labels:
    """Return the labels of a task for ids of objects."""
    match task:
        case Task.BINARY:
            return (ids > 0).astype(np.uint8)
        case Task.SEMANTIC:
            return np.where(ids > 0, 1 + ids % 3, 0).astype(np.uint8)
        case Task.INSTANCE:
            return ids


def counts(errors: Any) -> str:
    """Describe how many errors there are."""
    return f"{len(errors.objects)} errors, {errors.n_hidden} hidden, {errors.n_left_out} left out:"


def walk(title: str, truth: Labels, prediction: Labels, tolerance: float) -> None:
    """Measure the time from a click to the table, and from a key press until the next error is drawn."""
    import napari
    from qtpy.QtWidgets import QApplication

    with (
        TemporaryDirectory() as folder,
        mock.patch("napari_unet3d.session.preferences.preferences_folder", return_value=Path(folder)),
        mock.patch("napari_unet3d.session.recent_runs.plugin_data_folder", return_value=Path(folder)),
    ):
        viewer = napari.Viewer()
        viewer.window._qt_window.resize(1366, 768)
        viewer.add_image(truth * np.uint8(100), name="v", contrast_limits=(0, 100))
        viewer.add_labels(truth, name="v labels")
        viewer.add_labels(prediction, name="v prediction")
        _, dock = viewer.window.add_plugin_dock_widget("napari-unet3d", "Inspect")
        dock.tolerance.value = tolerance

        def inspect() -> None:
            dock.inspect()
            wait_until(lambda: dock.session.errors is not None)

        print(f"{title}: from the click to the table {timed(inspect)[1]}", flush=True)
        wait_until(lambda: dock.session.comparison.is_measured)
        QApplication.processEvents()
        times = [jump(dock) for _ in range(N_JUMPS)]
        print(f"{title}: next error {spread(times, 1e3, 'ms')}")
        viewer.close()


def jump(dock: Any) -> float:
    """Go to the next error, and return the seconds until it is drawn."""
    from qtpy.QtWidgets import QApplication

    began = time.perf_counter()
    dock.next_error()
    QApplication.processEvents()
    return time.perf_counter() - began


def wait_until(condition: Callable[[], bool]) -> None:
    """Process events until a condition holds, without taking processor time from the work in progress."""
    from qtpy.QtCore import QEventLoop, QTimer

    while not condition():
        loop = QEventLoop()
        QTimer.singleShot(50, loop.quit)
        loop.exec()


if __name__ == "__main__":
    main()
