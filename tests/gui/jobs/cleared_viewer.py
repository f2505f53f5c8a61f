"""A viewer whose layers all go again and again while it trains, as a separate process for `test_delivery`.

    python cleared_viewer.py DATASET RUN

It writes ``done`` at the end, or what went wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

import napari
from qtpy.QtCore import QTimer

from napari_unet3d.configs import TrainingConfig

N_LAYERS = 15  # that go before the training is stopped


def main(dataset: Path, run: Path) -> None:
    viewer = napari.Viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-unet3d", "Train")
    dock.source.use_folder(dataset)
    dock.run_folder.value = run
    dock.settings.value = TrainingConfig(epochs=100_000, steps_per_epoch=5, val_fraction=0.34)
    n_removed, clearing = 0, QTimer()

    def clear():
        nonlocal n_removed
        if not len(viewer.layers):
            return
        n_removed += len(viewer.layers)
        viewer.layers.clear()
        if len(dock.monitor.volume.choices) > 1:  # what was removed comes back with another choice only
            dock.monitor.volume.value = -1
            dock.monitor.volume.value = 0
        if n_removed >= N_LAYERS:
            clearing.stop()
            job.stop()

    def on_ended():
        sys.stdout.write(f"{job.message or 'done'}\n")
        QTimer.singleShot(0, viewer.close)

    def start():
        nonlocal job
        dock.job_bar.start_button.native.click()
        job = dock.jobs.running("train")
        job.ended.connect(on_ended)
        clearing.start(50)

    job = None
    clearing.timeout.connect(clear)
    QTimer.singleShot(500, start)
    napari.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
