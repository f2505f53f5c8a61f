from __future__ import annotations

from pathlib import Path

import pytest

from napari_unet3d.widgets import memory

PLUGIN = "napari-unet3d"


@pytest.fixture(autouse=True)
def memory_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the settings of the person who runs it."""
    folder = tmp_path / "memory"
    monkeypatch.setattr(memory, "memory_folder", lambda: folder)
    return folder


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.fixture
def open_dock(viewer, qtbot):
    """Open a dock from the Plugins menu, the way a user does, and give its widget."""

    def _open(name: str):
        # A menu with one plugin entry is flat, with several docks the entries stand in a submenu.
        actions = {action.text(): action for action in _all_actions(viewer.window.plugins_menu)}
        actions[name if name in actions else f"{name} ({PLUGIN})"].trigger()
        dock = viewer.window.dock_widgets[f"{name} ({PLUGIN})"]
        qtbot.wait_until(lambda: dock is not None)
        return getattr(dock, "native", dock)

    return _open


def _all_actions(menu):
    for action in menu.actions():
        if action.menu() is not None:
            yield from _all_actions(action.menu())
        else:
            yield action


@pytest.fixture
def wait_for_end(qtbot):
    """Run a click that starts a job of a dock and wait until the job has ended; gives the job."""

    def _run(dock, click, timeout: int = 20_000):
        click()
        job = dock.jobs.latest(dock.kind)
        assert job is not None, dock.message.text()
        if job.is_running:
            with qtbot.wait_signal(job.ended, timeout=timeout):
                pass
        return job

    return _run
