"""A viewer that trains and is closed, as a separate process for `test_closing`.

    python closed_viewer.py HOW DATASET RUN

HOW is thread, child, paused or slow; in slow a step takes longer than anybody waits.
"""

from __future__ import annotations

import sys
from pathlib import Path

import napari
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.configs.preferences import RunOn
from napari_unet3d.training.events import EpochFinished


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def make_steps_slow() -> None:
    """Make each step after the first epoch compute for minutes, in torch as real ones do."""
    import torch

    from napari_unet3d.training.optim.learner import Learner

    real = Learner.step

    def step(self, *batch):
        if self.n_steps >= 3:
            say("slow step")
            kernel, volume = torch.nn.Conv3d(8, 64, 5), torch.randn(1, 8, 96, 96, 96)
            with torch.no_grad():
                for _ in range(10_000):
                    kernel(volume)
        return real(self, *batch)

    Learner.step = step


def main(how: str, dataset: Path, run: Path) -> None:
    viewer = napari.Viewer()
    if how == "slow":
        make_steps_slow()
    _, dock = viewer.window.add_plugin_dock_widget("napari-unet3d", "Train")
    dock.source.use_folder(dataset)
    dock.run_folder.value = run
    dock.settings.value = TrainingConfig(epochs=100_000, val_fraction=0.34)
    dock.run_on.value = RunOn.PROCESS if how == "child" else RunOn.VIEWER
    has_epoch = False

    def close():
        QTimer.singleShot(300, answer)
        viewer.window._qt_window.close()

    def answer():
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        say(f"asked: {box.text()}")
        next(button for button in box.buttons() if button.text() == "Stop and close").click()

    def on_event(event):
        nonlocal has_epoch
        if isinstance(event, EpochFinished) and not has_epoch:
            has_epoch = True
            if how == "paused":
                job.paused.connect(close)
                job.pause()
            else:
                QTimer.singleShot(1500 if how == "slow" else 0, close)

    def start():
        nonlocal job
        dock.job_bar.start_button.native.click()
        job = dock.jobs.running("train")
        job.reported.connect(on_event)

    job = None
    QTimer.singleShot(500, start)
    napari.run()
    say("closed")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
