"""Scores that are counted block by block are those of the whole volume."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_unet3d.configs import Task
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import decode_labels
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.metric import Metric, Scope
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.evaluation.metrics.table import METRICS
from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.inference.blockwise.grid import BlockGrid
from napari_unet3d.inference.blockwise.scoring.pair_parts import PairParts
from napari_unet3d.inference.blockwise.scoring.pair_table import PairTable
from napari_unet3d.inference.blockwise.scoring.scores import count_blocks, score_blocks
from napari_unet3d.inference.blockwise.scoring.surface_points import DistanceCounts

Array = np.ndarray[Any, Any]
SPACINGS = ((1.0, 1.0, 1.0), (2.0, 0.5, 0.7))


def parts_of(predicted: Array, labels: Array, mask: Array | None, task: Task, ignore_label: int | None) -> PairParts:
    readers = (predicted.__getitem__, labels.__getitem__, None if mask is None else mask.__getitem__)
    shape = predicted.shape
    return PairParts("a", (shape[0], shape[1], shape[2]), *readers, task, ignore_label)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Array, Array, Array | None, Task, int | None]:
    """Blobs of random labels, some of them equal in both, as predictions are; with mask and ignore label or without."""
    shape = draw(st.tuples(st.integers(2, 9), st.integers(2, 9), st.integers(2, 12)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    highest = draw(st.sampled_from([1, 3, 70_000]))
    coarse = random.integers(0, highest + 1, [-(-side // 3) for side in shape]) * (random.random() < 0.9)
    labels = coarse.repeat(3, 0).repeat(3, 1).repeat(3, 2)[: shape[0], : shape[1], : shape[2]].copy()
    predicted = np.roll(labels, draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    changed = random.random(shape) < draw(st.sampled_from([0, 0.02, 0.3]))
    predicted[changed] = random.integers(0, highest + 1, int(changed.sum()))
    mask = (random.random(shape) < 0.8).astype(np.uint8) if draw(st.booleans()) else None
    ignore_label = draw(st.sampled_from([None, 0, highest]))
    return predicted, labels, mask, draw(st.sampled_from(list(Task))), ignore_label


def equal(one: Any, other: Any) -> bool:
    """Compare scores; distances may differ in their last digit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == (pytest.approx(other, rel=1e-9) if isinstance(other, float) else other)


def scores_by_blocks(parts: PairParts, block: tuple[int, int, int], geometry: Geometry, options: Any) -> Scores:
    def run(folder: Path) -> Any:
        grid = BlockGrid(parts.shape, block)
        table = yield from count_blocks(parts, grid)
        return (yield from score_blocks(parts, grid, table, geometry, options, folder))

    with TemporaryDirectory() as folder:
        events = run(Path(folder))
        while True:
            try:
                next(events)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    pairs(),
    st.tuples(st.integers(1, 5), st.integers(2, 9), st.integers(2, 9)),
    st.sampled_from(SPACINGS),
    st.booleans(),
)
def test_scores_are_those_of_the_whole_volume(pair: Any, block: Any, spacing: Any, ignore_border: bool) -> None:
    predicted, labels, mask, task, ignore_label = pair
    options = MetricOptions(task, {1: "one", 9: "nine"}, ignore_border=ignore_border)
    truth = decode_labels(labels, task, ignore_label, None if mask is None else mask > 0)
    whole = score(predicted, truth, "a", Geometry(spacing), options)
    blocks = scores_by_blocks(parts_of(*pair), block, Geometry(spacing), options)
    assert equal(blocks.as_dict(), whole.as_dict())
    assert blocks.distance_unit == whole.distance_unit


def test_surfaces_in_far_blocks_are_found() -> None:
    predicted, labels = np.zeros((2, 3, 40), np.uint8), np.zeros((2, 3, 40), np.uint8)
    predicted[0, 0, 1], labels[0, 0, 35] = 1, 1
    found = scores_by_blocks(
        parts_of(predicted, labels, None, Task.BINARY, None), (2, 3, 4), Geometry((1.0, 1.0, 0.5)), MetricOptions()
    )
    assert (found.hd95, found.nsd, found.dice) == (17.0, 0.0, 0.0)


@given(st.lists(st.lists(st.integers(0, 6), min_size=1), min_size=1, max_size=4))
def test_percentiles_are_those_of_numpy(batches: list[list[int]]) -> None:
    counts = DistanceCounts()
    for batch in batches:
        counts.add(np.sqrt(np.array(batch, float)))
    every = np.sqrt(np.concatenate(batches))
    for percent in (0, 50, 95, 100):
        assert counts.percentile(percent) == pytest.approx(np.percentile(every, percent))


def test_table_grows_by_merging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_unet3d.inference.blockwise.scoring.pair_table._FEWEST", 3)
    random = np.random.default_rng(0)
    predicted, labels = (random.integers(0, 5, (4, 4, 20), np.uint64) * 2**40 for _ in range(2))
    table, whole = PairTable((4, 4, 20)), PairTable((4, 4, 20))
    for start, stop in pairwise(range(0, 21, 2)):
        box = slice(0, 4), slice(0, 4), slice(start, stop)
        table.add(box, predicted[box], decode_labels(labels[box], Task.INSTANCE, None))
    everything = slice(0, 4), slice(0, 4), slice(0, 20)
    whole.add(everything, predicted, decode_labels(labels, Task.INSTANCE, None))
    for one, other in zip((*table.rows, *table.at_border), (*whole.rows, *whole.at_border), strict=True):
        np.testing.assert_array_equal(one, other)
    assert table.rows[3].sum() == np.count_nonzero((predicted > 0) | (labels > 0))


def test_metric_of_voxels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Metric("own", "Own", "Own.", lambda pair: float(pair.prediction.mean()), scope=Scope.VOXELS)
    monkeypatch.setattr("napari_unet3d.evaluation.metrics.table.METRICS", [*METRICS, own])
    labels = np.ones((2, 2, 4), np.uint8)
    with pytest.raises(UserError, match="A metric reads the prediction of a volume that does not fit"):
        scores_by_blocks(
            parts_of(labels, labels, None, Task.BINARY, None), (2, 2, 2), Geometry((1.0, 1.0, 1.0)), MetricOptions()
        )
