"""Merges and splits of instances in a volume that does not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.evaluation.errors.merges_splits import shared_region
from napari_unet3d.evaluation.errors.types import ErrorKind
from napari_unet3d.evaluation.metrics.overlaps import Overlaps
from napari_unet3d.inference.blockwise.grid import BlockGrid
from napari_unet3d.inference.blockwise.scoring.pair_parts import PairParts
from napari_unet3d.inference.events import BlockDone

Extent = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Group = tuple[ErrorKind, int, tuple[int, ...]]
Groups = Mapping[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class MergeSplitFound:
    """A merge or a split; see `merges_splits.MergeSplit`.

    Attributes
    ----------
    kind : ErrorKind
        Merge or split.
    predicted, target : tuple of int
        Ids of the predicted and the true instances.
    n_voxels : int
        Voxels that they share.
    depth : float
        Depth of the second largest part.
    position_zyx : tuple of int
        Where that part meets the largest one.
    box_zyx : tuple of tuple of int
        Start and stop along z, y, x.
    is_exact : bool
        Whether depth and position were measured at every voxel, and not at some of them, since the instance does not
        fit into memory.
    """

    kind: ErrorKind
    predicted: tuple[int, ...]
    target: tuple[int, ...]
    n_voxels: int
    depth: float
    position_zyx: tuple[int, int, int]
    box_zyx: Extent
    is_exact: bool


def find_merges_splits_blocks(
    parts: PairParts, grid: BlockGrid, overlaps: Overlaps, spacing: VoxelSize, affordable: Callable[[Box], bool]
) -> Generator[BlockDone, None, list[MergeSplitFound]]:
    """Find merges and splits; see `find_merges_splits`.

    Parameters
    ----------
    parts, grid : PairParts, BlockGrid
        Prediction and ground truth, and the blocks that are read.
    overlaps : Overlaps
        Overlaps of the instances.
    spacing : tuple of float
        Size of a voxel along z, y, x.
    affordable : callable
        Returns whether a box fits into memory.

    Yields
    ------
    BlockDone
        After each block.
    """
    kinds: dict[ErrorKind, Groups] = {ErrorKind.MERGE: overlaps.merges(), ErrorKind.SPLIT: overlaps.splits()}
    boxes = {kind: _Boxes(groups) for kind, groups in kinds.items() if groups}
    for number in range(grid.n_blocks if boxes else 0):
        box = grid.box(number)
        for kind, found in boxes.items():
            found.add(box, *_owners(parts, box, kind))
        yield BlockDone("searched", number + 1, grid.n_blocks, box)
    result = []
    for kind, groups in kinds.items():
        shared = _shared_voxels(overlaps, kind) if groups else {}
        for one, several in groups.items():
            n_voxels = sum(shared[one, other] for other in several)
            around = boxes[kind].box(one)
            step = _step(around, affordable)
            result.append(_found(parts, (kind, one, several), n_voxels, around, spacing, step))
    return result


def _shared_voxels(overlaps: Overlaps, kind: ErrorKind) -> dict[tuple[int, int], int]:
    """Return the voxels that an instance that contains others shares with each of them."""
    groups = overlaps.merges() if kind is ErrorKind.MERGE else overlaps.splits()
    predicted, true = overlaps.predicted_ids[overlaps.predicted], overlaps.true_ids[overlaps.true]
    owners, members = (predicted, true) if kind is ErrorKind.MERGE else (true, predicted)
    mine = np.isin(owners, list(groups))
    rows = zip(owners[mine].tolist(), members[mine].tolist(), overlaps.shared[mine].tolist(), strict=True)
    return {(owner, member): n_voxels for owner, member, n_voxels in rows}


class _Boxes:
    """The boxes of the voxels that each instance shares with several others."""

    def __init__(self, groups: Groups) -> None:
        self._owners = np.array(sorted(groups), np.int64)
        counts = [len(groups[one]) for one in self._owners.tolist()]
        owner = np.repeat(np.arange(len(counts)), counts)
        members = np.array([each for one in self._owners.tolist() for each in groups[one]], np.int64)
        self._members = np.unique(members)
        self._codes = owner * len(self._members) + np.searchsorted(self._members, members)
        self._start = np.full((len(self._owners), 3), np.iinfo(np.int64).max)
        self._stop = np.zeros((len(self._owners), 3), np.int64)

    def add(self, box: Box, owners: NDArray[Any], members: NDArray[Any]) -> None:
        """Add a block, whose voxels that are not annotated have the owner 0."""
        voxels = np.nonzero(np.isin(owners, self._owners) & np.isin(members, self._members))
        owner = np.searchsorted(self._owners, owners[voxels])
        codes = owner * len(self._members) + np.searchsorted(self._members, members[voxels])
        mine = np.isin(codes, self._codes)
        for axis, (along, side) in enumerate(zip(voxels, box, strict=True)):
            there = along[mine] + side.start
            np.minimum.at(self._start[:, axis], owner[mine], there)
            np.maximum.at(self._stop[:, axis], owner[mine], there + 1)

    def box(self, owner: int) -> Box:
        """Return the box of an instance."""
        at = int(np.searchsorted(self._owners, owner))
        z, y, x = (slice(*ends) for ends in zip(self._start[at].tolist(), self._stop[at].tolist(), strict=True))
        return z, y, x


def _owners(parts: PairParts, box: Box, kind: ErrorKind) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the instances that contain others, where they are annotated, and those others."""
    predicted, truth = parts.read(box)
    owners, members = (predicted, truth.labels) if kind is ErrorKind.MERGE else (truth.labels, predicted)
    if truth.label_mask is not None:
        owners = np.where(truth.label_mask, owners, owners.dtype.type(0))
    return owners, members


