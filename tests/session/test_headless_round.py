"""The correction round of the README, run as it is written there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d import train
from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import add_sample, create_dataset
from napari_unet3d.data.pairs import Subset, list_pairs
from napari_unet3d.data.sample import Sample
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.runs.run_files import read_run_files
from napari_unet3d.session import preferences

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"<!-- example: correction round -->\s*```python\n(.*?)```", re.DOTALL)


def snippet() -> str:
    found = BLOCK.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def ball(name: str, middle: tuple[int, int, int]) -> Sample:
    distances = np.linalg.norm(np.indices((16, 18, 20)).T - middle, axis=-1).T
    labels = (distances < 5).astype(np.uint8)
    noise = np.random.default_rng(list(name.encode())).integers(0, 40, labels.shape)
    return Sample(name, (labels * 100 + noise).astype(np.uint8), labels, (2.0, 1.0, 1.0))


def two_balls() -> Sample:
    """The right one can hardly be seen, so that it is missed."""
    left, right = ball("new", (7, 10, 9)), ball("right", (8, 9, 10))
    image, labels = (
        np.concatenate(pair, axis=2) for pair in ((left.image, right.image // 4), (left.labels, right.labels))
    )
    return Sample("new", image, labels, left.voxel_size_um)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run that was hardly trained, on a dataset with a test volume, and another dataset with a harder volume."""
    monkeypatch.setattr(preferences, "preferences_folder", lambda: tmp_path / "preferences")
    monkeypatch.chdir(tmp_path)
    dataset = create_dataset(tmp_path / "data")
    for name in "123":
        add_sample(dataset, ball(name, (8, 9, 10)), Subset.TRAIN)
    add_sample(dataset, ball("t", (7, 8, 11)), Subset.TEST)
    add_sample(create_dataset(tmp_path / "new volumes"), two_balls(), Subset.TRAIN)
    config = TrainingConfig(epochs=2, steps_per_epoch=2, device="cpu", patch=(16, 16, 16), val_fraction=0.34)
    list(train(dataset, tmp_path / "runs" / "first", config))
    return tmp_path


def test_the_correction_round_of_the_readme_runs(folder, capsys):
    names = {}
    exec(compile(snippet(), "README.md", "exec"), names)
    printed = capsys.readouterr().out
    session, compared = names["session"], names["compared"]
    assert f"{len(session.errors)} errors, Dice {session.scores.dice:.3f}" in printed
    assert compared.summary in printed
    assert set(session.corrected) >= {error.number for error in session.errors[:5]}
    assert "new corrected" in [pair.name for pair in list_pairs(folder / "data", Subset.TRAIN)]
    assert compared.run.parent == folder / "runs"
    assert read_run_files(compared.run).environment["start_from"] == str(folder / "runs" / "first")
    assert load_checkpoint(compared.run).config.epochs == 1  # half as many
    assert compared.before.test_dice is not None
    assert (compared.after.n_errors, compared.after.dice) != (compared.before.n_errors, compared.before.dice)
