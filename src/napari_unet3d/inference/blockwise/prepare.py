"""What the prediction of a volume block by block needs: its channels, its place, tiles and blocks."""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet3d.configs import PredictionConfig, ResizeMode, Task
from napari_unet3d.data.boxes import Box
from napari_unet3d.data.channel_choice import find_model_channels
from napari_unet3d.data.events import Notice
from napari_unet3d.data.formats.holds import Holds, parts_of
from napari_unet3d.data.formats.ome_levels import Levels, compute_levels, find_image_group, read_levels
from napari_unet3d.data.formats.registry import split_path
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.sample import Sample, Shape3D, format_shape
from napari_unet3d.data.volume_parts import VolumeParts
from napari_unet3d.data.voxel_size import with_voxel_size
from napari_unet3d.errors import UserError
from napari_unet3d.inference.blockwise.grid import BlockCost, BlockGrid, choose_block, memory_limit, round_up
from napari_unet3d.inference.blockwise.request import TABLE_FORMAT, BlockRequest, region_box
from napari_unet3d.inference.predictor import Predictor
from napari_unet3d.inference.tile_grid import TileGrid, tile_grid
from napari_unet3d.model.checkpoint import package_versions
from napari_unet3d.transforms.instances import min_voxel_count

_CHUNK = 64
_LONGEST_CHUNK, _MOST_VOXELS_OF_CHUNK = 512, 2**22
_NOT_COMPARED = ("device", "precision")  # a prediction may go on elsewhere, in the same number type


@dataclass(frozen=True, slots=True, eq=False)
class BlockPlan:
    """All that follows from a request, a model and the header of a volume.

    Attributes
    ----------
    request : BlockRequest
        What was asked for.
    volume : VolumeParts
        The image.
    channels : tuple of int
        The channels that are used, in the order of the network.
    geometry : Geometry
        Where the volume lies.
    tiles : TileGrid
        The tiles of the padded network input.
    network_zyx : tuple of int
        Shape of the volume at the voxel size of the network.
    grid : BlockGrid
        The blocks.
    chunks, shards : tuple of int
        Chunks (z, y, x) of the result, and its shards, or None.
    levels : Levels
        The resolution levels of the result.
    region : tuple of slice
        The part of the volume that is predicted.
    zarr_format : int
        2 if the result goes into an image of OME-Zarr 0.4, else 3.
    """

    request: BlockRequest
    volume: VolumeParts
    channels: tuple[int, ...]
    geometry: Geometry
    tiles: TileGrid
    network_zyx: Shape3D
    grid: BlockGrid
    chunks: Shape3D
    shards: Shape3D | None
    levels: Levels
    region: Box
    zarr_format: int

    def settings(self, predictor: Predictor) -> dict[str, Any]:
        """Return what the result depends on, to compare with an earlier start; values are those of JSON."""
        path, blocks = self.volume.path, self.request.blocks
        values = predictor.config.model_dump(mode="json", exclude=set(_NOT_COMPARED))
        found = {
            "model": predictor.model_hash,
            "version of napari-unet3d": package_versions()["napari-unet3d"],
            "number type": str(predictor.sliding_window.hardware.dtype).removeprefix("torch."),
            "image": path.name,
            "shape of the image": list(self.volume.shape),
            "time of the image": _time_of(path) if self.volume.opened.is_file else None,
            "block size": list(self.grid.block_zyx),
            "tile": list(self.tiles.tile_zyx),
            "region": list(blocks.region),
            "skip empty": blocks.skip_empty,
            "probability": self.request.probability,
            "probability type": blocks.probability_type.value if self.request.probability else None,
            TABLE_FORMAT: blocks.table_format.value,
            "mask": None if self.request.mask is None else self.request.mask.name,
            "time of the mask": None if self.request.mask is None else _time_of(self.request.mask),
        }
        fields = PredictionConfig.model_fields
        return found | {name.replace("_", " "): values[name] for name in values if name in fields}


def _time_of(path: Path) -> float:
    """Return when a file, or the metadata of a Zarr folder, was changed."""
    file = path if path.exists() else split_path(path)[0]
    inside = (file / name for name in ("zarr.json", ".zgroup", ".zarray"))
    return os.stat(next((each for each in inside if each.is_file()), file)).st_mtime


def plan_blocks(predictor: Predictor, volume: VolumeParts, request: BlockRequest) -> Generator[Notice, None, BlockPlan]:
    """Return the plan of a prediction; an earlier start of it decides where sizes are chosen automatically.

    Yields
    ------
    Notice
        What was assumed of the volume, how large blocks are, and what of them is in memory.

    Raises
    ------
    UserError
        If the volume does not have the channels of the model, the region is not inside it, or the model is one of
        bioimage.io.
    """
    plan, shape = predictor.plan, volume.shape
    if predictor.checkpoint.package is not None:
        raise UserError(
            f"'{volume.name}' would be predicted block by block, but {predictor.checkpoint.package.where} is a package "
            "of bioimage.io, whose preprocessing needs the whole volume in memory. Cut the volume, or use a computer "
            "with more memory."
        )
    chosen = find_model_channels(
        volume.name, volume.channel_names, plan.channels, predictor.trained_on, predictor.config.channels
    )
    geometry, notices = _place_of(volume, predictor)
    yield from map(Notice, (*notices, *([chosen.notice] if chosen.notice else [])))
    yield from predictor.size_notices(volume.name, shape, geometry)
    network_zyx = predictor.network_shape(shape, geometry)
    input_zyx = predictor.input_shape(network_zyx, ResizeMode.PAD)
    before = request.unfinished.settings()
    tile = _triple(before["tile"]) if "tile" in before else (yield from _choose_tile(predictor, volume, input_zyx))
    tiles = tile_grid(input_zyx, tile, predictor.config.overlap, plan.total_stride)
    chunks, shards = _chunks(volume, request)
    cost = _cost(predictor, tile, len(chosen.indices))
    grid = BlockGrid(shape, _block(volume, request, shards or chunks, cost))
    if volume.shape == network_zyx or plan.spacing_um is None:
        n_bytes = cost.n_bytes(grid.block_zyx)
    else:
        n_bytes = int(cost.n_bytes(grid.block_zyx) * max(1.0, prod(network_zyx) / prod(shape)))
    yield Notice(
        f"'{volume.name}' ({format_shape(shape)} voxels) is predicted in {grid.n_blocks} "
        f"block{'s' if grid.n_blocks > 1 else ''} of up to {format_shape(grid.block_zyx)} voxels, which take about "
        f"{n_bytes / 2**20:.0f} MiB at a time, in addition to the network."
    )
    levels, zarr_format = _levels(volume, geometry, request)
    region = region_box(request.blocks.region, shape)
    found = chosen.indices, geometry, tiles, network_zyx, grid, chunks, shards, levels, region, zarr_format
    return BlockPlan(request, volume, *found)


