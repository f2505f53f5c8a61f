"""The images that a prediction writes block by block: the results, and maps that are needed until they are complete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_unet3d.configs import PostProcessing, Task
from napari_unet3d.configs.blocks import ProbabilityType
from napari_unet3d.data.boxes import Box
from napari_unet3d.inference.blockwise.collector import Maps
from napari_unet3d.inference.blockwise.ngff import OmeZarrImage, create_array
from napari_unet3d.inference.blockwise.prepare import BlockPlan, needs_fragments
from napari_unet3d.inference.blockwise.preview import Preview
from napari_unet3d.inference.postprocess import postprocess
from napari_unet3d.inference.predictor import Predictor

EMPTY = (0, 0, 0, 0, 0, 0)
_WINDOW = {"probability": 1.0, "uncertainty": 1.0}


@dataclass(frozen=True, slots=True, eq=False)
class BlockOutputs:
    """What is written of each block.

    Attributes
    ----------
    plan : BlockPlan
        Where and in which shape.
    predictor : Predictor
        The model, which determines the meaning of the maps.
    labels : OmeZarrImage or None
        The labels, unless they depend on other blocks.
    images : mapping of str to OmeZarrImage
        Probability and uncertainty, if they are asked for.
    probability, maps : Array or None
        What single objects are separated by later.
    values : Array or None
        The labels before small regions are removed.
    """

    plan: BlockPlan
    predictor: Predictor
    labels: OmeZarrImage | None
    images: Mapping[str, OmeZarrImage]
    probability: Any = None
    maps: Any = None
    values: Any = None

    def preview(self, done: Iterable[Box]) -> Preview:
        """Return what can be seen of the labels while blocks are predicted, of single objects the foreground."""
        if self.probability is not None:
            return Preview(self.probability, self.predictor.config.threshold, done)
        return Preview(self.values if self.labels is None else self.labels.array, None, done)

    def write(self, box: Box, maps: Maps, allowed: NDArray[np.bool_] | None) -> tuple[int, ...]:
        """Write a block.

        Parameters
        ----------
        box : tuple of slice
            The block.
        maps : tuple of ndarray
            Probability (z, y, x) and other maps (channel, z, y, x), or None.
        allowed : ndarray of bool, shape (z, y, x), or None
            Voxels that may be foreground; None for all.

        Returns
        -------
        tuple of int
            Start and stop along z, y, x of the box around the foreground of single objects; zeros without any.
        """
        probability, channels = maps
        for kind, image in self.images.items():
            values = probability if kind == "probability" else self.predictor.uncertainty(probability, channels)
            image.write(box, _stored(_only(values, allowed), image.array.dtype))
        if self.probability is not None:
            self.probability[box] = _only(probability, allowed)
            self.maps[:, *box] = channels
            return _foreground(probability, allowed, self.predictor.config.threshold, box)
        settings = PostProcessing(threshold=self.predictor.config.threshold)
        labels = _only(postprocess(probability, channels, self.plan.geometry, self.predictor.plan, settings), allowed)
        if self.values is not None:
            self.values[box] = labels
        elif self.labels is not None:
            self.labels.write(box, labels)
        return EMPTY


def _only(values: NDArray[Any], allowed: NDArray[np.bool_] | None) -> NDArray[Any]:
    return values if allowed is None else np.where(allowed, values, values.dtype.type(0))


def _stored(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.rint(values * 255) if dtype == np.uint8 else values


def _foreground(
    probability: NDArray[np.float32], allowed: NDArray[np.bool_] | None, threshold: float, box: Box
) -> tuple[int, ...]:
    foreground = _only(probability, allowed) >= threshold
    if not foreground.any():
        return EMPTY
    corners: list[int] = []
    for axis, side in enumerate(box):
        there = np.flatnonzero(foreground.any(axis=tuple(other for other in range(3) if other != axis)))
        corners += [side.start + int(there[0]), side.start + int(there[-1]) + 1]
    return tuple(corners)


def label_dtype(predictor: Predictor) -> np.dtype[Any]:
    """Return the type of labels that do not number objects."""
    values = [each.value for each in predictor.plan.classes] if predictor.plan.task is Task.SEMANTIC else [1]
    return np.dtype(np.min_scalar_type(max(values)))


def open_outputs(predictor: Predictor, plan: BlockPlan) -> BlockOutputs:
    """Create the images that blocks are written to, or open those of an earlier start."""
    unfinished, config = plan.request.unfinished, plan.request.blocks
    number_type = np.uint8 if config.probability_type is ProbabilityType.UINT8 else np.float32
    images = {}
    for kind, dtype in (("probability", number_type), ("uncertainty", np.float32)):
        if kind in plan.request.files:
            images[kind] = open_image(plan, kind, dtype)
    if not needs_fragments(predictor, plan.geometry):
        return BlockOutputs(plan, predictor, open_image(plan, "labels", label_dtype(predictor)), images)
    shape = plan.volume.shape

    def temporary(name: str, dtype: DTypeLike, n_channels: int | None = None) -> Any:
        leading = () if n_channels is None else (n_channels,)
        ones = () if n_channels is None else (1,)
        return create_array(unfinished.path(name), (*leading, *shape), dtype, (*ones, *plan.chunks))

    if predictor.plan.task is Task.INSTANCE:
        n_maps = predictor.plan.out_channels - 1
        arrays = temporary("probability.zarr", np.float32), temporary("maps.zarr", np.float16, n_maps)
        return BlockOutputs(plan, predictor, None, images, *arrays)
    return BlockOutputs(plan, predictor, None, images, values=temporary("values.zarr", label_dtype(predictor)))


def open_image(plan: BlockPlan, kind: str, dtype: DTypeLike) -> OmeZarrImage:
    """Create an image of the result in the unfinished folder, or open that of an earlier start."""
    folder = plan.request.unfinished.path(f"{kind}.ome.zarr")
    return OmeZarrImage(folder, plan.levels, dtype, plan.chunks, plan.shards, zarr_format=plan.zarr_format)
