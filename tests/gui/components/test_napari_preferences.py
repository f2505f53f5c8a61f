"""The plugin's page in napari's Preferences: docks start with it, follow it, and change it."""

from __future__ import annotations

import napari.settings
import pytest
import yaml
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QComboBox, QLineEdit, QListWidget, QMessageBox, QWidget

from napari_unet3d.configs import Device, Preset, Task, TrainingConfig
from napari_unet3d.configs.preferences import RunOn
from napari_unet3d.session.preferences import load_preference
from napari_unet3d.session.shared_preferences import load_evaluation_config

pytestmark = pytest.mark.skipif(
    not hasattr(napari.settings, "get_plugin_settings"), reason="this napari has no preferences of plugins"
)


class Dialog:
    """Napari's Preferences on the page of the plugin, used with keys and the mouse."""

    def __init__(self, window):
        (action,) = (each for each in window.file_menu.actions() if "Preferences" in each.text())
        action.trigger()
        self.native = window._pref_dialog
        pages = self.native.findChild(QListWidget)
        (row,) = (index for index in range(pages.count()) if pages.item(index).text() == "napari-unet3d")
        place = pages.visualItemRect(pages.item(row)).center()
        QTest.mouseClick(pages.viewport(), Qt.MouseButton.LeftButton, pos=place)
        page = self.native._stack.currentWidget().widget()
        forms = [each.widget for each in page.findChildren(QWidget) if type(each).__name__ == "FormWidget"]
        self.widgets = {name: widget for form in forms for name, widget in form.widgets.items()}

    def choose(self, name, text):
        box = self.widgets[name]
        assert isinstance(box, QComboBox)
        box.setFocus()
        QTest.keyClicks(box, text)
        assert box.currentText() == text

    def type(self, name, text):
        line = self.widgets[name]
        line = line if isinstance(line, QLineEdit) else line.findChild(QLineEdit)
        line.selectAll()
        QTest.keyClicks(line, text)
        QTest.keyClick(line, Qt.Key.Key_Return)

    def press(self, button):
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.fixture
def viewer(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 700)
    qtbot.waitExposed(viewer.window._qt_window)
    return viewer


@pytest.fixture
def open_preferences(viewer, qtbot):
    dialogs = []

    def _open():
        dialogs.append(Dialog(viewer.window))
        qtbot.waitExposed(dialogs[-1].native)
        return dialogs[-1]

    yield _open
    for dialog in dialogs:
        if viewer.window._pref_dialog is dialog.native:
            dialog.native.reject()


@pytest.fixture
def saved(memory_folder):
    """What napari has written of the plugin's page."""
    return lambda: yaml.safe_load((memory_folder.parent / "napari-unet3d.yaml").read_text())


def test_docks_that_are_open_follow_each_change_and_ok_keeps_it(open_dock, open_preferences, saved, qtbot, tmp_path):
    train, predict = open_dock("Train"), open_dock("Predict")
    dialog = open_preferences()
    assert len(dialog.widgets) == 7
    dialog.choose("device", "cpu")
    assert train.settings.device.value is Device.CPU
    assert predict.prediction_settings.device.value is predict.evaluation_settings.device.value is Device.CPU
    assert load_evaluation_config().device is Device.CPU, "of the dock Inspect"
    dialog.choose("task", "instance")
    dialog.choose("preset", "small")
    dialog.type("epochs", "77")
    assert train.settings.value.model_copy(update={"num_workers": 0}) == TrainingConfig(
        task="instance", preset="small", epochs=77, device="cpu", num_workers=0
    )
    dialog.type("runs_folder", str(tmp_path / "all runs"))
    assert train.run_folder.value.parent == tmp_path / "all runs"
    dialog.type("results_folder", str(tmp_path / "results"))
    assert predict.out.value == tmp_path / "results"
    dialog.press(dialog.native._button_ok)
    assert saved()["training"] == {"task": "instance", "preset": "small", "epochs": 77}
    assert saved()["general"]["device"] == "cpu"


def test_cancel_takes_the_changes_back(open_dock, open_preferences):
    train = open_dock("Train")
    train.settings.epochs.value = 12
    dialog = open_preferences()
    dialog.type("epochs", "500")
    dialog.choose("task", "semantic")
    assert train.settings.epochs.value == 500
    dialog.press(dialog.native._button_cancel)
    assert train.settings.epochs.value == 12
    assert train.settings.task.value is Task.BINARY


def test_a_dock_starts_with_what_was_set_before_any_was_open(open_dock, open_preferences, tmp_path):
    dialog = open_preferences()
    dialog.type("epochs", "9")
    dialog.choose("preset", "medium")
    dialog.type("results_folder", str(tmp_path / "results"))
    dialog.press(dialog.native._button_ok)
    train = open_dock("Train")
    assert (train.settings.epochs.value, train.settings.preset.value) == (9, Preset.MEDIUM)
    assert open_dock("Predict").out.value == tmp_path / "results"


def test_what_is_set_in_a_dock_is_shown_and_kept(open_dock, close_dock, open_preferences, saved):
    train = open_dock("Train")
    train.settings.preset.value = Preset.SMALL
    train.run_on.value = RunOn.PROCESS
    predict = open_dock("Predict")
    predict.settings.device.value = Device.CPU
    assert train.settings.device.value is Device.CPU
    dialog = open_preferences()
    shown = {name: dialog.widgets[name].state for name in ("preset", "device", "run_on")}
    assert shown == {"preset": "small", "device": "cpu", "run_on": "process"}
    assert saved() == {"general": {"device": "cpu"}, "training": {"preset": "small", "run_on": "process"}}
    close_dock(train)
    dialog.choose("preset", "large")  # nothing that is gone follows it
    assert open_dock("Train").settings.preset.value is Preset.LARGE


def test_restoring_the_defaults_of_napari_restores_those_of_the_docks(open_dock, open_preferences, monkeypatch):
    train = open_dock("Train")
    train.settings.value = TrainingConfig(epochs=5, preset="small", learning_rate=0.5)
    dialog = open_preferences()
    restore = QMessageBox.StandardButton.RestoreDefaults
    monkeypatch.setattr(QMessageBox, "question", lambda *_: restore)
    dialog.press(dialog.native._button_restore)
    assert (train.settings.epochs.value, train.settings.preset.value) == (30, Preset.XXSMALL)
    assert train.settings.learning_rate.value == 0.5, "which is no preference"


def test_without_preferences_in_napari_the_docks_share_and_keep_them(open_dock, close_dock, monkeypatch):
    monkeypatch.delattr(napari.settings, "get_plugin_settings")
    train = open_dock("Train")
    train.settings.device.value = Device.CPU
    assert open_dock("Predict").settings.device.value is Device.CPU
    assert load_preference("preferences")["device"] == "cpu"
    close_dock(train)
    assert open_dock("Train").settings.device.value is Device.CPU
