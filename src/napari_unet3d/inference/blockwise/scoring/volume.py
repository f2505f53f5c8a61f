"""Scores, errors and differences of a volume whose prediction is a file, read in parts."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from napari_unet3d.data.events import Notice
from napari_unet3d.data.formats.ome_levels import compute_levels
from napari_unet3d.data.geometry import Geometry, different_orientation, grid_notices, turn_onto
from napari_unet3d.data.opening import OpenVolume, open_volume
from napari_unet3d.data.pairs import Pair
from napari_unet3d.data.sample import Shape3D, format_shape
from napari_unet3d.data.volume_parts import VolumeParts, volume_parts
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.errors.types import ErrorList
from napari_unet3d.evaluation.metrics.differences import difference_labels
from napari_unet3d.evaluation.metrics.score import MetricOptions
from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.evaluation.tolerance import tolerance_for
from napari_unet3d.inference.blockwise.grid import BlockGrid
from napari_unet3d.inference.blockwise.ngff import OmeZarrImage
from napari_unet3d.inference.blockwise.scoring.error_depths import FIRST_HALO, is_affordable
from napari_unet3d.inference.blockwise.scoring.errors import ErrorRules, find_errors_blocks
from napari_unet3d.inference.blockwise.scoring.pair_parts import PairParts, Reader
from napari_unet3d.inference.blockwise.scoring.scores import count_blocks, score_blocks
from napari_unet3d.inference.events import BlockDone
from napari_unet3d.leftovers import temporary_name
from napari_unet3d.model.plan import Plan

_UNIT = 64  # voxels along each axis of a chunk of what is kept on disk


@dataclass(frozen=True, slots=True, eq=False)
class CountedVolume:
    """What is known of a volume that does not fit into memory.

    Attributes
    ----------
    scores : Scores
        Agreement of prediction and ground truth.
    errors : ErrorList or None
        Its errors, if they are asked for.
    n_at_border : tuple of int
        True and predicted instances that touch the border.
    geometry : Geometry
        Where it lies.
    """

    scores: Scores
    errors: ErrorList | None
    n_at_border: tuple[int, int]
    geometry: Geometry


@dataclass(frozen=True, slots=True, eq=False)
class VolumeFiles:
    """The files of a volume, and what they mean.

    Attributes
    ----------
    pair : Pair
        Image, labels and mask.
    prediction : Path
        The predicted labels.
    geometry : Geometry
        Where the volume lies.
    plan : Plan
        Task, ignore label and classes.
    """

    pair: Pair
    prediction: Path
    geometry: Geometry
    plan: Plan


def compare_files(
    files: VolumeFiles, options: MetricOptions, difference: Path | None
) -> Generator[BlockDone | Notice, None, CountedVolume]:
    """Compare a prediction with its ground truth block by block.

    Parameters
    ----------
    files : VolumeFiles
        The volume.
    options : MetricOptions
        What is compared, and how.
    difference : Path, optional
        OME-Zarr file for where they differ; with it, errors are found, too.

    Yields
    ------
    BlockDone
        After each block.
    Notice
        What may be wrong with the files.

    Raises
    ------
    UserError
        If a file cannot be read in parts, the volumes do not match, or values are not labels.
    """
    with ExitStack() as opened, working_folder(difference) as folder:
        parts, notices = _open(files, opened)
        yield from map(Notice, notices)
        grid = BlockGrid(parts.shape, _block(parts.shape))
        table = yield from count_blocks(parts, grid)
        geometry, tolerance = files.geometry, tolerance_for(files.geometry.spacing, options.tolerance)
        scores = yield from score_blocks(parts, grid, table, geometry, options, folder)
        errors = None
        if difference is not None:
            rules = ErrorRules(geometry, tolerance, options.ignore_border)
            errors = yield from find_errors_blocks(parts, grid, table, rules, folder)
            yield from _write_difference(parts, grid, geometry, difference)
        predicted, true = (len(ids) for ids in table.at_border)
        return CountedVolume(scores, errors, (true, predicted), geometry)


@contextmanager
def working_folder(beside: Path | None) -> Iterator[Path]:
    """Yield a folder for what is kept on disk meanwhile, which is removed at the end.

    Parameters
    ----------
    beside : Path, optional
        A file of the result, in whose folder it is; else it is where the system keeps temporary files.
    """
    if beside is None:
        with TemporaryDirectory(prefix="napari-unet3d-") as temporary:
            yield Path(temporary)
        return
    folder = beside.with_name(temporary_name(beside.name))
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _open(files: VolumeFiles, opened: ExitStack) -> tuple[PairParts, list[str]]:
    """Open prediction, labels and mask; return them, and what may be wrong with them."""
    pair, plan = files.pair, files.plan
    assert pair.image is not None, "the pair is complete"
    assert pair.labels is not None, "the pair is complete"
    shape = volume_parts(opened.enter_context(open_volume(pair.image, "images")), times_as_channels=True).shape
    sources, notices = {"prediction": files.prediction, "labels": pair.labels}, list[str]()
    if pair.label_mask is not None:
        sources["mask"] = pair.label_mask
    found = {kind: _labels(opened.enter_context(open_volume(path, "labels"))) for kind, path in sources.items()}
    for volume in found.values():
        if volume.shape != shape:
            raise UserError(
                f"{volume.path} has {format_shape(volume.shape)} voxels and its image {pair.image} "
                f"{format_shape(shape)}; both must be the same volume."
            )
        notices += _check_place(volume, pair.image, files.geometry)

    mask = _reader(found["mask"]) if "mask" in found else None
    readers = _reader(found["prediction"]), _reader(found["labels"]), mask
    return PairParts(pair.name, shape, *readers, plan.task, plan.ignore_label), notices


def _reader(volume: VolumeParts) -> Reader:
    return lambda box: volume.read(box)[0]


def _labels(opened: OpenVolume) -> VolumeParts:
    if opened.stored.is_lossy:
        raise UserError(f"{opened.path} is compressed as JPEG, which changes labels. Save it as OME-Zarr.")
    c = opened.roles.c
    if c is not None and opened.stored.shape[c] > 1:
        raise UserError(f"{opened.path} has {opened.stored.shape[c]} channels; labels have one. Save that alone.")
    return volume_parts(opened)


def _check_place(volume: VolumeParts, image: Path, geometry: Geometry) -> list[str]:
    own = volume.geometry
    try:
        _, turned = turn_onto(np.broadcast_to(np.zeros((), np.uint8), volume.shape), own, geometry)
    except ValueError:
        raise different_orientation(str(image), geometry, str(volume.path), own) from None
    if turned is not own:
        raise UserError(
            f"The axes of {volume.path} point to {own.orientation}, those of its image {image} to "
            f"{geometry.orientation}. Volumes that do not fit into memory are not turned: save both with the same axes."
        )
    return grid_notices(str(image), geometry, str(volume.path), own)


def _block(shape: Shape3D) -> Shape3D:
    """Return the blocks that are read: as large as fits into memory with what is around them."""
    counts = [-(-side // _UNIT) for side in shape]

    def fits() -> bool:
        z, y, x = (slice(0, min(n * _UNIT + 2 * FIRST_HALO, side)) for n, side in zip(counts, shape, strict=True))
        return is_affordable((z, y, x))

    while prod(counts) > 1 and not fits():
        widest = counts.index(max(counts))
        counts[widest] = -(-counts[widest] // 2)
    z, y, x = (min(n * _UNIT, side) for n, side in zip(counts, shape, strict=True))
    return z, y, x


def _write_difference(
    parts: PairParts, grid: BlockGrid, geometry: Geometry, path: Path
) -> Generator[BlockDone, None, None]:
    chunks = tuple(min(_UNIT, side) for side in parts.shape)
    image = OmeZarrImage(path, compute_levels(parts.shape, geometry), np.uint8, (chunks[0], chunks[1], chunks[2]))
    for number in range(grid.n_blocks):
        box = grid.box(number)
        image.write(box, difference_labels(*parts.read(box), parts.task))
        yield BlockDone("written", number + 1, grid.n_blocks, box)
    image.write_lower_levels(is_labels=True)
    image.describe(image_label={})
