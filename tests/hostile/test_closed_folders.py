"""Folders and files without permissions: every command says so, in one sentence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d import Sample
from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.files import write_json
from napari_unet3d.model.checkpoint import Checkpoint, save_checkpoint
from napari_unet3d.model.network import build_network

PLACES: list[tuple[str, str]] = [
    ("run", "predict run dataset/test/images/c.tif --out out"),
    ("run", "evaluate run dataset --out out"),
    ("run", "report run --out out.html"),
    ("run", "train dataset --run run --resume"),
    ("run", "train dataset --run run/new"),
    ("run", "train dataset --run new --start-from run"),
    ("run/config.json", "train dataset --run run --resume"),
    ("run/model.safetensors", "predict run dataset/test/images/c.tif --out out"),
    ("run/evaluation", "report run --out out.html"),
    ("run/evaluation", "report --evaluation run/evaluation --out out.html"),
    ("run/evaluation", "evaluate run dataset --out run/evaluation"),
    ("dataset", "train dataset --run new"),
    ("dataset", "train dataset --run new --check"),
    ("dataset", "evaluate run dataset --out out"),
    ("dataset", "generate dataset --train 1"),
    ("dataset", "predict run dataset/test/images/c.tif --out out"),
    ("dataset/train", "train dataset --run new"),
    ("dataset/train/images", "train dataset --run new"),
    ("dataset/train/labels", "train dataset --run new"),
    ("dataset/train/images/a.tif", "train dataset --run new"),
    ("dataset/test/labels", "evaluate run dataset --out out"),
    ("volumes", "predict run volumes --out out"),
    ("volumes", "predict run volumes/v.npy --out out"),
    ("volumes", "predict run volumes/v.zarr --out out"),
    ("volumes/v.npy", "predict run volumes/v.npy --out out"),
    ("volumes/v.npy.json", "predict run volumes/v.npy --out out"),
    ("volumes/v.zarr", "predict run volumes/v.zarr --out out"),
    ("volumes/v.zarr/0", "predict run volumes/v.zarr --out out"),
    ("volumes", "generate new --objects-from volumes/v.npy"),
    ("settings", "train dataset --run new --config settings/c.json"),
    ("settings", "generate new --positions settings/p.csv"),
    ("closed", "predict run dataset/test/images/c.tif --out closed/out"),
    ("closed", "predict run dataset/test/images/c.tif --out closed"),
    ("closed", "evaluate run dataset --out closed/out"),
    ("closed", "report run --out closed/out.html"),
    ("closed", "train dataset --run closed/new"),
    ("closed", "generate closed/new"),
]
"""What is closed, and a command that needs it; paths are relative to the folder of the test."""

_COMMANDS = """
import contextlib, io, json, os, sys
from napari_unet3d.cli import main
for place, command in json.load(sys.stdin):
    mode, said = os.stat(place).st_mode, io.StringIO()
    os.chmod(place, 0)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            code = main(command.split())
    except BaseException as error:
        code = repr(error)
    finally:
        os.chmod(place, mode)
    print(json.dumps([place, command, code, said.getvalue()]), file=sys.__stdout__, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="permissions are of Unix")
def test_every_command_says_that_permission_is_denied(tmp_path: Path) -> None:
    bound: list[str] = []
    if os.geteuid() == 0:  # for whom permissions do not count, except without these capabilities
        if shutil.which("setpriv") is None:
            pytest.skip("run as root, without setpriv")
        bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    _make_files(tmp_path)
    done = subprocess.run(
        [*bound, sys.executable, "-c", _COMMANDS],
        input=json.dumps(PLACES),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert [tuple(each[:2]) for each in outcomes] == PLACES, done.stderr
    wrong = [f"{each}\n" for each in outcomes if each[2] != 1 or "permission denied" not in each[3]]
    assert not "".join(wrong)


def _make_files(folder: Path) -> None:
    image = np.random.default_rng(0).integers(0, 99, (6, 8, 10)).astype(np.uint8)
    for name, subset in (("a", Subset.TRAIN), ("b", Subset.TRAIN), ("c", Subset.TEST)):
        add_sample(folder / "dataset", Sample(name, image, image // 50, (2.0, 1.0, 1.0)), subset)
    config = TrainingConfig(preset="xxsmall", epochs=1, device="cpu")
    weights = build_network(config).state_dict()
    save_checkpoint(folder / "run" / "model.safetensors", Checkpoint(config, weights, epoch=1))
    write_json(folder / "run" / "config.json", config.model_dump(mode="json"))
    write_json(folder / "run" / "evaluation" / "metrics.json", {"volumes": [], "mean": {}})
    for suffix in (".npy", ".zarr"):
        write_volume(folder / "volumes" / f"v{suffix}", image, voxel_size_um=(2.0, 1.0, 1.0))
    write_json(folder / "settings" / "c.json", {"epochs": 1})
    (folder / "settings" / "p.csv").write_text("1,2,3\n")
    (folder / "closed").mkdir()
