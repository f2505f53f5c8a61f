"""Errors that are found block by block are those of the whole volume."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_unet3d.configs import Task
from napari_unet3d.data.boxes import Box
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth, decode_labels
from napari_unet3d.evaluation.errors import find
from napari_unet3d.evaluation.errors.find import list_errors
from napari_unet3d.evaluation.errors.types import ErrorKind, ErrorList
from napari_unet3d.inference.blockwise.grid import BlockGrid
from napari_unet3d.inference.blockwise.scoring import error_depths
from napari_unet3d.inference.blockwise.scoring.errors import ErrorRules, find_errors_blocks
from napari_unet3d.inference.blockwise.scoring.pair_parts import PairParts
from napari_unet3d.inference.blockwise.scoring.scores import count_blocks

Array = np.ndarray[Any, Any]


def by_blocks(
    predicted: Array, truth: GroundTruth, task: Task, block: tuple[int, int, int], rules: ErrorRules, **options: Any
) -> tuple[ErrorList, list[str]]:
    mask = None if truth.label_mask is None else truth.label_mask.__getitem__
    z, y, x = predicted.shape
    parts = PairParts("a", (z, y, x), predicted.__getitem__, truth.labels.__getitem__, mask, task)

    def run(folder: Path) -> Any:
        grid = BlockGrid(parts.shape, block)
        table = yield from count_blocks(parts, grid)
        return (yield from find_errors_blocks(parts, grid, table, rules, folder, **options))

    messages = []
    with TemporaryDirectory() as folder:
        events = run(Path(folder))
        while True:
            try:
                event = next(events)
                messages += [event.message] if isinstance(event, Notice) else []
            except StopIteration as end:
                return end.value, messages


def rows(errors: ErrorList) -> list[tuple[Any, ...]]:
    return [
        (
            each.number,
            each.kind.value,
            each.n_voxels,
            pytest.approx(each.volume),
            pytest.approx(each.depth),
            each.position_zyx,
            each.box_zyx,
            each.predicted,
            each.target,
            each.is_whole,
        )
        for each in errors
    ]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Array, GroundTruth, Task]:
    """Rounded blobs of labels, and a prediction that is shifted, with parts that are missing, joined or divided."""
    shape = draw(st.tuples(st.integers(2, 12), st.integers(2, 12), st.integers(2, 16)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    highest = draw(st.sampled_from([1, 3, 2**40]))
    size = draw(st.integers(1, 5))
    coarse = random.integers(0, 5, [-(-side // size) for side in shape])
    coarse = np.where(coarse < 2, 0, np.minimum(coarse - 1, 3)) * (highest // 3 if highest > 3 else 1)
    coarse = np.minimum(coarse, highest)
    labels = coarse.repeat(size, 0).repeat(size, 1).repeat(size, 2)[: shape[0], : shape[1], : shape[2]]
    labels = labels.astype(np.uint64)
    predicted = np.roll(labels, draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    values = np.unique(labels)
    for _ in range(draw(st.integers(0, 2))):
        predicted = np.where(predicted == random.choice(values), random.choice(values), predicted)
    changed = random.random(shape) < draw(st.sampled_from([0, 0.02, 0.2]))
    predicted[changed] = random.choice(values, int(changed.sum()))
    mask = random.random(shape) < 0.8 if draw(st.booleans()) else None
    task = draw(st.sampled_from(list(Task)))
    if highest > 3 and task is Task.SEMANTIC:
        task = Task.INSTANCE
    return predicted, decode_labels(labels, task, None, mask), task


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    pairs(),
    st.tuples(st.integers(1, 5), st.integers(3, 9), st.integers(3, 9)),
    st.sampled_from([(1.0, 1.0, 1.0), (2.0, 0.5, 0.7)]),
    st.sampled_from([0.0, 0.5, 1.0, 2.1]),
    st.booleans(),
    st.sampled_from([1, 16]),
)
def test_errors_are_those_of_the_whole_volume(
    pair: Any, block: Any, spacing: Any, tolerance: float, ignore_border: bool, halo: int
) -> None:
    predicted, truth, task = pair
    ignores = ignore_border and task is Task.INSTANCE
    geometry = Geometry(spacing)
    whole = list_errors(predicted, truth, task, geometry, tolerance, ignores)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(error_depths, "FIRST_HALO", halo)
        blocks, notices = by_blocks(predicted, truth, task, block, ErrorRules(geometry, tolerance, ignores))
    assert rows(blocks) == rows(whole)
    assert (blocks.n_hidden, blocks.n_left_out, notices) == (whole.n_hidden, whole.n_left_out, [])
    assert (blocks.task, blocks.ignores_border, blocks.geometry) == (whole.task, whole.ignores_border, geometry)


def test_only_the_largest_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "MOST_KEPT", 3)
    random = np.random.default_rng(0)
    predicted, labels = (random.random((2, 6, 20, 20)) < 0.1).astype(np.uint8)
    truth = GroundTruth(labels)
    whole = list_errors(predicted, truth)
    blocks, _ = by_blocks(predicted, truth, Task.BINARY, (3, 7, 8), ErrorRules(Geometry((None,) * 3), 0.0))
    assert len(whole) == 3 < whole.n_left_out
    assert rows(blocks) == rows(whole)
    assert blocks.n_left_out == whole.n_left_out


def test_depths_beyond_the_memory_are_said_to_be_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_depths, "FIRST_HALO", 2)
    labels = np.zeros((3, 3, 40), np.uint8)
    labels[..., 0] = 1
    predicted = np.ones_like(labels)
    predicted[..., 30:] = 0

    def is_small(box: Box) -> bool:
        return box[2].stop - box[2].start <= 20

    rules = ErrorRules(Geometry((1.0, 1.0, 1.0)), 1.0)
    blocks, notices = by_blocks(predicted, GroundTruth(labels), Task.BINARY, (3, 3, 10), rules, affordable=is_small)
    (error,) = blocks
    (exact,) = list_errors(predicted, GroundTruth(labels), geometry=rules.geometry, tolerance=1.0)
    assert error.n_voxels == exact.n_voxels == 29 * 9
    assert 5 < error.depth < exact.depth == 29
    (message,) = notices
    assert "is given as what it is at least" in message


def test_merges_that_do_not_fit_are_measured_coarsely() -> None:
    labels = np.zeros((4, 8, 40), np.uint8)
    labels[..., :19], labels[..., 21:] = 1, 2
    predicted = np.ones_like(labels)
    rules = ErrorRules(Geometry((1.0, 1.0, 1.0)), 0.0)

    def is_small(box: Box) -> bool:
        return box[2].stop - box[2].start <= 20

    blocks, notices = by_blocks(predicted, GroundTruth(labels), Task.INSTANCE, (4, 8, 10), rules, affordable=is_small)
    exact = list_errors(predicted, GroundTruth(labels), Task.INSTANCE, rules.geometry)
    merge, of_whole = (next(each for each in every if each.kind is ErrorKind.MERGE) for every in (blocks, exact))
    assert (merge.n_voxels, merge.target, merge.box_zyx) == (of_whole.n_voxels, (1, 2), of_whole.box_zyx)
    assert abs(merge.position_zyx[2] - of_whole.position_zyx[2]) <= 2
    assert any("are measured at some of their voxels only" in message for message in notices)
