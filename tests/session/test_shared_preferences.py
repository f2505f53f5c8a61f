"""Preferences that all docks share: kept, checked, and followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_unet3d.configs import Device, Preset
from napari_unet3d.errors import UserError
from napari_unet3d.session import preferences
from napari_unet3d.session.preferences import save_preference
from napari_unet3d.session.recent_runs import new_run_folder
from napari_unet3d.session.shared_preferences import SharedPreferences, load_evaluation_config, shared_preferences


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(preferences, "preferences_folder", lambda: tmp_path / "settings")
    shared_preferences.cache_clear()
    return tmp_path / "settings"


def test_a_change_is_kept_and_announced_once() -> None:
    first, heard = SharedPreferences(), []
    first.changed.connect(lambda name, value: heard.append((name, value)))
    first.set(preset="small", epochs=30)
    first.set(preset=Preset.SMALL)
    assert heard == [("preset", Preset.SMALL)], "30 epochs are the default"
    assert SharedPreferences().value == first.value
    assert SharedPreferences().value.preset is Preset.SMALL


def test_an_impossible_value_changes_nothing(folder: Path) -> None:
    known = SharedPreferences()
    with pytest.raises(UserError, match="epochs"):
        known.set(device="cpu", epochs=0)
    assert known.value.device is Device.AUTO
    assert not (folder / "preferences.json").exists()


@pytest.mark.parametrize("saved", [{"device": "abacus"}, {"unknown": 1}, [], "cpu"])
def test_a_file_of_another_version_gives_the_defaults(saved: object) -> None:
    save_preference("preferences", saved)
    assert SharedPreferences().value.device is Device.AUTO


def test_new_runs_are_made_in_the_folder_of_the_preferences(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    assert new_run_folder(dataset).parent == tmp_path / "runs"
    shared_preferences().set(runs_folder=f" {tmp_path / 'all runs'} ")
    assert new_run_folder(dataset).parent == new_run_folder(None).parent == tmp_path / "all runs"
    shared_preferences().set(runs_folder="my runs")
    assert new_run_folder(dataset).parent == Path.home() / "my runs"
    shared_preferences().set(runs_folder="~/others")
    assert new_run_folder(dataset).parent == Path.home() / "others"
    shared_preferences().set(runs_folder="")
    assert new_run_folder(dataset).parent == tmp_path / "runs"


def test_test_volumes_are_predicted_on_the_device_of_the_preferences() -> None:
    save_preference("test", {"device": "cuda", "overlap": 0.25})
    shared_preferences().set(device="cpu")
    config = load_evaluation_config()
    assert (config.device, config.overlap) == (Device.CPU, 0.25)
