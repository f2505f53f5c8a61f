from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet3d import EvaluationConfig
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.errors.find import list_errors
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.evaluation.reports.report_evaluation import describe_evaluation
from napari_unet3d.evaluation.tolerance import default_tolerance
from napari_unet3d.runs.run_files import EvaluationFiles

SIDES = st.floats(1e-4, 1e4, allow_nan=False)


@given(st.tuples(SIDES, SIDES, SIDES))
def test_the_default_is_the_smallest_side_rounded_up_a_little_in_any_order(spacing):
    tolerance, smallest = default_tolerance(spacing), min(spacing)
    assert smallest * (1 - 1e-6) <= tolerance <= 1.1001 * smallest
    assert tolerance == default_tolerance(spacing[::-1])


def test_one_voxel_is_noise_and_two_are_none():
    truth = np.zeros((12, 14, 16), np.uint8)
    truth[3:9, 3:9, 3:9] = 1
    for spacing in ((2.0, 0.5, 0.5), (0.3, 0.1625, 0.1625), (1.0, 1.0, 1.0)):
        for along_x, n_errors in ((1, 0), (2, 1)):
            prediction = truth.copy()
            prediction[3:9, 3:9, 9 : 9 + along_x] = 1
            tolerance = default_tolerance(spacing)
            errors = list_errors(prediction, GroundTruth(truth), geometry=Geometry(spacing), tolerance=tolerance)
            assert (len(errors), errors.n_hidden) == (n_errors, 1 - n_errors), spacing


def test_a_good_prediction_of_the_sample_still_shows_its_largest_errors():
    from napari_unet3d.widgets.sample_data import synthetic_blobs

    (_, kwargs, _), (labels, *_) = synthetic_blobs()[:2]
    geometry, truth = Geometry(tuple(map(float, kwargs["scale"]))), np.asarray(labels) > 0
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=truth.shape), 1.5)
    prediction = ndimage.gaussian_filter(truth.astype(float), 0.9) + 0.12 * noise / noise.std() > 0.5
    known, tolerance = GroundTruth(truth.astype(np.uint8)), default_tolerance(geometry.spacing)
    assert score(prediction, known, "v", geometry).dice > 0.9, "it is a good one"
    errors = list_errors(prediction, known, geometry=geometry, tolerance=tolerance)
    assert 0 < len(errors) < errors.n_hidden, "the largest errors only"


def test_scores_use_the_default_for_the_voxels_of_the_volume():
    truth = np.zeros((8, 9, 10), np.uint8)
    truth[2:6, 2:6, 2:6] = 1
    prediction = np.roll(truth, 1, axis=2)
    for side, expected in ((0.25, 1.0), (4.0, 1.0)):  # one voxel off, whatever its size
        geometry = Geometry((2 * side, side, side))
        assert score(prediction, GroundTruth(truth), "v", geometry).nsd == expected
        assert score(prediction, GroundTruth(truth), "v", geometry, MetricOptions(tolerance=0.9 * side)).nsd < 1


def test_the_setting_takes_auto_a_number_and_nothing_else():
    assert EvaluationConfig().tolerance is EvaluationConfig(tolerance="auto").tolerance is None
    assert EvaluationConfig(tolerance=0).tolerance == 0
    for wrong in (-1, "wide"):
        with pytest.raises(UserError, match="tolerance"):
            EvaluationConfig(tolerance=wrong)


def test_the_report_says_which_tolerance_was_used(tmp_path):
    def words(about):
        volumes = [{"name": name, "dice": 1.0, "distance_unit": "µm"} for name in ("a", "b")]
        return describe_evaluation(EvaluationFiles(tmp_path, about, volumes, {"dice": 1.0}, (), ()))["tolerance"]

    chosen = {"settings": {"tolerance": 0.7}, "tolerances": {"a": 0.7, "b": 0.7}}
    assert words(chosen) == "0.7 µm"
    by_voxels = {"settings": {"tolerance": None}, "tolerances": {"a": 0.5, "b": 0.5}}
    assert words(by_voxels) == "0.5 µm, the smallest side of a voxel"
    by_voxels["tolerances"]["b"] = 2.0
    assert words(by_voxels) == "0.5 to 2 µm, the smallest side of a voxel"
    assert words({}) is None
