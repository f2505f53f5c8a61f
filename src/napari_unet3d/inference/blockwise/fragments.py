"""The objects of one block: what of them is inside it, measured, and how the block sees its neighbours' faces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label as label_components

from napari_unet3d.configs import PostProcessing
from napari_unet3d.data.boxes import Box
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.files import atomic_write
from napari_unet3d.transforms.instances import distance_in, separate_basins

Side = tuple[int, int]
"""A face of a block: its axis, and 0 for the lower or 1 for the upper one."""
SIDES: tuple[Side, ...] = tuple((axis, end) for axis in range(3) for end in range(2))
Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Fragments:
    """The parts of objects that are inside a block, numbered from 1.

    Attributes
    ----------
    labels : ndarray of uint32, shape (z, y, x) of the block
        The number of the fragment of each voxel; 0 is background.
    table : mapping of str to ndarray, each with a row per fragment
        What was measured; see `measure`.
    beyond : mapping of tuple of int to ndarray of uint32
        The fragments that continue in the slice behind each face, as this block sees them; empty if fragments are
        connected by their values instead.
    """

    labels: NDArray[np.uint32]
    table: Mapping[str, Array]
    beyond: Mapping[Side, NDArray[np.uint32]]

    def __len__(self) -> int:
        return len(self.table["n_voxels"])

    def write(self, path: Path) -> None:
        """Write table and faces; the labels are written elsewhere."""
        arrays = {f"table.{name}": values for name, values in self.table.items()}
        arrays |= {f"beyond.{axis}.{end}": values for (axis, end), values in self.beyond.items()}
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)


def read_table(path: Path) -> dict[str, Array]:
    """Read the table of the fragments of a block."""
    with np.load(path, allow_pickle=False) as file:
        return {name.removeprefix("table."): file[name] for name in file.files if name.startswith("table.")}


def read_beyond(path: Path, side: Side) -> NDArray[np.uint32]:
    """Read how a block sees the slice behind one of its faces."""
    with np.load(path, allow_pickle=False) as file:
        found: NDArray[np.uint32] = file[f"beyond.{side[0]}.{side[1]}"]
    return found


def measure(labels: NDArray[np.uint32], n_fragments: int, box: Box, shape: Shape3D) -> dict[str, Array]:
    """Measure fragments.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
        The fragments 1 to `n_fragments` of a block.
    n_fragments : int
        Their number.
    box : tuple of slice
        The block.
    shape : tuple of int
        Shape (z, y, x) of the volume.

    Returns
    -------
    dict of str to ndarray
        ``n_voxels``; the sums of the voxel positions ``sum_z``, ``sum_y``, ``sum_x``, first voxels ``start_z`` and so
        on, and those after the last ``stop_z`` and so on, all in the volume; ``touches_border`` of the volume.
    """
    inside = np.nonzero(labels)
    numbers = labels[inside] - 1
    table: dict[str, Array] = {"n_voxels": np.bincount(numbers, minlength=n_fragments)}
    touches = np.zeros(n_fragments, bool)
    for name, places, side, length in zip("zyx", inside, box, shape, strict=True):
        there = places + side.start
        table[f"sum_{name}"] = np.bincount(numbers, there, n_fragments)
        start, stop = np.full(n_fragments, length, np.int32), np.zeros(n_fragments, np.int32)
        np.minimum.at(start, numbers, there.astype(np.int32))
        np.maximum.at(stop, numbers, there.astype(np.int32) + 1)
        table[f"start_{name}"], table[f"stop_{name}"] = start, stop
        touches |= (start == 0) | (stop == length)
    return table | {"touches_border": touches}


def sum_intensities(labels: NDArray[np.uint32], n_fragments: int, image: Array) -> dict[str, Array]:
    """Return the sum of the intensities of each fragment, as ``intensity_0`` and so on for each channel."""
    inside = labels > 0
    numbers = labels[inside] - 1
    return {
        f"intensity_{number}": np.bincount(numbers, channel[inside], n_fragments)
        for number, channel in enumerate(image)
    }


def connected_fragments(labels: Array, box: Box, shape: Shape3D) -> Fragments:
    """Return the connected components of equal labels in a block; voxels that share a corner are connected.

    Parameters
    ----------
    labels : ndarray of unsigned integers, shape (z, y, x)
        The labels of the block.
    box, shape
        As of `measure`.
    """
    components = label_components(labels, background=0, connectivity=3).astype(np.uint32)
    n_fragments = int(components.max(initial=0))
    values = np.zeros(n_fragments + 1, labels.dtype)
    values[components.ravel()] = labels.ravel()
    table = measure(components, n_fragments, box, shape) | {"value": values[1:]}
    return Fragments(components, table, {})


@dataclass(frozen=True, slots=True)
class MapsReader:
    """What single objects are separated by.

    Attributes
    ----------
    probability, maps : array-like, shapes (z, y, x) and (2, z, y, x)
        Probability of foreground; boundary and distance.
    foreground : tuple of slice
        The box around all foreground, beyond which maps count for nothing.
    settings, geometry : PostProcessing, Geometry
        As of `split_instances`.
    """

    probability: Any
    maps: Any
    foreground: Box
    settings: PostProcessing
    geometry: Geometry

    @property
    def shape(self) -> Shape3D:
        """Shape (z, y, x) of the volume."""
        z, y, x = self.probability.shape
        return z, y, x

    def separate(self, region: Box) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the objects of a region, and their distance; both are 0 beyond the box around all foreground."""
        sides = [side.stop - side.start for side in region]
        objects, distance = np.zeros(sides, np.int32), np.zeros(sides, np.float32)
        z, y, x = (
            slice(max(side.start, whole.start), min(side.stop, whole.stop))
            for side, whole in zip(region, self.foreground, strict=True)
        )
        if any(side.start >= side.stop for side in (z, y, x)):
            return objects, distance
        inner = tuple(
            slice(own.start - side.start, own.stop - side.start) for own, side in zip((z, y, x), region, strict=True)
        )
        foreground = np.asarray(self.probability[z, y, x]) >= self.settings.threshold
        if foreground.any():
            maps = np.asarray(self.maps[:, z, y, x])
            objects[inner] = separate_basins(foreground, maps, self.settings, self.geometry)
            distance[inner] = distance_in(maps)
        return objects, distance

    def has_foreground(self, box: Box) -> bool:
        """Return whether a box has foreground."""
        return bool((np.asarray(self.probability[box]) >= self.settings.threshold).any())


