"""Volumes as they are kept for training: intensities in their own dtype, and targets in uint8."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.configs import ResizeMode, Task, TrainingConfig
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.ground_truth import GroundTruth, decode_labels
from napari_unet3d.data.lazy_array import LazyArray, as_array, in_memory, is_lazy
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.sample import Sample, Shape3D
from napari_unet3d.errors import UserError
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.loading.parts import ImageParts, TargetParts
from napari_unet3d.training.loading.patch_sampler import PatchSampler
from napari_unet3d.training.loading.targets import make_targets
from napari_unet3d.transforms.normalise import IntensityScale, apply_scales, clip_outliers, fit_scales
from napari_unet3d.transforms.pad import divisible_shape, to_divisible, valid_region
from napari_unet3d.transforms.resample import shape_at_spacing, to_spacing


@dataclass(frozen=True, slots=True)
class PreparedVolume:
    """A volume from which patches are cropped, or which is used whole.

    Attributes
    ----------
    name : str
        Name of the sample.
    image : ndarray of any real number type, shape (channel, z, y, x)
        Intensities without outliers, padded at least to the patch size, or to a shape that the network can process.
    scales : tuple of IntensityScale
        The normalisation of each channel.
    targets : ndarray of uint8, shape (channel, z, y, x)
        Targets of the network; see `make_targets`.
    spacing : tuple of float
        Size of a voxel along z, y, x, in the unit of `Geometry.spacing`.
    patch_sampler : PatchSampler
        Draws the positions of patches.
    valid_region : tuple of slice
        The part without padding.
    instances : ndarray of unsigned integers, shape (z, y, x), or None
        Ids of the objects, of validation volumes for the task instance.
    """

    name: str
    image: NDArray[Any]
    scales: tuple[IntensityScale, ...]
    targets: NDArray[np.uint8]
    spacing: VoxelSize
    patch_sampler: PatchSampler
    valid_region: tuple[slice, ...]
    instances: NDArray[np.unsignedinteger[Any]] | None

    @property
    def shape(self) -> Shape3D:
        """Number of voxels along z, y, x."""
        z, y, x = self.image.shape[1:]
        return z, y, x

    @property
    def is_in_parts(self) -> bool:
        """Whether patches are read from files when they are needed."""
        return is_lazy(self.image)

    @property
    def device(self) -> torch.device:
        """The device of the crops."""
        return torch.device("cpu")

    def crop(self, start: Shape3D, shape: Shape3D) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a part of the volume.

        Parameters
        ----------
        start, shape : tuple of int
            First voxel and size (z, y, x).

        Returns
        -------
        tuple of Tensor
            Normalised image (channel, z, y, x) in float32, and targets (channel, z, y, x) in uint8; both are copies.
        """
        box = (slice(None), *(slice(first, first + side) for first, side in zip(start, shape, strict=True)))
        image = torch.from_numpy(apply_scales(in_memory(self.image[box]), self.scales))
        return image, torch.from_numpy(np.array(in_memory(self.targets[box])))


def prepare_volume(
    sample: Sample,
    config: TrainingConfig,
    plan: Plan,
    store: MemmapStore | None = None,
    *,
    validates: bool = False,
) -> PreparedVolume:
    """Prepare a sample for training or validation.

    Parameters
    ----------
    sample : Sample
        Image and labels.
    config : TrainingConfig
        Task, normalisation and resize mode.
    plan : Plan
        Patch size, strides and classes.
    store : MemmapStore, optional
        Keeps what does not fit into memory in temporary files; without it, all stays in memory.
    validates : bool
        Whether objects are counted in it, so that their ids are kept.

    Raises
    ------
    UserError
        If it has no labels, or is too small to be cropped.
    """
    if sample.labels is None:
        raise UserError(f"The volume '{sample.name}' has no labels; label it, or leave it out of training.")
    # Before resampling, which would spread outliers, and by the whole volume if it is a part, as at prediction.
    original_image, channels = sample.image, sample.channels
    scales = fit_scales(channels, config.normalisation, config.percentiles, sample.intensities)
    if is_lazy(sample.image) and not is_prepared_in_parts(sample, config, plan):
        sample = _in_memory(sample, store)
        original_image, channels = sample.image, sample.channels
    if is_lazy(sample.image):
        return _prepare_in_parts(sample, config, plan, scales)
    if (clipped := clip_outliers(channels, scales)) is not channels:
        sample = replace(sample, image=clipped)
    sample = at_spacing(sample, plan.spacing_um)
    labels = np.asarray(sample.labels)
    truth = decode_labels(labels, config.task, config.ignore_label, sample.label_mask, name=sample.name)
    shape = prepared_shape(sample.shape, config, plan)
    mode = config.resize_mode if plan.patch_zyx is None else ResizeMode.PAD
    spacing = _resized_spacing(sample, shape, mode)
    resized = GroundTruth(
        to_divisible(truth.labels, shape, mode, is_labels=True),
        None if truth.label_mask is None else to_divisible(truth.label_mask, shape, mode, is_labels=True),
    )
    targets = make_targets(resized, plan, spacing)
    image = to_divisible(sample.image, shape, mode, is_labels=False)
    instances = resized.labels if validates and plan.task is Task.INSTANCE else None
    if store is not None:
        targets, image = store.store(targets), image if image is original_image else store.store(image)
        instances = None if instances is None else store.store(instances)
    return PreparedVolume(
        name=sample.name,
        image=image if image.ndim == 4 else image[None],
        scales=scales,
        targets=targets,
        spacing=spacing,
        patch_sampler=PatchSampler(targets[0], config.seed),
        valid_region=valid_region(sample.shape, shape, mode),
        instances=instances,
    )


