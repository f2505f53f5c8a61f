from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.evaluation.errors.distances import TruthDistance


@pytest.mark.parametrize("voxel_size_um", [(2.0, 1.0, 0.5), (1.0, 1.0, 1.0), (0.1, 0.1, 3.0)])
@pytest.mark.parametrize("is_annotated", [False, True])
def test_distances_are_those_of_scipy_near_and_far(voxel_size_um, is_annotated):
    rng = np.random.default_rng(5)
    smooth = ndimage.gaussian_filter(rng.normal(size=(37, 30, 41)), 5)
    labels = np.digitize(smooth, np.quantile(smooth, [0.6, 0.85])).astype(np.uint8)
    labels[8:29, 6:24, 8:30] = 3  # deeper than the steps that are looked along
    annotated = rng.random(labels.shape) > 0.4 if is_annotated else None
    surfaces = TruthDistance(GroundTruth(labels, annotated), voxel_size_um)
    for value in range(4):
        other = labels != value
        if annotated is not None:
            other &= annotated
        expected = ndimage.distance_transform_edt(~other, sampling=voxel_size_um)
        places = np.flatnonzero(labels == value)
        np.testing.assert_allclose(surfaces.distances(value, places), expected.ravel()[places], rtol=1e-5)


def test_distances_are_infinite_without_another_value():
    surfaces = TruthDistance(GroundTruth(np.zeros((20, 21, 22), np.uint8)), (1.0, 1.0, 1.0))
    assert np.isinf(surfaces.distances(0, np.arange(20 * 21 * 22))).all()
