"""Settings files of the command: JSON, TOML and the config.json of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_unet3d import TrainingConfig
from napari_unet3d.cli import main
from napari_unet3d.model.checkpoint import load_checkpoint


def run(*tokens: object) -> int:
    return main([str(token) for token in tokens])


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
            ("a.json", "[1]", "has no settings"),
            ("a.json", '{"epoch": 3}', "There is no setting called 'epoch'"),
            ("a.json", '{"epochs": 0}', "'epochs' is 0"),
        ],
    )
    def test_bad_files(
        self, name: str, text: str, told: str, dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / name).write_text(text)
        assert run("train", dataset, "--run", tmp_path / "run", "--config", tmp_path / name) == 1
        out, err = capfd.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert told in err
        assert name in err
