"""Checks of patch size, memory, time and disk space before a training."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_unet3d.configs import PatchMode, Task, TrainingConfig
from napari_unet3d.data.ground_truth import background_value, is_foreground
from napari_unet3d.data.issues import Issue, Remedy
from napari_unet3d.data.sample import Shape3D, format_shape
from napari_unet3d.data.statistics import VolumeStatistics, total_label_counts
from napari_unet3d.errors import OutOfMemory
from napari_unet3d.model.devices import ComputeDevice, choose_device, free_memory
from napari_unet3d.model.network import build_network, default_plan, training_memory
from napari_unet3d.model.plan import Plan
from napari_unet3d.model.receptive_field import receptive_field
from napari_unet3d.training.loading.batches import steps_of_one_pass
from napari_unet3d.training.loading.targets import name_classes
from napari_unet3d.training.loading.volumes import prepared_shape
from napari_unet3d.training.optim.losses import class_weights
from napari_unet3d.training.planning import largest_shape, median_voxel_size, patch_for, plan_for, shape_at
from napari_unet3d.training.probe import fit_to_memory, measure_step

_MAX_PATCH_RATIO = 3  # of its longest to its shortest side in µm
# Two models, and a resume file with weights, EMA and optimizer state, which is written before the old one is removed.
_COPIES_ON_DISK = 10
_AUTO = Remedy.of(patch=PatchMode.AUTO, batch_size=0)


def check_step(
    train: Sequence[VolumeStatistics], val: Sequence[VolumeStatistics], config: TrainingConfig, *, timed: bool
) -> Iterator[Issue]:
    """Plan a run and report what its steps see and cost.

    Parameters
    ----------
    train, val : sequence of VolumeStatistics
        Training and validation volumes.
    config : TrainingConfig
        All settings.
    timed : bool
        Make training steps on random numbers.

    Raises
    ------
    UserError
        As `train`, for settings, volumes or devices that do not allow training.
    """
    device = choose_device(config.device, config.precision)
    counts = total_label_counts((*train, *val))
    values = [value for value in counts if is_foreground(value, config.ignore_label)]
    plan = plan_for(train, name_classes(values, config), config, device)
    class_weights(config, _voxels_per_class(train, plan))
    sizes = [shape_at(volume, plan.spacing_um) for volume in train]
    shapes = [prepared_shape(shape_at(volume, plan.spacing_um), config, plan) for volume in (*train, *val)]
    yield from check_patch_size(plan, train, config)
    yield from check_memory(plan, sizes, config, device)
    if timed:
        plan = fit_to_memory(plan, sizes, config, device)
    n_steps = config.steps_per_epoch or steps_of_one_pass(shapes[: len(train)], plan)
    field = format_shape(receptive_field(config, plan))
    yield Issue.info(
        f"Each step sees {plan.description}, an epoch has {n_steps} step{'s' if n_steps > 1 else ''}, and the "
        f"receptive field of the network is {field} voxels, on {device.description}."
    )
    if timed:
        yield _check_time(plan, sizes, config, device, n_steps)


def _voxels_per_class(volumes: Sequence[VolumeStatistics], plan: Plan) -> list[int]:
    background, counts = background_value(plan.ignore_label), total_label_counts(volumes)
    if plan.task is Task.SEMANTIC:
        return [counts[background], *(counts[each.value] for each in plan.classes)]
    return [counts[background], sum(volume.n_foreground(plan.ignore_label) for volume in volumes)]


def check_patch_size(plan: Plan, volumes: Sequence[VolumeStatistics], config: TrainingConfig) -> Iterator[Issue]:
    """Compare a patch size that was set with the volumes and their voxel size.

    Parameters
    ----------
    plan : Plan
        Strides and voxel size of the run.
    volumes : sequence of VolumeStatistics
        The training volumes.
    config : TrainingConfig
        The patch size.
    """
    patch = config.patch_shape
    if patch is None:
        return
    shapes = [shape_at(volume, plan.spacing_um) for volume in volumes]
    longest = [max(shape[axis] for shape in shapes) for axis in range(3)]
    for name, side, most, stride in zip("zyx", patch, longest, plan.total_stride, strict=True):
        enough = max(2, -(-most // stride)) * stride
        if side > enough:
            yield Issue.warning(
                f"The patch has {side} voxels along {name}, but no volume has more than {most}, so the rest is "
                f"mirrored padding. Choose {enough} along {name}.",
                Remedy.of(
                    patch=tuple(enough if axis == name else size for axis, size in zip("zyx", patch, strict=True))
                ),
            )
    spacing = plan.spacing_um or median_voxel_size(volumes)
    unit = "µm" if plan.spacing_um or any(volume.geometry.is_calibrated for volume in volumes) else "voxels"
    lengths = [side * size for side, size in zip(patch, spacing, strict=True)]
    shortest = lengths.index(min(lengths))
    if max(lengths) > _MAX_PATCH_RATIO * lengths[shortest] and patch[shortest] < longest[shortest]:
        typical = (longest[0], longest[1], longest[2])
        better = patch_for(typical, spacing, plan.total_stride, math.prod(patch))
        yield Issue.warning(
            f"The patch is {' × '.join(f'{length:.4g}' for length in lengths)} {unit} large, so a step sees little "
            f"along {'zyx'[shortest]}. Set the patch to auto, or to {format_shape(better)} voxels, which is as long "
            "as it is wide.",
            Remedy.of(patch=PatchMode.AUTO),
            Remedy.of(patch=better),
        )


def check_memory(
    plan: Plan, shapes: Sequence[Shape3D], config: TrainingConfig, device: ComputeDevice
) -> Iterator[Issue]:
    """Compare the estimated memory of a step with the free memory, if the patch or batch size was set.

    Parameters
    ----------
    plan : Plan
        Patch and batch size.
    shapes : sequence of tuple of int
        Shapes (z, y, x) of the training volumes.
    config : TrainingConfig
        The network.
    device : ComputeDevice
        The device whose memory counts.
    """
    needed, free = (
        training_memory(config, plan, plan.patch_zyx or largest_shape(shapes, plan)),
        free_memory(device.device),
    )
    is_set = config.patch_shape or config.wants_whole_volumes or config.batch_size
    if needed > free and is_set:
        yield Issue.warning(
            f"One step of {plan.description} needs about {needed / 1e9:.1f} GB of memory, but {free / 1e9:.1f} GB are "
            "free, so the run would have to make it smaller. Set patch and batch size to auto, or choose a smaller "
            "preset.",
            _AUTO,
        )


def _check_time(
    plan: Plan, shapes: Sequence[Shape3D], config: TrainingConfig, device: ComputeDevice, n_steps: int
) -> Issue:
    try:
        probe = measure_step(plan, plan.patch_zyx or largest_shape(shapes, plan), config, device)
    except OutOfMemory:
        return Issue.warning(
            f"One step of {plan.description} does not fit into memory, so the run would have to make it smaller. Set "
            "patch and batch size to auto, or choose a smaller preset.",
            *([_AUTO] if config.patch_shape or config.wants_whole_volumes or config.batch_size else []),
        )
    whole = probe.seconds * n_steps * config.epochs
    limit = f", but the run ends after {config.max_minutes:g} min" if 0 < config.max_minutes * 60 < whole else ""
    memory = f"{probe.memory_bytes / 1e9:.2f}" if probe.memory_bytes >= 1e7 else "less than 0.01"
    return Issue.info(
        f"One step takes {_duration(probe.seconds)} and {memory} GB of memory, so "
        f"{config.epochs} epochs of {n_steps} take about {_duration(whole)} and validation{limit}."
    )


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{1000 * seconds:.0f} ms"


def check_disk(run_folder: Path, config: TrainingConfig) -> Iterator[Issue]:
    """Compare the free disk space with the size of the files of a run.

    Parameters
    ----------
    run_folder : Path
        Where the run would be written; it may not exist yet.
    config : TrainingConfig
        The network.
    """
    network = build_network(config, default_plan(config), device="meta")
    needed = 4 * _COPIES_ON_DISK * sum(weights.numel() for weights in network.parameters())
    folder = next(path for path in (run_folder.absolute(), *run_folder.absolute().parents) if os.path.exists(path))
    free = shutil.disk_usage(folder).free
    if free < needed:
        yield Issue.error(
            f"There are {_megabytes(free)} free in {folder}, but the models of the run take about "
            f"{_megabytes(needed)}. Free some space, or choose another run folder."
        )


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.2g} MB" if n_bytes < 1e8 else f"{n_bytes / 1e6:,.0f} MB"
