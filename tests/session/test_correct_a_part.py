"""A corrected part of a volume that is corrected again keeps the intensities of that volume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.configs import UneditedRegions
from napari_unet3d.data.boxes import MaskedBox
from napari_unet3d.data.corrections import CorrectionSource
from napari_unet3d.data.dataset import add_sample, read_samples
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.intensities import compute_intensities
from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.provenance import CorrectionRecord, Provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.inference.events import Prediction
from napari_unet3d.session.add_to_dataset import DatasetAddition, add_corrections
from napari_unet3d.session.correction import CorrectionSession, CorrectionTarget
from napari_unet3d.session.origin import VolumeOrigin

WHOLE = np.random.default_rng(0).integers(0, 1000, (30, 20, 24)).astype(np.uint16)
LABELS = (WHOLE > 800).astype(np.uint8)


def session_of(name: str, image: np.ndarray, prediction: Prediction, dataset: Path | None = None) -> CorrectionSession:
    truth = GroundTruth(LABELS[tuple(map(slice, image.shape))])
    session = CorrectionSession(prediction, truth, VolumeOrigin(name, dataset=dataset), image)
    region = MaskedBox((slice(2, 5),) * 3, np.ones((3, 3, 3), bool))
    session.accept(CorrectionTarget(region, CorrectionRecord()), CorrectionSource.TRUTH, 2.0)
    return session


def prediction_of(name: str, image: np.ndarray) -> Prediction:
    return Prediction(
        name, np.zeros(image.shape, np.uint8), np.zeros(image.shape, np.float32), Geometry((1.0, 1.0, 1.0))
    )


@pytest.mark.parametrize("known_by", ["prediction", "dataset"])
def test_it_keeps_the_intensities_of_the_whole_volume(known_by: str, tmp_path: Path) -> None:
    whole = compute_intensities(WHOLE)
    image = WHOLE[:10, :12, :14] // 4
    mask = np.ones(image.shape, bool)
    own = Provenance(volume="scan", intensities=whole)
    add_sample(tmp_path, Sample("scan corrected", image, LABELS[:10, :12, :14], (1.0,) * 3, mask, own), Subset.TRAIN)
    prediction = prediction_of("scan corrected", image)
    if known_by == "prediction":
        prediction = replace(prediction, intensities=whole)
        session = session_of("elsewhere", image, prediction)
        assert session.image_sample().intensities == whole
    else:
        session = session_of("scan corrected", image, prediction, tmp_path)
    (added,) = add_corrections(DatasetAddition.of(session, tmp_path, UneditedRegions.ACCEPT))
    (sample,) = [each for each in read_samples(tmp_path) if each.name == added.pair.name]
    assert sample.intensities == sample.provenance.intensities == whole


def test_a_whole_volume_has_its_own(tmp_path: Path) -> None:
    session = session_of("scan", WHOLE, prediction_of("scan", WHOLE))
    (added,) = add_corrections(DatasetAddition.of(session, tmp_path, UneditedRegions.IGNORE))
    (sample,) = read_samples(tmp_path)
    assert added.pair.name == sample.name
    assert sample.intensities == compute_intensities(WHOLE)