def _place_of(volume: VolumeParts, predictor: Predictor) -> tuple[Geometry, tuple[str, ...]]:
    """Return where a volume lies, with the voxel size that the user gave, and messages about it."""
    opened = volume.opened
    notices = (*opened.stored.notices, *opened.roles.notices, *filter(None, [opened.stored.gaps()]))
    without_voxels = np.broadcast_to(np.zeros((), np.uint8), volume.shape)
    sample = Sample(volume.name, without_voxels, geometry=volume.geometry, notices=notices)
    sample = with_voxel_size(sample, predictor.config.voxel_size_um)
    notices = sample.notices
    lost = parts_of(sample.geometry) & {Holds.DIRECTIONS, Holds.SHEAR}
    if lost:
        what = " and ".join(sorted(part.value for part in lost))
        notices += (f"The result of '{volume.name}' is OME-Zarr, which holds no {what}; it is left out.",)
    return sample.geometry, notices


def _choose_tile(predictor: Predictor, volume: VolumeParts, input_zyx: Shape3D) -> Generator[Notice, None, Shape3D]:
    """Return the tile: a patch as in training, or as much as fits for a network that was trained on whole volumes."""
    is_whole = predictor.plan.patch_zyx is None
    if predictor.resize_mode is ResizeMode.RESIZE:
        yield Notice(f"'{volume.name}' is padded rather than resized, since it is predicted block by block.")
    limit = memory_limit() if is_whole else None
    return (yield from predictor.sliding_window.choose_tile(volume.name, input_zyx, limit))


def _chunks(volume: VolumeParts, request: BlockRequest) -> tuple[Shape3D, Shape3D | None]:
    """Return the chunks and shards of the result: those of the image, unless they are larger than blocks can be."""
    asked, shards = request.blocks.block_zyx or volume.shape, volume.shards
    if shards is not None and volume.chunks is not None and _is_small(shards) and _is_within(shards, asked):
        return volume.chunks, shards
    own = volume.chunks if volume.chunks is not None and _is_small(volume.chunks) else (_CHUNK,) * 3
    z, y, x = (min(each) for each in zip(own, asked, volume.shape, strict=True))
    return (z, y, x), None


def _is_small(chunk: Shape3D) -> bool:
    return max(chunk) <= _LONGEST_CHUNK and prod(chunk) <= _MOST_VOXELS_OF_CHUNK


def _is_within(inner: Shape3D, outer: Shape3D) -> bool:
    return all(side <= other for side, other in zip(inner, outer, strict=True))


def _cost(predictor: Predictor, tile: Shape3D, n_channels: int) -> BlockCost:
    n_out = predictor.plan.out_channels
    # A slab of the input in float32, the one that is read next, and the sums of the output.
    slab = 8 * n_channels + 4 * n_out
    others = 0 if predictor.plan.task is Task.BINARY else 2 * (n_out - 1)
    return BlockCost(tile, slab, 2 * (4 + others))  # slices, and the same stacked


def _block(volume: VolumeParts, request: BlockRequest, unit: Shape3D, cost: BlockCost) -> Shape3D:
    asked, before = request.blocks.block_zyx, request.unfinished.settings()
    if asked is not None:
        return round_up(asked, unit, volume.shape)
    if "block size" in before:
        return _triple(before["block size"])
    return choose_block(volume.shape, unit, cost, memory_limit())


def _triple(numbers: Any) -> Shape3D:
    z, y, x = (int(number) for number in numbers)
    return z, y, x


def _levels(volume: VolumeParts, geometry: Geometry, request: BlockRequest) -> tuple[Levels, int]:
    """Return the levels of the image if it has some and its own voxel size, and the format of Zarr for the result."""
    is_folder = volume.opened.is_file and volume.path.is_dir()
    group = find_image_group(volume.path, volume.opened.stored.shape) if is_folder else None
    zarr_format = int(group.metadata.zarr_format) if group is not None and request.in_place else 3
    if group is None or geometry != volume.geometry:
        return compute_levels(volume.shape, geometry), zarr_format
    return read_levels(group, volume.opened.roles.zyx), zarr_format


def needs_fragments(predictor: Predictor, geometry: Geometry) -> bool:
    """Return whether labels depend on what is connected across blocks: single objects, or a minimum volume."""
    is_instance = predictor.plan.task is Task.INSTANCE
    return is_instance or min_voxel_count(predictor.config.min_volume, geometry) > 1