def separated_fragments(
    reader: MapsReader, box: Box, halo: int, is_affordable: Callable[[Box], bool]
) -> tuple[Fragments, bool]:
    """Separate the objects of a block, with so much around it that those of the block are seen whole.

    Parameters
    ----------
    reader : MapsReader
        The maps of the volume.
    box : tuple of slice
        The block.
    halo : int
        Voxels around the block at first; it is doubled while an object of the block ends where they end.
    is_affordable : callable
        Returns whether a region fits into memory.

    Returns
    -------
    Fragments, bool
        The fragments, with ``confidence``, the largest distance of each; and whether all of their objects were seen
        whole.
    """
    shape = reader.shape
    region = expanded(box, halo, shape)
    while True:
        objects, distance = reader.separate(region)
        is_whole = not _are_cut(objects, box, region, shape)
        wider = expanded(box, 2 * halo, shape)
        if is_whole or not is_affordable(wider):
            break
        region, halo = wider, 2 * halo
    inner = _within(box, region)
    numbers = np.unique(objects[inner])
    numbers = numbers[numbers > 0]
    renumber = np.zeros(int(objects.max(initial=0)) + 1, np.uint32)
    renumber[numbers] = np.arange(1, len(numbers) + 1)
    labels = renumber[objects[inner]]
    table = measure(labels, len(numbers), box, shape)
    confidence = np.zeros(len(numbers), np.float32)
    inside = labels > 0
    np.maximum.at(confidence, labels[inside] - 1, distance[inner][inside])
    beyond = {}
    for axis, end in SIDES:
        at = box[axis].stop if end else box[axis].start - 1
        if 0 <= at < shape[axis]:
            plane = list(inner)
            plane[axis] = slice(at - region[axis].start, at - region[axis].start + 1)
            beyond[axis, end] = renumber[objects[tuple(plane)]].squeeze(axis)
    return Fragments(labels, table | {"confidence": confidence}, beyond), is_whole


def expanded(box: Box, halo: int, shape: Shape3D) -> Box:
    """Return a box with some voxels around it, as far as the volume reaches."""
    z, y, x = (
        slice(max(0, side.start - halo), min(length, side.stop + halo)) for side, length in zip(box, shape, strict=True)
    )
    return z, y, x


def _within(box: Box, region: Box) -> Box:
    z, y, x = (
        slice(side.start - outer.start, side.stop - outer.start) for side, outer in zip(box, region, strict=True)
    )
    return z, y, x


def _are_cut(objects: NDArray[np.int32], box: Box, region: Box, shape: Shape3D) -> bool:
    """Return whether an object of a block, or one right behind its faces, ends where the region ends."""
    near = np.unique(objects[_within(expanded(box, 1, shape), region)])
    for axis, end in SIDES:
        is_border = region[axis].stop == shape[axis] if end else region[axis].start == 0
        if not is_border:
            face = np.take(objects, -1 if end else 0, axis)
            if np.isin(face, near[near > 0]).any():
                return True
    return False
