"""Choose the plan of a run from settings, volumes and hardware: voxel size, strides, patch and batch size, classes.

The rules are deterministic, so that the same seed gives the same model. `training.probe` finds out what fits in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Protocol

import numpy as np

from napari_unet3d.configs import ResizeMode, SpacingMode, TrainingConfig
from napari_unet3d.data.geometry import Geometry, VoxelSize
from napari_unet3d.data.sample import Sample, Shape3D
from napari_unet3d.errors import UserError
from napari_unet3d.model.architectures import get_architecture
from napari_unet3d.model.devices import ComputeDevice
from napari_unet3d.model.network import operations_per_voxel
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.training.loading.parts import iter_truths
from napari_unet3d.training.loading.targets import find_classes
from napari_unet3d.transforms.pad import divisible_shape, halve_longest_side, minimum_shape
from napari_unet3d.transforms.resample import shape_at_spacing

_CPU_VOXELS, _GPU_VOXELS = 64**3, 128**3  # of a patch
_CPU_OPERATIONS, _MIN_CPU_VOXELS = 1.3e10, 40**3  # of a patch, forward
_SPARSE_FRACTION = 2 / 3  # largest patch side relative to the volume where only a part of it is annotated
_PATCHES_PER_STEP = 2  # a single one is several times slower per voxel on a CPU, and its gradient is noisy


def make_plan(train: Sequence[Sample], val: Sequence[Sample], config: TrainingConfig, hardware: ComputeDevice) -> Plan:
    """Make the plan of a run.

    Parameters
    ----------
    train, val : sequence of Sample
        Volumes with labels.
    config : TrainingConfig
        Settings; those that are auto are chosen here.
    hardware : ComputeDevice
        Device, since patches on a GPU are larger.

    Raises
    ------
    UserError
        If patch, classes or their names cannot be used.
    """
    labelled = (sample for sample in (*train, *val) if sample.labels is not None)
    truths = (truth for sample in labelled for truth in iter_truths(sample, config))
    classes = find_classes(truths, config)
    return plan_for(train, classes, config, hardware)


def _largest_sides(shapes: Sequence[Shape3D], config: TrainingConfig, plan: Plan) -> Shape3D:
    fitted = [divisible_shape(shape, plan.total_stride, config.resize_mode) for shape in shapes]
    z, y, x = np.max(fitted, axis=0).tolist()
    return z, y, x


class HasShape(Protocol):
    """A volume whose shape and geometry are known, such as a `Sample`."""

    @property
    def shape(self) -> Shape3D:
        """Number of voxels along z, y, x."""

    @property
    def geometry(self) -> Geometry:
        """Voxel size and place."""

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels; empty for a single one without a name."""


