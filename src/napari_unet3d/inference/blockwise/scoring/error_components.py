"""Voxels that are wrong in the same way and connected, across blocks: the components that errors are made of."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.boxes import Box, expand
from napari_unet3d.evaluation.errors.regions import adjacent
from napari_unet3d.evaluation.errors.voxels import connected_components
from napari_unet3d.evaluation.metrics.overlaps import Overlaps
from napari_unet3d.inference.blockwise.fragments import Fragments, measure
from napari_unet3d.inference.blockwise.grid import BlockGrid
from napari_unet3d.inference.blockwise.objects import FragmentStore, NumberedObjects
from napari_unet3d.inference.blockwise.scoring.pair_parts import PairParts
from napari_unet3d.inference.events import BlockDone

_CHUNK = 64
Numbers = NDArray[np.int64]


class JoinedBlocks:
    """What is connected across blocks.

    Parameters
    ----------
    store : FragmentStore
        The parts of it in each block.
    found : NumberedObjects
        How they are joined.
    """

    def __init__(self, store: FragmentStore, found: NumberedObjects) -> None:
        self._store, self._found, self._offsets = store, found, store.offsets()

    def __len__(self) -> int:
        return len(self._found.numbers)

    def column(self, name: str) -> NDArray[Any]:
        """Return what was measured of each."""
        return np.asarray(self._found.columns[name]) if self._found.columns is not None else np.zeros(0, np.int64)

    @property
    def blocks(self) -> list[int]:
        """The blocks that have any."""
        return self._store.filled()

    def read(self, box: Box) -> Numbers:
        """Return the number of each voxel of a box, from 0; -1 where there is none."""
        fragments = self._store.fragments_in(box, self._offsets)
        numbers = np.full(fragments.shape, -1, np.int64)
        inside = fragments > 0
        numbers[inside] = self._found.objects[fragments[inside] - 1]
        return numbers


@dataclass(frozen=True, slots=True, eq=False)
class ErrorCodes:
    """Which voxels are wrong, and how, as a number for each: true value times `n_values` plus predicted value.

    Attributes
    ----------
    parts : PairParts
        Prediction and ground truth.
    n_values : int
        Greater than any value.
    """

    parts: PairParts
    n_values: int

    def __getitem__(self, box: Box) -> Numbers:
        """Return the numbers of a box; -1 where nothing is wrong."""
        predicted, truth = self.parts.read(box)
        target = truth.labels
        is_semantic = self.parts.task is Task.SEMANTIC
        differs = predicted != target if is_semantic else (predicted > 0) != (target > 0)
        if truth.label_mask is not None:
            differs &= truth.label_mask
        return np.where(differs, target.astype(np.int64) * self.n_values + predicted.astype(np.int64), -1)

    def touches_right(self, region: Box, inner: Box, components: NDArray[Any], codes: NDArray[Any]) -> NDArray[Any]:
        """Return which components touch a correct voxel of the same structure.

        Parameters
        ----------
        region, inner : tuple of slice
            A box, and the one inside it that the components are of, relative to it.
        components : ndarray of integers
            The components of the inner box from 1; 0 elsewhere.
        codes : ndarray of int64, shape (component,)
            How each is wrong.
        """
        prediction, truth = self.parts.read(region)
        whole = np.zeros(prediction.shape, np.int32)
        whole[inner] = components
        places = np.flatnonzero(whole)
        flat, labels = prediction.reshape(-1), truth.labels.reshape(-1)
        predicted, target = codes % self.n_values, codes // self.n_values

        def is_right(voxels: Numbers, numbers: NDArray[Any]) -> NDArray[np.bool_]:
            predicted_here, target_here = flat[voxels], labels[voxels]
            is_predicted = np.where(predicted[numbers] == 0, predicted_here > 0, predicted_here == target_here)
            right: NDArray[np.bool_] = np.where(
                target[numbers] == 0,
                (predicted_here == predicted[numbers]) & (target_here > 0),
                (target_here == target[numbers]) & is_predicted,
            )
            return right

        return adjacent(places, whole.reshape(-1)[places] - 1, len(codes), is_right, prediction.shape)


def find_components(
    wrong: ErrorCodes, grid: BlockGrid, overlaps: Overlaps | None, folder: Path
) -> Generator[BlockDone, None, tuple[JoinedBlocks, NDArray[np.bool_]]]:
    """Find the components of wrong voxels.

    Parameters
    ----------
    wrong : ErrorCodes
        The wrong voxels.
    grid : BlockGrid
        The blocks.
    overlaps : Overlaps or None
        Those of instances.
    folder : Path
        A new folder.

    Yields
    ------
    BlockDone
        After each block.

    Returns
    -------
    JoinedBlocks, ndarray of bool
        The components, and which are whole structures.
    """
    find = partial(_components_of, wrong, grid, with_neighbours=overlaps is None)
    found = yield from join_blocks(find, wrong, grid, folder, "compared")
    if overlaps is None:
        return found, ~found.column("touches_right").astype(bool)
    extra, missed = (np.array(sorted(ids), np.int64) for ids in overlaps.without_partner())
    target, predicted = np.divmod(found.column("value"), wrong.n_values)
    return found, np.where(predicted == 0, np.isin(target, missed), np.isin(predicted, extra))


def join_blocks(
    find: Any, values: Any, grid: BlockGrid, folder: Path, step: str, blocks: list[int] | None = None
) -> Generator[BlockDone, None, JoinedBlocks]:
    """Find what is in each block, and join what touches at their faces and has the same value.

    Parameters
    ----------
    find : callable
        Returns the `Fragments` of a box, or None.
    values : array-like, shape (z, y, x)
        The value of each voxel.
    grid, folder : BlockGrid, Path
        As for `find_components`.
    step : str
        What is done, for the events.
    blocks : list of int, optional
        The blocks that may have some; by default all.
    """
    z, y, x = (min(side, _CHUNK) for side in grid.block_zyx)
    store = FragmentStore(folder, grid, (z, y, x))
    blocks = list(range(grid.n_blocks)) if blocks is None else blocks
    for event in store.fill(blocks, find):
        yield BlockDone(step, event.n_done, event.n_total, event.box)
    return JoinedBlocks(store, store.join(values, 0, None))


def fragments_of(labels: NDArray[Any], box: Box, grid: BlockGrid) -> Fragments:
    """Return connected voxels of equal values of a block, measured.

    Parameters
    ----------
    labels : ndarray of integers, shape (z, y, x)
        Their values; below 0 are none.
    """
    places = np.flatnonzero(labels >= 0)
    numbers, n_fragments = connected_components(places, labels.reshape(-1)[places], labels.shape)
    components = np.zeros(labels.shape, np.uint32)
    components.reshape(-1)[places] = numbers + 1
    value, first = np.empty(n_fragments, np.int64), np.empty(n_fragments, np.int64)
    value[numbers] = labels.reshape(-1)[places]
    _, index = np.unique(numbers, return_index=True)
    voxels = np.unravel_index(places[index], labels.shape)
    shifted = tuple(along + side.start for along, side in zip(voxels, box, strict=True))
    first[:] = np.ravel_multi_index(shifted, grid.shape_zyx)
    table = measure(components, n_fragments, box, grid.shape_zyx)
    return Fragments(components, {**table, "value": value, "start_flat": first}, {})


def _components_of(wrong: ErrorCodes, grid: BlockGrid, box: Box, *, with_neighbours: bool) -> Fragments | None:
    codes = wrong[box]
    if not (codes >= 0).any():
        return None
    found = fragments_of(codes, box, grid)
    if not with_neighbours:
        return found
    region = expand(box, (1, 1, 1), grid.shape_zyx)
    z, y, x = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, region, strict=True))
    touches = wrong.touches_right(region, (z, y, x), found.labels, found.table["value"])
    return Fragments(found.labels, {**found.table, "touches_right": touches}, {})
