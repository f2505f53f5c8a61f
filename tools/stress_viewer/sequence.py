"""One sequence of random actions in a viewer, and the way back to a viewer without anything of ours."""

from __future__ import annotations

import gc
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from actions import BEGINNINGS, DOCKS_AT_FIRST, User, boxes, grey
from checks import Problems, leftovers
from qtpy.QtCore import QEvent, QEventLoop, QTimer
from qtpy.QtWidgets import QAbstractButton, QApplication, QFileDialog, QMessageBox

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample, create_dataset
from napari_unet3d.data.sample import Sample
from napari_unet3d.session.preferences import save_preference
from napari_unet3d.session.recent_runs import remember_run
from napari_unet3d.widgets.jobs import jobs as jobs_module
from napari_unet3d.widgets.jobs.jobs import jobs_of
from napari_unet3d.widgets.viewer.canvas_context import guard_layer_removal

SHAPE = (12, 14, 18)
# Small, and without an end: only the user stops it.
CONFIG = TrainingConfig(epochs=100_000, steps_per_epoch=2, val_fraction=0.34, patch=(8, 8, 8), device="cpu")
_PAUSES_MS = (0, 0, 0, 5, 20, 60, 150)
_SECONDS_TO_END = 60.0
_SIZE = (900, 600)  # what is drawn without a graphics card is drawn sooner
_SECONDS_TO_SETTLE = 60.0  # a busy machine may need so long


def make_template(folder: Path) -> None:
    """Write a dataset of four volumes and a run that was trained on it."""
    from napari_unet3d.training.loop import train

    dataset = create_dataset(folder / "dataset")
    for number, subset in enumerate((Subset.TRAIN, Subset.TRAIN, Subset.TRAIN, Subset.TEST)):
        labels = boxes(SHAPE, number)
        add_sample(dataset, Sample(str(number), grey(labels, number), labels, (2.0, 1.0, 1.0)), subset)
    list(train(dataset, folder / "run", CONFIG.model_copy(update={"epochs": 1})))


def prepare(template: Path, folder: Path) -> None:
    """Copy the template to the folder of a sequence, where its settings and data are, too."""
    shutil.copytree(template, folder)
    os.environ["XDG_CONFIG_HOME"], os.environ["XDG_DATA_HOME"] = str(folder / "config"), str(folder / "data")
    save_preference("training", CONFIG.model_dump(mode="json"))
    save_preference("dataset", str(folder / "dataset"))
    remember_run(folder / "run")


class Sequence:
    """Acts in a viewer at random moments, whatever runs in it.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    seed : int
        Decides what is done.
    folder : Path
        As `prepare` made it.
    log : callable
        Takes what is about to be done.
    """

    def __init__(self, viewer: Any, seed: int, folder: Path, log: Callable[[str], None]) -> None:
        self.rng = random.Random(seed)
        self.scenario = self.rng.choice(list(BEGINNINGS))
        self.user, self._log = User(viewer, self.rng, folder), log
        self._left = 0
        self._loop = QEventLoop()
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._next)

    def run(self, n_actions: int) -> None:
        """Do as many actions, with pauses of up to 150 ms in which everything else goes on."""
        for dock in DOCKS_AT_FIRST[self.scenario]:
            self.user.open_dock(dock)
            pump(100)
        for begin in BEGINNINGS[self.scenario]:
            self._log(f"{begin.__name__} {begin(self.user)}")
        if self.scenario == "training":  # the first step takes a second, and there is nothing to see before
            job = jobs_of(self.user.viewer).running("train")
            wait_until(lambda: job is None or not job.is_running or len(self.user.viewer.layers) > 2, 8)
        self._left = n_actions
        self._timer.start(0)
        self._loop.exec()

    def _next(self) -> None:
        """Do the next action; what it opens, a dialog for example, is answered by the one after it."""
        if answer_dialog(self.rng):
            self._timer.start(20)
        elif self._left == 0:
            self._loop.quit()
        else:
            self._left -= 1
            self._timer.start(self.rng.choice(_PAUSES_MS))
            self._log(self.user.act(self.scenario))


