"""What the command says about input that it cannot use: one line on stderr, exit code 1, nothing half made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_unet3d.cli import main


def run(*tokens: object) -> int:
    return main([str(token) for token in tokens])


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

    @pytest.mark.parametrize("arguments", [("",), ("data", "--run", ""), ("data", "--run="), ("data", " ")])
    def test_an_empty_path_is_not_the_current_folder(
        self,
        arguments: tuple[str, ...],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert run("train", *arguments) == 2
        assert_one_message(capfd, "An argument is empty")
        assert list(tmp_path.iterdir()) == []

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
            (np.ones((2, 12, 16, 20), np.uint8), "has 2 channels, but the training volumes have 1 channel"),
            (np.full((12, 16, 20), np.nan, np.float32), "NaN"),
        ],
    )
    def test_bad_image(
        self, array: NDArray[Any], told: str, dataset: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
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
        [(np.full((12, 16, 20), 0.5), "not integers"), (np.ones((12, 16, 21), np.uint8), "(12, 16, 21)")],
    )
    def test_bad_labels(
        self, labels: NDArray[Any], told: str, dataset: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (dataset / "train/labels/b.tif").unlink()
        np.save(dataset / "train/labels/b.npy", labels)
        assert self.train(dataset) == 1
        assert_one_message(capfd, told)

    def test_several_problems_are_counted(self, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
        (dataset / "train/labels/a.tif").unlink()
        (dataset / "train/labels/b.tif").unlink()
        assert self.train(dataset) == 1
        assert_one_message(capfd, "no partner for a.tif", "(1 more; train --check lists all.)")

    def test_labels_without_foreground(self, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
        for file in list((dataset / "train/labels").iterdir()):
            file.unlink()
            np.save(file.with_suffix(".npy"), np.zeros((12, 16, 20), np.uint8))
        assert self.train(dataset) == 1
        assert_one_message(capfd, "foreground")

    def test_volume_smaller_than_the_network_allows(self, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert self.train(dataset, "--preset", "large", "--resize-mode", "crop") == 1
        assert_one_message(capfd, "(12, 16, 20)", "pad")

    def test_no_validation_volume(self, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
        for name in "bc":
            (dataset / f"train/images/{name}.tif").unlink()
            (dataset / f"train/labels/{name}.tif").unlink()
        assert self.train(dataset) == 0
        assert "'a' of 12 × 16 × 20 voxels is too small for a validation block" in capfd.readouterr().err

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
        assert_one_message(capfd, "No image was given")

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
