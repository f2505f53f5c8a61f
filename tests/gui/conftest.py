from __future__ import annotations

from pathlib import Path

import pytest

from napari_unet3d.widgets import memory

PLUGIN = "napari-unet3d"


@pytest.fixture(autouse=True)
def memory_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the settings of the person who runs it."""
    folder = tmp_path_factory.mktemp("settings") / "napari-unet3d"
    monkeypatch.setattr(memory, "memory_folder", lambda: folder)
    return folder


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.fixture
def open_dock(viewer):
    """Open a dock from the Plugins menu, the way a user does, and give its widget."""

    def _open(name: str):
        actions = {action.text(): action for action in _all_actions(viewer.window.plugins_menu)}
        (actions.get(f"{name} ({PLUGIN})") or actions[name]).trigger()  # with other plugins, in a menu of its own
        return viewer.window.dock_widgets[f"{name} ({PLUGIN})"]

    return _open


@pytest.fixture
def close_dock(viewer, qtbot):
    """Close a dock for good, so that opening it again makes a new one."""

    def _close(widget) -> None:
        viewer.window.remove_dock_widget(widget)
        with qtbot.wait_signal(widget.destroyed):
            widget.deleteLater()

    return _close


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
