from __future__ import annotations

import gc
from contextlib import suppress
from functools import cache, wraps
from pathlib import Path

import napari.settings
import numpy as np
import pytest
from napari.settings import NapariSettings
from npe2 import PluginManifest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample, create_dataset
from napari_unet3d.data.sample import Sample
from napari_unet3d.session import preferences
from napari_unet3d.session.shared_preferences import shared_preferences
from napari_unet3d.training.events import EpochFinished
from napari_unet3d.widgets.train import dock as train_module
from napari_unet3d.widgets.viewer.canvas_context import guard_layer_removal

with suppress(ImportError):  # before napari 0.9
    from napari.settings import plugin_configuration_generator

PLUGIN = "napari-unet3d"
LEAST_TIMEOUT_MS = 120_000


@cache
def _plugin_models():
    """What napari makes of all manifests, which takes a tenth of a second."""
    return plugin_configuration_generator()


def _patient(wait):
    """Make a wait of pytest-qt, by default of five seconds, as long as a busy machine needs."""

    @wraps(wait)
    def wait_long(self, *args, timeout=5_000, **options):
        if options.get("raising") is not False:  # else it waits for what must not happen
            timeout = max(timeout, LEAST_TIMEOUT_MS)
        return wait(self, *args, timeout=timeout, **options)

    return wait_long


@pytest.fixture(scope="session", autouse=True)
def _patience():
    with pytest.MonkeyPatch.context() as patch:
        for name in ("waitSignal", "waitSignals", "waitUntil"):  # their other names follow
            patch.setattr(QtBot, name, _patient(getattr(QtBot, name)))
        yield


@pytest.fixture(scope="module", autouse=True)
def _quick_collections():
    """Napari collects garbage several times in each test; what was there before, such as torch, is left out of it."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _quick_viewers():
    """Each viewer looks for the manifests of all plugins, and writes its settings whenever one changes."""
    manifests = list(PluginManifest.discover())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PluginManifest, "discover", classmethod(lambda cls, paths=(): iter(manifests)))
        patch.setattr(NapariSettings, "_maybe_save", lambda self: None)
        yield


@pytest.fixture(autouse=True)
def memory_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the settings of the person who runs it."""
    folder = tmp_path_factory.mktemp("settings") / "napari-unet3d"
    monkeypatch.setattr(preferences, "preferences_folder", lambda: folder)
    monkeypatch.setattr("napari_unet3d.widgets.forms.paths._paths.of_session", {})
    shared_preferences.cache_clear()
    if hasattr(napari.settings, "get_plugin_settings"):  # since 0.9; they are read again, from that folder
        monkeypatch.setattr(napari.settings, "_CFG_PATH", str(folder.parent / "napari.yaml"))
        monkeypatch.setattr(napari.settings, "_PLUGIN_SETTINGS", {})
        monkeypatch.setattr(napari.settings, "plugin_configuration_generator", _plugin_models)
    return folder


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test writes into the data folder of the person who runs it."""
    folder = tmp_path / "data"
    monkeypatch.setattr("napari_unet3d.session.recent_runs.plugin_data_folder", lambda: folder)
    monkeypatch.setattr(train_module, "plugin_data_folder", lambda: folder)
    return folder


@pytest.fixture
def ball():
    """Make a small volume with a ball in it."""

    def _ball(name: str, middle: tuple[int, int, int] = (8, 9, 10)) -> Sample:
        distances = np.linalg.norm(np.indices((16, 18, 20)).T - middle, axis=-1).T
        labels = (distances < 5).astype(np.uint8)
        image = (labels * 100 + np.random.default_rng(list(name.encode())).integers(0, 40, labels.shape)).astype(
            np.uint8
        )
        return Sample(name, image, labels, (2.0, 1.0, 1.0))

    return _ball


@pytest.fixture
def dataset(tmp_path, ball):
    folder = create_dataset(tmp_path / "my dataset")
    for name in ("1", "2", "3"):
        add_sample(folder, ball(name), Subset.TRAIN)
    return folder


@pytest.fixture
def long_run(open_dock, dataset, qtbot):
    """A run of the Train dock that is going on, with an epoch behind it."""
    dock = open_dock("Train")
    dock.source.use_folder(dataset)
    dock.settings.value = TrainingConfig(epochs=100_000, val_fraction=0.34)
    dock.train()
    job = dock.jobs.running("train")
    with qtbot.waitSignal(job.reported, timeout=60_000, check_params_cb=lambda e: isinstance(e, EpochFinished)):
        pass
    yield job
    if job.is_running:
        with qtbot.waitSignal(job.ended, timeout=20_000):
            job.stop()


@pytest.fixture
def make_napari_viewer(make_napari_viewer):
    """As napari's, whose viewers can crash when a layer is removed before a dock is open."""

    def make(*args, **options):
        viewer = make_napari_viewer(*args, **options)
        guard_layer_removal(viewer)
        return viewer

    return make


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
        gone, native = [], getattr(widget, "native", widget)
        native.destroyed.connect(lambda: gone.append(True))  # pytest-qt cannot disconnect what is gone in PySide
        viewer.window.remove_dock_widget(native)
        qtbot.waitUntil(lambda: bool(gone))

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


@pytest.fixture
def wait_for_job(qtbot):
    """Run a click that starts a job of some kind and wait until it has ended; gives the job."""

    def _run(dock, kind: str, click, timeout: int = 20_000):
        earlier = dock.jobs.latest(kind)
        click()
        job = dock.jobs.latest(kind)
        assert job is not None, dock.message.text()
        assert job is not earlier, dock.message.text()
        if job.is_running:
            with qtbot.wait_signal(job.ended, timeout=timeout):
                pass
        assert job.message is None, job.message
        return job

    return _run


@pytest.fixture
def boxes(viewer):
    """A volume of 20 × 24 × 30 voxels: of two true boxes one is missed; the other is too wide; something is extra.

    Gives the layers of image, truth and prediction.
    """
    truth = np.zeros((20, 24, 30), np.uint8)
    truth[5:9, 6:12, 7:17] = 1
    truth[12:18, 12:20, 18:26] = 1
    found = truth.copy()
    found[5:9, 6:12, 7:17] = 0
    found[12:18, 12:20, 26:29] = 1
    found[1:3, 1:3, 1:3] = 1
    place = {"scale": (2.0, 1.0, 0.5), "units": ("um",) * 3}
    image = viewer.add_image(truth * 100.0, name="v", **place)
    return (
        image,
        viewer.add_labels(truth, name="v labels", **place),
        viewer.add_labels(found, name="v prediction", **place),
    )


@pytest.fixture
def click_row(qtbot):
    """Click into a row of a table with the mouse."""

    def _click(view, row: int, column: int = 1, *, twice: bool = False) -> None:
        index = view.model().index(row, column)
        view.scrollTo(index)
        place = view.visualRect(index).center()
        qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
        if twice:
            qtbot.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)

    return _click
