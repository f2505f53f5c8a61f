"""Validation volumes are drawn so that both sides have foreground of all kinds, or they are named."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.configs import Task
from napari_unet3d.data.draw import LabelContent, draw_validation
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import split_samples
from napari_unet3d.errors import UserError


def contents(*classes: str, amounts: dict[int, float] | None = None) -> list[LabelContent]:
    """One volume for each text, with a class for each letter."""
    return [
        LabelContent(frozenset(map(ord, each)), (amounts or {}).get(number, 0.1)) for number, each in enumerate(classes)
    ]


@pytest.mark.parametrize("seed", range(30))
def test_every_class_that_can_be_is_on_both_sides(seed):
    volumes = contents("a", "ab", "a", "abc", "a", "b", "a", "c", "a", "a")
    chosen = draw_validation(volumes, 0.3, seed)
    assert len(chosen) == 3
    for side in (chosen, set(range(10)) - chosen):
        assert frozenset().union(*(volumes[i].classes for i in side)) == frozenset(map(ord, "abc"))


@pytest.mark.parametrize("seed", range(20))
def test_a_class_of_a_single_volume_trains(seed):
    volumes = contents("a", "ab", "a", "ac", "a")
    assert draw_validation(volumes, 0.2, seed) <= {0, 2, 4}


@pytest.mark.parametrize("seed", range(20))
def test_the_only_foreground_trains(seed):
    assert 1 not in draw_validation(contents("", "a", ""), 0.34, seed)


@pytest.mark.parametrize("seed", range(20))
def test_rare_classes_of_many_volumes_are_on_both_sides(seed):
    volumes = contents(*["a"] * 60, *(letter for letter in "bcdefghi" for _ in range(2)))
    chosen = draw_validation(volumes, 0.2, seed)
    assert len(chosen) == 15
    assert len(frozenset().union(*(volumes[i].classes for i in chosen))) == 9
    assert chosen == draw_validation(volumes, 0.2, seed)


@pytest.mark.parametrize("seed", range(20))
def test_a_volume_with_hardly_any_foreground_does_not_validate_alone(seed):
    few = contents("a", "a", "a", "a", "a", amounts={0: 1e-4, 3: 2e-4})
    assert draw_validation(few, 0.2, seed) <= {1, 2, 4}


def test_draws_that_need_no_change_are_those_of_the_seed():
    drawn = [draw_validation(contents("a", "a", "a", "a", "a"), 0.4, seed) for seed in range(9)]
    assert drawn == [frozenset(np.random.default_rng(seed).permutation(5)[:2].tolist()) for seed in range(9)]


def test_the_content_of_labels_by_task():
    counts = {0: 50, 1: 20, 2: 20, 255: 10}
    assert LabelContent.of(counts, Task.SEMANTIC, 255) == LabelContent(frozenset({1, 2}), 40 / 90)
    assert LabelContent.of(counts, Task.INSTANCE, None) == LabelContent(frozenset({1}), 3)
    assert LabelContent.of(counts, Task.BINARY, 0) == LabelContent(frozenset({1}), 30 / 50)
    assert LabelContent.of({0: 5}, Task.BINARY, None) == LabelContent(frozenset(), 0)


def volume(name: str, value: int = 1) -> Sample:
    labels = np.full((4, 5, 6), value, np.uint8)
    return Sample(name, np.zeros((4, 5, 6)), labels)


def named(*names: str, of: str = "abc", more: tuple[Sample, ...] = ()) -> tuple[list[str], list[str]]:
    parts = split_samples([*map(volume, of), *more], 0.34, 0, gap_zyx=(1, 1, 1), val_volumes=names)
    return [each.name for each in parts.train], [each.name for each in parts.val]


def test_named_volumes_validate():
    for name in "abc":
        assert named(name) == ([each for each in "abc" if each != name], [name])
    assert named("c", "a", "c") == (["b"], ["a", "c"])
    assert named("b.nii.gz") == (["a", "c"], ["b"])  # the name of its file


def test_named_volumes_must_exist_and_leave_one_to_train():
    with pytest.raises(UserError, match=r"No training volume is named 'd', so it cannot validate; there are 'a', 'b'"):
        named("a", "d")
    with pytest.raises(UserError, match="All 2 volumes are named as validation volumes"):
        named("a", "b", of="ab")
    with pytest.raises(UserError, match="'a' is the only volume, so it cannot be the validation volume"):
        named("a", of="a")
    corrected = Sample("e", np.zeros((4, 5, 6)), np.ones((4, 5, 6), np.uint8), provenance=Provenance(volume="a"))
    with pytest.raises(UserError, match="'e' is a corrected volume, which always trains"):
        named("e", more=(corrected,))


def test_a_single_volume_is_cut_where_no_class_is_lost():
    labels = np.zeros((60, 20, 44), np.uint8)
    labels[::6, 4:12, 3:40] = 1
    labels[25:35, 12:18, ::4] = 2  # in the middle of the longest axis only
    sample = Sample("one", np.zeros(labels.shape), labels)
    parts = split_samples([sample], 0.2, 0, gap_zyx=(4, 4, 4), task=Task.SEMANTIC)
    assert [set(np.unique(each.labels)) for each in (*parts.train, *parts.val)] == [{0, 1, 2}] * 2
    assert parts.val[0].shape[0] == 60
    assert split_samples([sample], 0.2, 0, gap_zyx=(4, 4, 4)).val[0].shape[0] == 12
