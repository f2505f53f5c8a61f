"""What a model has seen is recognised by its intensities, whatever volumes are called."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.seen_content import SeenContent, SeenIn, record_content, seen_in
from napari_unet3d.data.split import Block, Role, Split

SHAPE = (24, 30, 36)


def noise(seed: int, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 60, shape).astype(np.uint8)


def seen_of(*train: np.ndarray, val=(), before=None) -> SeenContent:
    parts = [tuple(Sample(f"{n}", image) for n, image in enumerate(images)) for images in (train, val)]
    return record_content(Split(*parts), before)


def test_training_comes_before_validation_and_both_before_never():
    seen = seen_of(noise(1), noise(2), val=[noise(2), noise(3)])
    assert [seen_in(seen, noise(seed)) for seed in range(5)] == [
        SeenIn.NEVER,
        SeenIn.TRAINING,
        SeenIn.TRAINING,
        SeenIn.VALIDATION,
        SeenIn.NEVER,
    ]


@settings(max_examples=25)
@given(st.tuples(*(st.integers(0, side - 12) for side in SHAPE)), st.booleans())
def test_a_part_is_found_wherever_it_lies_on_either_side(start, is_trained):
    crop = noise(1)[tuple(slice(first, first + 12) for first in start)]
    trained, scored = (crop, noise(1)) if is_trained else (noise(1), crop.astype(np.float64))
    assert seen_in(seen_of(trained), scored) is SeenIn.TRAINING
    assert seen_in(seen_of(noise(2)), scored) is SeenIn.NEVER


def test_a_few_slices_and_a_stack_that_was_turned_over_are_found():
    assert seen_in(seen_of(noise(1)), noise(1)[5:7]) is SeenIn.TRAINING
    assert seen_in(seen_of(noise(1)), noise(1)[::-1]) is SeenIn.TRAINING
    assert seen_in(seen_of(noise(1)[:3]), noise(1)) is SeenIn.TRAINING


def test_a_correction_counts_where_it_is_annotated_only():
    scene = noise(4, (24, 30, 72))
    mask = np.zeros((24, 30, 40), bool)
    mask[5:12, 5:15, 2:12] = True

    def seen() -> SeenContent:
        corrected = Sample("left", scene[..., :40], label_mask=mask, provenance=Provenance(volume="v"))
        return record_content(Split((corrected,), ()))

    assert seen_in(seen(), scene[..., 30:]) is SeenIn.NEVER
    mask[5:12, 5:15, 30:40] = True
    assert seen_in(seen(), scene[..., 30:]) is SeenIn.TRAINING


def test_both_blocks_of_a_single_volume_are_told_apart():
    sample = Sample("v", noise(1), np.ones(SHAPE, np.uint8))
    train = Block("v", Role.TRAINING, (0, 0, 0), (24, 30, 14)).cut(sample)
    val = Block("v", Role.VALIDATION, (0, 0, 24), (24, 30, 36)).cut(sample)
    seen = record_content(Split((train,), (val,)))
    assert seen_in(seen, noise(1)[..., :12]) is SeenIn.TRAINING
    assert seen_in(seen, noise(1)[..., 24:]) is SeenIn.VALIDATION
    assert seen_in(seen, noise(1)[..., 14:22]) is SeenIn.NEVER  # the gap
    assert seen_in(seen, noise(1)) is SeenIn.TRAINING


def test_one_channel_in_common_is_enough_but_no_constant_one():
    empty = np.zeros(SHAPE, np.uint8)
    seen = seen_of(np.stack([empty, noise(1)]))
    assert seen_in(seen, noise(1)) is SeenIn.TRAINING
    assert seen_in(seen, np.stack([noise(2), noise(1)])) is SeenIn.TRAINING
    assert seen_in(seen, np.stack([empty, noise(2)])) is SeenIn.NEVER


def test_flat_objects_without_noise_look_alike_in_any_volume():
    one, other = np.zeros(SHAPE), np.zeros(SHAPE)
    one[4:12, 4:20, 4:20] = 100
    other[2:10, 4:20, 4:30] = 100
    assert seen_in(seen_of(one), one) is SeenIn.TRAINING
    assert seen_in(seen_of(one), other) is SeenIn.NEVER


def test_what_a_model_saw_that_it_started_from_counts():
    second = seen_of(noise(2), before=seen_of(noise(1), val=[noise(3)]))
    assert [seen_in(second, noise(seed)) for seed in (1, 2, 3, 4)] == [
        SeenIn.TRAINING,
        SeenIn.TRAINING,
        SeenIn.VALIDATION,
        SeenIn.NEVER,
    ]
    after_unknown = seen_of(noise(2), before=SeenContent(is_complete=False))
    assert [seen_in(after_unknown, noise(seed)) for seed in (2, 4)] == [SeenIn.TRAINING, SeenIn.UNKNOWN]
    assert seen_in(None, noise(1)) is SeenIn.UNKNOWN


def test_the_record_is_small_and_survives_as_text():
    seen = seen_of(*(noise(seed, (64, 64, 64)) for seed in range(3)))
    text = seen.model_dump_json()
    assert len(text) < 3 * 8000
    again = SeenContent.model_validate_json(text)
    assert again == seen
    assert seen_in(again, noise(2, (64, 64, 64))) is SeenIn.TRAINING


@pytest.mark.parametrize(
    ("each", "all_of_them"),
    [
        ([SeenIn.NEVER, SeenIn.NEVER], SeenIn.NEVER),
        ([SeenIn.NEVER, SeenIn.TRAINING], SeenIn.MIXED),
        ([], SeenIn.UNKNOWN),
    ],
)
def test_several_volumes_have_what_they_have_in_common(each, all_of_them):
    assert SeenIn.of_all(each) is all_of_them
