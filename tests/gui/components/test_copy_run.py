from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest
import torch
from qtpy.QtWidgets import QApplication
from safetensors.numpy import load_file

from napari_unet3d.configs import EvaluationConfig, PredictionConfig, SyntheticConfig, TrainingConfig
from napari_unet3d.data.dataset import list_pairs
from napari_unet3d.data.reading import read_volume
from napari_unet3d.widgets.components.copy_run import CopyMenu
from napari_unet3d.widgets.predict.request import Target


def copied(where, action="command_action"):
    """Click through the menu of a Copy button, or the menu itself, and give what a person would paste."""
    QApplication.clipboard().setText("what was there before")
    menu = where if isinstance(where, CopyMenu) else where.native.menu()
    assert getattr(where, action) in menu.actions()
    getattr(where, action).trigger()
    return QApplication.clipboard().text()


def run_in_shell(line, n_threads):
    """Run a pasted command with the program of this installation."""
    word = "napari-unet3d "
    assert line.startswith(word)
    program = shlex.join([sys.executable, "-m", "napari_unet3d"])
    environment = {**os.environ, "OMP_NUM_THREADS": str(n_threads)}
    done = subprocess.run(
        ["sh", "-c", f"{program} {line.removeprefix(word)}"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def train_dock(open_dock, dataset):
    dock = open_dock("Train")
    dock.source.use_folder(dataset)
    dock.run_folder.value = dataset.parent / "it's a run"
    dock.settings.value = TrainingConfig(
        epochs=2, val_fraction=0.34, seed=3, patch=(8, 8, 12), steps_per_epoch=3, augmentation="moderate", device="cpu"
    )
    return dock


@pytest.mark.skipif(sys.platform == "win32", reason="quoted for POSIX shells")
def test_the_copied_command_trains_the_same_model_bit_by_bit(train_dock, wait_for_end):
    line = copied(train_dock.pre_run.copy_menu)
    assert "bash" in train_dock.message.text()
    wait_for_end(train_dock, train_dock.job_bar.start_button.native.click, 60_000)
    mine = train_dock.run.run_folder
    theirs = mine.with_name("of the command")
    assert shlex.quote(str(mine)) in line
    # The viewer keeps a core for itself, and sums depend on the number of threads.
    run_in_shell(line.replace(shlex.quote(str(mine)), shlex.quote(str(theirs))), max(1, torch.get_num_threads() - 1))
    of_dock, of_command = (load_file(folder / "model.safetensors") for folder in (mine, theirs))
    assert of_dock.keys() == of_command.keys()
    assert all(of_dock[name].tobytes() == of_command[name].tobytes() for name in of_dock)


def test_the_copied_python_code_trains(train_dock, tmp_path):
    code = copied(train_dock.pre_run.copy_menu, "python_action")
    assert "runs as it stands" in train_dock.message.text()
    program = tmp_path / "copied.py"
    program.write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "TrainingFinished" in done.stdout
    assert (train_dock.run_folder.value / "model.safetensors").exists()


def test_the_network_of_a_model_to_start_from_is_left_to_it(train_dock, wait_for_end):
    wait_for_end(train_dock, train_dock.job_bar.start_button.native.click, 60_000)
    first = train_dock.run.run_folder
    train_dock.settings.value = TrainingConfig(preset="small", learning_rate=0.003)
    train_dock.start_from.value = first
    words = shlex.split(copied(train_dock.pre_run.copy_menu))
    assert words[words.index("--start-from") + 1] == str(first)
    assert words[words.index("--learning-rate") + 1] == "0.003"
    assert "--preset" not in words


def test_a_run_on_layers_says_why_it_cannot_be_copied(train_dock, viewer, ball):
    sample = ball("mine")
    viewer.add_image(sample.image, name="mine", scale=sample.voxel_size_um, units=("um",) * 3)
    viewer.add_labels(sample.labels, name="mine labels", scale=sample.voxel_size_um, units=("um",) * 3)
    train_dock.source.use_layers()
    assert copied(train_dock.pre_run.copy_menu) == "what was there before"
    assert train_dock.message.kind == "error"
    assert "'Add to training set'" in train_dock.message.text()


def test_the_unfinished_run_can_be_continued_elsewhere(long_run, open_dock, dataset, qtbot):
    dock = open_dock("Train")
    with qtbot.waitSignal(long_run.ended, timeout=60_000):
        long_run.stop()
    assert dock.setup.resume_prompt.native.isVisibleTo(dock.native)
    words = shlex.split(copied(dock.setup.resume_prompt.copy_button))
    assert words == ["napari-unet3d", "train", str(dataset), "--run", str(dock.run.run_folder), "--resume"]


@pytest.mark.skipif(sys.platform == "win32", reason="quoted for POSIX shells")
def test_the_copied_command_generates_the_same_dataset(open_dock, tmp_path, wait_for_end):
    dock = open_dock("Generate data")
    small = {"shape": (16, 18, 20), "object_shape_min": (5, 5, 5), "object_shape_max": (6, 6, 6), "objects": 3}
    dock.settings.value = SyntheticConfig(difficulty="hard", rotation_degrees=(-20, 20), **small)
    dock.folder.value, dock.n_train.value, dock.n_test.value = tmp_path / "of the dock", 2, 1
    line = copied(dock.copy_button)
    wait_for_end(dock, dock.write_dataset)
    run_in_shell(line.replace("of the dock", "of the command"), 1)
    mine, theirs = (list_pairs(tmp_path / name) for name in ("of the dock", "of the command"))
    assert len(mine) == len(theirs) == 3
    for a, b in zip(mine, theirs, strict=True):
        assert (a.name, a.subset) == (b.name, b.subset)
        assert (read_volume(a.image).array == read_volume(b.image).array).all()
        assert (read_volume(a.labels).array == read_volume(b.labels).array).all()


def test_generation_from_layers_says_what_to_do(open_dock, viewer, tmp_path):
    dock = open_dock("Generate data")
    dock.folder.value = tmp_path / "set"
    viewer.add_points([[3, 4, 5]], name="places")
    dock.positions_layer.value = viewer.layers["places"]
    assert copied(dock.copy_button) == "what was there before"
    assert "--positions" in dock.message.text()


@pytest.fixture
def predict_dock(open_dock, tmp_path):
    dock = open_dock("Predict")
    dock.model.value = tmp_path / "run"
    return dock


def test_a_test_set_is_copied_with_the_settings_of_both_forms(predict_dock, tmp_path):
    dock = predict_dock
    dock.target.kind.value = Target.TEST_SET
    dock.dataset.value = tmp_path / "set"
    dock.evaluation_settings.value = EvaluationConfig(tolerance=0.5)
    dock.label_settings.editors["min_volume"].value = 4.0
    assert copied(dock.copy_button) == "what was there before"
    assert "folder for its results" in dock.message.text()
    assert "EvaluationConfig(min_volume=4.0, tolerance=0.5)" in copied(dock.copy_button, "python_action")
    dock.target.write_results.value = True
    dock.out.value = tmp_path / "out"
    words = shlex.split(copied(dock.copy_button))
    paths = [str(tmp_path / name) for name in ("run", "set")]
    assert words[:6] == ["napari-unet3d", "evaluate", *paths, "--out", str(tmp_path / "out")]
    assert words[6:] == ["--min-volume", "4.0", "--tolerance", "0.5"]


def test_files_are_copied_with_their_paths(predict_dock, tmp_path):
    dock = predict_dock
    dock.target.kind.value = Target.FILES
    dock.target.files.add([tmp_path / "a b.tif", tmp_path / "c.tif"])
    dock.target.probability.value = True
    dock.prediction_settings.value = PredictionConfig(tta=True)
    words = shlex.split(copied(dock.copy_button))
    assert words[3:5] == [str(tmp_path / "a b.tif"), str(tmp_path / "c.tif")]
    assert words[7:] == ["--probability", "--tta"]


def test_a_layer_cannot_be_copied(predict_dock):
    predict_dock.target.kind.value = Target.LAYER
    assert copied(predict_dock.copy_button) == "what was there before"
    assert "cannot refer to a layer" in predict_dock.message.text()
