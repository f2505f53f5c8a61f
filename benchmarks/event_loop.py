"""How late the viewer responds during a training, in the viewer and in a separate process.

    tools/with-display .venv/bin/python benchmarks/event_loop.py [--seconds 12] [--side 96] [--only idle-thread …]

A timer of 10 ms runs in the event loop of a real viewer with a 3D volume; the delay of each tick is how long a person
would wait for a response. The 3D view is still, or rotates slowly. The training uses all cores but one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

VIEWS = ("idle", "orbiting")
TRAININGS = ("none", "thread", "child")
_TICK_MS, _ROTATE_MS = 10, 200


def main() -> None:
    """Read the options, and measure each case in a separate process."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=12, help="how long to measure each case")
    options.add_argument("--side", type=int, default=96, help="side of the volume in the viewer, in voxels")
    options.add_argument("--only", nargs="*", metavar="CASE", help="such as idle-thread")
    options.add_argument("--measure", help=argparse.SUPPRESS)
    options.add_argument("--threads", type=int, default=max(1, (os.cpu_count() or 2) - 1), help="of the training")
    given = options.parse_args()
    if given.measure:
        view, training = given.measure.split("-")
        print(json.dumps(measure(view, training, given.seconds, given.side)))
        return
    cases = [f"{view}-{training}" for view in VIEWS for training in TRAININGS]
    print(f"{os.cpu_count()} cores, {given.threads} for the training, load {os.getloadavg()[0]:.1f} before")
    print(
        f"{'3D view':<10}{'training':<10}{'p50':>8}{'p99':>8}{'max ms':>9}{'ticks':>8}{'steps/s':>9}{'start max':>11}"
    )
    for case in given.only or cases:
        show(case, given)


def show(case: str, given: argparse.Namespace) -> None:
    """Measure one case and print its row."""
    words = [sys.executable, __file__, "--measure", case, "--seconds", str(given.seconds), "--side", str(given.side)]
    # One thread more than for the training, since a run in a viewer leaves one free.
    env = os.environ | {"OMP_NUM_THREADS": str(given.threads + 1)}
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env=env)
    row = json.loads(done.stdout.splitlines()[-1])
    view, training = case.split("-")
    late = "".join(f"{row[name]:>{width}.1f}" for name, width in (("p50", 8), ("p99", 8), ("max", 9)))
    print(f"{view:<10}{training:<10}{late}{row['ticks']:>8}{row['steps']:>9.2f}{row['start_max']:>11.1f}", flush=True)


def measure(view: str, training: str, seconds: float, side: int) -> dict[str, float]:
    """Open a viewer, train, and record the delay of the ticks from the second epoch on, and its maximum before.

    Parameters
    ----------
    view : str
        One of `VIEWS`.
    training : str
        One of `TRAININGS`.
    seconds : float
        How long to measure.
    side : int
        Side of the volume in the viewer, in voxels.
    """
    import napari
    from qtpy.QtCore import QTimer

    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder  # not those of the user
        viewer = napari.Viewer(ndisplay=3)
        viewer.window.resize(1000, 700)
        image = np.random.default_rng(0).integers(0, 255, (side,) * 3, dtype=np.uint8)
        viewer.add_image(image, rendering="mip")
        _, dock = viewer.window.add_plugin_dock_widget("napari-unet3d", "Train")
        set_up_training(dock, Path(folder), separate_process=training == "child")
        recorder = DelayRecorder(viewer, seconds, rotate=view == "orbiting")

        def begin() -> None:
            recorder.start()
            if training == "none":
                recorder.measure()
            else:
                dock.train()
                dock.jobs.running("train").reported.connect(recorder.on_event)

        QTimer.singleShot(3000, begin)
        napari.run()
    return recorder.summary()


class DelayRecorder:
    """Records the delay of ticks, rotates the view, and closes the viewer at the end.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    seconds : float
        How long to measure.
    rotate : bool
        Whether the view rotates meanwhile.
    """

    def __init__(self, viewer: Any, seconds: float, *, rotate: bool) -> None:
        from qtpy.QtCore import Qt, QTimer

        self._viewer, self._seconds, self._rotates = viewer, seconds, rotate
        self._delays: list[float] = []
        self._delays_at_start: list[float] = []
        self._steps: list[float] = []
        self._expected = 0.0
        self._since: float | None = None
        self._timer, self._orbit = QTimer(), QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._orbit.timeout.connect(self._rotate)

    def start(self) -> None:
        """Start the timer."""
        self._expected = time.perf_counter() + _TICK_MS / 1000
        self._timer.start(_TICK_MS)

    def measure(self) -> None:
        """Record from now on."""
        self._since = time.perf_counter()
        if self._rotates:
            self._orbit.start(_ROTATE_MS)

    def on_event(self, event: object) -> None:
        """Record from the end of the first epoch on."""
        match type(event).__name__:
            case "EpochFinished" if self._since is None:
                self.measure()
            case "StepFinished" if self._since is not None:
                self._steps.append(time.perf_counter())

    def summary(self) -> dict[str, float]:
        """Return delays in ms, and steps per second."""
        p50, p99 = np.percentile(self._delays, (50, 99))
        n_steps = len(self._steps) / self._seconds
        summary = {"p50": p50, "p99": p99, "max": max(self._delays), "ticks": len(self._delays), "steps": n_steps}
        return summary | {"start_max": max(self._delays_at_start, default=0.0)}

    def _tick(self) -> None:
        now = time.perf_counter()
        delays = self._delays_at_start if self._since is None else self._delays
        delays.append(1000 * max(0.0, now - self._expected))
        self._expected = now + _TICK_MS / 1000
        if self._since is not None and now - self._since > self._seconds:
            self._timer.stop()
            self._viewer.close()

    def _rotate(self) -> None:
        camera = self._viewer.scene.camera if hasattr(self._viewer, "scene") else self._viewer.camera
        first, second, third = camera.angles
        camera.angles = (first, second + 1, third)


def write_dataset(folder: Path) -> Path:
    """Write three small volumes to train on."""
    from napari_unet3d.data.dataset import Subset, add_sample
    from napari_unet3d.data.sample import Sample

    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        labels = (rng.random((72, 80, 88)) > 0.99).astype(np.uint8)
        image = (100 * labels + rng.integers(0, 90, labels.shape)).astype(np.uint8)
        add_sample(folder, Sample(name, image, labels), Subset.TRAIN)
    return folder


def set_up_training(dock: Any, folder: Path, *, separate_process: bool) -> None:
    """Choose a network of two levels on patches of 64³ in the Train dock."""
    from napari_unet3d.configs import TrainingConfig
    from napari_unet3d.configs.preferences import RunOn

    dock.source.use_folder(write_dataset(folder / "dataset"))
    dock.run_folder.value = folder / "run"
    dock.settings.value = TrainingConfig(
        preset="xsmall", patch=(64, 64, 64), batch_size=1, epochs=100_000, steps_per_epoch=4, validate_every=4
    )
    dock.run_on.value = RunOn.PROCESS if separate_process else RunOn.VIEWER


if __name__ == "__main__":
    main()
