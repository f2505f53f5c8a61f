"""Which volumes train and which validate."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import split_samples
from napari_unet3d.errors import UserError


def samples(n: int) -> list[Sample]:
    return [Sample(str(i), np.zeros((2, 3, 4), np.uint8)) for i in range(1, n + 1)]


def names(chosen) -> list[str]:
    return [sample.name for sample in chosen]


@given(n=st.integers(2, 60), percent=st.integers(1, 90), seed=st.integers(0, 2**31 - 1))
def test_every_volume_is_in_one_part_and_both_have_one(n, percent, seed):
    split = split_samples(samples(n), percent / 100, seed)
    assert sorted(names(split.train) + names(split.val), key=int) == names(samples(n))
    assert len(split.val) == max(1, math.floor(percent * n / 100)) or len(split.train) == 1
    assert names(split.train) == sorted(names(split.train), key=int)


@pytest.mark.parametrize(
    ("n", "fraction", "n_val"), [(5, 0.2, 1), (10, 0.3, 3), (100, 0.29, 29), (4, 0.2, 1), (2, 0.9, 1)]
)
def test_the_number_of_validation_volumes(n, fraction, n_val):
    assert len(split_samples(samples(n), fraction, seed=0).val) == n_val


@given(seed=st.integers(0, 1000), order=st.randoms())
def test_the_order_of_listing_does_not_matter(seed, order):
    mixed = samples(12)
    random.Random(order.random()).shuffle(mixed)
    assert names(split_samples(mixed, 0.25, seed).val) == names(split_samples(samples(12), 0.25, seed).val)


def test_another_seed_gives_another_split_and_the_global_generator_stays():
    before = np.random.get_state()[1].tolist()
    drawn = {tuple(names(split_samples(samples(12), 0.25, seed).val)) for seed in range(20)}
    assert len(drawn) > 10
    assert np.random.get_state()[1].tolist() == before


def test_fraction_zero_trains_on_all():
    split = split_samples(samples(3), 0, seed=0)
    assert names(split.train) == ["1", "2", "3"]
    assert split.val == ()
    assert split_samples(samples(1), 0, seed=0).train


def test_one_volume_cannot_be_divided():
    with pytest.raises(UserError, match=r"1 volume cannot .* fraction of 0\.2. Add a second volume, or set .* to 0"):
        split_samples(samples(1), 0.2, seed=0)


def test_no_volume_at_all():
    with pytest.raises(UserError, match="no volume to train on"):
        split_samples([], 0, seed=0)
