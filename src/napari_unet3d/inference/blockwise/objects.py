"""Labels that are connected across blocks: fragments of each block, joined at the faces and numbered anew."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box
from napari_unet3d.inference.blockwise.fragments import Fragments, read_beyond, read_table
from napari_unet3d.inference.blockwise.grid import BlockGrid
from napari_unet3d.inference.blockwise.ngff import OmeZarrImage, create_array
from napari_unet3d.inference.blockwise.stitching import (
    ObjectColumns,
    Pairs,
    append_pairs,
    join,
    number_objects,
    pairs_by_overlap,
    pairs_by_value,
    read_pairs,
)
from napari_unet3d.inference.blockwise.unfinished import Journal
from napari_unet3d.inference.events import BlockDone

_RECORD = [("block", "<u4"), ("n_fragments", "<u4")]
_DONE = [("block", "<u4")]


@dataclass(frozen=True, slots=True, eq=False)
class NumberedObjects:
    """The objects of a volume.

    Attributes
    ----------
    columns : ObjectColumns or None
        What was measured of them; None without any.
    numbers : ndarray of int64, shape (object,)
        The number of each, or 0 for those that are removed.
    objects : ndarray of int32, shape (fragment,)
        The object of each fragment.
    values : ndarray of int64, shape (fragment,)
        The label of each fragment in the result.
    """

    columns: ObjectColumns | None
    numbers: NDArray[np.int64]
    objects: NDArray[np.int32]
    values: NDArray[np.int64]


class FragmentStore:
    """The fragments of all blocks on disk.

    Parameters
    ----------
    folder : Path
        The folder that they are kept in.
    grid : BlockGrid
        The blocks.
    chunks : tuple of int
        Chunks (z, y, x) of the array of fragments.
    """

    def __init__(self, folder: Path, grid: BlockGrid, chunks: tuple[int, int, int]) -> None:
        self._grid, self._folder = grid, folder
        self._journal = Journal(folder / "separated", _RECORD)
        (folder / "fragments").mkdir(parents=True, exist_ok=True)
        self.array: Any = create_array(folder / "fragments.zarr", grid.shape_zyx, np.uint32, chunks)

    def fill(self, wanted: list[int], find: Callable[[Box], Fragments | None]) -> Generator[BlockDone, None, None]:
        """Find the fragments of the blocks that are not done yet; None means that a block has none."""
        done = self._journal.done()
        for n_done, number in enumerate(wanted, start=1):
            if number in done:
                continue
            box = self._grid.box(number)
            fragments = find(box)
            if fragments is not None and len(fragments):
                self.array[box] = fragments.labels
                fragments.write(self._path(number))
            self._journal.add(number, 0 if fragments is None else len(fragments))
            yield BlockDone("separated", n_done, len(wanted), box)

    def offsets(self) -> NDArray[np.int64]:
        """Return the number of fragments before each block, and of all as the last."""
        counts = np.zeros(self._grid.n_blocks, np.int64)
        records = self._journal.read()
        counts[records["block"]] = records["n_fragments"]
        return np.concatenate([[0], np.cumsum(counts)])

    def filled(self) -> list[int]:
        """Return the blocks that have fragments."""
        records = self._journal.read()
        blocks: list[int] = records["block"][records["n_fragments"] > 0].tolist()
        return blocks

    def join(
        self,
        values: Any | None,
        min_voxels: float,
        min_confidence: float | None,
    ) -> NumberedObjects:
        """Join the fragments at the faces of blocks, measure the objects and number them.

        Parameters
        ----------
        values : array-like, shape (z, y, x), or None
            Labels, of which only equal ones are joined; None for single objects, which are matched by overlap.
        min_voxels, min_confidence : float
            See `number_objects`.
        """
        offsets = self.offsets()
        path = self._folder / "pairs"
        path.unlink(missing_ok=True)
        for number in self.filled():
            for axis in range(3):
                below = self._grid.lower_neighbour(number, axis)
                if below is None:
                    continue
                if values is None:
                    append_pairs(path, self._overlaps(number, below, axis, offsets))
                else:
                    append_pairs(path, self._touching(number, axis, offsets, values))
        n_fragments = int(offsets[-1])
        if not n_fragments:
            none = np.zeros(0, np.int64)
            return NumberedObjects(None, none, none.astype(np.int32), none)
        n_objects, objects = join(n_fragments, read_pairs(path))
        columns = ObjectColumns(self._folder / "columns", n_objects)
        for number in self.filled():
            columns.add(objects[offsets[number] : offsets[number + 1]], read_table(self._path(number)))
        numbers = number_objects(columns, n_objects, min_voxels, min_confidence)
        kept = numbers if "value" not in columns else np.where(numbers > 0, columns["value"], 0).astype(np.int64)
        return NumberedObjects(columns, numbers, objects, kept[objects])

    def relabel(self, found: NumberedObjects, result: OmeZarrImage) -> Iterator[BlockDone]:
        """Write the labels of the result, block by block."""
        journal, blocks, offsets = Journal(self._folder / "labelled", _DONE), self.filled(), self.offsets()
        done = journal.done()
        for n_done, number in enumerate(blocks, start=1):
            if number in done:
                continue
            box = self._grid.box(number)
            values = np.concatenate([[0], found.values[offsets[number] : offsets[number + 1]]])
            result.write(box, values[np.asarray(self.array[box])])
            journal.add(number)
            yield BlockDone("labelled", n_done, len(blocks), box)

    def _path(self, number: int) -> Path:
        return self._folder / "fragments" / f"{number}.npz"

    def _overlaps(self, number: int, below: int, axis: int, offsets: NDArray[np.int64]) -> Pairs:
        """Match two blocks in the slices on both sides of a face, each of which both of them have separated."""
        if not (self._path(below).exists() and offsets[below + 1] > offsets[below]):
            return np.empty((0, 2), np.int64)
        box, before = list(self._grid.box(number)), list(self._grid.box(below))
        at = box[axis].start
        box[axis], before[axis] = slice(at, at + 1), slice(at - 1, at)
        upper, lower = (np.asarray(self.array[tuple(each)]).squeeze(axis) for each in (box, before))
        from_above = pairs_by_overlap(upper, read_beyond(self._path(below), (axis, 1)))
        from_below = pairs_by_overlap(lower, read_beyond(self._path(number), (axis, 0)))[:, ::-1]
        pairs: Pairs = np.concatenate([from_above, from_below]) - 1 + [offsets[number], offsets[below]]
        return pairs

    def _touching(self, number: int, axis: int, offsets: NDArray[np.int64], values: Any) -> Pairs:
        """Return touching fragments of equal labels on both sides of a face, with those beyond its edges."""
        planes, labels = [], []
        at = self._grid.box(number)[axis].start
        for place in (at - 1, at):
            box = [
                slice(max(0, side.start - 1), min(length, side.stop + 1))
                for side, length in zip(self._grid.box(number), self._grid.shape_zyx, strict=True)
            ]
            box[axis] = slice(place, place + 1)
            planes.append(self.fragments_in((box[0], box[1], box[2]), offsets).squeeze(axis))
            labels.append(np.asarray(values[tuple(box)]).squeeze(axis))
        return pairs_by_value(*planes, *labels) - 1

    def fragments_in(self, box: Box, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the fragments of a box, numbered from 1 in the whole volume; 0 elsewhere."""
        local = np.asarray(self.array[box]).astype(np.int64)
        index = [
            np.arange(side.start, side.stop) // block for side, block in zip(box, self._grid.block_zyx, strict=True)
        ]
        blocks = np.ravel_multi_index(np.ix_(*index), self._grid.counts)
        return np.where(local > 0, local + offsets[blocks], 0)