def plan_for(
    train: Sequence[HasShape], classes: tuple[LabelClass, ...], config: TrainingConfig, hardware: ComputeDevice
) -> Plan:
    """Make the plan of a run from the shapes and voxel sizes of the training volumes.

    Parameters
    ----------
    train : sequence of HasShape
        The training volumes.
    classes : tuple of LabelClass
        What `find_classes` or `name_classes` returned.
    config : TrainingConfig
        Settings of the run.
    hardware : ComputeDevice
        Device, since patches on a GPU are larger.

    Raises
    ------
    UserError
        If the patch cannot be used, or volumes are too small to be cropped.
    """
    spacing_um = _common_spacing(train, config)
    spacing = spacing_um or median_voxel_size(train)
    plan = Plan(
        task=config.task,
        strides=get_architecture(config.architecture).strides(config, spacing),
        spacing_um=spacing_um,
        classes=classes,
        ignore_label=config.ignore_label,
        batch_size=config.batch_size or 1,
        channels=train[0].channel_names,
    )
    shapes = [shape_at(sample, spacing_um) for sample in train]
    patch = _patch(shapes, spacing, config, plan, hardware)
    n_patches = -(-_PATCHES_PER_STEP // hardware.n_processes) * hardware.n_processes
    batch_size = config.batch_size or (1 if patch is None else n_patches)
    volume = None if patch is not None else _largest_sides(shapes, config, plan)
    plan = plan.model_copy(update={"patch_zyx": patch, "batch_size": batch_size, "volume_zyx": volume})
    check_parts(plan, hardware.n_processes)
    return plan


def check_parts(plan: Plan, n_processes: int) -> None:
    """Raise a `UserError` if the batches of a plan cannot be divided equally among several processes."""
    if n_processes > 1 and plan.patch_zyx is None:
        raise UserError(
            f"{n_processes} processes can train together on patches only, not on whole volumes. Set --patch."
        )
    if plan.batch_size % n_processes:
        raise UserError(
            f"A batch of {plan.batch_size} patches cannot be divided equally among {n_processes} processes. Set "
            f"--batch-size to a multiple of {n_processes}, or start another number of processes."
        )


def _common_spacing(train: Sequence[HasShape], config: TrainingConfig) -> VoxelSize | None:
    if config.spacing != (SpacingMode.MEDIAN,):
        return config.spacing_um
    is_known = any(sample.geometry.is_calibrated for sample in train)
    return median_voxel_size(train) if is_known else None  # volumes of unknown voxel size are not resampled


def median_voxel_size(samples: Sequence[HasShape]) -> VoxelSize:
    """Return the median voxel size along z, y, x of the volumes where it is known, in µm; else that in voxels."""
    known = [sample.geometry for sample in samples if sample.geometry.is_calibrated]
    geometries = known or [sample.geometry for sample in samples]
    z, y, x = np.median([geometry.spacing for geometry in geometries], axis=0).tolist()
    return z, y, x


def shape_at(sample: HasShape, spacing_um: VoxelSize | None) -> Shape3D:
    """Return the shape (z, y, x) of a volume after resampling to a voxel size in µm; its own shape for None."""
    if spacing_um is None or not sample.geometry.is_calibrated:
        return sample.shape
    return shape_at_spacing(sample.shape, sample.geometry.spacing, spacing_um)


def _patch(
    shapes: Sequence[Shape3D], spacing: VoxelSize, config: TrainingConfig, plan: Plan, hardware: ComputeDevice
) -> Shape3D | None:
    if config.patch_shape is not None:
        check_patch(config.patch_shape, plan)
        return config.patch_shape
    if config.wants_whole_volumes:
        return None
    max_voxels = _max_voxels(config, plan, hardware)
    is_sparse = config.ignore_label is not None
    fitted = {divisible_shape(shape, plan.total_stride, config.resize_mode) for shape in shapes}
    if not is_sparse and len(shapes) > 1 and len(fitted) == 1 and prod(next(iter(fitted))) <= max_voxels:
        return None  # small volumes of one shape are better used whole
    # Annotated slices must also come to lie at the borders of patches, where convolutions pad with zeros.
    part = _SPARSE_FRACTION if is_sparse else 1
    z, y, x = (np.median(shapes, axis=0) * part).astype(int).tolist()
    return patch_for((z, y, x), spacing, plan.total_stride, max_voxels)


def _max_voxels(config: TrainingConfig, plan: Plan, hardware: ComputeDevice) -> int:
    """Return how many voxels a patch may have.

    On a CPU, a step of two patches takes about as long as with the preset small, half a second on two cores: Stop takes
    effect at the end of a step, and many small steps train faster than few large ones.
    """
    if hardware.device.type != "cpu":
        return _GPU_VOXELS
    affordable = _CPU_OPERATIONS / operations_per_voxel(config, plan)
    return int(min(_CPU_VOXELS, max(_MIN_CPU_VOXELS, affordable)))


def patch_for(shape: Shape3D, spacing: VoxelSize, total_stride: Shape3D, n_voxels: int) -> Shape3D:
    """Choose a patch that is as close to a cube in µm as the volumes allow.

    Parameters
    ----------
    shape : tuple of int
        Shape (z, y, x) of a typical volume; the patch is not larger, apart from rounding up to the total stride.
    spacing : tuple of float
        Size of a voxel along z, y, x, in the unit of `Geometry.spacing`.
    total_stride : tuple of int
        Sides are multiples of it, at least twice as long.
    n_voxels : int
        Approximate number of voxels of the patch. Where the volume is short along an axis, others get longer.
    """
    sides, free = [0.0, 0.0, 0.0], [0, 1, 2]
    while free:
        taken = prod(sides[axis] for axis in range(3) if axis not in free)
        edge = (n_voxels / taken * prod(spacing[axis] for axis in free)) ** (1 / len(free))
        short = [axis for axis in free if edge / spacing[axis] >= shape[axis]]
        for axis in short or free:
            sides[axis] = shape[axis] if short else edge / spacing[axis]
        free = [axis for axis in free if axis not in short] if short else []
    z, y, x = (
        max(least, _to_multiple(side, stride, short=side >= full))
        for side, stride, least, full in zip(sides, total_stride, minimum_shape(total_stride), shape, strict=True)
    )
    return z, y, x


def _to_multiple(side: float, stride: int, *, short: bool) -> int:
    # A volume that a patch covers along an axis is padded a little rather than cropped.
    return int(-(-side // stride) if short else (side + stride / 2) // stride) * stride


def check_patch(patch: Shape3D, plan: Plan) -> None:
    """Raise a `UserError` if the network cannot downsample a patch (z, y, x) as often as it has levels."""
    for axis, side, stride, least in zip(
        "zyx", patch, plan.total_stride, minimum_shape(plan.total_stride), strict=True
    ):
        if side % stride or side < least:
            below, above = max(least, side // stride * stride), max(least, -(-side // stride) * stride)
            raise UserError(
                f"The patch has {side} voxels along {axis}, which this network cannot halve often enough; "
                f"choose {below if below == above else f'{below} or {above}'}."
            )


def smaller_plan(plan: Plan, shapes: Sequence[Shape3D]) -> Plan | None:
    """Return a plan whose steps need about half the memory: with half the batch, then with half the longest patch side.

    Parameters
    ----------
    plan : Plan
        The plan that did not fit.
    shapes : sequence of tuple of int
        Shapes (z, y, x) of the volumes; steps on whole volumes need memory for the largest.

    Returns
    -------
    Plan or None
        None if nothing can be reduced further.
    """
    if plan.batch_size > 1:
        return plan.model_copy(update={"batch_size": plan.batch_size // 2})
    smaller = halve_longest_side(plan.patch_zyx or largest_shape(shapes, plan), plan.total_stride)
    return None if smaller is None else plan.model_copy(update={"patch_zyx": smaller})


def largest_shape(shapes: Sequence[Shape3D], plan: Plan) -> Shape3D:
    """Return the shape (z, y, x) of the largest volume, padded to multiples of the total stride."""
    return max((divisible_shape(shape, plan.total_stride, ResizeMode.PAD) for shape in shapes), key=prod)
