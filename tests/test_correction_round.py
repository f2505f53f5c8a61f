"""A round of corrections raises the Dice of a test volume that nobody corrected: the point of it all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from napari_unet3d import evaluate, generate_volume, predict, train
from napari_unet3d.configs import (
    CorrectionConfig,
    EvaluationConfig,
    PredictionConfig,
    SyntheticConfig,
    Task,
    TrainingConfig,
    ZeroIs,
)
from napari_unet3d.configs.fine_tuning import fine_tuning
from napari_unet3d.data.annotation import read_truth
from napari_unet3d.data.boxes import Region
from napari_unet3d.data.corrections import Corrections, Taken
from napari_unet3d.data.dataset import add_sample
from napari_unet3d.data.pairs import Part
from napari_unet3d.data.provenance import CorrectedPlace, Provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.evaluation.error_objects import find_error_objects

SHAPE, PATCH = (40, 44, 48), (32, 32, 32)
CPU = {"device": "cpu"}
LOOKS = {
    "difficulty": "hard",
    "shape": SHAPE,
    "object_shape_min": (12, 12, 12),
    "object_shape_max": (20, 20, 20),
    "labels": "foreground",
}
EASIER = {"objects": 8, "uneven_background": 0.0, "intensity": (150, 200)}


def volume(name: str, seed: int, **looks) -> Sample:
    *_, made = generate_volume(SyntheticConfig(seed=seed, **{**LOOKS, "objects": 14, **looks}))
    return replace(made.sample, name=name)


def hard_dataset(folder: Path, seed: int) -> Sample:
    """Two easier volumes train, a hard one tests; give another hard one, which belongs to neither part."""
    for number in range(2):
        add_sample(folder, volume(f"easier {number}", 1000 * seed + number, **EASIER), Part.TRAIN)
    add_sample(folder, volume("test", 1000 * seed + 20), Part.TEST)
    return volume("extra", 1000 * seed + 10)


def trained(dataset: Path, run: Path, config: TrainingConfig, start_from: Path | None = None) -> Path:
    list(train(dataset, run, config, start_from=start_from))
    return run


def dice_of_test(model: Path, dataset: Path) -> float:
    *_, finished = evaluate(model, dataset, config=EvaluationConfig(**CPU))
    return finished.mean.dice


def worst_errors_corrected(model: Path, extra: Sample, n_errors: int = 5) -> Sample:
    """Take the truth at the largest errors of a prediction and nowhere else."""
    *_, prediction = predict(model, replace(extra, labels=None), PredictionConfig(**CPU))
    truth = read_truth(extra.labels, Task.FOREGROUND, ZeroIs.BACKGROUND)
    errors = find_error_objects(prediction.labels, truth, Task.FOREGROUND, extra.voxel_size_um, tolerance_um=1.0)
    corrections = Corrections(prediction.labels, truth, Task.FOREGROUND, extra.voxel_size_um)
    for error in errors.objects[:n_errors]:
        place = CorrectedPlace(kind=error.kind.value, number=error.number)
        corrections.take(Region(error.slices, errors.mask_of(error)), Taken.TRUTH, place, CorrectionConfig().margin_um)
    assert len(corrections.done) == n_errors
    origin = Provenance(volume=extra.name, run=str(model))
    return corrections.sample(extra.image, origin, CorrectionConfig().elsewhere, ZeroIs.BACKGROUND, PATCH)


def one_round(folder: Path, seed: int) -> tuple[float, float, float, float]:
    """Give the test Dice before, after five corrections, and after as many epochs without; and what is annotated."""
    dataset, config = folder / "data", TrainingConfig(epochs=10, steps_per_epoch=8, patch=PATCH, val_fraction=0, **CPU)
    extra = hard_dataset(dataset, seed)
    model = trained(dataset, folder / "first", config)
    corrected, more = worst_errors_corrected(model, extra), fine_tuning(config)
    without = trained(dataset, folder / "without", more, model)
    add_sample(dataset, corrected, Part.TRAIN)
    trained_on = trained(dataset, folder / "corrected", more, model)
    before, after, longer = (dice_of_test(each, dataset) for each in (model, trained_on, without))
    return before, after, longer, float(corrected.annotated.sum()) / extra.image.size


def test_a_round_of_corrections_raises_the_test_dice(tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that sums come in one order everywhere
    try:
        before, after, longer, annotated = one_round(tmp_path, seed=2)
    finally:
        torch.set_num_threads(threads)
    assert annotated < 0.8
    assert after > before + 0.02
    assert after > longer + 0.02
