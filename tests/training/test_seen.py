"""What a model has seen goes with it, from the first epoch to the scores of a test volume."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from napari_unet3d import TrainingConfig, evaluate, train
from napari_unet3d.configs import Augmentation, EvaluationConfig
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.seen_content import SeenIn
from napari_unet3d.model.checkpoint import Checkpoint, load_checkpoint, load_seen_content, save_checkpoint

CPU = {"device": "cpu"}
SETTINGS = {"preset": "xxsmall", "epochs": 1, "steps_per_epoch": 1, "seed": 0, **CPU}


def box_sample(name: str) -> Sample:
    """Return a bright box in noise, another one for each name."""
    rng = np.random.default_rng(list(name.encode()))
    labels = np.zeros((12, 16, 20), np.uint8)
    z, y, x = rng.integers(1, (6, 8, 10))
    labels[z : z + 5, y : y + 7, x : x + 9] = 1
    return Sample(name, (labels * 150 + rng.integers(0, 50, labels.shape)).astype(np.uint8), labels)


def scored(model: Path | Checkpoint, samples: list[Sample], **settings) -> list[SeenIn]:
    *_, finished = evaluate(model, samples, config=EvaluationConfig(**CPU, **settings))
    return [scores.seen_in for scores in finished.volumes]


def test_every_score_has_it_whatever_volumes_are_called(tmp_path: Path) -> None:
    one, two, new = (box_sample(name) for name in "abt")
    config = TrainingConfig(**SETTINGS, val_volumes=("b",))
    list(train([one, two], tmp_path / "run", config))
    renamed = [
        Sample("never shown", one.image.astype(np.float32), one.labels),
        Sample("a", two.image, two.labels),
        Sample("b", new.image, new.labels),
        Sample("part", one.image[:, :12, 3:], one.labels[:, :12, 3:]),
    ]
    expected = [SeenIn.TRAINING, SeenIn.VALIDATION, SeenIn.NEVER, SeenIn.TRAINING]
    assert scored(tmp_path / "run", renamed) == expected
    assert scored(tmp_path / "run", renamed, test_augmentation=Augmentation.LIGHT) == expected

    *_, finished = evaluate(tmp_path / "run", renamed, out=tmp_path / "out", config=EvaluationConfig(**CPU))
    assert finished.mean.seen_in is SeenIn.MIXED
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert [each["seen_in"] for each in metrics["volumes"]] == [each.value for each in expected]
    with (tmp_path / "out" / "metrics.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["seen_in"] for row in csv.DictReader(file)] == [*(each.value for each in expected), "mixed"]


def test_a_model_that_starts_from_another_has_seen_what_that_has(tmp_path: Path) -> None:
    one, two, new = (box_sample(name) for name in "abt")
    config = TrainingConfig(**SETTINGS, val_fraction=0)
    list(train([one], tmp_path / "first", config))
    list(train([two], tmp_path / "second", config, start_from=tmp_path / "first"))
    assert scored(tmp_path / "second", [one, two, new]) == [SeenIn.TRAINING, SeenIn.TRAINING, SeenIn.NEVER]

    known = load_checkpoint(tmp_path / "first")
    unknown = Checkpoint(known.config, known.weights, known.epoch, plan=known.plan)
    list(train([two], tmp_path / "third", config, start_from=unknown))
    assert scored(tmp_path / "third", [one, two]) == [SeenIn.UNKNOWN, SeenIn.TRAINING]
    assert scored(unknown, [one]) == [SeenIn.UNKNOWN]


@pytest.mark.parametrize("lost", [False, True])
def test_a_run_that_is_resumed_still_knows_what_it_started_from(tmp_path: Path, lost: bool) -> None:
    one, two, new = (box_sample(name) for name in "abt")
    config = TrainingConfig(**SETTINGS, val_fraction=0)
    list(train([one], tmp_path / "first", config))
    run = tmp_path / "second"
    list(train([two], run, config, start_from=tmp_path / "first"))
    if lost:
        (run / "seen.json").write_text("{")
    list(train([two], run, TrainingConfig(epochs=2), resume=True))
    assert load_checkpoint(run / "last.safetensors").epoch == 2
    never = SeenIn.UNKNOWN if lost else SeenIn.NEVER
    first = SeenIn.UNKNOWN if lost else SeenIn.TRAINING
    assert scored(load_checkpoint(run / "last.safetensors"), [one, two, new]) == [first, SeenIn.TRAINING, never]


def test_it_is_read_without_the_weights_and_is_not_known_of_other_files(tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    list(train([box_sample("a")], tmp_path / "run", TrainingConfig(**SETTINGS, val_fraction=0)))
    save_checkpoint(model, load_checkpoint(tmp_path / "run"))
    assert load_seen_content(model) == load_seen_content(tmp_path / "run") is not None
    save_file(load_file(model), tmp_path / "plain.safetensors")
    for other in (None, tmp_path / "plain.safetensors", tmp_path / "none", tmp_path / "m.pth"):
        assert load_seen_content(other) is None
