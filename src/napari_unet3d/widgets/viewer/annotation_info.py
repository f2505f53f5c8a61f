"""What the metadata of an annotation say, and what its values mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import ref

from napari.layers import Layer
from numpy.typing import NDArray

from napari_unet3d.data.ground_truth import GroundTruth, decode_labels
from napari_unet3d.session.annotation_classes import IGNORE_LABEL, AnnotationClasses
from napari_unet3d.widgets.viewer.layer_metadata import OWNED

ANNOTATION = f"{OWNED} annotation"
"""Key of the layers' metadata."""


@dataclass(frozen=True, slots=True)
class AnnotationInfo:
    """What the metadata of an annotation say.

    Attributes
    ----------
    classes : AnnotationClasses
        Its classes.
    file : Path
        Where it is saved.
    image : weak reference to a Layer
        The layer of its image.
    """

    classes: AnnotationClasses
    file: Path
    image: ref[Layer]


def annotation_info(layer: Layer | None) -> AnnotationInfo | None:
    """Return what is known of an annotation; None for other layers."""
    info = None if layer is None else layer.metadata.get(ANNOTATION)
    return info if isinstance(info, AnnotationInfo) else None


def decode_annotation(layer: Layer, labels: NDArray[Any]) -> GroundTruth | None:
    """Return what the values of an annotation mean: labels as predictions have them, and what is annotated.

    Parameters
    ----------
    layer : Layer
        The annotation.
    labels : ndarray of integers, shape (z, y, x)
        Its values.

    Returns
    -------
    GroundTruth or None
        None for layers that are no annotations, whose values mean what settings say.
    """
    info = annotation_info(layer)
    return None if info is None else decode_labels(labels, info.classes.task, IGNORE_LABEL)
