"""Volumes of a dataset that stay in their files, of which parts are read."""

from __future__ import annotations

import math
from contextlib import ExitStack

import numpy as np

from napari_unet3d.configs.training_enums import FourthAxis
from napari_unet3d.data.chunk_cache import ChunkCache
from napari_unet3d.data.cropped_labels import is_cropped
from napari_unet3d.data.geometry import Geometry, grid_notices, turn_onto
from napari_unet3d.data.lazy_array import LazyArray, as_array
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.opening import OpenVolume, open_volume
from napari_unet3d.data.pairs import Pair, Subset, provenance_file
from napari_unet3d.data.part_sources import FileSource, MaskSource
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volume_parts import volume_parts
from napari_unet3d.errors import UserError
from napari_unet3d.paths import exists

_MOST_BYTES_OF_LABEL = 8


def open_sample(pair: Pair, image: OpenVolume, fourth_axis: FourthAxis, store: MemmapStore) -> Sample | None:
    """Return a volume that stays in its files, if it does not fit into memory and they can be read in parts.

    Image and labels must be OME-Zarr, Zarr, HDF5, npy or TIFF without compression, on one grid, and labels integers.

    Parameters
    ----------
    pair : Pair
        The files.
    image, fourth_axis : OpenVolume, FourthAxis
        The image, which may be closed afterwards, and how it was opened.
    store : MemmapStore
        Says what fits into memory, and holds the files open.

    Returns
    -------
    Sample or None
        With lazy arrays; None if it has to be read as a whole.
    """
    paths = [path for path in (pair.labels, pair.label_mask) if path is not None]
    if not _is_readable(image) or (pair.label_mask is not None and exists(provenance_file(pair.label_mask))):
        return None
    # Of test volumes, only one is in memory at a time.
    most = store.n_bytes_left if pair.subset is Subset.TRAIN else store.budget_bytes
    if _n_bytes(image) + len(paths) * _MOST_BYTES_OF_LABEL * math.prod(image.stored.shape) <= most:
        return None  # whatever the type of the labels, so that they are opened once
    with ExitStack() as files:
        others = [files.enter_context(open_volume(path, "labels")) for path in paths]
        own = image.stored.geometry_of(image.roles.zyx)
        n_bytes = sum(map(_n_bytes, (image, *others)))
        if n_bytes <= most or not all(_is_on_grid(each, own, image) for each in others):
            return None
        opened = files.enter_context(open_volume(image.path, "images", fourth_axis))
        sample = _sample(pair, opened, others, store)
        store.files.enter_context(files.pop_all())
        if pair.subset is Subset.TRAIN:
            store.note_streamed(n_bytes)
        return sample


def _is_readable(volume: OpenVolume) -> bool:
    stored, roles = volume.stored, volume.roles
    return stored.reads_parts and not roles.is_colour and roles.t is None and stored.dtype.kind in "buif"


def _n_bytes(volume: OpenVolume) -> int:
    return math.prod(volume.stored.shape) * volume.stored.dtype.itemsize


def _is_on_grid(labels: OpenVolume, target: Geometry, image: OpenVolume) -> bool:
    """Return whether labels or a mask are integers on the grid of their image, so that nothing has to be computed."""
    stored, roles = labels.stored, labels.roles
    if not _is_readable(labels) or roles.c is not None or stored.is_lossy or stored.dtype.kind not in "bui":
        return False
    shape = tuple(stored.shape[axis] for axis in roles.zyx)
    if shape != tuple(image.stored.shape[axis] for axis in image.roles.zyx) and is_cropped(str(labels.path)):
        return False
    own = stored.geometry_of(roles.zyx)
    try:
        return turn_onto(np.broadcast_to(np.uint8(0), shape), own, target)[1] is own
    except ValueError:  # explained when they are read
        return False


def _sample(pair: Pair, image: OpenVolume, others: list[OpenVolume], store: MemmapStore) -> Sample:
    cache = store.cache
    parts = volume_parts(image)
    geometry, notices = parts.geometry, [*image.stored.notices, *image.roles.notices]
    if gaps := image.stored.gaps():
        notices.append(gaps)
    for each in others:
        place = each.stored.geometry_of(each.roles.zyx)
        notices += [*each.stored.notices, *each.roles.notices]
        notices += grid_notices(str(image.path), parts.geometry, str(each.path), place)
        if each is others[0] and geometry.voxel_size_um is None and place.voxel_size_um is not None:
            geometry = geometry.with_sizes_um(place.sizes)
    return Sample(
        parts.name,
        as_array(LazyArray(FileSource(parts, cache), has_channel_axis=parts.channel_axis is not None)),
        as_array(LazyArray(FileSource(volume_parts(others[0]), cache))),
        label_mask=None if pair.label_mask is None else as_array(_mask(parts.name, others[1], cache)),
        geometry=geometry,
        notices=tuple(notices),
        channel_names=parts.channel_names,
    )


def _mask(name: str, opened: OpenVolume, cache: ChunkCache) -> LazyArray:
    mask = LazyArray(MaskSource(FileSource(volume_parts(opened), cache)))
    if not mask.any():
        raise UserError(
            f"The mask of '{name}' is 0 everywhere, so nothing is annotated. Set it to 1 where labels are annotated, "
            "or remove it if they are annotated everywhere."
        )
    return mask
