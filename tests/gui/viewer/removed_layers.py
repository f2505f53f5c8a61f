"""A viewer in 3D whose first layer goes, as a separate process for `test_canvas_context`; it writes ``drawn``."""

from __future__ import annotations

import faulthandler
import sys

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, QTimer


def wait(milliseconds: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def main() -> None:
    faulthandler.enable()
    viewer = napari.Viewer()
    if "without" not in sys.argv:
        viewer.window.add_plugin_dock_widget("napari-unet3d", "Predict")
    viewer.window._qt_window.resize(1000, 600)
    wait(100)
    viewer.dims.ndisplay = 3
    labels = np.zeros((12, 14, 18), np.uint8)
    labels[2:6, 3:9, 4:11] = 1
    image = viewer.add_image(labels * 100, name="v", scale=(2, 1, 1))
    painted = viewer.add_labels(labels, name="painted", scale=(2, 1, 1))
    wait(100)
    viewer.layers.remove(image)
    wait(100)
    painted.scale = (0.5, 3, 1)
    wait(200)
    sys.stdout.write("drawn\n")
    sys.stdout.flush()
    viewer.close()


if __name__ == "__main__":
    main()
