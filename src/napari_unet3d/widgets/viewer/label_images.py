"""Image layers that hold labels, and Labels layers that are made of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_unet3d.data.label_images import looks_like_labels
from napari_unet3d.data.label_values import to_label_dtype
from napari_unet3d.widgets.viewer.layer_metadata import CHANNEL, OWNED, dataset_of_layer, is_ours, mark_dataset

_LABELS = f"{OWNED} converted to"  # key of the metadata of the image
_PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
_decisions: WeakKeyDictionary[Image, tuple[ReferenceType[Any], bool]] = WeakKeyDictionary()


def holds_labels(layer: Image) -> bool:
    """Return whether an Image layer holds the labels of a volume; its data is looked at once, in a few places.

    Layers that the plugin made, colour images and those of several resolutions are not looked at.
    """
    if layer.rgb or layer.multiscale or layer.ndim < 3 or is_ours(layer):
        return False
    known = _decisions.get(layer)
    if known is None or known[0]() is not layer.data:
        try:
            is_labels = looks_like_labels(layer.data)
        except (OSError, ValueError):  # its file is gone, or closed
            is_labels = False
        _decisions[layer] = known = ref(layer.data), is_labels
    return known[1]


def label_images(viewer: Any) -> list[Image]:
    """Return the Image layers that hold labels, and of which there is no Labels layer yet."""
    images = [layer for layer in viewer.layers if isinstance(layer, Image) and holds_labels(layer)]
    return [image for image in images if labels_of_image(viewer, image) is None]


def labels_of_image(viewer: Any, image: Image) -> Labels | None:
    """Return the Labels layer that was made of an image; None if there is none in the viewer."""
    known = image.metadata.get(_LABELS)
    layer: Labels | None = None if known is None else known()
    return layer if layer in viewer.layers else None


def read_labels(name: str, data: Any) -> Iterator[Any]:
    """Yield the data of an image as labels; for a job, since arrays in memory are copied.

    Parameters
    ----------
    name : str
        Name of the layer, for messages.
    data : array, shape (…, z, y, x)
        Integers or booleans that are read from files stay there. Everything else is read into memory.

    Yields
    ------
    array of integers or booleans, shape (…, z, y, x)
        In memory in the smallest type that holds them, and never the array of the image, which stays as it is when the
        labels are painted.

    Raises
    ------
    UserError
        If a value is not a whole number.
    """
    if not isinstance(data, np.ndarray) and np.dtype(data.dtype).kind in "bui":
        yield data
        return
    labels: NDArray[Any] = to_label_dtype(name, np.asarray(data))
    is_shared = isinstance(data, np.ndarray) and np.may_share_memory(labels, data)
    yield labels.copy() if is_shared else labels


def add_labels_of_image(viewer: Any, image: Image, data: Any) -> Labels:
    """Add a Labels layer above an image, in the same place and with its metadata, and hide the image.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer of the image.
    image : Image
        The layer that holds the labels; it stays, so that nothing is lost.
    data : array of integers or booleans
        What `read_labels` returns for it.

    Returns
    -------
    Labels
        Named like the image with ``labels`` after it.
    """
    metadata = {key: value for key, value in image.metadata.items() if key not in (OWNED, CHANNEL, _LABELS)}
    place = {key: getattr(image, key) for key in _PLACE}
    layer = Labels(data, name=f"{image.name} labels", metadata=metadata, **place)
    mark_dataset([layer], dataset_of_layer(image))
    image.metadata[_LABELS] = ref(layer)
    image.visible = False
    viewer.layers.insert(viewer.layers.index(image) + 1, layer)
    return layer
