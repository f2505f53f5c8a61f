"""Blocks, crops and corrected parts are normalised by their whole volume, in training as at prediction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.configs import PredictionConfig, Task, TrainingConfig, UneditedRegions
from napari_unet3d.data.boxes import MaskedBox
from napari_unet3d.data.corrected_volume import make_corrected_volume
from napari_unet3d.data.corrections import Corrections, CorrectionSource
from napari_unet3d.data.dataset import Subset, add_sample, read_samples
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.intensities import compute_intensities
from napari_unet3d.data.issues import Severity
from napari_unet3d.data.pairs import provenance_file
from napari_unet3d.data.provenance import CorrectionRecord, Provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.inference.predict import predict
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.model.network import build_network
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.loading.volumes import prepare_volume
from napari_unet3d.training.loop import train
from napari_unet3d.training.preflight import preflight
from napari_unet3d.training.samples import split_volumes
from napari_unet3d.transforms.normalise import IntensityScale, fit_scale

UNIT = Geometry((1.0, 1.0, 1.0))
PLAN = Plan(strides=((2, 2, 2),), patch_zyx=(8, 8, 8))
METHODS = ["z-score", "percentile", "min-max"]
SMALL = {"epochs": 1, "steps_per_epoch": 1, "device": "cpu", "patch": (8, 8, 8), "save_snapshots": False}


def uneven(name: str = "scan", shape=(64, 20, 22)) -> Sample:
    """A volume whose end is dim: of its own, it would be normalised quite differently."""
    labels = np.zeros(shape, np.uint8)
    labels[::6, 4:12, 3:18] = 1
    image = np.random.default_rng(0).normal(100, 10, shape) + 60 * labels
    image[shape[0] // 2 :] *= 0.3
    return Sample(name, image.astype(np.uint16), labels)


def corrected_part(whole: Sample, in_dataset: bool = True) -> Sample:
    """The dim corner of a volume, as the Inspect dock makes it."""
    corrections = Corrections(np.zeros(whole.shape, np.uint8), GroundTruth(whole.labels), Task.BINARY, UNIT)
    place = tuple(slice(side - 5, side - 2) for side in whole.shape)
    corrections.accept(MaskedBox(place, np.ones((3, 3, 3), bool)), CorrectionSource.TRUTH, CorrectionRecord(), 2.0)
    provenance = Provenance(volume=whole.name, subset="train" if in_dataset else "", made="1")
    return make_corrected_volume(corrections, whole.image, provenance, UneditedRegions.IGNORE, None, (8, 8, 8))


def scale_of(sample: Sample, method: str) -> IntensityScale:
    return prepare_volume(sample, TrainingConfig(normalisation=method), PLAN).scales[0]


def last(events: Iterator[object]) -> object:
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("method", METHODS)
def test_blocks_of_a_single_volume(method: str) -> None:
    whole = uneven()
    parts = last(split_volumes([whole], TrainingConfig(val_fraction=0.2)))
    assert parts.blocks
    for part in (*parts.train, *parts.val):
        assert scale_of(part, method) == scale_of(whole, method)
        assert fit_scale(part.image, TrainingConfig(normalisation=method).normalisation) != scale_of(whole, method)


@pytest.mark.parametrize("method", METHODS)
def test_a_corrected_part_in_a_dataset_folder(method: str, tmp_path: Path) -> None:
    whole = uneven()
    pair = add_sample(tmp_path, corrected_part(whole, in_dataset=False), Subset.TRAIN)
    written = json.loads(provenance_file(pair.label_mask).read_text())
    assert written["intensities"]["maximum"] == whole.image.max()
    (read,) = read_samples(tmp_path)
    assert read.shape != whole.shape
    assert scale_of(read, method) == scale_of(whole, method)
    own = replace(read, intensities=None, provenance=None)
    assert scale_of(own, method) != scale_of(whole, method)


def test_a_correction_of_a_part_keeps_the_intensities_of_the_volume() -> None:
    part = corrected_part(uneven())
    again = Corrections(np.zeros(part.shape, np.uint8), GroundTruth(part.labels), Task.BINARY, UNIT)
    again.accept(
        MaskedBox((slice(2, 4),) * 3, np.ones((2, 2, 2), bool)), CorrectionSource.TRUTH, CorrectionRecord(), 1.0
    )
    made = make_corrected_volume(again, part.image, part.provenance, UneditedRegions.ACCEPT, None, (4, 4, 4))
    assert made.intensities == part.intensities == compute_intensities(uneven().image)


def test_a_part_whose_intensities_are_unknown_takes_those_of_the_original(tmp_path: Path) -> None:
    whole, other = uneven(), uneven("other")
    part = corrected_part(whole)
    old = replace(part, provenance=part.provenance.model_copy(update={"intensities": None}), intensities=None)
    split = last(split_volumes([whole, other, old], TrainingConfig(val_fraction=0.5)))
    assert scale_of(split.train[-1], "z-score") == scale_of(whole, "z-score")

    *_, known = preflight([whole, other, old], TrainingConfig(**SMALL), timed=False)
    *_, unknown = preflight([other, old], TrainingConfig(**SMALL), timed=False)
    message = "'scan corrected' was cropped from 'scan', whose intensities were not saved with it"
    assert not any(message in issue.message for issue in known.of(Severity.WARNING))
    assert any(message in issue.message for issue in unknown.of(Severity.WARNING))
    notices = [each.message for each in train([other, old], tmp_path, TrainingConfig(**SMALL)) if type(each) is Notice]
    assert any(message in notice for notice in notices)


def test_a_part_is_predicted_as_in_its_volume() -> None:
    part = corrected_part(uneven())
    by_whole, by_itself, normalised = (
        TrainingConfig(normalisation="z-score"),
        TrainingConfig(normalisation="z-score"),
        TrainingConfig(normalisation="none"),
    )
    weights = build_network(by_whole).state_dict()
    scale = fit_scale(uneven().image, by_whole.normalisation)
    samples = (part, replace(part, intensities=None, provenance=None), replace(part, image=scale.apply(part.image)))
    found = []
    for config, sample in zip((by_whole, by_itself, normalised), samples, strict=True):
        *_, prediction = predict(Checkpoint(config, weights, 1), sample, PredictionConfig(device="cpu"))
        found.append(prediction.probability)
    np.testing.assert_array_equal(found[0], found[2])
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_the_voxel_size_of_the_network_does_not_change_the_scale() -> None:
    sample = uneven().at(Geometry((1.0, 0.5, 0.5)))
    config, coarse = TrainingConfig(), PLAN.model_copy(update={"spacing_um": (2.0, 1.0, 1.0)})
    assert prepare_volume(sample, config, coarse).scales == prepare_volume(sample, config, PLAN).scales
