"""A checked training opens each volume once, and once the file that it resumes or starts from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
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
code = main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    json.dump(opened, file)
sys.exit(code)
"""


def opened_by_training(dataset: Path, run: Path, *options: object) -> Counter[str]:
    """Train by the command in a new process, and count how often it opens each path."""
    result = run.with_name("opened.json")
    words = [sys.executable, "-c", PROGRAM, str(result), "train", str(dataset), "--run", str(run), *map(str, options)]
    ours, theirs = os.pipe()  # for a program that reads commands, the end of stdin means stop
    try:
        done = subprocess.run(words, stdin=ours, capture_output=True, text=True, check=False)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0, done.stderr
    return Counter(json.loads(result.read_text()))


def test_each_volume_and_the_state_or_model_is_opened_once(dataset: Path, tmp_path: Path) -> None:
    volumes = sorted(path for path in dataset.rglob("*") if path.is_file())
    assert len(volumes) == 8
    once = dict.fromkeys(volumes, 1)
    first, second = tmp_path / "first", tmp_path / "second"

    opened = opened_by_training(dataset, first, "--epochs", 1, "--device", "cpu", "--val-fraction", 0.34)
    assert {path: opened[str(path)] for path in volumes} == once

    opened = opened_by_training(dataset, first, "--resume", "--epochs", 2)
    assert {path: opened[str(path)] for path in volumes} == once
    assert opened[str(first / "resume.safetensors")] == 1

    as_the_dock = ("--json-lines", "--start-from", first, "--epochs", 1, "--device", "cpu")
    opened = opened_by_training(dataset, second, *as_the_dock)
    assert {path: opened[str(path)] for path in volumes} == once
    assert opened[str(first / "model.safetensors")] == 1
