"""The errors of a prediction one by one: what was missed, what is extra, merged, split, or of a wrong class."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import VoxelSize, check_same_shape
from napari_unet3d.evaluation.errors.distances import TruthDistance
from napari_unet3d.evaluation.errors.merges_splits import MergeSplit, find_merges_splits
from napari_unet3d.evaluation.errors.regions import (
    ErrorComponents,
    ErrorRegion,
    Numbers,
    adjacent,
    by_number,
    deepest_noise,
    find_cores,
    make_region,
    measure_thickness,
    split_components,
    steps_of,
)
from napari_unet3d.evaluation.errors.types import ErrorKind, ErrorSet, SearchProgress, SegmentationError
from napari_unet3d.evaluation.errors.voxels import (
    ErrorVoxels,
    Places,
    VoxelError,
    connected_components,
    find_error_voxels,
)
from napari_unet3d.evaluation.metrics.overlaps import Overlaps, narrow_ids

__all__ = ["ErrorKind", "ErrorSet", "SearchProgress", "SegmentationError", "find_errors", "list_errors"]

_MOST_KEPT = 2000
_VOXELS_PER_EVENT = 200_000
_MOST_IDS = 2**20  # above it objects are numbered anew, since boxes are kept for every id

ErrorEvent = SearchProgress | ErrorSet


def list_errors(
    prediction: NDArray[Any],
    truth: GroundTruth,
    task: Task = Task.BINARY,
    voxel_size_um: VoxelSize = (1.0, 1.0, 1.0),
    tolerance_um: float = 0.0,
) -> ErrorSet:
    """Find the errors of a prediction; see `find_errors`, of which this is the last event."""
    *_, found = find_errors(prediction, truth, task, voxel_size_um, tolerance_um)
    assert isinstance(found, ErrorSet)
    return found


def find_errors(
    prediction: NDArray[Any],
    truth: GroundTruth,
    task: Task = Task.BINARY,
    voxel_size_um: VoxelSize = (1.0, 1.0, 1.0),
    tolerance_um: float = 0.0,
) -> Iterator[ErrorEvent]:
    """Find the errors of a prediction one by one.

    Missed, extra and wrong-class voxels that hang together (over faces, edges or corners) are one error. With a
    tolerance, voxels that are no deeper are boundary noise: they join no errors, and a region of nothing else is
    hidden. Missed voxels of single objects are taken apart by the true object, extra ones by the predicted object.
    Merges and splits are those that `match_instances` counts. What is not annotated is no error.

    Parameters
    ----------
    prediction : ndarray of integers or bool, shape (z, y, x)
        Labels; everything above 0 is foreground, or a class, or an object.
    truth : Truth
        What it should be.
    task : Task
        What the labels are.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    tolerance_um : float
        Depth in µm up to which errors are boundary noise.

    Yields
    ------
    SearchProgress
        Some more of the wrong voxels were looked at.
    ErrorSet
        The errors; always the last event.

    Raises
    ------
    UserError
        When the shapes differ.
    """
    check_same_shape(prediction, truth.labels, "errors")
    found = (prediction > 0).astype(np.uint8) if task is Task.BINARY else prediction
    (found, ids), (wanted, true_ids) = narrow_ids(found, _MOST_IDS), narrow_ids(truth.labels, _MOST_IDS)
    search = _Search(found, GroundTruth(wanted, truth.label_mask), task, voxel_size_um, tolerance_um)
    yield from search.look()
    yield search.result(ids, true_ids)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    what: VoxelError | MergeSplit
    region: ErrorRegion
    is_whole: bool


class _Search:
    """The errors that were found so far."""

    def __init__(
        self,
        prediction: NDArray[Any],
        truth: GroundTruth,
        task: Task,
        voxel_size_um: VoxelSize,
        tolerance_um: float,
    ) -> None:
        self._prediction, self._truth, self._task = prediction, truth, task
        self._voxel_size_um, self._tolerance_um = voxel_size_um, tolerance_um
        self._found: list[_Found] = []
        self._n_hidden = self._n_left_out = 0
        self._without_partner: tuple[set[int], set[int]] = set(), set()

    def look(self) -> Iterator[SearchProgress]:
        """Look at merges and splits, then at all wrong voxels."""
        if self._task is Task.INSTANCE:
            self._look_at_objects()
        wrong, shape = find_error_voxels(self._prediction, self._truth, self._task), self._prediction.shape
        yield SearchProgress(0, len(wrong.places))
        if not len(wrong.places):
            return
        numbers, n_regions = connected_components(wrong.places, wrong.errors, shape)
        mistakes = np.empty(n_regions, wrong.errors.dtype)
        mistakes[numbers] = wrong.errors
        regions = ErrorComponents(wrong.places, numbers, self._are_whole(wrong, numbers, mistakes), shape)
        depths = yield from self._depths(wrong, numbers, regions.is_whole & (mistakes < wrong.n_values))
        is_core = find_cores(regions, depths, self._voxel_size_um, self._tolerance_um)
        parts, n_parts = split_components(regions, is_core, steps_of(self._tolerance_um, self._voxel_size_um))
        self._n_hidden += n_regions - int(np.count_nonzero(np.bincount(numbers[is_core], minlength=n_regions)))
        self._n_left_out += max(0, n_parts - _MOST_KEPT)
        for mine in _largest(parts, n_parts):
            region = make_region(wrong.places[mine], depths[mine], shape)
            number = numbers[mine[0]]
            self._found.append(_Found(wrong.error(mistakes[number]), region, bool(regions.is_whole[number])))

    def _depths(
        self, wrong: ErrorVoxels, numbers: Numbers, is_extra: NDArray[np.bool_]
    ) -> Generator[SearchProgress, None, NDArray[np.float32]]:
        """Measure the depth of each voxel; of what has no true surface to keep to, from its own surface."""
        surfaces = TruthDistance(self._truth, self._voxel_size_um)
        depths = np.full(len(numbers), np.inf, np.float32)
        measured = np.flatnonzero(~is_extra[numbers])
        values = (wrong.errors[measured] // wrong.n_values).astype(np.int32)
        n_done = n_told = 0
        for mine in by_number(values):
            for start in range(0, len(mine), _VOXELS_PER_EVENT):
                some = mine[start : start + _VOXELS_PER_EVENT]
                here = measured[some]
                depths[here] = surfaces.distances(int(values[some[0]]), wrong.places[here])
                n_done += len(here)
                if n_done - n_told >= _VOXELS_PER_EVENT:
                    n_told = n_done
                    yield SearchProgress(n_done, len(numbers))
        alone = np.flatnonzero(np.isinf(depths))
        for mine in by_number(numbers[alone]):
            here = alone[mine]
            depths[here] = measure_thickness(wrong.places[here], self._prediction.shape, self._voxel_size_um)
        return depths

    def result(self, ids: NDArray[Any] | None, true_ids: NDArray[Any] | None) -> ErrorSet:
        """Return numbers to what was found, the largest first, in the ids that were given."""
        self._found.sort(key=lambda each: -len(each.region.places))
        regions = np.zeros(self._prediction.shape, np.uint16)
        objects = []
        # A merge and a split may share voxels; the smaller one, which is numbered last, keeps them.
        for number, found in enumerate(self._found[:_MOST_KEPT], start=1):
            regions.reshape(-1)[found.region.places] = number
            objects.append(self._object(number, found, ids, true_ids))
        return ErrorSet(
            errors=tuple(objects),
            regions=regions,
            n_hidden=self._n_hidden,
            n_left_out=self._n_left_out + max(0, len(self._found) - _MOST_KEPT),
            tolerance_um=self._tolerance_um,
            voxel_size_um=self._voxel_size_um,
            task=self._task,
        )

    def _look_at_objects(self) -> None:
        overlaps = Overlaps.count(self._prediction, self._truth.labels, self._truth.label_mask)
        self._without_partner = overlaps.without_partner()
        for confusion in find_merges_splits(self._prediction, self._truth, overlaps, self._voxel_size_um):
            if confusion.region.depth_um > deepest_noise(self._tolerance_um):
                self._found.append(_Found(confusion, confusion.region, is_whole=False))
            else:
                self._n_hidden += 1

    def _are_whole(self, wrong: ErrorVoxels, numbers: Numbers, mistakes: NDArray[Any]) -> NDArray[np.bool_]:
        """Say of each region whether it is a whole thing; `mistakes` tells what is wrong with it."""
        found, wanted = mistakes % wrong.n_values, mistakes // wrong.n_values
        if self._task is Task.INSTANCE:
            predicted, true = (np.array(sorted(ids), np.int64) for ids in self._without_partner)
            return np.where(found == 0, np.isin(wanted, true), np.isin(found, predicted))
        prediction, labels = self._prediction.reshape(-1), self._truth.labels.reshape(-1)

        def is_right(places: Places, regions: Numbers) -> NDArray[np.bool_]:
            found_there, wanted_there = prediction[places], labels[places]
            mine_found, mine_wanted = found[regions], wanted[regions]
            is_of_it = np.where(mine_found == 0, found_there > 0, found_there == wanted_there)
            right: NDArray[np.bool_] = np.where(
                mine_wanted == 0,
                (found_there == mine_found) & (wanted_there > 0),
                (wanted_there == mine_wanted) & is_of_it,
            )
            return right

        return ~adjacent(wrong.places, numbers, len(mistakes), is_right, self._prediction.shape)

    def _object(
        self, number: int, found: _Found, ids: NDArray[Any] | None, true_ids: NDArray[Any] | None
    ) -> SegmentationError:
        what, region = found.what, found.region
        predicted = (what.predicted,) if isinstance(what, VoxelError) else what.predicted
        wanted = (what.target,) if isinstance(what, VoxelError) else what.target
        return SegmentationError(
            number=number,
            kind=what.kind,
            n_voxels=len(region.places),
            volume_um3=float(len(region.places) * np.prod(self._voxel_size_um)),
            depth_um=region.depth_um,
            position_zyx=region.position_zyx,
            box_zyx=region.box_zyx,
            predicted=tuple(value if ids is None else int(ids[value]) for value in predicted if value),
            target=tuple(value if true_ids is None else int(true_ids[value]) for value in wanted if value),
            is_whole=found.is_whole,
        )


def _largest(parts: Numbers, n_parts: int) -> Iterator[NDArray[np.int64]]:
    """Return the voxels of each of the largest parts, whose numbers count from 1."""
    sizes = np.bincount(parts, minlength=n_parts + 1)[1:]
    rank = np.full(n_parts + 1, _MOST_KEPT, np.uint16)
    largest = np.argsort(-sizes, kind="stable")[:_MOST_KEPT]
    rank[largest + 1] = np.arange(len(largest), dtype=np.uint16)
    ranks = rank[parts]
    kept = np.flatnonzero(ranks < _MOST_KEPT)
    for mine in by_number(ranks[kept]):
        yield kept[mine]
