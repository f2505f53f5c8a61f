"""The objects of a Labels layer: its volume at the time point in view, edited as steps that the layer can undo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_unet3d.data.object_edits import ObjectEdit, Position
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.object_table import ObjectTable
from napari_unet3d.session.object_labels import Intensities, ObjectLabels, Proofread
from napari_unet3d.widgets.viewer.channel_layers import names_of
from napari_unet3d.widgets.viewer.layer_metadata import OWNED, origin_of
from napari_unet3d.widgets.viewer.navigation import Pointer, voxels_along_ray
from napari_unet3d.widgets.viewer.places import data_on, geometry_of

_DONE = f"{OWNED} proofreading"  # of the layers' metadata
_MOST_INDICES = 2_000_000  # changed voxels that are kept one by one for undo; of more, the whole box is
LOAD = "Press 'Load into memory' below"


def time_point(viewer: Any, layer: Labels) -> tuple[int, ...]:
    """Return the indices along the axes before z, y, x that are in view; empty for a single volume."""
    n_leading = layer.ndim - 3
    if n_leading <= 0:
        return ()
    at = layer.world_to_data(viewer.dims.point[-layer.ndim :])[:n_leading]
    sides = layer.data.shape[:n_leading]
    return tuple(int(np.clip(round(float(index)), 0, side - 1)) for index, side in zip(at, sides, strict=True))


def labels_of(viewer: Any, layer: Labels) -> ObjectLabels:
    """Return the objects of a layer at the time point in view.

    Raises
    ------
    UserError
        When the layer is no volume in memory, with the remedy.
    """
    if layer.multiscale:
        raise UserError(f"The layer '{layer.name}' has several resolutions; open one of them as a layer.")
    if layer.ndim < 3:
        raise UserError(f"The layer '{layer.name}' has {layer.ndim} dimensions; choose a 3D volume (z, y, x).")
    if not isinstance(layer.data, np.ndarray):
        raise UserError(
            f"The layer '{layer.name}' is read from its file piece by piece, where objects can be neither measured nor "
            f"edited. {LOAD}; the file stays as it is."
        )
    leading, origin = time_point(viewer, layer), origin_of(layer)
    plan = None if origin is None else origin.plan
    return ObjectLabels(
        layer.name + "".join(f" {index}" for index in leading if max(layer.data.shape[:-3]) > 1),
        layer.data[leading],
        geometry_of(layer),
        origin,
        _why_read_only(layer),
        lambda edit: write_edit(layer, leading, edit),
        None if plan is None else plan.ignore_label,
    )


def _why_read_only(layer: Labels) -> str:
    data = layer.data
    if not data.flags.writeable:
        return f"The layer '{layer.name}' is read-only. {LOAD} to edit it; its file stays as it is."
    if isinstance(data, np.memmap) and data.mode in ("r+", "w+"):
        return (
            f"The layer '{layer.name}' is a file on the disk ({data.filename}), which each edit would change. {LOAD} "
            "to edit it without touching the file."
        )
    return ""


def can_load(layer: Labels | None) -> bool:
    """Return whether a layer must be loaded into memory before its objects can be edited."""
    if layer is None or layer.multiscale or layer.ndim < 3:
        return False
    return not isinstance(layer.data, np.ndarray) or bool(_why_read_only(layer))


def load(layer: Labels) -> Iterator[NDArray[Any]]:
    """Read the data of a layer into memory; the only event is the array."""
    yield np.array(layer.data)


def write_edit(layer: Labels, leading: tuple[int, ...], edit: ObjectEdit) -> None:
    """Make an edit in a layer, as one step that the layer undoes and redoes.

    Parameters
    ----------
    layer : Labels
        The layer.
    leading : tuple of int
        The indices of the volume along the axes before z, y, x.
    edit : ObjectEdit
        The edit.
    """
    with layer.block_history():
        for change in edit.changes:
            there = np.nonzero(change.before != change.after)
            if not there[0].size:
                continue
            if there[0].size > _MOST_INDICES:
                # Napari's public way keeps three indices for each voxel, which would take gigabytes here.
                box = (*leading, *change.box)
                before = layer.data[box].copy()
                change.apply(layer.data[leading])
                layer._save_history((box, before, layer.data[box].copy()))
                continue
            voxels = [axis + side.start for axis, side in zip(there, change.box, strict=True)]
            indices = (*(np.full(there[0].size, index) for index in leading), *voxels)
            layer.data_setitem(indices, change.after[there], refresh=False)
    layer.refresh()


def done_with(layer: Labels, leading: tuple[int, ...]) -> Proofread:
    """Return what was proofread in a layer so far, which it keeps; nothing when it shows other labels by now."""
    kept = layer.metadata.get(_DONE)
    if not isinstance(kept, _Kept) or not kept.is_of(layer.data):
        kept = layer.metadata[_DONE] = _Kept(layer.data)
    return kept.by_time.setdefault(leading, Proofread())


class _Kept:
    def __init__(self, data: NDArray[Any]) -> None:
        self._data = data
        self.by_time: dict[tuple[int, ...], Proofread] = {}

    def is_of(self, data: NDArray[Any]) -> bool:
        if data is self._data:
            return True
        is_same = data.shape == self._data.shape and np.array_equal(data, self._data)
        if is_same:  # such as converted to another data type
            self._data = data
        return is_same


def intensities_of(layer: Labels, leading: tuple[int, ...], images: list[Image]) -> Intensities:
    """Return the intensities of Image layers on the grid of labels, one channel for each.

    Raises
    ------
    UserError
        When an image is not one of the same volume.
    """
    channels = []
    for image in images:
        if image.rgb or image.multiscale:
            raise UserError(f"The image '{image.name}' is a colour image or has several resolutions; choose another.")
        data = data_on(layer, image) if image.ndim == layer.ndim == 3 else image.data
        if data.ndim == layer.ndim > 3 and data.shape == layer.data.shape:
            data = data[leading]
        if data.shape != layer.data.shape[-3:]:
            raise UserError(
                f"The image '{image.name}' has shape {image.data.shape} and the labels '{layer.name}' "
                f"{layer.data.shape}; choose the image that was segmented, or none."
            )
        channels.append(data)
    names = names_of(images)[1] if images else ()
    return Intensities(tuple(channels), names or ("",) * len(channels))


def object_under(pointer: Pointer, layer: Labels, array: NDArray[Any]) -> tuple[int, Position] | None:
    """Return the object under the mouse and its voxel there: in slices that of the slice, in 3D the first on the ray.

    Parameters
    ----------
    pointer : Pointer
        Where the mouse is.
    layer : Labels
        The layer.
    array : ndarray of integers, shape (z, y, x)
        Its volume in view.

    Returns
    -------
    tuple of int and tuple of int, or None
        None where there is background.
    """
    voxels = voxels_along_ray(pointer, layer)
    if not len(voxels):
        return None
    numbers = array[tuple(voxels.T)]
    hits = np.flatnonzero(numbers > 0)
    if not hits.size:
        return None
    z, y, x = voxels[hits[0]].tolist()
    return int(numbers[hits[0]]), (z, y, x)


def store_features(layer: Labels, table: ObjectTable) -> None:
    """Store a table in the features of a layer, beside columns that somebody else has put there."""
    features, old = table.features(), layer.features
    others = [column for column in old.columns if column not in features]
    if others and "index" in old.columns and old["index"].is_unique:
        by_number = old.set_index("index")
        features |= {column: by_number[column].reindex(features["index"]).to_numpy() for column in others}
    layer.features = features
