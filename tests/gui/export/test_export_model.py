"""A model is written for another program, by clicks in the Predict dock."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_unet3d.configs import ExportFormat, TrainingConfig
from napari_unet3d.model.checkpoint import Checkpoint, save_checkpoint
from napari_unet3d.model.network import build_network


@pytest.fixture
def model(tmp_path):
    config = TrainingConfig(preset="xxsmall")
    save_checkpoint(tmp_path / "run" / "model.safetensors", Checkpoint(config, build_network(config).state_dict(), 1))
    return tmp_path / "run"


@pytest.fixture
def window(open_dock, model, qtbot):
    """The window that the button opens, and its dock."""
    dock = open_dock("Predict")
    assert not dock.export_model.native.isVisibleTo(dock.native)
    dock.model.value = model
    qtbot.mouseClick(dock.export_model.job_bar.start_button.native, Qt.MouseButton.LeftButton)
    return dock.export_model.window, dock


def click(qtbot, window):
    qtbot.mouseClick(window.export_button.native, Qt.MouseButton.LeftButton)


def test_a_model_is_exported_by_clicks(window, model, qtbot):
    window, dock = window
    window.format.value = ExportFormat.TORCH_EXPORT
    window.about.license.value = "CC-BY-4.0"
    dock.label_settings.threshold.value = 0.3
    folder = window.folder.value
    assert folder == model.parent / "run torch-export"  # suggested

    click(qtbot, window)
    job = dock.jobs.latest("export")
    assert dock.export_model.job_bar.stop_button.native.isVisibleTo(dock.native)
    with qtbot.waitSignal(job.ended, timeout=120_000):
        pass

    assert job.message is None
    assert str(folder) in dock.message.text()
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "- Licence: CC-BY-4.0\n" in page
    assert "labels = (output[0] >= 0.3)" in page


def test_what_cannot_be_written_is_said_and_the_window_stays(window, model, qtbot):
    window, dock = window
    window.folder.value = None

    click(qtbot, window)

    assert dock.message.text() == "No path is chosen; choose a folder for the exported model first."
    assert window.isVisible()
    window.folder.value = model  # has other files
    window.format.value = ExportFormat.BIOIMAGEIO
    window.folder.value = model  # a new one was suggested
    click(qtbot, window)
    assert "bioimage.io needs license and authors" in dock.message.text()
    assert window.isVisible()
    window.format.value = ExportFormat.TORCH_EXPORT
    window.folder.value = model
    click(qtbot, window)
    job = dock.jobs.latest("export")
    if job.is_running:
        with qtbot.waitSignal(job.ended, timeout=60_000):
            pass
    assert "contains other files" in dock.message.text()
