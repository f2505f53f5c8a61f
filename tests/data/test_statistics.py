"""What is remembered of a volume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.statistics import compute_statistics, count_values, fingerprint

IMAGE = np.arange(5 * 6 * 7, dtype=np.uint8).reshape(5, 6, 7)


def test_equal_values_have_one_fingerprint_in_every_number_type():
    assert fingerprint(IMAGE) == fingerprint(IMAGE.astype(np.float32))
    assert fingerprint(IMAGE).volume != fingerprint(IMAGE + 1).volume
    assert fingerprint(IMAGE).volume != fingerprint(IMAGE.reshape(6, 5, 7)).volume


def test_slices_are_found_again_but_for_empty_ones():
    other = np.zeros((4, 6, 7), np.uint16)
    other[2:] = IMAGE[1:3]
    assert len(fingerprint(other).slices) == 2
    assert fingerprint(other).slices < fingerprint(IMAGE).slices


@given(
    st_numpy.arrays(np.uint16, st_numpy.array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.integers(0, 9))
)
def test_values_are_counted_as_numpy_does(labels):
    values, counts = np.unique(labels, return_counts=True)
    assert list(count_values(labels).items()) == list(zip(values.tolist(), counts.tolist(), strict=True))


def test_facts_by_hand():
    labels = np.zeros((5, 6, 7), np.uint8)
    labels[1, 2, :3] = 2
    labels[4] = 1
    facts = compute_statistics(Sample("a", IMAGE, labels, (2.0, 0.5, 0.25)), Subset.TEST)
    assert (facts.name, facts.subset, facts.shape, facts.geometry.voxel_size_um) == (
        "a",
        Subset.TEST,
        (5, 6, 7),
        (2.0, 0.5, 0.25),
    )
    assert (facts.intensity_ranges, facts.intensity_means) == (((0.0, 209.0),), (pytest.approx(104.5),))
    assert facts.label_counts == {0: 165, 1: 42, 2: 3}
    assert (facts.n_foreground(None), facts.n_foreground(0)) == (45, 3)
    assert compute_statistics(Sample("a", IMAGE)).label_counts == {}


@pytest.mark.parametrize("axis", range(3))
def test_painted_slices_are_thin_and_objects_are_not(axis):
    painted, blocks = (np.zeros((9, 10, 11), np.uint8) for _ in range(2))
    for place in (0, 4, 7):
        painted[(slice(None),) * axis + (place,)] = 1
    blocks[2:5, 3:7, 4:6] = 1
    assert compute_statistics(Sample("a", np.ones((9, 10, 11)), painted)).single_slice_fraction == 1
    assert compute_statistics(Sample("a", np.ones((9, 10, 11)), blocks)).single_slice_fraction == 0
    blocks[7, :4, :4] = 1  # 16 thin voxels beside 24 others
    assert compute_statistics(Sample("a", np.ones((9, 10, 11)), blocks)).single_slice_fraction == pytest.approx(16 / 40)


def test_slices_painted_along_all_three_axes_are_thin():
    painted = np.zeros((30, 31, 32), np.uint8)
    painted[10], painted[:, 20], painted[:, :, 5] = 1, 2, 1
    assert compute_statistics(Sample("a", np.ones((30, 31, 32)), painted)).single_slice_fraction > 0.9
