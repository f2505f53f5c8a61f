"""Measure how long the table of errors takes, and going from one error to the next, in volumes of several sizes.

    tools/with-display .venv/bin/python benchmarks/inspect_errors.py

The volumes are rounded blobs; the prediction is that of a network that is wrong at many surfaces and here and there
altogether. Both are a small volume side by side with itself, which needs less time to be made than a large one.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet3d.configs import Task
from napari_unet3d.data.annotation import Truth
from napari_unet3d.evaluation.differences import difference_labels
from napari_unet3d.evaluation.error_objects import find_error_objects

PIECE = 128
Mask = NDArray[np.uint8]


def main() -> None:
    """Measure and print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--tolerance", type=float, default=1.0, help="in µm; voxels are 1 µm wide")
    parser.add_argument("--no-viewer", action="store_true")
    arguments = parser.parse_args()
    truth, prediction = piece(np.random.default_rng(0))
    for side in arguments.sides:
        volumes = [np.tile(each, (side // PIECE,) * 3) for each in (truth, prediction)]
        table(side, *volumes, arguments.tolerance)
        if not arguments.no_viewer:
            walk(side, *volumes, arguments.tolerance)


def piece(rng: np.random.Generator) -> tuple[Mask, Mask]:
    """Make truth and prediction, each of shape (128, 128, 128) and seamless when tiled."""
    smooth, rough, fine = (
        ndimage.gaussian_filter(rng.normal(size=(PIECE,) * 3), sigma, mode="wrap") for sigma in (6, 3, 1.2)
    )
    truth = smooth > np.percentile(smooth, 80)
    wrong = smooth / smooth.std() + 0.25 * rough / rough.std() + 0.06 * fine / fine.std()
    return truth.astype(np.uint8), (wrong > np.percentile(wrong, 79)).astype(np.uint8)


def table(side: int, truth: Mask, prediction: Mask, tolerance_um: float) -> None:
    """Measure the difference and the table of errors, of foreground and of single objects."""
    began = time.perf_counter()
    difference = difference_labels(prediction, Truth(truth))
    seconds = time.perf_counter() - began
    part = np.count_nonzero(difference) / difference.size
    print(f"{side}³: difference {seconds:.2f} s, {part:.1%} of the voxels are wrong")
    ids = [ndimage.label(each)[0] for each in (truth, prediction)]
    for task, (true, found) in {Task.FOREGROUND: (truth, prediction), Task.OBJECTS: ids}.items():
        began = time.perf_counter()
        errors = find_error_objects(found, Truth(true), task, tolerance_um=tolerance_um)
        seconds = time.perf_counter() - began
        print(
            f"{side}³, {task.words}: table of {len(errors.objects)} errors ({errors.n_hidden} hidden, "
            f"{errors.n_left_out} left out) {seconds:.2f} s"
        )
    print(f"{side}³: most memory so far {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def walk(side: int, truth: Mask, prediction: Mask, tolerance_um: float) -> None:
    """Measure the time from a key for the next error until its slice is drawn, in a real viewer."""
    import napari
    from qtpy.QtWidgets import QApplication

    with (
        TemporaryDirectory() as folder,
        mock.patch("napari_unet3d.widgets.memory.memory_folder", return_value=Path(folder)),
    ):
        viewer = napari.Viewer()
        viewer.window._qt_window.resize(1366, 768)
        viewer.add_image(truth * np.uint8(100), name="v")
        viewer.add_labels(truth, name="v labels")
        viewer.add_labels(prediction, name="v prediction")
        _, dock = viewer.window.add_plugin_dock_widget("napari-unet3d", "Inspect")
        dock.tolerance_box.setValue(tolerance_um)
        dock.run_bar.start_button.click()
        while dock.inspection is None:
            QApplication.processEvents()
        times = []
        for _ in range(12):
            began = time.perf_counter()
            dock.go_on()
            QApplication.processEvents()
            times.append(1000 * (time.perf_counter() - began))
        print(f"{side}³: next error {statistics.median(times):.0f} ms (median), {max(times):.0f} ms (longest)")
        viewer.close()


if __name__ == "__main__":
    main()
