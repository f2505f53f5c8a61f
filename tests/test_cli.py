"""The command as a user types it: spellings, outputs, settings files, progress and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cyclopts import App

from napari_unet3d import EvaluationConfig, PredictionConfig, SyntheticConfig, TrainingConfig, read_volume
from napari_unet3d.cli import main
from napari_unet3d.cli.app import app
from napari_unet3d.configs import Settings
from napari_unet3d.model.checkpoint import load_checkpoint

COMMANDS: dict[str, tuple[type[Settings], list[str]]] = {
    "generate": (SyntheticConfig, ["D"]),
    "train": (TrainingConfig, ["D", "--run", "R"]),
    "predict": (PredictionConfig, ["R", "image.tif", "--out", "O"]),
    "evaluate": (EvaluationConfig, ["R", "D", "--out", "O"]),
}
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
        assert [set(volume) for volume in metrics["volumes"]] == [{"name", "dice", "iou", "precision", "recall"}]
        assert set(metrics["mean"]) == {"dice", "iou", "precision", "recall"}
        table = capfd.readouterr().out
        assert f"{metrics['mean']['dice']:.4f}" in table
        for file in ("predictions/6_labels.tif", "differences/6_difference.tif", "figures/6.png"):
            assert (out / file).stat().st_size > 0

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

    def test_overwrite_replaces_a_run(self, dataset: Path, tmp_path: Path) -> None:
        again = ("train", dataset, "--run", tmp_path / "run", "--epochs", 1)
        assert [run(*again), run(*again), run(*again, "--overwrite")] == [0, 1, 0]


def parsed(command: str, *tokens: str) -> Settings:
    """What the options of a command make, without carrying the command out."""
    _, bound, _ = app.parse_args([command, *COMMANDS[command][1], *tokens], exit_on_error=False, print_error=False)
    settings: Settings = bound.arguments["settings"]
    return settings


def another(config: type[Settings], field: str) -> tuple[list[str], Any]:
    """Words of an option that set a field to another value than its default, and that value."""
    default = config.model_fields[field].default
    extra = config.model_fields[field].json_schema_extra
    high = extra.get("high") if isinstance(extra, dict) else None
    option = f"--{kebab(field)}"
    match default:
        case bool():
            return [f"--no-{kebab(field)}" if default else option], not default
        case Enum():
            value = next(member for member in type(default) if member is not default)
            return [option, value.value], value
        case tuple() if isinstance(default[0], Enum):
            return [option, default[-1].value, default[0].value], (default[-1], default[0])
        case tuple() if isinstance(default[0], int):
            value = tuple(part - 1 for part in default)  # larger ones do not fit the type of the image
            return [option, *map(str, value)], value
        case tuple():
            value = tuple(part + 1 / 64 if part + 1 / 64 <= (high or 1e9) else part - 1 / 64 for part in default)
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


class TestConfigFile:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("settings.json", '{"epochs": 2, "learning-rate": 0.5, "seed": 3}'),
            ("settings.toml", "epochs = 2\nlearning_rate = 0.5\nseed = 3\n"),
        ],
    )
    def test_options_win_over_the_file_and_the_file_over_defaults(
        self, name: str, text: str, dataset: Path, tmp_path: Path
    ) -> None:
        (tmp_path / name).write_text(text)
        # 30 is the default, so that a default could be mistaken for an option that was not given
        options = ["--config", tmp_path / name, "--epochs", 1, "--seed", 0]
        assert run("train", dataset, "--run", tmp_path / "run", *options) == 0
        written = load_checkpoint(tmp_path / "run").config
        assert (written.epochs, written.seed, written.learning_rate) == (1, 0, 0.5)
        assert written.weight_decay == TrainingConfig().weight_decay

    def test_the_config_of_a_run_repeats_it(self, dataset: Path, tmp_path: Path) -> None:
        assert run("train", dataset, "--run", tmp_path / "1", "--epochs", 2, "--loss", "focal", "--dropout", 0.1) == 0
        assert run("train", dataset, "--run", tmp_path / "2", "--config", tmp_path / "1/config.json") == 0
        first, second = load_checkpoint(tmp_path / "1"), load_checkpoint(tmp_path / "2")
        assert first.config == second.config
        assert [record.train_loss for record in first.history] == [record.train_loss for record in second.history]

    @pytest.mark.parametrize(
        ("name", "text", "told"),
        [
            ("a.json", "{", "Write JSON"),
            ("a.toml", "epochs =", "Write JSON, or TOML"),
            ("a.json", "[1]", "holds no settings"),
            ("a.json", '{"epoch": 3}', "There is no setting called 'epoch'"),
            ("a.json", '{"epochs": 0}', "'epochs' is 0"),
        ],
    )
    def test_bad_files(
        self, name: str, text: str, told: str, dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / name).write_text(text)
        assert run("train", dataset, "--run", tmp_path / "run", "--config", tmp_path / name) == 1
        assert_one_message(capfd, told, name)


def assert_one_message(capfd: pytest.CaptureFixture[str], *parts: str) -> None:
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("napari-unet3d: ")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err


class TestBadInput:
    """One line on stderr that says what is wrong, exit code 1, and nothing half made."""

    def train(self, dataset: Path, *options: object) -> int:
        return run("train", dataset, "--run", dataset.parent / "run", "--epochs", 1, *options)

    def test_wrong_folder(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert self.train(tmp_path / "nowhere") == 1
        assert_one_message(capfd, "nowhere", "does not exist")

    def test_missing_partner(self, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
        (dataset / "train/labels/b.tif").unlink()
        assert self.train(dataset) == 1
        assert_one_message(capfd, "b.tif", "labels")

    def test_truncated_file(self, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
        file = dataset / "train/images/b.tif"
        file.write_bytes(file.read_bytes()[:700])
        assert self.train(dataset) == 1
        assert_one_message(capfd, "b.tif")

    @pytest.mark.parametrize(
        ("array", "told"),
        [
            (np.ones((16, 20), np.uint8), "2D image"),
            (np.ones((2, 12, 16, 20), np.uint8), "4 dimensions"),
            (np.full((12, 16, 20), np.nan, np.float32), "NaN"),
        ],
    )
    def test_bad_image(
        self, array: np.ndarray, told: str, dataset: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        assert self.train(dataset) == 0
        np.save(tmp_path / "bad.npy", array)
        capfd.readouterr()
        assert run("predict", tmp_path / "run", tmp_path / "bad.npy", "--out", tmp_path / "out") == 1
        assert told in (message := capfd.readouterr().err.splitlines()[-1])
        assert message.startswith("napari-unet3d: ")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("labels", "told"),
        [(np.full((12, 16, 20), 0.5), "whole numbers"), (np.ones((12, 16, 21), np.uint8), "(12, 16, 21)")],
    )
    def test_bad_labels(self, labels: np.ndarray, told: str, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
        (dataset / "train/labels/b.tif").unlink()
        np.save(dataset / "train/labels/b.npy", labels)
        assert self.train(dataset) == 1
        assert_one_message(capfd, told)

    def test_labels_without_foreground(self, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
        for file in list((dataset / "train/labels").iterdir()):
            file.unlink()
            np.save(file.with_suffix(".npy"), np.zeros((12, 16, 20), np.uint8))
        assert self.train(dataset) == 1
        assert_one_message(capfd, "foreground")

    def test_volume_smaller_than_the_network_allows(self, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert self.train(dataset, "--preset", "large", "--fit", "crop") == 1
        assert_one_message(capfd, "(12, 16, 20)", "pad")

    def test_no_validation_volume(self, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
        for name in "bc":
            (dataset / f"train/images/{name}.tif").unlink()
            (dataset / f"train/labels/{name}.tif").unlink()
        assert self.train(dataset) == 1
        assert_one_message(capfd, "validation")
        assert self.train(dataset, "--val-fraction", 0) == 0

    def test_no_gpu(self, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available():
            pytest.skip("this machine has a GPU")
        assert self.train(dataset, "--device", "cuda") == 1
        assert_one_message(capfd, "cuda", "cpu")

    @pytest.mark.parametrize("content", [b"", b"no model", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"])
    def test_file_that_is_no_model(self, content: bytes, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
        file = dataset.parent / "foreign.safetensors"
        file.write_bytes(content)
        assert run("evaluate", file, dataset, "--out", dataset.parent / "out") == 1
        assert_one_message(capfd, "foreign.safetensors", "model")

    def test_no_images(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert run("predict", tmp_path, "--out", tmp_path) == 1
        assert_one_message(capfd, "No image is given")

    def test_two_images_of_one_name(self, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
        image = dataset / "test/images/t.tif"
        assert run("predict", dataset, image, image, "--out", dataset.parent / "out") == 1
        assert_one_message(capfd, "t_labels")

    def test_generate_into_a_dataset_that_holds_volumes(self, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
        before = (dataset / "train/images/a.tif").read_bytes()
        assert run("generate", dataset, "--shape", 48, 48, 48) == 1
        assert_one_message(capfd, "4 volumes")
        assert (dataset / "train/images/a.tif").read_bytes() == before

    @pytest.mark.parametrize("text", ["1,2\n", "z,y,x\n", "1,2,x\n", "\x00\xff"])
    def test_bad_positions(self, text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "p.csv").write_text(text)
        assert run("generate", tmp_path / "d", "--positions", tmp_path / "p.csv") == 1
        assert_one_message(capfd, "p.csv", "z,y,x")

    @pytest.mark.parametrize(
        ("tokens", "code", "told"),
        [
            (["train", "D"], 2, "--run"),
            (["train", "D", "--run", "R", "--epoch", "3"], 2, "--epochs"),
            (["tran"], 2, "train"),
            (["train", "D", "--run", "R", "--epochs", "many"], 1, "'epochs' cannot be 'many'"),
            (["train", "D", "--run", "R", "--loss", "mse"], 1, "'dice-ce'"),
            (["generate", "D", "--shape", "8", "8"], 2, "--shape"),
        ],
    )
    def test_wrong_options(self, tokens: list[str], code: int, told: str, capfd: pytest.CaptureFixture[str]) -> None:
        assert run(*tokens) == code
        assert_one_message(capfd, told)


LONG_RUN = ("--epochs", "100000", "--val-fraction", "0.4")


def start(*tokens: object, stderr: int, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "napari_unet3d", *map(str, tokens)]
    return subprocess.Popen(words, text=True, stdout=stdout, stderr=stderr)


class TestProcess:
    """What only a process of its own shows."""

    @pytest.mark.parametrize("tokens", [["--help"], ["train", "--help"], ["--version"], ["train", "D", "--nonsense"]])
    def test_help_and_wrong_options_load_neither_torch_nor_napari(self, tokens: list[str]) -> None:
        program = (
            "import sys; from napari_unet3d.cli import main; main(sys.argv[1:]); "
            "heavy = {'torch', 'monai', 'napari', 'scipy', 'qtpy'} & set(sys.modules)\n"
            "sys.exit(str(heavy) if heavy else 0)"
        )
        done = subprocess.run([sys.executable, "-c", program, *tokens], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_a_stopped_run_keeps_its_model(self, number: signal.Signals, code: int, dataset: Path) -> None:
        folder = dataset.parent / "run"
        process = start("train", dataset, "--run", folder, *LONG_RUN, stderr=subprocess.PIPE)
        assert process.stderr is not None
        lines = []
        while not lines or not lines[-1].startswith("epoch 2/"):
            lines.append(process.stderr.readline())
            assert lines[-1], "the run ended by itself"
        process.send_signal(number)
        _, rest = process.communicate()
        assert process.returncode == code
        assert "Traceback" not in rest
        last = rest.splitlines()[-1]
        assert last.startswith("napari-unet3d: Stopped after ")
        assert str(folder / "model.safetensors") in last
        assert load_checkpoint(folder).epoch >= 1

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
    def test_a_bar_on_a_terminal_only(self, dataset: Path) -> None:
        import pty
        import termios

        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 100))
        process = start("train", dataset, "--run", dataset.parent / "run", "--epochs", 3, stderr=theirs)
        os.close(theirs)
        told = bytearray()
        try:
            while part := os.read(ours, 65536):
                told += part
        except OSError:  # Linux says so when the other end is closed
            pass
        os.close(ours)
        assert process.wait() == 0
        assert b"\r" in told
        assert b"3/3" in told
        assert b"epoch 3/3: training loss" not in told

    def test_a_reader_that_leaves_early_is_no_error_with_a_traceback(self, dataset: Path) -> None:
        process = start("train", "--help", stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
        process.stderr.close()
        process.wait()
        assert "Traceback" not in told


def test_the_app_has_the_contracts_commands() -> None:
    names = {name for name in app if not name.startswith("-")}
    assert names == {"generate", "train", "predict", "evaluate", "demo", "doctor"}
    assert all(isinstance(app[name], App) for name in names)
