"""The command as a user types it: spellings, outputs, settings files, progress and exit codes."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cyclopts import App

from napari_unet3d import EvaluationConfig, PredictionConfig, SyntheticConfig, TrainingConfig, read_volume
from napari_unet3d.cli import main
from napari_unet3d.cli.app import app
from napari_unet3d.configs import Config
from napari_unet3d.model.network import build_network

COMMANDS: dict[str, tuple[type[Config], list[str]]] = {
    "generate": (SyntheticConfig, ["D"]),
    "train": (TrainingConfig, ["D", "--run", "R"]),
    "predict": (PredictionConfig, ["R", "image.tif", "--out", "O"]),
    "evaluate": (EvaluationConfig, ["R", "D", "--out", "O"]),
}
NUMBERS = {"dice", "iou", "precision", "recall", "hd95", "nsd", "distance_unit", "seen_in"}
FIELDS = [(command, field) for command, (config, _) in COMMANDS.items() for field in config.model_fields]


def run(*tokens: object) -> int:
    return main([str(token) for token in tokens])


def words(line: str) -> list[str]:
    return line.split()


def kebab(name: str) -> str:
    return name.replace("_", "-")


class TestContract:
    """The spellings and files that other people's scripts rely on."""

    def test_the_whole_sequence(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        data, run_folder, out = tmp_path / "data", tmp_path / "run", tmp_path / "out"
        size = words("--shape 16 20 24 --object-shape-min 7 7 7 --object-shape-max 9 9 9 --voxel-size-um 2 1 0.5")
        assert run("generate", data, "--train", 5, "--test", 1, "--objects", 3, *size, "--seed", 0) == 0
        assert sorted(path.name for path in (data / "train/images").iterdir()) == [f"{i}.tif" for i in range(1, 6)]
        assert [path.name for path in (data / "test/labels").iterdir()] == ["6.tif"]

        settings = words(
            "--preset xxsmall --epochs 2 --learning-rate 1e-2 --loss dice-ce --weight-decay 1e-3 "
            "--augmentation light --val-fraction 0.2 --batch-size 1 --seed 0"
        )
        capfd.readouterr()
        assert run("train", data, "--run", run_folder, *settings) == 0
        told = capfd.readouterr()
        assert str(run_folder / "model.safetensors") in told.out
        assert "epoch 2/2: training loss" in told.err
        assert "parameters" in told.err  # the summary of the network comes before training
        assert "epoch" not in told.out.replace("best epoch", "")

        image = data / "test/images/6.tif"
        assert run("predict", run_folder, image, "--out", out, "--probability") == 0
        labels, probability = read_volume(out / "6_labels.tif"), read_volume(out / "6_probability.tif")
        assert capfd.readouterr().out.split() == [str(out / "6_labels.tif"), str(out / "6_probability.tif")]
        assert labels.voxel_size_um == pytest.approx((2, 1, 0.5))
        np.testing.assert_array_equal(labels.array > 0, probability.array >= 0.5)

        assert run("evaluate", run_folder, data, "--out", out) == 0
        metrics = json.loads((out / "metrics.json").read_text())
        assert [set(volume) for volume in metrics["volumes"]] == [{"name", *NUMBERS}]
        assert set(metrics["mean"]) == NUMBERS
        table = capfd.readouterr().out
        assert f"{metrics['mean']['dice']:.4f}" in table
        for file in ("predictions/6_labels.tif", "differences/6_difference.tif", "figures/6.png"):
            assert (out / file).stat().st_size > 0

    def test_many_files_by_folder_and_wildcard(
        self, dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert run("train", dataset, "--run", tmp_path / "run", "--epochs", 1) == 0
        scans, out = dataset / "train/images", tmp_path / "out"
        capfd.readouterr()
        assert run("predict", tmp_path / "run", scans, "--out", out) == 0
        assert capfd.readouterr().out.split() == [str(out / f"{name}_labels.tif") for name in "abc"]
        before = (out / "a_labels.tif").read_bytes()
        (out / "a_labels.tif").write_bytes(b"corrected by hand")

        assert run("predict", tmp_path / "run", f"{scans}/[ab].tif", "--out", out) == 1
        told = capfd.readouterr()
        assert (told.out, told.err.count("\n")) == ("", 1)
        assert "a_labels.tif, b_labels.tif already; they are not replaced" in told.err
        assert run("predict", tmp_path / "run", f"{scans}/*.tif", "--out", out, "--skip-existing") == 0
        assert "3 of 3 volumes have results and are skipped" in capfd.readouterr().err
        assert (out / "a_labels.tif").read_bytes() == b"corrected by hand"
        assert run("predict", tmp_path / "run", f"{scans}/*.tif", "--out", out, "--overwrite") == 0
        assert (out / "a_labels.tif").read_bytes() == before

        (scans / "bad.tif").write_bytes(b"II*\0 cut off")
        capfd.readouterr()
        assert run("predict", tmp_path / "run", scans, "--out", tmp_path / "more") == 1
        told = capfd.readouterr()
        assert told.out.split() == [str(tmp_path / "more" / f"{name}_labels.tif") for name in "abc"]
        assert "Continuing with the next volume." in told.err
        assert told.err.splitlines()[-1].startswith("napari-unet3d: 1 of 4 volumes could not be predicted. ")
        assert run("predict", tmp_path / "run", scans / "a.tif", scans / "x.tif", scans / "y.tif", "--out", out) == 1
        told = capfd.readouterr()
        assert told.out == ""
        assert "x.tif does not exist; " in told.err
        assert "y.tif does not exist" in told.err

    def test_given_objects_at_given_positions(self, tmp_path: Path) -> None:
        cube, centres = tmp_path / "cube.npy", tmp_path / "centres.csv"
        np.save(cube, np.full((4, 4, 4), 200, np.uint8))
        centres.write_text("z,y,x\n5,6,7\n11,14,17\n")
        still = words("--rotation-degrees 0 0 --shape 16 20 24 --object-shape-min 4 4 4 --object-shape-max 4 4 4")
        given = ["--objects-from", cube, "--positions", centres]
        assert run("generate", tmp_path / "d", "--train", 1, "--test", 0, *given, *still) == 0
        labels = read_volume(tmp_path / "d/train/labels/1.tif").array
        assert [int(labels[5, 6, 7]), int(labels[11, 14, 17])] == [1, 2]
        assert int((labels > 0).sum()) == 2 * 4**3

    def test_full_summary(self, dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert run("train", dataset, "--run", tmp_path / "run", "--epochs", 1, "--summary") == 0
        assert "Conv3d" in capfd.readouterr().err

    def test_check_says_what_it_finds_and_does_not_train(
        self, dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert run("train", dataset, "--run", tmp_path / "run", "--check") == 0
        lines = capfd.readouterr().out.splitlines()
        assert {line.split(": ")[0] for line in lines[:-1]} == {"info"}
        assert any("One step takes" in line for line in lines)
        assert lines[-1] == "0 errors, 0 warnings"

        assert run("train", dataset, "--run", tmp_path / "run", "--check", "--patch", 16, 16, 17) == 1
        told = capfd.readouterr()
        assert "error: The patch has 17 voxels along x" in told.out
        assert told.out.endswith("1 error, 0 warnings\n")
        assert told.err == ""
        assert not (tmp_path / "run").exists()

    def test_warnings_are_said_once_before_training(
        self, dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (dataset / "train/labels/b.tif").unlink()
        np.save(dataset / "train/labels/b.npy", np.zeros((12, 16, 20), np.uint8))
        assert run("train", dataset, "--run", tmp_path / "run", "--epochs", 1) == 0
        told = capfd.readouterr().err
        assert told.startswith("warning: The labels of 'b' have no foreground; check that this is intended.\n")
        assert told.count("'b' have no foreground") == 1

    def test_overwrite_replaces_a_run(self, dataset: Path, tmp_path: Path) -> None:
        again = ("train", dataset, "--run", tmp_path / "run", "--epochs", 1)
        assert [run(*again), run(*again), run(*again, "--overwrite")] == [0, 1, 0]

    def test_a_run_is_resumed_and_another_started_from_it(
        self, dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        assert run("train", dataset, "--run", first, "--epochs", 2, "--seed", 3, "--val-fraction", 0.4) == 0
        assert run("train", dataset, "--run", first, "--resume", "--epochs", 3) == 0
        told = capfd.readouterr().err
        assert "resumes after epoch 2" in told
        assert "epoch 3/3: training loss" in told.split("resumes after")[1]
        assert json.loads((first / "config.json").read_text())["seed"] == 3

        assert run("train", dataset, "--run", first, "--resume", "--learning-rate", 0.5) == 1
        assert "learning_rate 0.01, not 0.5" in capfd.readouterr().err

        minutes = ("--max-minutes", 0.001, "--epochs", 9)
        assert run("train", dataset, "--run", second, "--start-from", first, *minutes) == 0
        told = capfd.readouterr()
        assert "Ended before the last epoch: the time limit is reached." in told.err
        assert str(second / "model.safetensors") in told.out
        assert run("train", dataset, "--run", tmp_path / "third", "--start-from", tmp_path / "nowhere") == 1
        assert "nowhere" in capfd.readouterr().err

    def test_a_model_of_qim3d_predicts(self, dataset: Path, tmp_path: Path) -> None:
        weights = build_network(TrainingConfig()).state_dict()
        torch.save({f"model.{name}": tensor for name, tensor in weights.items()}, tmp_path / "model_5epochs.pth")
        assert run("predict", tmp_path / "model_5epochs.pth", dataset / "test/images/t.tif", "--out", tmp_path) == 0
        assert read_volume(tmp_path / "t_labels.tif").array.shape == (12, 16, 20)


def parsed(command: str, *tokens: str) -> Config:
    """What the options of a command make, without carrying the command out."""
    _, bound, _ = app.parse_args([command, *COMMANDS[command][1], *tokens], exit_on_error=False, print_error=False)
    settings: Config = bound.arguments["settings"]
    return settings


# Texts and numbers of any length, and words or three numbers: other options that they need, and a value.
LISTS: dict[str, tuple[list[str], tuple[Any, ...]]] = {
    "channels": ([], ("dapi", "2")),
    "class_names": (["--task", "semantic"], ("wall", "cell")),
    "class_weights": (["--task", "semantic"], (1.0, 2.5)),
    "patch": ([], (8, 16, 32)),
    "spacing": ([], (0.5, 1.0, 2.0)),
    "track": ([], ("mlflow", "tensorboard")),
    "voxel_size": ([], (2.0, 0.5, 0.25)),
    "val_volumes": ([], ("brain", "2")),
}
LONE_VALUES: dict[str, Any] = {"ignore_label": 255, "tolerance": 0.5}  # of settings whose default is None


def another_number(number: float, high: float | None) -> float:
    """Another number within bounds; larger integers do not fit the type of the image."""
    if isinstance(number, int):
        return number - 1
    return number + 1 / 64 if number + 1 / 64 <= (high or 1e9) else number - 1 / 64


def another(config: type[Config], field: str) -> tuple[list[str], Any]:
    """Words of an option that set a field to another value than its default, and that value."""
    default = config.model_fields[field].default
    extra = config.model_fields[field].json_schema_extra
    high = extra.get("maximum") if isinstance(extra, dict) else None
    option = f"--{kebab(field)}"
    if field in LISTS:
        return [*LISTS[field][0], option, *map(str, LISTS[field][1])], LISTS[field][1]
    if field in LONE_VALUES:
        return [option, str(LONE_VALUES[field])], LONE_VALUES[field]
    match default:
        case bool():
            return [f"--no-{kebab(field)}" if default else option], not default
        case Enum():
            value = next(member for member in type(default) if member is not default)
            return [option, value.value], value
        case tuple() if isinstance(default[0], Enum):
            return [option, default[-1].value, default[0].value], (default[-1], default[0])
        case tuple():
            value = tuple(another_number(part, high) for part in default)
            return [option, *map(str, value)], value
        case int():
            return [option, str(default + 2)], default + 2
        case float():
            value = default / 2 if default else 0.5
            return [option, str(value)], value
        case str():
            return [option, "AN"], "AN"
    raise AssertionError(f"no other value for {field}")


class TestOptions:
    @pytest.mark.parametrize(("command", "field"), FIELDS)
    def test_every_setting_is_an_option(self, command: str, field: str) -> None:
        tokens, value = another(COMMANDS[command][0], field)
        assert getattr(parsed(command, *tokens), field) == value

    def test_the_tolerance_may_be_left_to_the_voxels(self) -> None:
        assert parsed("evaluate", "--tolerance", "auto").tolerance is None

    @pytest.mark.parametrize("command", COMMANDS)
    def test_help_describes_every_setting(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(command, "--help") == 0
        told = capsys.readouterr().out
        for field, info in COMMANDS[command][0].model_fields.items():
            assert f"--{kebab(field)}" in told
            assert (info.description or "").split()[0] in told

    @pytest.mark.parametrize("command", COMMANDS)
    def test_no_options_that_empty_a_list(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        run(command, "--help")
        assert "--empty-" not in capsys.readouterr().out

    def test_choices_are_spelled_as_in_files(self) -> None:
        for config, _ in COMMANDS.values():
            for info in config.model_fields.values():
                for member in type(info.default) if isinstance(info.default, Enum) else ():
                    assert member.value == kebab(member.name.lower())

    def test_negative_numbers_are_values(self) -> None:
        assert parsed("generate", "--rotation-degrees", "-30", "30") == SyntheticConfig(rotation_degrees=(-30, 30))
        assert parsed("train", "--ignore-label", "-1") == TrainingConfig(ignore_label=-1)


def test_the_app_has_the_contracts_commands() -> None:
    names = {name for name in app if not name.startswith("-")}
    of_data_and_models = {"generate", "train", "predict", "evaluate", "report", "export", "meshes", "rois", "dataset"}
    expected = of_data_and_models | {"status", "stop", "demo", "doctor"}
    assert names == expected
    assert all(isinstance(app[name], App) for name in names)
