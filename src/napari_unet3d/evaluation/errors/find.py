"""Find the individual errors of a prediction: missed, extra, merged and split parts, and wrong classes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.geometry import UNKNOWN, Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.label_values import check_same_shape
from napari_unet3d.evaluation.errors.border import without_border
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

MOST_KEPT = 10_000
"""The number of errors that are listed, the largest."""
_VOXELS_PER_EVENT = 200_000
_MOST_IDS = 2**20  # larger ids are replaced, because a box is kept for each id

ErrorEvent = SearchProgress | ErrorSet


def list_errors(
    prediction: NDArray[Any],
    truth: GroundTruth,
    task: Task = Task.BINARY,
    geometry: Geometry = UNKNOWN,
    tolerance: float = 0.0,
    ignore_border: bool = False,
) -> ErrorSet:
    """Return the errors of a prediction: the last event of `find_errors`.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((3, 4, 5), np.uint8)
    >>> labels[1, 1:3, 1:4] = 1
    >>> (error,) = list_errors(np.zeros_like(labels), GroundTruth(labels)).errors
    >>> error.kind.value, error.n_voxels, error.is_whole
    ('missed', 6, True)
    """
    *_, errors = find_errors(prediction, truth, task, geometry, tolerance, ignore_border)
    assert isinstance(errors, ErrorSet)
    return errors


def find_errors(
    prediction: NDArray[Any],
    truth: GroundTruth,
    task: Task = Task.BINARY,
    geometry: Geometry = UNKNOWN,
    tolerance: float = 0.0,
    ignore_border: bool = False,
) -> Iterator[ErrorEvent]:
    """Find the errors of a prediction one by one.

    Missed, extra and wrong-class voxels that are connected (by faces, edges or corners) are one error. With a
    tolerance, voxels that are not deeper are boundary noise: they do not connect errors, and regions of nothing else
    are hidden. Missed voxels of instances are separated by true instance, extra ones by predicted instance. Merges and
    splits are those that `match_instances` counts. Voxels that are not annotated are no errors.

    Parameters
    ----------
    prediction : ndarray of integers or bool, shape (z, y, x)
        Labels; everything above 0 is foreground, or a class, or an instance.
    truth : GroundTruth
        Ground truth of the same shape.
    task : Task
        What the labels are.
    geometry : Geometry
        Voxel size of the volume; depths are in µm if it is known, else in voxels.
    tolerance : float
        Depth up to which differences are boundary noise.
    ignore_border : bool
        Leave out instances that touch the border of the volume, as `match_instances` does; other tasks have none.

    Yields
    ------
    SearchProgress
        More of the wrong voxels were analysed.
    ErrorSet
        The errors; always the last event.

    Raises
    ------
    UserError
        When the shapes differ.
    """
    check_same_shape(prediction, truth.labels, "errors")
    labels = (prediction > 0).astype(np.uint8) if task is Task.BINARY else prediction
    (predicted, ids), (target, true_ids) = narrow_ids(labels, _MOST_IDS), narrow_ids(truth.labels, _MOST_IDS)
    truth, overlaps = GroundTruth(target, truth.label_mask), None
    if task is Task.INSTANCE:
        overlaps = Overlaps.count(predicted, target, truth.label_mask)
        if ignore_border:
            truth, overlaps = without_border(predicted, truth, overlaps)
    search = _Search(predicted, truth, task, geometry, tolerance)
    yield from search.run(overlaps)
    yield replace(search.result(ids, true_ids), ignores_border=ignore_border)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    error: VoxelError | MergeSplit
    region: ErrorRegion
    is_whole: bool


class _Search:
    """A search for errors, and those found so far."""

    def __init__(
        self,
        prediction: NDArray[Any],
        truth: GroundTruth,
        task: Task,
        geometry: Geometry,
        tolerance: float,
    ) -> None:
        self._prediction, self._truth, self._task = prediction, truth, task
        self._geometry, self._spacing, self._tolerance = geometry, geometry.spacing, tolerance
        self._found: list[_Found] = []
        self._n_hidden = self._n_left_out = 0
        self._without_partner: tuple[set[int], set[int]] = set(), set()

    def run(self, overlaps: Overlaps | None) -> Iterator[SearchProgress]:
        """Find merges and splits of instances, which have `overlaps`, then all regions of wrong voxels."""
        if overlaps is not None:
            self._find_merges_splits(overlaps)
        wrong, shape = find_error_voxels(self._prediction, self._truth, self._task), self._prediction.shape
        yield SearchProgress(0, len(wrong.places))
        if not len(wrong.places):
            return
        numbers, n_regions = connected_components(wrong.places, wrong.errors, shape)
        errors = np.empty(n_regions, wrong.errors.dtype)
        errors[numbers] = wrong.errors
        regions = ErrorComponents(wrong.places, numbers, self._are_whole(wrong, numbers, errors), shape)
        depths = yield from self._depths(wrong, numbers, regions.is_whole & (errors < wrong.n_values))
        is_core = find_cores(regions, depths, self._spacing, self._tolerance)
        parts, n_parts = split_components(regions, is_core, steps_of(self._tolerance, self._spacing))
        self._n_hidden += n_regions - int(np.count_nonzero(np.bincount(numbers[is_core], minlength=n_regions)))
        self._n_left_out += max(0, n_parts - MOST_KEPT)
        for mine in _largest(parts, n_parts):
            region = make_region(wrong.places[mine], depths[mine], shape)
            number = numbers[mine[0]]
            self._found.append(_Found(wrong.error(errors[number]), region, bool(regions.is_whole[number])))

    def _depths(
        self, wrong: ErrorVoxels, numbers: Numbers, is_extra: NDArray[np.bool_]
    ) -> Generator[SearchProgress, None, NDArray[np.float32]]:
        """Return the depth of each voxel; of whole extra regions, the distance from their own surface."""
        surfaces = TruthDistance(self._truth, self._spacing)
        depths = np.full(len(numbers), np.inf, np.float32)
        measured = np.flatnonzero(~is_extra[numbers])
        values = (wrong.errors[measured] // wrong.n_values).astype(np.int32)
        n_done = n_reported = 0
        for mine in by_number(values):
            for start in range(0, len(mine), _VOXELS_PER_EVENT):
                some = mine[start : start + _VOXELS_PER_EVENT]
                here = measured[some]
                depths[here] = surfaces.distances(int(values[some[0]]), wrong.places[here])
                n_done += len(here)
                if n_done - n_reported >= _VOXELS_PER_EVENT:
                    n_reported = n_done
                    yield SearchProgress(n_done, len(numbers))
        alone = np.flatnonzero(np.isinf(depths))
        for mine in by_number(numbers[alone]):
            here = alone[mine]
            depths[here] = measure_thickness(wrong.places[here], self._prediction.shape, self._spacing)
        return depths

    def result(self, ids: NDArray[Any] | None, true_ids: NDArray[Any] | None) -> ErrorSet:
        """Return the errors, the largest first, with the original ids."""
        self._found.sort(key=lambda each: -len(each.region.places))
        regions = np.zeros(self._prediction.shape, np.uint16)
        errors = []
        # A merge and a split may share voxels, which get the number of the smaller one.
        for number, found in enumerate(self._found[:MOST_KEPT], start=1):
            regions.reshape(-1)[found.region.places] = number
            errors.append(self._error(number, found, ids, true_ids))
        return ErrorSet(
            errors=tuple(errors),
            regions=regions,
            n_hidden=self._n_hidden,
            n_left_out=self._n_left_out + max(0, len(self._found) - MOST_KEPT),
            tolerance=self._tolerance,
            geometry=self._geometry,
            task=self._task,
        )

    def _find_merges_splits(self, overlaps: Overlaps) -> None:
        self._without_partner = overlaps.without_partner()
        for error in find_merges_splits(self._prediction, self._truth, overlaps, self._spacing):
            if error.region.depth > deepest_noise(self._tolerance):
                self._found.append(_Found(error, error.region, is_whole=False))
            else:
                self._n_hidden += 1

    def _are_whole(self, wrong: ErrorVoxels, numbers: Numbers, errors: NDArray[Any]) -> NDArray[np.bool_]:
        """Return of each region, which has one of `errors`, whether it is a whole structure."""
        predicted, target = errors % wrong.n_values, errors // wrong.n_values
        if self._task is Task.INSTANCE:
            extra, missed = (np.array(sorted(ids), np.int64) for ids in self._without_partner)
            return np.where(predicted == 0, np.isin(target, missed), np.isin(predicted, extra))
        prediction, labels = self._prediction.reshape(-1), self._truth.labels.reshape(-1)

        def is_right(places: Places, regions: Numbers) -> NDArray[np.bool_]:
            predicted_here, target_here = prediction[places], labels[places]
            is_predicted = np.where(predicted[regions] == 0, predicted_here > 0, predicted_here == target_here)
            right: NDArray[np.bool_] = np.where(
                target[regions] == 0,
                (predicted_here == predicted[regions]) & (target_here > 0),
                (target_here == target[regions]) & is_predicted,
            )
            return right

        return ~adjacent(wrong.places, numbers, len(errors), is_right, self._prediction.shape)

    def _error(
        self, number: int, found: _Found, ids: NDArray[Any] | None, true_ids: NDArray[Any] | None
    ) -> SegmentationError:
        error, region = found.error, found.region
        predicted = (error.predicted,) if isinstance(error, VoxelError) else error.predicted
        target = (error.target,) if isinstance(error, VoxelError) else error.target
        return SegmentationError(
            number=number,
            kind=error.kind,
            n_voxels=len(region.places),
            volume=float(len(region.places) * self._geometry.voxel_volume),
            depth=region.depth,
            position_zyx=region.position_zyx,
            box_zyx=region.box_zyx,
            predicted=tuple(value if ids is None else int(ids[value]) for value in predicted if value),
            target=tuple(value if true_ids is None else int(true_ids[value]) for value in target if value),
            is_whole=found.is_whole,
        )


def _largest(parts: Numbers, n_parts: int) -> Iterator[NDArray[np.int64]]:
    """Yield the voxels of each of the largest parts, whose numbers start at 1."""
    sizes = np.bincount(parts, minlength=n_parts + 1)[1:]
    rank = np.full(n_parts + 1, MOST_KEPT, np.uint16)
    largest = np.argsort(-sizes, kind="stable")[:MOST_KEPT]
    rank[largest + 1] = np.arange(len(largest), dtype=np.uint16)
    ranks = rank[parts]
    kept = np.flatnonzero(ranks < MOST_KEPT)
    for mine in by_number(ranks[kept]):
        yield kept[mine]
