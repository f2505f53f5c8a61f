"""The errors of a prediction one by one: what was missed, what is extra, merged, split, or of a wrong class."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from heapq import heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.annotation import Truth
from napari_unet3d.data.sample import VoxelSize
from napari_unet3d.evaluation.confusions import Confusion, find_confusions
from napari_unet3d.evaluation.error_regions import (
    Connected,
    Region,
    connected_regions,
    measure_thickness,
    separate,
    touching,
)
from napari_unet3d.evaluation.error_table import ErrorKind, ErrorObject, ErrorObjects, ErrorsSearched
from napari_unet3d.evaluation.error_voxels import WrongVoxels, wrong_voxels
from napari_unet3d.evaluation.metrics import check_same_shape
from napari_unet3d.evaluation.overlaps import Overlaps, narrow_ids
from napari_unet3d.evaluation.true_surfaces import TrueSurfaces

__all__ = ["ErrorKind", "ErrorObject", "ErrorObjects", "ErrorsSearched", "find_error_objects", "search_errors"]

_MOST_KEPT = 2000
_VOXELS_PER_EVENT = 200_000
_MOST_IDS = 2**20  # above it objects are numbered anew, since boxes are kept for every id

ErrorEvent = ErrorsSearched | ErrorObjects


def find_error_objects(
    prediction: NDArray[Any],
    truth: Truth,
    task: Task = Task.FOREGROUND,
    voxel_size_um: VoxelSize = (1.0, 1.0, 1.0),
    tolerance_um: float = 0.0,
) -> ErrorObjects:
    """Find the errors of a prediction; see `search_errors`, of which this is the last event."""
    *_, found = search_errors(prediction, truth, task, voxel_size_um, tolerance_um)
    assert isinstance(found, ErrorObjects)
    return found


def search_errors(
    prediction: NDArray[Any],
    truth: Truth,
    task: Task = Task.FOREGROUND,
    voxel_size_um: VoxelSize = (1.0, 1.0, 1.0),
    tolerance_um: float = 0.0,
) -> Iterator[ErrorEvent]:
    """Find the errors of a prediction one by one.

    Missed, extra and wrong-class voxels that hang together (over faces, edges or corners) are one error. With a
    tolerance, voxels that are no deeper are boundary noise: they join no errors, and a region of nothing else is
    hidden. Missed voxels of single objects are taken apart by the true object, extra ones by the predicted object.
    Merges and splits are those that `score_objects` counts. What is not annotated is no error.

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
    ErrorsSearched
        Some more of the wrong voxels were looked at.
    ErrorObjects
        The errors; always the last event.

    Raises
    ------
    UserError
        When the shapes differ.
    """
    check_same_shape(prediction, truth.labels, "errors")
    found = (prediction > 0).astype(np.uint8) if task is Task.FOREGROUND else prediction
    (found, ids), (wanted, true_ids) = narrow_ids(found, _MOST_IDS), narrow_ids(truth.labels, _MOST_IDS)
    search = _Search(found, Truth(wanted, truth.annotated), task, voxel_size_um, tolerance_um)
    yield from search.look()
    yield search.result(ids, true_ids)


class _Search:
    """The errors that were found so far."""

    def __init__(
        self,
        prediction: NDArray[Any],
        truth: Truth,
        task: Task,
        voxel_size_um: VoxelSize,
        tolerance_um: float,
    ) -> None:
        self._prediction, self._truth, self._task = prediction, truth, task
        self._voxel_size_um, self._tolerance_um = voxel_size_um, tolerance_um
        self._surfaces = TrueSurfaces(truth, voxel_size_um)
        self._found: list[tuple[WrongVoxels | Confusion, Region]] = []
        self._n_hidden = self._n_left_out = 0
        self._without_partner: tuple[set[int], set[int]] = set(), set()

    def look(self) -> Iterator[ErrorsSearched]:
        """Look at merges and splits, then at all wrong voxels, the largest regions first."""
        if self._task is Task.OBJECTS:
            self._look_at_objects()
        regions: list[Connected] = []
        for group in wrong_voxels(self._prediction, self._truth, self._task):
            regions += connected_regions(group, self._are_whole)
        regions.sort(key=lambda region: -len(region.voxels))
        kept: list[int] = []  # a heap of the largest sizes
        n_done, n_told, n_total = 0, 0, sum(len(region.voxels) for region in regions)
        yield ErrorsSearched(0, n_total)
        for number, region in enumerate(regions):
            if len(kept) == _MOST_KEPT and kept[0] >= len(region.voxels):
                self._n_left_out = len(regions) - number
                return
            depths = yield from self._depths(region, n_done, n_total)
            parts = list(separate(region, depths, self._voxel_size_um, self._tolerance_um))
            for part in parts:
                self._found.append((region.group, part))
                heappush(kept, len(part.voxels))
                if len(kept) > _MOST_KEPT:
                    heappop(kept)
            self._n_hidden += not parts
            n_done += len(region.voxels)
            if n_done - n_told >= _VOXELS_PER_EVENT:
                n_told = n_done
                yield ErrorsSearched(n_done, n_total)

    def _depths(
        self, region: Connected, n_done: int, n_total: int
    ) -> Generator[ErrorsSearched, None, NDArray[np.float32]]:
        """Measure the depth of each voxel; of what has no true surface to keep to, from its own surface."""
        voxels, wanted = region.voxels, region.group.wanted
        if region.is_whole and region.group.kind is ErrorKind.EXTRA:
            return measure_thickness(voxels, self._voxel_size_um)
        depths = np.empty(len(voxels), np.float32)
        for start in range(0, len(voxels), _VOXELS_PER_EVENT):
            if start:
                yield ErrorsSearched(n_done + start, n_total)
            some = slice(start, start + _VOXELS_PER_EVENT)
            depths[some] = self._surfaces.distances(wanted, voxels[some])
        return depths if np.isfinite(depths[0]) else measure_thickness(voxels, self._voxel_size_um)

    def result(self, ids: NDArray[Any] | None, true_ids: NDArray[Any] | None) -> ErrorObjects:
        """Give numbers to what was found, the largest first, in the ids that were given."""
        self._found.sort(key=lambda each: -len(each[1].voxels))
        regions = np.zeros(self._prediction.shape, np.uint16)
        objects = []
        # A merge and a split may share voxels; the smaller one, which is numbered last, keeps them.
        for number, (what, region) in enumerate(self._found[:_MOST_KEPT], start=1):
            regions[tuple(region.voxels.T)] = number
            objects.append(self._object(number, what, region, ids, true_ids))
        return ErrorObjects(
            objects=tuple(objects),
            regions=regions,
            n_hidden=self._n_hidden,
            n_left_out=self._n_left_out + max(0, len(self._found) - _MOST_KEPT),
            tolerance_um=self._tolerance_um,
            voxel_size_um=self._voxel_size_um,
            task=self._task,
        )

    def _look_at_objects(self) -> None:
        overlaps = Overlaps.count(self._prediction, self._truth.labels, self._truth.annotated)
        self._without_partner = overlaps.without_partner()
        for confusion in find_confusions(self._prediction, self._truth, overlaps, self._voxel_size_um):
            if confusion.region.depth_um > self._tolerance_um:
                self._found.append((confusion, confusion.region))
            else:
                self._n_hidden += 1

    def _are_whole(self, group: WrongVoxels, numbers: NDArray[np.int32], n_regions: int) -> NDArray[np.bool_]:
        if self._task is Task.OBJECTS:
            predicted, true = self._without_partner
            alone = group.wanted in true if group.kind is ErrorKind.MISSED else group.found in predicted
            return np.full(n_regions, alone)
        prediction, labels = self._prediction, self._truth.labels

        def is_right(places: Any) -> NDArray[np.bool_]:
            found, wanted = prediction[places], labels[places]
            if group.kind is ErrorKind.EXTRA:
                right: NDArray[np.bool_] = (found == group.found) & (wanted > 0)
            else:
                right = (wanted == group.wanted) & (found > 0 if group.found == 0 else found == wanted)
            return right

        return ~touching(group.voxels, numbers, n_regions, is_right, prediction.shape)

    def _object(
        self,
        number: int,
        what: WrongVoxels | Confusion,
        region: Region,
        ids: NDArray[Any] | None,
        true_ids: NDArray[Any] | None,
    ) -> ErrorObject:
        first, last = region.voxels.min(axis=0).tolist(), region.voxels.max(axis=0).tolist()
        z, y, x = ((start, end + 1) for start, end in zip(first, last, strict=True))
        found = (what.found,) if isinstance(what, WrongVoxels) else what.found
        wanted = (what.wanted,) if isinstance(what, WrongVoxels) else what.wanted
        return ErrorObject(
            number=number,
            kind=what.kind,
            n_voxels=len(region.voxels),
            volume_um3=float(len(region.voxels) * np.prod(self._voxel_size_um)),
            depth_um=region.depth_um,
            position_zyx=tuple(region.voxels[region.deepest].tolist()),
            box_zyx=(z, y, x),
            found=tuple(value if ids is None else int(ids[value]) for value in found if value),
            wanted=tuple(value if true_ids is None else int(true_ids[value]) for value in wanted if value),
            is_whole=region.is_whole,
        )