def is_prepared_in_parts(sample: Sample, config: TrainingConfig, plan: Plan) -> bool:
    """Return whether a volume that does not fit into memory is used part by part, rather than from a copy.

    Distances in objects depend on whole objects, resampling and whole volumes on more than a part, too.
    """
    keeps_grid = plan.spacing_um is None or not sample.geometry.is_calibrated
    keeps_grid = keeps_grid or shape_at_spacing(sample.shape, sample.spacing, plan.spacing_um) == sample.shape  # type: ignore[arg-type]
    return plan.task is not Task.INSTANCE and plan.patch_zyx is not None and keeps_grid


def _in_memory(sample: Sample, store: MemmapStore | None) -> Sample:
    """Return a volume as a whole, or copied to temporary files if there is a store."""
    arrays = [
        None if array is None else in_memory(array) if store is None else store.store(in_memory(array))
        for array in (sample.image, sample.labels, sample.label_mask)
    ]
    assert arrays[0] is not None
    return replace(sample, image=arrays[0], labels=arrays[1], label_mask=arrays[2])


def _prepare_in_parts(
    sample: Sample, config: TrainingConfig, plan: Plan, scales: tuple[IntensityScale, ...]
) -> PreparedVolume:
    shape, channels = prepared_shape(sample.shape, config, plan), sample.channels
    sample = at_spacing(sample, plan.spacing_um)  # its grid stays
    assert is_lazy(channels)
    targets = as_array(LazyArray(TargetParts(sample, config, plan, shape), has_channel_axis=True))
    return PreparedVolume(
        name=sample.name,
        image=as_array(LazyArray(ImageParts(channels, scales, shape), has_channel_axis=True)),
        scales=scales,
        targets=targets,
        spacing=sample.spacing,
        patch_sampler=PatchSampler(targets[0], config.seed),
        valid_region=valid_region(sample.shape, shape, ResizeMode.PAD),
        instances=None,
    )


def at_spacing(sample: Sample, spacing_um: VoxelSize | None) -> Sample:
    """Resample a volume, its labels and its mask to a voxel size (z, y, x) in µm.

    Without a voxel size, and if that of the volume is not known, it is returned unchanged.
    """
    if spacing_um is None or not sample.geometry.is_calibrated:
        return sample
    image = to_spacing(sample.image, sample.spacing, spacing_um, is_labels=False)
    labels, annotated = (
        None if array is None else to_spacing(array, sample.spacing, spacing_um, is_labels=True)
        for array in (sample.labels, sample.label_mask)
    )
    geometry = sample.geometry.with_sizes_um(spacing_um)
    return replace(sample.at(geometry), image=image, labels=labels, label_mask=annotated)


def prepared_shape(shape: Shape3D, config: TrainingConfig, plan: Plan) -> Shape3D:
    """Return the shape (z, y, x) of a prepared volume.

    Raises
    ------
    UserError
        If it is too small to be cropped.
    """
    if plan.patch_zyx is None:
        return divisible_shape(shape, plan.total_stride, config.resize_mode)
    z, y, x = map(max, shape, plan.patch_zyx)
    return z, y, x


def _resized_spacing(sample: Sample, shape: Shape3D, mode: ResizeMode) -> VoxelSize:
    if mode is not ResizeMode.RESIZE:
        return sample.spacing
    z, y, x = (size * before / after for size, before, after in zip(sample.spacing, sample.shape, shape, strict=True))
    return z, y, x
