"""The steps after all blocks are predicted: objects across blocks, lower levels, metadata, and the final places."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.boxes import Box
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.files import replace_path
from napari_unet3d.inference.blockwise.fragments import (
    Fragments,
    MapsReader,
    connected_fragments,
    separated_fragments,
    sum_intensities,
)
from napari_unet3d.inference.blockwise.grid import BlockGrid, memory_limit
from napari_unet3d.inference.blockwise.ngff import add_to_labels
from napari_unet3d.inference.blockwise.object_files import write_objects
from napari_unet3d.inference.blockwise.objects import FragmentStore, NumberedObjects
from napari_unet3d.inference.blockwise.outputs import BlockOutputs, label_dtype, open_image
from napari_unet3d.inference.blockwise.prepare import BlockPlan, needs_fragments
from napari_unet3d.inference.blockwise.request import IN_PLACE_NAME, BlockRequest, image_folder
from napari_unet3d.inference.blockwise.scan import Scan
from napari_unet3d.inference.events import BlockDone
from napari_unet3d.model.checkpoint import package_versions
from napari_unet3d.transforms.instances import min_voxel_count

_HALO = 32  # voxels around a block in which its objects are looked for at first
_BYTES_PER_VOXEL = 80  # of separating objects
_SHARE_OF_LIMIT = 1.5  # the network is not at work then


def finish(
    outputs: BlockOutputs, found: Scan, wanted: list[int], records: NDArray[Any]
) -> Generator[BlockDone | Notice, None, None]:
    """Complete the result of a prediction in its unfinished folder.

    Parameters
    ----------
    outputs : BlockOutputs
        What was written of each block.
    found : Scan
        The normalisation, which is kept with the result.
    wanted : list of int
        The blocks that were predicted.
    records : ndarray
        The records of the blocks, with the box around the foreground of each.

    Yields
    ------
    BlockDone, Notice
        What was done with blocks, and objects that are larger than what was looked at.
    """
    plan, labels = outputs.plan, outputs.labels
    if needs_fragments(outputs.predictor, plan.geometry):
        if outputs.predictor.plan.task is Task.INSTANCE:
            labels = yield from _number_instances(outputs, records)
        else:
            labels = yield from _remove_small(outputs, wanted)
    assert labels is not None
    about = {"napari-unet3d": _describe(outputs, found)}
    labels.write_lower_levels(is_labels=True)
    labels.describe(image_label={"source": {"image": "../../"}} if plan.request.in_place else {}, **about)
    for image in outputs.images.values():
        image.write_lower_levels(is_labels=False)
        image.describe(**about)
    is_instance = outputs.predictor.plan.task is Task.INSTANCE
    plan.request.unfinished.mark_complete(["labels", *outputs.images, *(["objects"] if is_instance else [])])


def _describe(outputs: BlockOutputs, found: Scan) -> dict[str, Any]:
    """Return how a result was made, to be kept with it."""
    config = outputs.predictor.config.model_dump(mode="json")
    return {
        "versions": package_versions(),
        "model": outputs.predictor.model_hash,
        "image": outputs.plan.volume.path.name,
        "settings": config | outputs.plan.request.blocks.model_dump(mode="json"),
        "normalisation": found.as_json() | {"method": outputs.predictor.normalisation.value},
        "classes": {str(each.value): each.name for each in outputs.predictor.plan.classes},
    }


def _number_instances(outputs: BlockOutputs, records: NDArray[Any]) -> Generator[BlockDone | Notice, None, Any]:
    plan, config = outputs.plan, outputs.predictor.config
    grid = BlockGrid(plan.volume.shape, _object_block(plan))
    corners = records["foreground"][records["foreground"][:, 1] > 0].reshape(-1, 3, 2)
    store = FragmentStore(plan.request.unfinished.folder, grid, plan.chunks)
    if len(corners):
        lowest, highest = corners[:, :, 0].min(0).tolist(), corners[:, :, 1].max(0).tolist()
        z, y, x = (slice(*ends) for ends in zip(lowest, highest, strict=True))
        reader = MapsReader(outputs.probability, outputs.maps, (z, y, x), config, plan.geometry)
        cut: list[Box] = []
        yield from store.fill(list(range(grid.n_blocks)), partial(_fragments_of, reader, plan, cut))
        if cut:
            yield Notice(
                f"Objects around {len(cut)} of {grid.n_blocks} blocks are larger than what fits into memory at a time; "
                "where they touch others, they may be separated otherwise than in the whole volume."
            )
    min_voxels = min_voxel_count(config.min_volume, plan.geometry)
    objects = store.join(None, min_voxels, config.seed_confidence)
    n_objects = int(objects.numbers.max(initial=0))
    labels = open_image(plan, "labels", np.min_scalar_type(n_objects))
    yield from store.relabel(objects, labels)
    names = [plan.volume.channel_names[each] for each in plan.channels] if plan.volume.channel_names else [""]
    write_objects(plan.request.unfinished_table, objects.columns, objects.numbers, plan.geometry, names)
    return labels


def _fragments_of(reader: MapsReader, plan: BlockPlan, cut: list[Box], box: Box) -> Fragments | None:
    if not reader.has_foreground(box):
        return None
    fragments, is_whole = separated_fragments(reader, box, _HALO, _is_affordable)
    if not is_whole:
        cut.append(box)
    image = plan.volume.read(box, plan.channels)
    measured = sum_intensities(fragments.labels, len(fragments), image)
    return Fragments(fragments.labels, {**fragments.table, **measured}, fragments.beyond)


def _is_affordable(region: Box) -> bool:
    n_voxels = prod(side.stop - side.start for side in region)
    return bool(n_voxels * _BYTES_PER_VOXEL <= _SHARE_OF_LIMIT * memory_limit())


def _object_block(plan: BlockPlan) -> Shape3D:
    """Return the blocks in which objects are separated: those that were asked for, or as large as memory allows."""
    if plan.request.blocks.block_zyx is not None:
        return plan.grid.block_zyx
    unit = plan.shards or plan.chunks
    counts = [-(-side // own) for side, own in zip(plan.volume.shape, unit, strict=True)]

    def region() -> Box:
        z, y, x = (
            slice(0, min(count * own + 2 * _HALO, side))
            for count, own, side in zip(counts, unit, plan.volume.shape, strict=True)
        )
        return z, y, x

    while not _is_affordable(region()) and max(counts) > 1:
        widest = max((axis for axis in range(3) if counts[axis] > 1), key=lambda axis: counts[axis] * unit[axis])
        counts[widest] = -(-counts[widest] // 2)
    z, y, x = (count * own for count, own in zip(counts, unit, strict=True))
    return z, y, x


def _remove_small(outputs: BlockOutputs, wanted: list[int]) -> Generator[BlockDone, None, Any]:
    """Remove regions below the minimum volume, whatever blocks they are in."""
    plan, config = outputs.plan, outputs.predictor.config
    store = FragmentStore(plan.request.unfinished.folder, plan.grid, plan.chunks)

    def find(box: Box) -> Fragments | None:
        values = np.asarray(outputs.values[box])
        return connected_fragments(values, box, plan.volume.shape) if values.any() else None

    yield from store.fill(wanted, find)
    objects: NumberedObjects = store.join(outputs.values, min_voxel_count(config.min_volume, plan.geometry), None)
    labels = open_image(plan, "labels", label_dtype(outputs.predictor))
    yield from store.relabel(objects, labels)
    return labels


def move_results(request: BlockRequest) -> list[Path]:
    """Move complete results from the unfinished folder to their places, the labels last; return the files."""
    unfinished, files = request.unfinished, request.files
    kinds = unfinished.complete_kinds()
    for kind in reversed(kinds):
        source = request.unfinished_table if kind == "objects" else unfinished.path(f"{kind}.ome.zarr")
        if source.exists():  # else it was moved before
            files[kind].parent.mkdir(parents=True, exist_ok=True)
            replace_path(source, files[kind])
    if request.in_place:
        folder = image_folder(request.source)
        add_to_labels(folder, IN_PLACE_NAME, 3 if (folder / "zarr.json").exists() else 2)
    return [files[kind] for kind in kinds]
