"""Every command and every Python block of the documentation runs, page by page, on volumes that take seconds."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from docs_blocks import PAGES, blocks_of

from napari_unet3d import SyntheticConfig, TrainingConfig, generate, train, write_volume
from napari_unet3d.cli import main
from napari_unet3d.data.dataset import read_samples
from napari_unet3d.data.sample import Sample

SHAPE = (12, 16, 20)
OBJECTS = {"object_shape_min": (6, 6, 6), "object_shape_max": (8, 8, 8), "objects": 3}

# What commands and Python are reduced to, so that they take a second.
REDUCED = {
    "generate": {
        "--shape": ["12", "16", "20"],
        "--objects": ["3"],
        "--object-shape-min": ["6", "6", "6"],
        "--object-shape-max": ["8", "8", "8"],
    },
    "train": {"--epochs": ["1"], "--steps-per-epoch": ["2"], "--patch": ["8"], "--batch-size": ["1"]},
}
REDUCED_PYTHON = {r"\bepochs=\d+": "epochs=1, steps_per_epoch=2, patch=8, batch_size=1"}

# Pages whose blocks are tested elsewhere, since they change the package.
RUN_ELSEWHERE = {"examples/adding_an_architecture.md": "tests/model/test_adding_an_architecture.py"}
RUN = [page for page in PAGES if any(not block.reason for block in blocks_of(page)) and page not in RUN_ELSEWHERE]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset of three volumes and a run that was hardly trained on it."""
    folder = tmp_path_factory.mktemp("made")
    config = SyntheticConfig(shape=SHAPE, voxel_size_um=(2.0, 1.0, 1.0), **OBJECTS)
    list(generate(folder / "dataset", config, n_train=2, n_test=1))
    settings = TrainingConfig(epochs=1, steps_per_epoch=2, patch=8, batch_size=1, device="cpu")
    list(train(folder / "dataset", folder / "run", settings))
    return folder


def _few_labels(folder: Path) -> None:
    """Paint background and foreground in slices of the volumes of a dataset; write one of them as files."""
    for path in sorted((folder / "dataset" / "train" / "labels").iterdir()):
        sample = next(each for each in read_samples(folder / "dataset") if each.name == path.stem)
        painted = np.where(np.arange(SHAPE[0])[:, None, None] % 2 == 0, (sample.labels > 0) + 1, 0).astype(np.uint8)
        _write(folder / "painted" / "train", path.name, sample, painted)
        _write_stack(folder, "stack", sample)


def _write(folder: Path, name: str, sample: Sample, labels: np.ndarray) -> None:
    for kind, array in (("images", sample.image), ("labels", labels)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        write_volume(folder / kind / name, array, geometry=sample.geometry)


def _write_stack(folder: Path, name: str, sample: Sample) -> None:
    write_volume(folder / f"{name}.tif", sample.image, geometry=sample.geometry)
    write_volume(folder / f"{name}_labels.tif", sample.labels, geometry=sample.geometry)


def _objects(folder: Path) -> None:
    (folder / "dataset").rename(folder / "cells")
    shutil.copy(next((folder / "cells" / "test" / "images").iterdir()), folder / "scan.tif")


def _channels(folder: Path) -> None:
    first = read_samples(folder / "dataset")[0]
    for name in "abc":
        for kind, array in (("nuclei", first.image), ("membranes", first.image[::-1]), ("labels", first.labels)):
            write_volume(folder / f"{name}_{kind}.tif", np.roll(array, ord(name), 2), geometry=first.geometry)


def _large(folder: Path) -> None:
    first = read_samples(folder / "dataset")[0]
    write_volume(folder / "scan.ome.zarr", first.image, geometry=first.geometry)
    mask = np.zeros(SHAPE, np.uint8)
    mask[:6] = 1
    write_volume(folder / "sample_mask.tif", mask, geometry=first.geometry)


def _scans(folder: Path) -> None:
    shutil.copytree(folder / "dataset" / "train" / "images", folder / "scans")


def _other_tools(folder: Path) -> None:
    """Predictions of another program for the test set."""
    shutil.copytree(folder / "dataset" / "test" / "labels", folder / "predictions_of_nnunet")


def _without_run(folder: Path) -> None:
    shutil.rmtree(folder / "run")


# What a page needs beside the dataset and the run.
PREPARE: dict[str, Callable[[Path], None]] = {
    "how-to/few-labels.md": _few_labels,
    "how-to/single-objects.md": _objects,
    "how-to/several-channels.md": _channels,
    "how-to/large-volumes.md": _large,
    "how-to/clusters.md": _scans,
    "how-to/other-tools.md": _other_tools,
    "explanation/resume.md": _without_run,
}


def reduced(arguments: list[str]) -> list[str]:
    """Return a command with the options of `REDUCED` instead of its own; a longer resumed run stays longer."""
    replaced = dict(REDUCED.get(arguments[0], {}))
    if "--resume" in arguments:
        replaced = {"--epochs": ["2"]}
    kept, is_replaced = [], False
    for argument in arguments:
        if argument.startswith("--"):
            is_replaced = argument in replaced
        if not is_replaced:
            kept.append(argument)
    return [*kept, *(word for option, values in replaced.items() for word in (option, *values))]


@pytest.fixture
def waiting_stdin() -> Iterator[None]:
    """A stdin that does not end while the test runs, as on a terminal; its end would stop a run with --json-lines."""
    original = os.dup(0)
    read, write = os.pipe()
    os.dup2(read, 0)
    yield
    os.close(write)
    os.dup2(original, 0)
    for each in (read, original):
        os.close(each)


@pytest.mark.usefixtures("waiting_stdin")
@pytest.mark.parametrize("page", RUN)
def test_the_blocks_of_a_page_run_in_their_order(
    page: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(made, tmp_path / "work")
    PREPARE.get(page, lambda folder: None)(folder)
    monkeypatch.chdir(folder)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks_of(page):
        if block.reason:
            continue
        if block.language == "sh":
            for arguments in block.commands:
                code = main(reduced(arguments))
                assert code == 0, f"{' '.join(arguments)}: {capsys.readouterr().err}"
        else:
            script = block.code
            for pattern, replacement in REDUCED_PYTHON.items():
                script = re.sub(pattern, replacement, script)
            exec(compile(script, page, "exec"), names)


def test_options_are_reduced_with_all_of_their_values() -> None:
    command = ["generate", "blobs", "--shape", "128", "128", "128", "--objects", "10", "--seed", "0"]
    assert reduced(command)[:4] == ["generate", "blobs", "--seed", "0"]
    assert reduced(["train", "d", "--resume", "--epochs", "60"]) == ["train", "d", "--resume", "--epochs", "2"]
    assert reduced(["predict", "run", "a.tif"]) == ["predict", "run", "a.tif"]
