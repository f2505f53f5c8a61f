"""What must hold after a disturbance: every file that exists loads, and one sentence was said."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

from napari_unet3d.data.dataset import Subset, list_pairs, read_pair
from napari_unet3d.data.formats.registry import is_volume
from napari_unet3d.data.reading import read_volume
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.training.resume_state import load_run_state

TRACEBACK, KILLED = 70, -9


def check_said(code: int, said: str) -> list[str]:
    """Return what is wrong with the exit code and with what a command has said."""
    problems = [f"exit code {code}"] if code not in (0, 1, KILLED) else []
    if "Traceback" in said:
        problems.append(f"traceback: {said.strip().splitlines()[-1]}")
    sentences = [line for line in said.splitlines() if line.startswith("napari-unet3d: ")]
    if code == 1 and len(sentences) != 1:
        problems.append(f"{len(sentences)} sentences: {sentences}")
    return problems


def check_files(folder: Path, old: dict[str, tuple[bytes, bytes]] | None = None) -> list[str]:
    """Read every file below a folder, and return what is wrong.

    Parameters
    ----------
    folder : Path
        The folder.
    old : dict, optional
        Image and labels of the volumes before, by name: a volume is one of these, or was replaced as a whole.
    """
    problems = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            try:
                read(path)
            except Exception as error:  # noqa: BLE001 - whatever it is, the file is damaged
                problems.append(f"{path.relative_to(folder)}: {type(error).__name__}: {error}")
    return problems + (check_pairs(folder / "data", old) if old and (folder / "data").exists() else [])


def read(path: Path) -> None:
    """Read a file of a known kind; any error means that it is damaged."""
    if path.name == "resume.safetensors":
        load_run_state(path)
    elif path.suffix == ".safetensors":
        load_checkpoint(path)
    elif path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            assert len({len(row) for row in csv.reader(file)}) == 1, "its rows differ in length"
    elif path.suffix in (".png", ".gif"):
        with Image.open(path) as image:
            image.load()
    elif path.suffix == ".npz":
        with np.load(path) as arrays:
            assert [arrays[name] for name in arrays.files]
    elif path.suffix == ".html":
        assert path.read_text(encoding="utf-8").rstrip().endswith("</html>"), "it is cut short"
    elif is_volume(path):
        read_volume(path)


def volumes_of(dataset: Path) -> dict[str, tuple[bytes, bytes]]:
    """Return image and labels of the volumes of a dataset by subset and name."""
    found = {}
    for pair in list_pairs(dataset):
        sample = read_pair(pair)
        labels = b"" if sample.labels is None else sample.labels.tobytes()
        found[f"{pair.subset} {pair.name}"] = (sample.image.tobytes(), labels)
    return found


def check_pairs(dataset: Path, old: dict[str, tuple[bytes, bytes]]) -> list[str]:
    """Return which volumes have an old image with new labels, or the other way round, or lack one."""
    problems = [f"{pair.name} is incomplete" for pair in list_pairs(dataset) if not (pair.image and pair.labels)]
    for name, (image, labels) in volumes_of(dataset).items() if not problems else ():
        if name in old and (image == old[name][0]) != (labels == old[name][1]):
            problems.append(f"volume {name} is half old and half new")
    return problems


def leftovers(folder: Path) -> list[str]:
    """Return the hidden files below a folder."""
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob(".*"))]


__all__ = ["Subset", "check_files", "check_said", "leftovers", "volumes_of"]
