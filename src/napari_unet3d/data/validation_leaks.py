"""Corrected training volumes that show what validates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.data.split import Block, Role
from napari_unet3d.data.time_points import series_of


class HasProvenance(Protocol):
    """A volume with provenance, such as a sample or the statistics of one."""

    @property
    def name(self) -> str:
        """Name of the volume."""

    @property
    def shape(self) -> Shape3D:
        """Number of voxels along z, y, x."""

    @property
    def provenance(self) -> Provenance | None:
        """The provenance of a corrected volume."""


def find_validation_leaks(
    train: Sequence[HasProvenance], val: Sequence[HasProvenance], blocks: Sequence[Block]
) -> list[tuple[str, str]]:
    """Find corrected training volumes that were cropped from validation volumes or blocks, at any time point.

    Parameters
    ----------
    train, val : sequence of Sample or VolumeStatistics
        Training and validation volumes.
    blocks : sequence of Block
        Blocks of a single volume; empty for whole volumes.

    Returns
    -------
    list of tuple of str
        Names of the validation volume and of the corrected volume.
    """
    validation = [block for block in blocks if block.role is Role.VALIDATION]
    found = []
    for corrected in train:
        own = corrected.provenance
        if own is None or own.subset != "train":
            continue
        series = series_of(own.volume)
        shown = [each.name for each in validation if _overlap(each, own.start_zyx, corrected.shape)]
        shown += [each.name for each in val]
        if any(series_of(name) == series for name in shown):
            found.append((own.volume, corrected.name))
    return found


def _overlap(block: Block, start: Shape3D, shape: Shape3D) -> bool:
    return all(
        first < stop and first + side > begin
        for first, side, begin, stop in zip(start, shape, block.start_zyx, block.stop_zyx, strict=True)
    )
