from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy import ndimage

from napari_unet3d.evaluation.errors.voxels import connected_components

SHAPES = st_numpy.array_shapes(min_dims=3, max_dims=3, max_side=7)
VALUES = st_numpy.arrays(np.uint8, SHAPES, elements=st.integers(0, 2))


@given(VALUES)
def test_regions_are_those_that_scipy_labels_value_by_value(values):
    places = np.flatnonzero(values)
    numbers, n_regions = connected_components(places, values.ravel()[places], values.shape)
    drawn = np.zeros(values.shape, int)
    drawn.ravel()[places] = numbers + 1
    n_expected = 0
    for value in (1, 2):
        expected, n_labels = ndimage.label(values == value, np.ones((3, 3, 3)))
        n_expected += n_labels
        pairs = {(ours, theirs) for ours, theirs in zip(drawn.ravel(), expected.ravel(), strict=True) if theirs}
        assert len(pairs) == n_labels
        assert len({ours for ours, _ in pairs}) == n_labels
    assert n_regions == n_expected == drawn.max()


@pytest.mark.parametrize(
    ("one", "other"), [((0, 0, 4), (0, 1, 0)), ((0, 2, 2), (1, 0, 2)), ((0, 2, 4), (1, 0, 0)), ((0, 0, 0), (0, 0, 2))]
)
def test_what_only_follows_in_memory_does_not_touch(one, other):
    mask = np.zeros((2, 3, 5), bool)
    mask[one] = mask[other] = True
    places = np.flatnonzero(mask)
    assert connected_components(places, np.ones(2), mask.shape)[1] == 2
