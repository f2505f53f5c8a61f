"""Layers of annotations that are painted from scratch: made in the place of their image, in the colours of predictions.

They belong to the user: nothing of the plugin replaces, hides or removes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_unet3d.session.annotation_classes import BACKGROUND, AnnotationClasses
from napari_unet3d.widgets.viewer.annotation_info import ANNOTATION, AnnotationInfo, annotation_info
from napari_unet3d.widgets.viewer.label_colours import colour_of
from napari_unet3d.widgets.viewer.layers import spatial_kwargs

BACKGROUND_COLOUR = "#2a9d8f"  # like none of the first classes, nor of errors; visible on black and on white
_UNKNOWN_COLOUR = "#ff00ff"  # of values without a class
_OPACITY = 0.7


def annotations_of(viewer: Any, images: Sequence[Layer]) -> list[Labels]:
    """Return the annotations in the viewer that belong to one of some image layers, the topmost first."""
    return [
        layer
        for layer in reversed(viewer.layers)
        if isinstance(layer, Labels) and (info := annotation_info(layer)) is not None and info.image() in images
    ]


def add_annotation(
    viewer: Any, image: Image, name: str, labels: NDArray[np.uint8], classes: AnnotationClasses, file: Path
) -> Labels:
    """Add a Labels layer for an annotation, in the place of its image and on top of all layers.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to add it.
    image : Image
        The layer of the image.
    name : str
        Name of the volume; the layer is called ``NAME annotation``.
    labels : ndarray of uint8, shape (z, y, x)
        The annotation.
    classes : AnnotationClasses
        Its classes.
    file : Path
        Where it is saved.
    """
    layer: Labels = viewer.add_labels(
        labels,
        name=f"{name} annotation",
        metadata={ANNOTATION: AnnotationInfo(classes, file, ref(image))},
        opacity=_OPACITY,
        **spatial_kwargs(image),
    )
    show_classes(layer, classes)
    return layer


def show_classes(layer: Labels, classes: AnnotationClasses) -> None:
    """Store the classes of an annotation in its layer, and give each the colour that predictions of it have."""
    if (info := annotation_info(layer)) is not None:
        layer.metadata[ANNOTATION] = replace(info, classes=classes)
    layer.colormap = {None: _UNKNOWN_COLOUR, 0: "transparent", **class_colours(classes)}


def class_colours(classes: AnnotationClasses) -> dict[int, str]:
    """Return the colour of each label value that can be painted, as ``#rrggbb``.

    A class has the colour of its predictions in a Labels layer of napari, and background one of its own: in an
    annotation it has the value 1, which in predictions is often foreground.
    """
    predictions = Labels(np.zeros((1, 1), np.uint8))
    return {
        value: BACKGROUND_COLOUR if value == BACKGROUND else colour_of(predictions, classes.predicted_value(value))
        for value in classes.values
    }