def _found(parts: PairParts, group: Group, n_voxels: int, box: Box, spacing: VoxelSize, step: int) -> MergeSplitFound:
    """Measure a merge or a split at every voxel, or at each of a few along each axis."""
    kind, one, several = group
    numbers = _numbers(parts, group, box, step)
    size_z, size_y, size_x = (size * step for size in spacing)
    z, y, x = (slice(0, side) for side in numbers.shape)
    start = [side.start for side in box]
    present = np.unique(numbers)
    if np.count_nonzero(present) > 1:
        chosen = tuple(present[present > 0].tolist())
        sizes = size_z, size_y, size_x
        region = shared_region((z, y, x), numbers > 0, chosen, numbers, numbers.shape, sizes)
        depth, place = region.depth, region.position_zyx
    else:  # the smaller ones are between the voxels that were looked at
        depth, place = min(spacing), (z.stop // 2, y.stop // 2, x.stop // 2)
    at_z, at_y, at_x = (first + at * step for first, at in zip(start, place, strict=True))
    predicted, target = ((one,), several) if kind is ErrorKind.MERGE else (several, (one,))
    box_z, box_y, box_x = ((side.start, side.stop) for side in box)
    extent = box_z, box_y, box_x
    return MergeSplitFound(kind, predicted, target, n_voxels, depth, (at_z, at_y, at_x), extent, step == 1)


def _numbers(parts: PairParts, group: Group, box: Box, step: int) -> NDArray[np.uint32]:
    """Return for each voxel of an instance which of several others it is in, from 1; 0 elsewhere."""
    kind, one, several = group
    wanted, found = np.array(several), []
    slabs = [box] if step == 1 else [(slice(z, z + 1), *box[1:]) for z in range(box[0].start, box[0].stop, step)]
    for slab in slabs:
        owners, members = (each[:, ::step, ::step] for each in _owners(parts, slab, kind))
        places = np.searchsorted(wanted, members).clip(max=len(wanted) - 1)
        found.append(np.where((owners == one) & (wanted[places] == members), places + 1, 0).astype(np.uint32))
    return np.concatenate(found)


def _step(box: Box, affordable: Callable[[Box], bool]) -> int:
    """Return the distance of the voxels that are looked at, so that what is read fits into memory."""
    step = 1
    while True:
        z, y, x = (slice(0, -(-(side.stop - side.start) // step)) for side in box)
        if affordable((z, y, x)) or max(z.stop, y.stop, x.stop) == 1:
            return step
        step += 1
