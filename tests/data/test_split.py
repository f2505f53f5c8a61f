"""Which volumes train and which validate."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet3d.data.corrected_regions import apply_corrections, mask_corrected
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import Block, Role, Split, split_samples
from napari_unet3d.data.validation_leaks import find_validation_leaks
from napari_unet3d.errors import UserError


def samples(n: int) -> list[Sample]:
    return [Sample(str(i), np.zeros((2, 3, 4), np.uint8)) for i in range(1, n + 1)]


def split(samples, val_fraction, seed) -> Split:
    return split_samples(samples, val_fraction, seed, gap_zyx=(19, 19, 19))


def names(chosen) -> list[str]:
    return [sample.name for sample in chosen]


@given(n=st.integers(2, 60), percent=st.integers(1, 90), seed=st.integers(0, 2**31 - 1))
def test_every_volume_is_in_one_part_and_both_have_one(n, percent, seed):
    parts = split(samples(n), percent / 100, seed)
    assert sorted(names(parts.train) + names(parts.val), key=int) == names(samples(n))
    assert len(parts.val) == max(1, math.floor(percent * n / 100)) or len(parts.train) == 1
    assert names(parts.train) == sorted(names(parts.train), key=int)


@pytest.mark.parametrize(
    ("n", "fraction", "n_val"), [(5, 0.2, 1), (10, 0.3, 3), (100, 0.29, 29), (4, 0.2, 1), (2, 0.9, 1)]
)
def test_the_number_of_validation_volumes(n, fraction, n_val):
    assert len(split(samples(n), fraction, seed=0).val) == n_val


@given(seed=st.integers(0, 1000), order=st.randoms())
def test_the_order_of_listing_does_not_matter(seed, order):
    mixed = samples(12)
    random.Random(order.random()).shuffle(mixed)
    assert names(split(mixed, 0.25, seed).val) == names(split(samples(12), 0.25, seed).val)


def test_another_seed_gives_another_split_and_the_global_generator_stays():
    before = np.random.get_state()[1].tolist()
    drawn = {tuple(names(split(samples(12), 0.25, seed).val)) for seed in range(20)}
    assert len(drawn) > 10
    assert np.random.get_state()[1].tolist() == before


def test_fraction_zero_trains_on_all():
    parts = split(samples(3), 0, seed=0)
    assert names(parts.train) == ["1", "2", "3"]
    assert parts.val == ()
    assert split(samples(1), 0, seed=0).train


def boxes(holding: str) -> list[Sample]:
    """One volume for each letter: foreground where it is a capital one, none in the others."""
    return [Sample(c, np.zeros((2, 3, 4)), np.full((2, 3, 4), c.isupper(), np.uint8)) for c in holding]


def drawn_of(holding: str, val_fraction: float, seed: int) -> str:
    return "".join(names(split(boxes(holding), val_fraction, seed).val))


@given(n=st.integers(2, 40), percent=st.integers(1, 90), seed=st.integers(0, 1000), odd=st.integers(0, 2**40 - 1))
def test_a_draw_of_volumes_with_foreground_is_that_of_the_names_alone(n, percent, seed, odd):
    """Whatever the other volumes hold."""
    every = [Sample(str(i), np.zeros((2, 3, 4)), np.ones((2, 3, 4), np.uint8)) for i in range(n)]
    n_val = min(max(1, math.floor(percent * n / 100)), n - 1)
    plain = sorted(np.random.default_rng(seed).permutation(n)[:n_val].tolist())
    assert names(split(every, percent / 100, seed).val) == [str(i) for i in plain]
    to_train = next(i for i in range(n) if i not in plain)  # one with foreground must be left for training
    mixed = [
        sample if i in plain or i == to_train or odd >> i & 1 else Sample(sample.name, sample.image, 0 * sample.labels)
        for i, sample in enumerate(every)
    ]
    parts = split(mixed, percent / 100, seed)
    assert names(parts.val) == [str(i) for i in plain]
    assert parts.tells_best
    assert parts.notice is None


@pytest.mark.parametrize("seed", range(12))
def test_volumes_without_foreground_validate_only_when_there_are_no_others(seed):
    assert drawn_of("abCdEf", 0.2, seed) in "CE"
    assert sum(c.isupper() for c in drawn_of("ABcDef", 0.5, seed)) >= 2
    parts = split(boxes("abCde"), 0.2, seed)
    assert names(parts.val) == ["C"] or not parts.tells_best
    assert drawn_of("abCdEf", 0.2, seed) == drawn_of("abCdEf"[::-1], 0.2, seed)


def test_one_volume_with_foreground_is_left_to_train():
    (seed,) = [seed for seed in range(9) if np.random.default_rng(seed).permutation(3)[:2].tolist() == [0, 1]][:1]
    assert drawn_of("Abc", 0.67, seed) == "bc"
    assert drawn_of("AbC", 0.67, seed) == "Ab"


def test_validation_without_foreground_is_said():
    (seed,) = [seed for seed in range(9) if np.random.default_rng(seed).permutation(2)[0] == 1][:1]
    parts = split(boxes("Ab"), 0.5, seed)
    assert names(parts.val) == ["b"]
    assert not parts.tells_best
    assert parts.notice == (
        "No validation volume has foreground ('b'), so the best epoch cannot be determined and the model of the last "
        "epoch is saved. Label objects in another volume, so that both training and validation have some."
    )


def test_the_mask_and_the_meaning_of_zero_count_for_the_draw():
    ones, twos = np.ones((4, 4, 4), np.uint8), np.full((4, 4, 4), 2, np.uint8)
    image, nowhere = np.zeros((4, 4, 4)), np.zeros((4, 4, 4), bool)
    sparse = [Sample("a", image, ones), Sample("b", image, twos), Sample("c", image, twos)]
    masked = [Sample("a", image, ones, label_mask=nowhere), *sparse[1:]]
    for seed in range(9):
        drawn = split_samples(sparse, 0.34, seed, gap_zyx=(1, 1, 1), ignore_label=0)
        assert names(drawn.val)[0] in "bc"
        assert names(split(masked, 0.34, seed).val)[0] in "bc"


def test_no_volume_at_all():
    with pytest.raises(UserError, match="no volume to train on"):
        split([], 0, seed=0)


def labelled(shape, labels=None) -> Sample:
    labels = np.ones(shape, np.uint8) if labels is None else labels
    return Sample("one", np.arange(np.prod(shape)).reshape(shape).astype(np.float32), labels, (2.0, 0.5, 0.25))


def overlap(a: Block, b: Block) -> bool:
    return all(max(a.start_zyx[i], b.start_zyx[i]) < min(a.stop_zyx[i], b.stop_zyx[i]) for i in range(3))


@given(
    shape=st.tuples(*[st.integers(2, 60)] * 3),
    gap=st.tuples(*[st.integers(0, 40)] * 3),
    percent=st.integers(1, 90),
    seed=st.integers(0, 100),
)
def test_blocks_of_one_volume(shape, gap, percent, seed):
    sample = labelled(shape)
    parts = split_samples([sample], percent / 100, seed, gap_zyx=gap)
    assert parts.blocks == split_samples([sample], percent / 100, seed, gap_zyx=gap).blocks
    if not parts.val:
        assert parts.train == (sample,)
        assert parts.blocks == ()
        room = [side - step - max(2, round(percent / 100 * side)) for side, step in zip(shape, gap, strict=True)]
        assert all(left < max(2, 0.4 * side) for left, side in zip(room, shape, strict=True))
        assert "is too small for a validation block" in parts.notice
        return

    train, val = parts.blocks
    assert (train.role, val.role, parts.notice) == (Role.TRAINING, Role.VALIDATION, None)
    assert not overlap(train, val)
    (axis,) = [axis for axis in range(3) if (val.start_zyx[axis], val.stop_zyx[axis]) != (0, shape[axis])]
    first, second = sorted([(train.start_zyx[axis], train.stop_zyx[axis]), (val.start_zyx[axis], val.stop_zyx[axis])])
    assert (first[0], second[1]) == (0, shape[axis])
    assert second[0] - first[1] == gap[axis]
    assert train.stop_zyx[axis] - train.start_zyx[axis] >= 0.4 * shape[axis]
    for block, part in zip(parts.blocks, (*parts.train, *parts.val), strict=True):
        assert part.name == f"one [{block.role}]"
        assert part.voxel_size_um == (2.0, 0.5, 0.25)
        place = tuple(slice(a, b) for a, b in zip(block.start_zyx, block.stop_zyx, strict=True))
        assert np.shares_memory(part.image, sample.image)
        np.testing.assert_array_equal(part.image, sample.image[place])
        np.testing.assert_array_equal(part.labels, sample.labels[place])


def test_a_volume_is_cut_where_the_gap_costs_least():
    parts = split_samples([labelled((30, 60, 50))], 0.2, seed=0, gap_zyx=(5, 19, 19))
    assert parts.train[0].shape == (19, 60, 50)  # 30 is six gaps long, 60 only three
    assert parts.val[0].shape == (6, 60, 50)


def test_the_seed_draws_the_end():
    drawn = {split_samples([labelled((30, 4, 4))], 0.2, seed, gap_zyx=(5, 5, 5)).blocks[1] for seed in range(20)}
    assert {block.start_zyx for block in drawn} == {(0, 0, 0), (24, 0, 0)}


@pytest.mark.parametrize("seed", range(4))
def test_the_other_end_is_taken_when_nothing_is_labelled_at_the_one_that_was_drawn(seed):
    labels = np.zeros((30, 4, 4), np.uint8)
    labels[:10] = 1
    parts = split_samples([labelled((30, 4, 4), labels)], 0.2, seed, gap_zyx=(2, 5, 5))
    assert parts.blocks[1].stop_zyx == (6, 4, 4)


def test_another_axis_is_taken_when_one_slice_in_the_middle_is_labelled():
    labels = np.zeros((40, 20, 30), np.uint8)
    labels[20] = 1
    parts = split_samples([labelled((40, 20, 30), labels)], 0.2, seed=0, gap_zyx=(5, 5, 5))
    assert parts.val[0].shape == (40, 20, 6)


def test_background_of_sparse_labels_is_no_foreground():
    labels = np.ones((30, 4, 4), np.uint8)
    labels[10:20] = 2
    sample = labelled((30, 4, 4), labels)
    assert split_samples([sample], 0.2, 0, gap_zyx=(2, 5, 5)).val
    parts = split_samples([sample], 0.2, 0, gap_zyx=(2, 5, 5), ignore_label=0)
    assert parts.val == ()
    assert parts.notice.startswith("'one' cannot be split")
    assert parts.notice.endswith("Label objects at both ends, or add a second volume.")


def test_a_volume_without_labels_is_not_cut():
    assert split_samples([Sample("one", np.zeros((30, 4, 4)))], 0.2, 0, gap_zyx=(2, 2, 2)).notice


def test_a_volume_that_is_too_small_says_by_how_much():
    notice = split_samples([labelled((40, 50, 60))], 0.2, 0, gap_zyx=(47, 47, 47)).notice
    assert notice.startswith("'one' of 40 × 50 × 60 voxels is too small")
    assert "by the receptive field of 47 × 47 × 47 voxels" in notice


def corrected(source: str, made: str = "1", start=(0, 0, 0), mask=None, part="train", name=None) -> Sample:
    shape = (2, 3, 4) if mask is None else mask.shape
    labels = np.ones(shape, np.uint8)
    origin = Provenance(volume=source, subset=part, start_zyx=start, made=made)
    return Sample(name or f"{source} corrected", np.zeros(shape, np.uint8), labels, (1.0, 1.0, 1.0), mask, origin)


@given(n=st.integers(2, 20), percent=st.integers(0, 90), seed=st.integers(0, 99), n_corrected=st.integers(1, 5))
def test_corrected_volumes_train_and_do_not_change_what_validates(n, percent, seed, n_corrected):
    before = split(samples(n), percent / 100, seed)
    more = [corrected(str(number)) for number in range(1, n_corrected + 1)]
    after = split([*more, *samples(n)], percent / 100, seed)
    assert names(after.val) == names(before.val)
    assert names(after.train) == names(before.train) + names(more)


def test_beside_corrected_volumes_a_single_one_is_still_cut():
    one = labelled((60, 20, 20))
    before = split([one], 0.2, 0)
    after = split([corrected(one.name), one], 0.2, 0)
    assert after.blocks == before.blocks != ()
    assert names(after.train) == [*names(before.train), f"{one.name} corrected"]


def test_what_a_corrected_validation_volume_leaks_is_found():
    parts = split([*samples(3), corrected("1"), corrected("2"), corrected("3"), corrected("9", part="")], 0.34, 0)
    (judge,) = names(parts.val)
    found = find_validation_leaks(parts.train, parts.val, parts.blocks)
    assert found == [(judge, f"{judge} corrected")]


def test_a_leak_from_a_block_depends_on_where_the_correction_lies():
    one = labelled((60, 20, 20))
    training, validation = split([one], 0.2, 0).blocks
    for block, found in ((validation, ["one"]), (training, [])):
        parts = split([one, corrected("one", start=block.start_zyx)], 0.2, 0)
        assert [source for source, _ in find_validation_leaks(parts.train, parts.val, parts.blocks)] == found


def test_later_corrections_replace_what_other_volumes_say_there():
    whole = Sample("a", np.zeros((4, 5, 6), np.uint8), np.ones((4, 5, 6), np.uint8))
    mask = np.zeros((2, 3, 4), bool)
    mask[0, 1:, :2] = True
    first = corrected("a", "1", (1, 1, 1), mask)
    second = corrected("a", "2", (2, 2, 2), np.ones((2, 3, 4), bool), name="a corrected 2")
    other = Sample("b", np.zeros((4, 5, 6), np.uint8), np.ones((4, 5, 6), np.uint8))
    left = mask_corrected([whole, other, first, second])
    expected = np.ones((4, 5, 6), bool)
    expected[1, 2:4, 1:3] = False
    expected[2:4, 2:5, 2:6] = False
    np.testing.assert_array_equal(left[0].label_mask, expected)
    assert left[1].label_mask is None
    np.testing.assert_array_equal(left[2].label_mask, mask)  # the second begins one voxel further in z
    assert left[3].label_mask.all()


def test_a_volume_that_was_corrected_throughout_trains_no_more():
    volumes = [Sample(name, np.zeros((2, 3, 4), np.uint8), np.ones((2, 3, 4), np.uint8)) for name in "ab"]
    everywhere = corrected("a", mask=np.ones((2, 3, 4), bool))
    parts = split([*volumes, everywhere], 0, 0)
    assert names(apply_corrections(parts, [*volumes, everywhere]).train) == ["b", "a corrected"]
