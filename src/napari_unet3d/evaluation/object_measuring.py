"""Measure the objects of labels, or only those that have changed since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box, bounding_box
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.object_edits import FULL, neighbours_of, object_boxes, voxel_of
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.object_blocks import block_box, fingerprint, is_near
from napari_unet3d.evaluation.object_table import ObjectTable, object_columns

_EVERY = 50  # objects between two events
_SMOOTHING = 0.5  # voxels


@dataclass(frozen=True, slots=True)
class ObjectProgress:
    """Some more objects were measured: `n_done` of `n_total` so far."""

    n_done: int
    n_total: int


@dataclass(frozen=True, slots=True, eq=False)
class ObjectVolume:
    """What is measured.

    Attributes
    ----------
    labels : ndarray of integers, shape (z, y, x)
        Each value above 0 is an object.
    geometry : Geometry
        Where the volume lies.
    channels : tuple of array-like, each of shape (z, y, x)
        Intensities of each channel; empty without an image.
    channel_names : tuple of str
        Their names.
    """

    labels: NDArray[Any]
    geometry: Geometry
    channels: tuple[Any, ...] = ()
    channel_names: tuple[str, ...] = ()


def measure_objects(
    volume: ObjectVolume, previous: ObjectTable | None = None
) -> Iterator[ObjectProgress | ObjectTable | None]:
    """Measure all objects, or only those that have changed, with their neighbours.

    Parameters
    ----------
    volume : ObjectVolume
        Labels and image.
    previous : ObjectTable, optional
        An earlier table of the same image, place and channels, whose rows are kept where no label has changed.

    Yields
    ------
    ObjectProgress or None
        Some more was done.
    ObjectTable
        The table; always the last event.

    Raises
    ------
    UserError
        If there are no objects.
    """
    labels = volume.labels
    digests = None
    for digests in fingerprint(labels):  # noqa: B007 - the last one; before measuring, so that later edits are seen
        yield None
    assert digests is not None
    if previous is not None and not _is_like(previous, volume, digests):
        previous = None
    kept = np.zeros(0, np.int64)
    if previous is None:
        boxes = object_boxes(labels)
    else:
        boxes, kept = _boxes_again(labels, previous, digests != previous.fingerprint)
    if not boxes and not len(kept):
        raise UserError("The layer has no objects: all its voxels are 0. Choose another layer.")
    rows = []
    for n_done, (number, box) in enumerate(boxes.items()):
        if n_done % _EVERY == 0:
            yield ObjectProgress(n_done, len(boxes))
        rows.append((_measure(volume, number, box), [(side.start, side.stop) for side in box]))
    yield _as_table(volume, rows, (previous, kept), digests)


def _is_like(previous: ObjectTable, volume: ObjectVolume, digests: NDArray[np.bytes_]) -> bool:
    columns = object_columns(volume.geometry, volume.channel_names)
    is_same_place = previous.geometry == volume.geometry
    return is_same_place and previous.columns == columns and previous.fingerprint.shape == digests.shape


def _as_table(
    volume: ObjectVolume,
    rows: Sequence[tuple[tuple[list[float], Sequence[int]], Any]],
    earlier: tuple[ObjectTable | None, NDArray[np.int64]],
    digests: NDArray[np.bytes_],
) -> ObjectTable:
    columns = object_columns(volume.geometry, volume.channel_names)
    cells = np.array([row[0] for row, _ in rows], float).reshape(-1, len(columns))
    voxels = np.array([row[1] for row, _ in rows], np.int64).reshape(-1, 3)
    boxes = np.array([box for _, box in rows], np.int64).reshape(-1, 3, 2)
    previous, kept = earlier
    if previous is not None:
        cells = np.concatenate([previous.cells[kept], cells])
        voxels, boxes = (
            np.concatenate([old[kept], new]) for old, new in ((previous.voxels, voxels), (previous.boxes, boxes))
        )
    order = np.argsort(cells[:, 0], kind="stable")
    return ObjectTable(columns, cells[order], boxes[order], voxels[order], volume.geometry, digests)


def _boxes_again(
    labels: NDArray[Any], previous: ObjectTable, changed: NDArray[np.bool_]
) -> tuple[dict[int, Box], NDArray[np.int64]]:
    """Return the boxes of the objects that are or were in or beside blocks that have changed, and the other rows."""
    is_touched = is_near(changed, previous.boxes)
    corners = dict(zip(previous.numbers[is_touched].tolist(), previous.boxes[is_touched], strict=True))
    for block in zip(*np.nonzero(changed), strict=True):
        box = block_box((int(block[0]), int(block[1]), int(block[2])))
        start = np.array([side.start for side in box])[:, None]
        for number, inner in object_boxes(labels[box]).items():
            there = start + [(side.start, side.stop) for side in inner]
            if number not in corners and (row := previous.row_of(number)) is not None:
                is_touched[row] = True  # a new piece, away from the others
                corners[number] = previous.boxes[row]
            known = corners.get(number, there)
            first, last = np.minimum(known[:, 0], there[:, 0]), np.maximum(known[:, 1], there[:, 1])
            corners[number] = np.stack([first, last], axis=1)
    boxes = {}
    for number, (zs, ys, xs) in corners.items():
        wide = slice(*zs.tolist()), slice(*ys.tolist()), slice(*xs.tolist())
        tight = bounding_box(labels[wide] == number)  # it may have become smaller, or vanished
        if tight is not None:
            z, y, x = (
                slice(own.start + outer.start, own.stop + outer.start) for own, outer in zip(tight, wide, strict=True)
            )
            boxes[number] = z, y, x
    return boxes, np.flatnonzero(~is_touched)


def _measure(volume: ObjectVolume, number: int, box: Box) -> tuple[list[float], Sequence[int]]:
    """Return the cells of an object, and a voxel of it."""
    from scipy import ndimage
    from skimage.measure import regionprops

    labels, geometry = volume.labels, volume.geometry
    mask = labels[box] == number
    intensities = np.stack([np.asarray(each[box]) for each in volume.channels], -1) if volume.channels else None
    (region,) = regionprops(mask.astype(np.uint8), intensities, spacing=geometry.spacing)
    centre = np.divide(region.centroid, geometry.spacing) + [side.start for side in box]
    shape = zip(box, labels.shape, strict=True)
    statistics: list[float] = []
    if intensities is not None:
        each = (region.intensity_mean, region.intensity_min, region.intensity_max)
        statistics = np.stack([np.atleast_1d(values) for values in each], 1).astype(float).ravel().tolist()
    return [
        number,
        float(mask.sum()) * geometry.voxel_volume,
        _surface(mask, geometry),
        _elongation(region.coords_scaled, geometry),
        len(neighbours_of(labels, number, box)),
        ndimage.label(mask, FULL)[1],
        any(side.start == 0 or side.stop == length for side, length in shape),
        *statistics,
        *_position(geometry, centre),
    ], voxel_of(mask, box)


def _surface(mask: NDArray[np.bool_], geometry: Geometry) -> float:
    """Return the area of the surface, smoothed a little: of a ball the steps of voxels alone add up to 20 %."""
    from scipy import ndimage
    from skimage.measure import marching_cubes, mesh_surface_area

    sharp = np.pad(mask, 2).astype(np.float32)
    smooth = ndimage.gaussian_filter(sharp, _SMOOTHING)
    volume = smooth if smooth.max() > 0.5 else sharp  # a few voxels may vanish
    corners, faces, _, _ = marching_cubes(volume, 0.5, spacing=geometry.spacing)
    return float(mesh_surface_area(corners, faces))


def _position(geometry: Geometry, voxel_zyx: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the place (z, y, x) of a voxel in the world in µm, or the voxel where the voxel size is not known."""
    if not geometry.is_calibrated:
        z, y, x = voxel_zyx.tolist()
        return z, y, x
    lengths = (voxel_zyx * geometry.spacing)[::-1]
    directions = np.eye(3) if geometry.directions is None else np.array(geometry.directions)
    x, y, z = (directions.T @ lengths + (geometry.origin or (0.0, 0.0, 0.0))).tolist()
    return z, y, x


def _elongation(places: NDArray[np.float64], geometry: Geometry) -> float:
    """Return the ratio of the longest and the shortest diameter; a voxel is a small box, no point without size."""
    away = places - places.mean(0)
    spread = away.T @ away / len(away) + np.diag(np.square(geometry.spacing) / 12)
    values = np.linalg.eigvalsh(spread)
    return float(np.sqrt(values[-1] / values[0]))


def is_like_classes(table: ObjectTable) -> bool:
    """Return whether labels look like classes: a few values, most of which have several pieces."""
    pieces = table.column("pieces")
    return len(table) <= 8 and bool(np.median(pieces) >= 2)
