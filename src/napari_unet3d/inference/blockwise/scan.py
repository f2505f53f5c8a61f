"""The first pass through a volume: the statistics of its intensities, and which blocks are constant."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Normalisation
from napari_unet3d.configs.training_enums import Percentiles
from napari_unet3d.data.collected_intensities import Histogram, Samples, collect, has_outliers, outliers_of
from napari_unet3d.data.intensities import clip_bounds, outlier_bounds
from napari_unet3d.data.outliers import describe_outliers
from napari_unet3d.data.volume_parts import VolumeParts
from napari_unet3d.errors import UserError
from napari_unet3d.files import write_json
from napari_unet3d.inference.blockwise.grid import BlockGrid
from napari_unet3d.inference.events import BlockDone
from napari_unet3d.text_files import read_json_object
from napari_unet3d.transforms.normalise import IntensityScale, fit_scale

_ROBUST = (Normalisation.Z_SCORE, Normalisation.PERCENTILE)


@dataclass(frozen=True, slots=True)
class Scan:
    """What the first pass has found.

    Attributes
    ----------
    scales : tuple of IntensityScale
        The normalisation of each channel.
    constant : tuple of int
        The blocks whose intensities are constant in each channel.
    notices : tuple of str
        Messages about outliers.
    """

    scales: tuple[IntensityScale, ...]
    constant: tuple[int, ...]
    notices: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(path, self.as_json() | {"constant": list(self.constant), "notices": list(self.notices)})

    def as_json(self) -> dict[str, Any]:
        """Return the normalisations as values of JSON; bounds that are infinite are null."""
        names = ("shift", "scale", "low", "high")
        return {
            "channels": [
                {name: value if math.isfinite(value := getattr(each, name)) else None for name in names}
                for each in self.scales
            ]
        }


def read_scan(path: Path) -> Scan | None:
    """Read what an earlier start has found; None if it has not finished."""
    if not path.exists():
        return None
    found = read_json_object(path)
    scales = [
        IntensityScale(
            float(each["shift"]),
            float(each["scale"]),
            -math.inf if each["low"] is None else float(each["low"]),
            math.inf if each["high"] is None else float(each["high"]),
        )
        for each in found["channels"]
    ]
    return Scan(tuple(scales), tuple(found["constant"]), tuple(found["notices"]))


def scan_intensities(
    volume: VolumeParts, channels: Sequence[int], grid: BlockGrid, method: Normalisation, percentiles: Percentiles
) -> Generator[BlockDone, None, Scan]:
    """Read a volume once, or twice if it has outliers and its type has too many values to count.

    Parameters
    ----------
    volume : VolumeParts
        The volume.
    channels : sequence of int
        The channels that are used.
    grid : BlockGrid
        Its blocks, one of which is read at a time.
    method, percentiles
        How each channel is normalised; see `normalise.fit_scale`.

    Yields
    ------
    BlockDone
        After each block.

    Raises
    ------
    UserError
        If intensities are not finite, or their range is too wide for the normalisation.
    """
    collected = [collect(volume.dtype, volume.shape) for _ in channels]
    constant, n_bad = [], 0
    for number in range(grid.n_blocks):
        box = grid.box(number)
        block = volume.read(box, channels)
        n_bad += _add(collected, block, box)
        if all(channel.min() == channel.max() for channel in block):
            constant.append(number)
        yield BlockDone("read", number + 1, grid.n_blocks, box)
    if n_bad:
        raise UserError(f"The image '{volume.name}' has {n_bad} values that are NaN or infinite; replace them first.")
    if method in _ROBUST:
        yield from _second_pass(volume, channels, collected, grid, percentiles)
    scales = [fit_scale(each, method, percentiles) for each in collected]
    return Scan(tuple(scales), tuple(constant), tuple(_notices(volume, channels, collected, method, percentiles)))


def _add(collected: Sequence[Histogram | Samples], block: NDArray[Any], box: Any) -> int:
    """Add a block to the statistics of its channels; return how many values are not finite."""
    if block.dtype.kind == "f" and (n_bad := block.size - int(np.count_nonzero(np.isfinite(block)))):
        return n_bad
    for each, channel in zip(collected, block, strict=True):
        if isinstance(each, Histogram):
            each.add(channel)
        else:
            each.add(channel, box)
    return 0


def _second_pass(
    volume: VolumeParts,
    channels: Sequence[int],
    collected: Sequence[Histogram | Samples],
    grid: BlockGrid,
    percentiles: Percentiles,
) -> Generator[BlockDone, None, None]:
    again = [
        (channel, each)
        for channel, each in zip(channels, collected, strict=True)
        if isinstance(each, Samples) and has_outliers(each, percentiles)
    ]
    for _, each in again:
        each.begin_second_pass(clip_bounds(each, percentiles))
    for number in range(grid.n_blocks if again else 0):
        box = grid.box(number)
        for channel, each in again:
            each.add_again(volume.read(box, [channel])[0], outlier_bounds(each, percentiles))
        yield BlockDone("read", number + 1, grid.n_blocks, box)


def _notices(
    volume: VolumeParts,
    channels: Sequence[int],
    collected: Sequence[Histogram | Samples],
    method: Normalisation,
    percentiles: Percentiles,
) -> list[str]:
    notices = []
    for channel, each in zip(channels, collected, strict=True):
        needs_pass = isinstance(each, Samples) and method not in _ROBUST  # the number of outliers is not known then
        found = None if needs_pass else outliers_of(each, math.prod(volume.shape), percentiles)
        if found is not None:
            name = f"{volume.name} {volume.channel_names[channel]}" if len(collected) > 1 else volume.name
            notices.append(describe_outliers(name, found, method))
    return notices
