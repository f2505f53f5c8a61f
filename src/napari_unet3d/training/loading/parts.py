"""Image and targets of a volume that does not fit into memory, prepared part by part, as of one that does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import ResizeMode, TrainingConfig
from napari_unet3d.data.boxes import Box
from napari_unet3d.data.ground_truth import GroundTruth, decode_labels
from napari_unet3d.data.lazy_array import LazyArray, is_lazy
from napari_unet3d.data.sample import Sample, Shape3D
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.loading.targets import make_targets
from napari_unet3d.transforms.normalise import IntensityScale
from napari_unet3d.transforms.pad import valid_region

_N_VALUES = 2**25  # of labels that are decoded at once to find their values


class _Padded:
    """A volume that is padded by reflection where it is shorter than a patch, as `to_divisible` pads."""

    def __init__(self, volume: LazyArray, shape: Shape3D) -> None:
        z, y, x = volume.shape[-3:]
        self._shape, self.shape = (z, y, x), shape
        self._starts = [side.start for side in valid_region((z, y, x), shape, ResizeMode.PAD)]
        self.cache, self.rows = volume.source.cache, volume.source.rows

    def inside(self, box: Box) -> tuple[Box, list[NDArray[np.intp]]]:
        """Return which part of the volume a box needs, and for each axis which voxels of this part it has."""
        parts, places = [], []
        for side, start, length in zip(box, self._starts, self._shape, strict=True):
            around = (np.arange(side.start, side.stop) - start) % (2 * length)
            voxels = np.where(around < length, around, 2 * length - 1 - around)
            first, last = (int(voxels.min()), int(voxels.max()) + 1) if voxels.size else (0, 0)
            parts.append(slice(first, last))
            places.append(voxels - first)
        return (parts[0], parts[1], parts[2]), places


class ImageParts(_Padded):
    """Intensities without outliers, padded, of shape (channel, z, y, x)."""

    def __init__(self, channels: LazyArray, scales: Sequence[IntensityScale], shape: Shape3D) -> None:
        super().__init__(channels, shape)
        self._channels, self._scales = channels, scales
        self.n_channels, self.dtype = len(channels), channels.dtype
        self.bytes_per_value = 3 * channels.source.bytes_per_value

    def read(self, box: Box, channels: Sequence[int], *, in_order: bool = False) -> NDArray[Any]:
        """Read a box of some channels."""
        part, (z, y, x) = self.inside(box)
        values = self._channels[(list(channels), *part)].read(in_order=in_order)
        clipped = [self._scales[number].clip(each) for number, each in zip(channels, values, strict=True)]
        return np.stack(clipped)[:, z[:, None, None], y[:, None], x]


class TargetParts(_Padded):
    """Targets of the tasks binary and semantic, padded, of shape (1, z, y, x); each depends on its own voxel only."""

    n_channels, dtype = 1, np.dtype(np.uint8)

    def __init__(self, sample: Sample, config: TrainingConfig, plan: Plan, shape: Shape3D) -> None:
        labels: object = sample.labels
        assert is_lazy(labels)
        super().__init__(labels, shape)
        self.bytes_per_value = 3 * labels.source.bytes_per_value
        self._labels, self._sample, self._config, self._plan = labels, sample, config, plan

    def read(self, box: Box, channels: Sequence[int], *, in_order: bool = False) -> NDArray[np.uint8]:
        """Read a box."""
        part, (z, y, x) = self.inside(box)
        truth = _decode(self._sample, self._config, part, in_order=in_order)
        targets = make_targets(truth, self._plan, self._sample.spacing)
        padded: NDArray[np.uint8] = targets[:, z[:, None, None], y[:, None], x]
        return padded


def iter_truths(sample: Sample, config: TrainingConfig) -> Iterator[GroundTruth]:
    """Yield the ground truth of a volume with labels: whole, or in parts if it is not in memory."""
    if not is_lazy(sample.labels):
        assert sample.labels is not None
        yield decode_labels(sample.labels, config.task, config.ignore_label, sample.label_mask, name=sample.name)
        return
    rows = max(1, min(sample.labels.source.rows, _N_VALUES // (sample.shape[1] * sample.shape[2])))
    for first in range(0, sample.shape[0], rows):
        yield _decode(sample, config, (slice(first, first + rows), slice(None), slice(None)), in_order=True)


def _decode(sample: Sample, config: TrainingConfig, box: Box, *, in_order: bool) -> GroundTruth:
    assert sample.labels is not None
    labels: Any = sample.labels[box]
    mask: Any = None if sample.label_mask is None else sample.label_mask[box]
    known = mask.read(in_order=in_order) if is_lazy(mask) else mask
    return decode_labels(labels.read(in_order=in_order), config.task, config.ignore_label, known, name=sample.name)
