"""A round of corrections raises the Dice of a test volume that nobody corrected: the point of it all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from napari_unet3d import evaluate, generate_volume, predict, train
from napari_unet3d.configs import (
    EvaluationConfig,
    PredictionConfig,
    SyntheticConfig,
    TrainingConfig,
)
from napari_unet3d.configs.correction import fine_tuning_config
from napari_unet3d.data.dataset import add_sample
from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.sample import Sample
from napari_unet3d.session.inspection import InspectionSession

SHAPE, PATCH = (40, 44, 48), (32, 32, 32)
CPU = {"device": "cpu"}
LOOKS = {
    "difficulty": "hard",
    "shape": SHAPE,
    "object_shape_min": (12, 12, 12),
    "object_shape_max": (20, 20, 20),
    "label_kind": "foreground",
}
EASIER = {"objects": 8, "uneven_background": 0.0, "intensity": (150, 200)}


def volume(name: str, seed: int, **looks) -> Sample:
    *_, made = generate_volume(SyntheticConfig(seed=seed, **{**LOOKS, "objects": 14, **looks}))
    return replace(made.sample, name=name)


def hard_dataset(folder: Path, seed: int) -> Sample:
    """Two easier volumes train, a hard one tests; return another hard one, which belongs to neither subset."""
    for number in range(2):
        add_sample(folder, volume(f"easier {number}", 1000 * seed + number, **EASIER), Subset.TRAIN)
    add_sample(folder, volume("test", 1000 * seed + 20), Subset.TEST)
    return volume("extra", 1000 * seed + 10)


def trained(dataset: Path, run: Path, config: TrainingConfig, start_from: Path | None = None) -> Path:
    list(train(dataset, run, config, start_from=start_from))
    return run


def dice_of_test(model: Path, dataset: Path) -> float:
    *_, finished = evaluate(model, dataset, config=EvaluationConfig(**CPU))
    return finished.mean.dice


def worst_errors_corrected(model: Path, extra: Sample, n_errors: int = 5) -> tuple[Sample, Sample]:
    """Accept the ground truth at the largest errors of a prediction and nowhere else; also return them uncorrected."""
    *_, prediction = predict(model, replace(extra, labels=None), PredictionConfig(**CPU))
    session = InspectionSession(prediction, extra, tolerance=1.0)
    for error in session.errors[:n_errors]:
        session.select(error)
        session.accept_truth()
    assert len(session.corrections.done) == n_errors
    sample = session.corrections.training_sample(session.settings.unedited_regions)
    place = tuple(
        slice(start, start + side) for start, side in zip(sample.provenance.start_zyx, sample.shape, strict=True)
    )
    return sample, replace(sample, labels=np.where(sample.label_mask, prediction.labels[place], 0))


def one_round(folder: Path, seed: int) -> tuple[float, float, float, float]:
    """Return the Dice of the test volume before, and after the same few epochs more: without the other hard volume,
    with the prediction at five places of it, and with these places corrected.
    """
    dataset, config = folder / "data", TrainingConfig(epochs=10, steps_per_epoch=8, patch=PATCH, val_fraction=0, **CPU)
    extra = hard_dataset(dataset, seed)
    model, more = trained(dataset, folder / "first", config), fine_tuning_config(config)
    corrected, uncorrected = worst_errors_corrected(model, extra)
    models = [model, trained(dataset, folder / "longer", more, model)]
    for name, sample in (("uncorrected", uncorrected), ("corrected", corrected)):
        add_sample(dataset, sample, Subset.TRAIN, overwrite=True)
        models.append(trained(dataset, folder / name, more, model))
    before, longer, with_prediction, with_corrections = (dice_of_test(each, dataset) for each in models)
    return before, longer, with_prediction, with_corrections


def test_a_round_of_corrections_raises_the_test_dice(tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that sums come in one order everywhere
    try:
        before, longer, with_prediction, with_corrections = one_round(tmp_path, seed=2)
    finally:
        torch.set_num_threads(threads)
    assert with_corrections > before + 0.03
    assert with_corrections > longer + 0.03  # it is not only that it trained longer
    assert with_corrections > with_prediction + 0.01  # nor that it saw the other volume