def answer_dialog(rng: random.Random) -> bool:
    """Answer the dialog or close the menu that is open, if there is one."""
    if (popup := QApplication.activePopupWidget()) is not None:
        popup.close()
        return True
    dialog = QApplication.activeModalWidget()
    if dialog is None:
        return False
    buttons = [each for each in dialog.findChildren(QAbstractButton) if each.isVisible() and each.isEnabled()]
    if isinstance(dialog, QMessageBox) and buttons:
        rng.choice(buttons).click()
    elif isinstance(dialog, QFileDialog) or not buttons:
        dialog.close()
    else:
        rng.choice(buttons).click()
    return True


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Handle events until a condition holds; return whether it does."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        pump(20)
    return True


def pump(milliseconds: int) -> None:
    """Handle events for a while, and delete what is to be deleted."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def clear(viewer: Any, rng: random.Random) -> list[str]:
    """Stop all jobs, close all docks and remove all layers; return what cannot be ended."""
    while answer_dialog(rng):
        pump(20)
    window = viewer.window
    jobs_of(viewer).stop_all()
    for dock in list(window._wrapped_dock_widgets.values()):
        dock.title.close_button.click()
    viewer.layers.clear()
    ended = wait_until(lambda: not jobs_module._running, _SECONDS_TO_END)
    pump(50)
    viewer.theme, viewer.dims.ndisplay, viewer.canvas.grid.enabled = "dark", 2, False
    window._qt_window.resize(*_SIZE)
    return [] if ended else [f"still running: {[job.title for job in jobs_module._running]}"]


def close_at_once(viewer: Any) -> list[str]:
    """Close the viewer whatever runs, and return what does not end then."""
    viewer.close()
    del viewer
    gc.collect()
    ended = wait_until(lambda: not jobs_module._running, _SECONDS_TO_END)
    return [] if ended else [f"still running in a closed viewer: {[job.title for job in jobs_module._running]}"]


def new_viewer() -> Any:
    """Open a viewer."""
    viewer = napari.Viewer()
    guard_layer_removal(viewer)  # as the first dock does; without the plugin, napari 0.7 and later may crash
    viewer.window._qt_window.resize(*_SIZE)
    viewer.add_image(np.zeros((2, 2, 2), np.uint8))
    pump(100)
    viewer.layers.clear()
    return viewer


def check(viewer: Any, folder: Path) -> list[str]:
    """Return what is left, after some time to settle."""
    wait_until(lambda: not list(leftovers(viewer, folder)), _SECONDS_TO_SETTLE)
    return list(leftovers(viewer, folder))


def run_sequence(viewer: Any, seed: int, n_actions: int, template: Path, log: Callable[[str], None]) -> Any:
    """Run one sequence and clear the viewer; return the viewer, which may be a new one, and what was left."""
    folder = template.parent / f"sequence-{seed}"
    prepare(template, folder)
    rng = act(viewer, seed, n_actions, folder, log)
    left: list[str] = []
    if rng.random() < 0.1:
        log("close the viewer")
        left += close_at_once(viewer)
        viewer = new_viewer()
    else:
        log("clear")
        left += clear(viewer, rng)
    log("check")
    left += check(viewer, folder)
    shutil.rmtree(folder)
    return viewer, left


def act(viewer: Any, seed: int, n_actions: int, folder: Path, log: Callable[[str], None]) -> random.Random:
    """Run a sequence, of which nothing stays, and return its generator of random numbers.

    What it has still to do refers to a dock, and a library that looks at the variables of its callers keeps a variable
    for as long as the function runs.
    """
    sequence = Sequence(viewer, seed, folder, log)
    log(f"scenario {sequence.scenario}")
    sequence.run(n_actions)
    return sequence.rng


__all__ = ["Problems", "make_template", "new_viewer", "run_sequence"]
