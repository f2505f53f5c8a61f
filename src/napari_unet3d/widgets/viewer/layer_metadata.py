"""What the metadata of layers says: who made them, what they show, where they come from and what belongs to them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_unet3d.data.layout import dataset_of, is_dataset
from napari_unet3d.session.origin import VolumeOrigin

_MASK = "napari-unet3d annotated"  # of the metadata of the labels
OWNED = "napari-unet3d"  # key of the layers' metadata: only layers that the plugin made are ever replaced
HELPER = "napari-unet3d aid"
"""Key of the metadata of helper layers, which no dock offers as a volume."""
PREDICTION, DIFFERENCE = " prediction", " difference"
"""Endings of the names of predicted labels, and of labels that show where they are wrong."""
LIVE_IMAGE, LIVE_PREDICTION, LIVE_DIFFERENCE = " validation", f" live{PREDICTION}", f" live{DIFFERENCE}"
"""Endings of the names of the layers that show a run: a validation volume, and what an epoch predicted of it."""
# Endings of the names of Image layers that belong to another one.
_MADE_OF_VOLUMES = (" probability", " uncertainty", " before")
CHANNEL = f"{OWNED} channel"
"""Key of the metadata of channels: the names of the volume and of the channel."""
_ORIGIN, _COMPANIONS, _DATASET = f"{OWNED} origin", f"{OWNED} companions", f"{OWNED} dataset"  # of the layers' metadata


def keep_mask(labels: Labels, mask: Labels | None) -> None:
    """Use a layer, 0 where nothing is annotated, as the mask of labels; None when they are annotated everywhere."""
    labels.metadata[_MASK] = mask


def mask_layer_of(labels: Labels) -> Labels | None:
    """Return the layer with the mask of labels; None when they have none.

    It stays when it is removed from the viewer.
    """
    mask = labels.metadata.get(_MASK)
    return mask if isinstance(mask, Labels) and np.shape(mask.data) == np.shape(labels.data) else None


def mask_of(labels: Labels) -> NDArray[np.bool_] | None:
    """Return the mask of the annotated voxels of labels, shape (z, y, x); None when they have none."""
    mask = mask_layer_of(labels)
    if mask is None:
        return None
    annotated: NDArray[np.bool_] = np.asarray(mask.data) > 0
    return annotated


def is_ours(layer: Layer) -> bool:
    """Return whether the plugin made a layer."""
    return bool(layer.metadata.get(OWNED))


def is_made_of_volume(layer: Layer) -> bool:
    """Return whether the plugin has computed an Image layer from a volume, such as a probability."""
    return is_ours(layer) and layer.name.endswith(_MADE_OF_VOLUMES)


def is_live(layer: Layer) -> bool:
    """Return whether a layer shows a run: a validation volume, or what an epoch predicted of it."""
    return is_ours(layer) and layer.name.endswith((LIVE_IMAGE, LIVE_PREDICTION, LIVE_DIFFERENCE))


def is_prediction(layer: Layer) -> bool:
    """Return whether a layer is called like predicted labels, and does not show an epoch of a run."""
    return layer.name.endswith(PREDICTION) and not is_live(layer)


def is_helper(layer: Layer) -> bool:
    """Return whether a layer is only an aid to look at others."""
    return bool(layer.metadata.get(HELPER))


def layers_to_tidy(viewer: Any) -> list[Layer]:
    """List the hidden layers that the plugin made for volumes of which nothing is in view.

    Hidden ground truth and probability of a volume whose difference is in view are not listed.
    """
    group_of = _groups(viewer)
    in_view = {group_of[layer] for layer in viewer.layers if layer.visible}
    return [layer for layer in viewer.layers if is_ours(layer) and not layer.visible and group_of[layer] not in in_view]


def raise_volume(viewer: Any, name: str, truth: Layer | None = None) -> None:
    """Move the layers of a volume to the top of the list, in their order.

    Its ground truth is one of them, whatever its name: just above the image, which would cover it, and below what was
    predicted.
    """
    group_of = _groups(viewer)
    of_volume = [layer for layer in viewer.layers if group_of[layer] == name]
    if truth in viewer.layers and truth not in of_volume:
        is_image = [isinstance(layer, Image) and not is_made_of_volume(layer) for layer in of_volume]
        of_volume.insert(len(is_image) - is_image[::-1].index(True) if any(is_image) else 0, truth)
    for layer in of_volume:
        viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))


def _groups(viewer: Any) -> dict[Layer, str]:
    """Return the name of the volume that each layer belongs to: the longest name of an image that its own begins with.

    Without such an image it is its own name without the last word.
    """
    images = [layer for layer in viewer.layers if isinstance(layer, Image)]
    volumes = [layer.name for layer in images if not layer.name.endswith(_MADE_OF_VOLUMES)]
    volumes = [str(layer.metadata.get(CHANNEL, (layer.name,))[0]) for layer in images if layer.name in volumes]
    groups = {}
    for layer in viewer.layers:
        own = _name_in_group(layer)
        fitting = [name for name in volumes if own == name or own.startswith(f"{name} ")]
        groups[layer] = max(fitting, key=len, default=own.rpartition(" ")[0] or own)
    return groups


def _name_in_group(layer: Layer) -> str:
    """Return the name of a layer; of what an epoch predicted, that of its validation volume."""
    ending = next((each for each in (LIVE_PREDICTION, LIVE_DIFFERENCE) if layer.name.endswith(each)), None)
    if ending is None or not is_ours(layer):
        return str(layer.name)
    return f"{layer.name.removesuffix(ending)}{LIVE_IMAGE}"


def mark_origin(layers: Iterable[Layer], origin: VolumeOrigin) -> None:
    """Store the origin of layers in their metadata."""
    for layer in layers:
        layer.metadata[_ORIGIN] = origin


def origin_of(layer: Layer) -> VolumeOrigin | None:
    """Return the origin of a layer, or None when it is not known."""
    origin = layer.metadata.get(_ORIGIN)
    return origin if isinstance(origin, VolumeOrigin) else None


def mark_dataset(layers: Iterable[Layer | None], dataset: Path | None) -> None:
    """Store in the metadata of layers which dataset folder their volume is from, if it is known."""
    for layer in layers:
        if layer is not None and dataset is not None:
            layer.metadata[_DATASET] = dataset


def dataset_of_layer(layer: Layer) -> Path | None:
    """Return the dataset folder that the volume of a layer is from, or its file is in; None if it is not known."""
    kept, path = layer.metadata.get(_DATASET), layer.source.path
    if isinstance(kept, Path):
        return kept
    if path is None:
        return None
    file = Path(path)
    return next((folder for folder in (file, dataset_of(file)) if is_dataset(folder)), None)


def mark_companions(prediction: Layer, **companions: Any) -> None:
    """Store the layers that belong to a prediction in its metadata, as weak references.

    Parameters
    ----------
    prediction : Layer
        The layer of the predicted labels.
    **companions : Any
        The layers by their roles, such as ``truth``; what is not a layer is left out.
    """
    prediction.metadata[_COMPANIONS] = {
        role: ref(layer) for role, layer in companions.items() if isinstance(layer, Layer)
    }


def companion_of(prediction: Layer, role: str) -> Layer | None:
    """Return the layer with a role for a prediction, or None when it is not known."""
    kept = prediction.metadata.get(_COMPANIONS, {}).get(role)
    return None if kept is None else kept()


def copy_origin(old: Layer, new: Layer) -> None:
    """Copy origin and companions from one layer of a prediction to another."""
    for key in (_ORIGIN, _COMPANIONS):
        if key in old.metadata:
            new.metadata[key] = old.metadata[key]
