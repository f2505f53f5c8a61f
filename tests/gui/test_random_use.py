"""A short run of `tools/stress_viewer`, which uses the viewer at random, and what its checks find."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.widgets.jobs.jobs import jobs_of

TOOL = Path(__file__).parents[2] / "tools" / "stress_viewer"


@pytest.fixture
def leftovers():
    spec = importlib.util.spec_from_file_location("stress_viewer_checks", TOOL / "checks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.leftovers


def test_random_use_ends_without_crash_exception_or_leftover():
    """One sequence that trains while layers come and go; hundreds more are for the tool itself."""
    options = ("--count", "1", "--seed", "13", "--actions", "12")
    done = subprocess.run([sys.executable, str(TOOL), *options], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "1 ok" in done.stdout


def test_what_is_left_is_found(leftovers, viewer, open_dock, close_dock, tmp_path, monkeypatch, qtbot):
    temporary, folder = tmp_path / "tmp", tmp_path / "folder"
    temporary.mkdir()
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    resource_tracker.ensure_running()  # a process of Python's own, which stays

    def found():
        return {left.partition(":")[0] for left in leftovers(viewer, folder)}

    assert found() == set()
    gate = threading.Event()

    def wait():
        yield 1
        gate.wait(120)

    viewer.add_image(np.zeros((4, 5, 6), np.uint8))
    dock = open_dock("Predict")
    job = jobs_of(viewer).start("test", "A test", wait)
    (temporary / "left").touch()
    (folder / ".volume-1a2b.tif").touch()
    with qtbot.waitSignal(job.reported):
        pass
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE):
        assert "child processes" in found()
    assert {"layers", "threads", "jobs", "docks in memory", "callbacks", "keys"} <= found()
    assert {"temporary files", "unfinished files"} <= found()
    with qtbot.waitSignal(job.ended):
        gate.set()
    viewer.layers.clear()
    close_dock(dock)
    del dock
    for path in (temporary / "left", folder / ".volume-1a2b.tif"):
        path.unlink()
    qtbot.waitUntil(lambda: found() == set(), timeout=20_000)
