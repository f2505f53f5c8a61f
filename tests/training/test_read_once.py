"""A checked training opens each volume once, and once the file that it resumes or starts from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PROGRAM = """
import json, sys
import safetensors
opened = []
def note(event, args):  # before safetensors opens a file, it is opened to see that it is no pipe, and is not read
    if event == "open" and not str(args[0]).endswith(".safetensors"):
        opened.append(str(args[0]))
sys.addaudithook(note)
safe_open = safetensors.safe_open
def counted(path, *args, **kwargs):  # safetensors opens files without Python
    opened.append(str(path))
    return safe_open(path, *args, **kwargs)
safetensors.safe_open = counted
from napari_unet3d.cli import main
of_all = []
for tokens in json.loads(sys.argv[1]):
    opened.clear()
    if code := main(tokens):
        sys.exit(code)
    of_all.append(list(opened))
with open(sys.argv[2], "w") as file:
    json.dump(of_all, file)
"""


def opened_by_trainings(result: Path, *commands: tuple[object, ...]) -> Iterator[Counter[str]]:
    """Train by commands in a new process, and count how often each opens each path."""
    tokens = [["train", *map(str, command)] for command in commands]
    ours, theirs = os.pipe()  # for a program that reads commands, the end of stdin means stop
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(tokens), str(result)],
            stdin=ours,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0, done.stderr
    return map(Counter, json.loads(result.read_text()))


def test_each_volume_and_the_state_or_model_is_opened_once(dataset: Path, tmp_path: Path) -> None:
    volumes = sorted(path for path in dataset.rglob("*") if path.is_file())
    assert len(volumes) == 8
    first, second = tmp_path / "first", tmp_path / "second"
    fresh, resumed, started_from_a_model_as_by_the_dock = opened_by_trainings(
        tmp_path / "opened.json",
        (dataset, "--run", first, "--epochs", 1, "--device", "cpu", "--val-fraction", 0.34),
        (dataset, "--run", first, "--resume", "--epochs", 2),
        (dataset, "--run", second, "--json-lines", "--start-from", first, "--epochs", 1, "--device", "cpu"),
    )
    for opened in (fresh, resumed, started_from_a_model_as_by_the_dock):
        assert {path: opened[str(path)] for path in volumes} == dict.fromkeys(volumes, 1)
    assert resumed[str(first / "resume.safetensors")] == 1
    assert started_from_a_model_as_by_the_dock[str(first / "model.safetensors")] == 1
