"""Where to annotate next: places that look different, or places where a model is unsure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy  # submodules are loaded on first use, not when a dock opens
from numpy.typing import NDArray

from napari_unet3d.configs import Device, PredictionConfig
from napari_unet3d.data.patch_features import PatchFeatures, choose_patches, compute_features
from napari_unet3d.data.sample import Sample
from napari_unet3d.evaluation.errors.types import SearchProgress
from napari_unet3d.evaluation.metrics.uncertainty import uncertain_locations
from napari_unet3d.session.comparison import Comparison
from napari_unet3d.session.prediction_job import predict_sample

_DISTANCE_PER_SIDE = 0.1  # between two places, of the longest side of the volume
_BORDER = 0.05  # of each side, where networks are unsure because they see less
_N_PLACES = 10


@dataclass(frozen=True, slots=True)
class SuggestedPlace:
    """A place that is worth annotating.

    Attributes
    ----------
    position_zyx : tuple of int
        The voxel in its middle.
    reason : str
        Why, for the user.
    """

    position_zyx: tuple[int, int, int]
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class PlacesFound:
    """The places that are worth annotating, the best first.

    Attributes
    ----------
    places : tuple of SuggestedPlace
        The places.
    uncertainty : ndarray of float32, shape (z, y, x), or None
        The uncertainty of the model, if they were found by it.
    """

    places: tuple[SuggestedPlace, ...]
    uncertainty: NDArray[np.float32] | None = None


def find_different_places(
    channels: Sequence[Any], annotation: NDArray[np.uint8], spacing: tuple[float, float, float]
) -> Iterator[SearchProgress | PlacesFound]:
    """Find places that differ in brightness and structure from what is annotated, and from each other.

    Parameters
    ----------
    channels : sequence of array-like, each of shape (z, y, x)
        The image.
    annotation : ndarray of uint8, shape (z, y, x)
        0 where nothing is annotated.
    spacing : tuple of float
        Size of a voxel along z, y, x.

    Yields
    ------
    SearchProgress
        While the image is read.
    PlacesFound
        The last event.
    """
    for event in compute_features(channels, annotation, spacing):
        if isinstance(event, PatchFeatures):
            patches = choose_patches(event, _N_PLACES)
            yield PlacesFound(tuple(SuggestedPlace(each.position_zyx, each.reason) for each in patches))
        else:
            yield SearchProgress(*event)


def find_uncertain_places(
    model: Path,
    sample: Sample,
    annotation: NDArray[np.uint8],
    known: NDArray[np.float32] | None = None,
    device: Device = Device.AUTO,
) -> Iterator[Any]:
    """Find places where a model is unsure, away from the border of the volume and from what is annotated.

    Parameters
    ----------
    model : Path
        A run folder or model file.
    sample : Sample
        The image.
    annotation : ndarray of uint8, shape (z, y, x)
        0 where nothing is annotated.
    known : ndarray of float32, shape (z, y, x), optional
        The uncertainty, if the model has predicted the image before.
    device : Device
        What to predict on.

    Yields
    ------
    ModelLoaded, Notice, TilesPredicted
        As `predict` does.
    PlacesFound
        The last event.
    """
    uncertainty = known
    if uncertainty is None:
        for event in predict_sample(model, sample, PredictionConfig(uncertainty=True, device=device), None):
            if isinstance(event, Comparison):
                uncertainty = event.prediction.uncertainty
            else:
                yield event
    assert uncertainty is not None
    left_out = _away_from(annotation, sample.spacing)
    found = uncertain_locations(uncertainty, sample.spacing, _N_PLACES, annotated=left_out)
    places = tuple(
        SuggestedPlace(each.position_zyx, f"the model is unsure here: {each.score:.2f} on average, where 1 is a guess")
        for each in found
    )
    yield PlacesFound(places, uncertainty)


def _away_from(annotation: NDArray[np.uint8], spacing: Sequence[float]) -> NDArray[np.bool_]:
    """Return which voxels are annotated, close to annotated ones, or close to the border of the volume."""
    distance = _DISTANCE_PER_SIDE / 2 * max(size * side for size, side in zip(spacing, annotation.shape, strict=True))
    reach = [2 * round(distance / size) + 1 for size in spacing]
    close: NDArray[np.bool_] = scipy.ndimage.maximum_filter(annotation, reach, mode="constant") > 0
    for axis, side in enumerate(annotation.shape):
        margin = round(_BORDER * side)
        for end in (slice(0, margin), slice(side - margin, side)):
            close[(slice(None),) * axis + (end,)] = True
    return close
