"""The description of an exported model for programs: what goes in, what comes out, and what is left to do."""

from __future__ import annotations

from typing import Any

from napari_unet3d import __version__
from napari_unet3d.configs import ExportFormat, Normalisation, PostProcessing, Task
from napari_unet3d.export.task import OVERLAP, ExportTask
from napari_unet3d.files import EXPORT_FILE
from napari_unet3d.model.tensor_file import PROGRAM
from napari_unet3d.transforms.pad import minimum_shape

DESCRIPTION_FILE = EXPORT_FILE
_OBJECTS = ("seed_prominence", "boundary_weight", "seed_confidence")
_EVEN = 0.5  # the threshold at which the most likely class wins
_NORMALISATIONS = {
    Normalisation.Z_SCORE: "(image - mean) / standard deviation, of each volume and channel by itself",
    Normalisation.PERCENTILE: "(image - low) / (high - low), with the two percentiles of each volume and channel",
    Normalisation.MIN_MAX: "(image - minimum) / (maximum - minimum), of each volume and channel by itself",
    Normalisation.NONE: "none: the intensities as they are",
}


def describe(task: ExportTask, export_format: ExportFormat, file: str, difference: float | None) -> dict[str, Any]:
    """Return the description, as it is written to JSON.

    Parameters
    ----------
    task : ExportTask
        The model.
    export_format : ExportFormat
        The format.
    file : str
        The file in the folder that holds the weights.
    difference : float or None
        The largest difference to this program that was found when the written model was run.
    """
    checkpoint, plan = task.checkpoint, task.checkpoint.plan
    card = {name: getattr(task.config, name) for name in ("description", "authors", "license", "citation")}
    return {
        "program": PROGRAM,
        "program_version": __version__,
        "format": export_format.value,
        "file": file,
        "name": task.name,
        **{name: list(value) if isinstance(value, tuple) else value for name, value in card.items() if value},
        "task": plan.task.value,
        "classes": [{"label": each.value, "name": each.name} for each in plan.classes],
        "input": {
            "axes": "n, channel, z, y, x",
            "data_type": "float32",
            "channels": list(plan.channels) or ["intensity"],
            "sides_are_multiples_of_zyx": list(plan.total_stride),
            "smallest_zyx": list(minimum_shape(plan.total_stride)),
        },
        "output": {"axes": "n, channel, z, y, x", "data_type": "float32", "channels": list(task.outputs)},
        "normalisation": {
            "method": checkpoint.config.normalisation.value,
            "formula": _NORMALISATIONS[checkpoint.config.normalisation],
            "percentiles": list(checkpoint.config.percentiles),
        },
        "voxel_size": _voxel_size(task),
        "tiles": {"size_zyx": list(task.tile_zyx), "overlap": OVERLAP, "halo_zyx": list(task.halo_zyx)},
        "post_processing": post_processing(task),
        "not_in_the_file": not_in_the_file(task, export_format),
        "largest_difference_when_checked": difference,
        # What this program needs to predict with the model.
        "model": checkpoint.header.model_dump(mode="json", exclude={"history"}) | {"history": []},
    }


def _voxel_size(task: ExportTask) -> dict[str, Any]:
    resampled = task.checkpoint.plan.spacing_um
    size = resampled or task.checkpoint.voxel_size_um
    return {"zyx_um": None if size is None else list(size), "volumes_are_resampled_to_it": resampled is not None}


def post_processing(task: ExportTask) -> dict[str, float]:
    """Return the settings of the post-processing that apply to the task."""
    is_instance = task.checkpoint.plan.task is Task.INSTANCE
    names = [name for name in PostProcessing.model_fields if is_instance or name not in _OBJECTS]
    return {name: getattr(task.config, name) for name in names}


def not_in_the_file(task: ExportTask, export_format: ExportFormat) -> list[str]:
    """Return a sentence on each step around the network that the format cannot hold."""
    plan, config = task.checkpoint.plan, task.config
    steps = []
    if plan.spacing_um is not None:
        size = " × ".join(f"{side:g}" for side in plan.spacing_um)
        steps.append(f"Resample volumes to voxels of {size} µm (z × y × x) first, and the output back to the volume.")
    if export_format in (ExportFormat.ONNX, ExportFormat.TORCH_EXPORT):
        steps.append("Normalise the volume, pad it to sides that the network can take, and predict it in tiles.")
    if export_format is ExportFormat.BIOIMAGEIO:
        steps.append("Tiles are not blended by bioimage.io, which crops them by the halo, so that values differ there.")
    if export_format is ExportFormat.MONAI_BUNDLE:
        steps.append("MONAI blends logits where tiles overlap, and napari-unet3d probabilities, so that values differ.")
    is_thresholded = export_format is ExportFormat.MONAI_BUNDLE
    match plan.task:
        case Task.BINARY if not is_thresholded:
            steps.append(f"A voxel is foreground at a probability of {config.threshold:g} and above.")
        case Task.SEMANTIC if not is_thresholded or config.threshold != _EVEN:
            steps.append(
                "The label is the value of the most likely class; a class is preferred to background at odds of at "
                f"least {config.threshold:g} to {1 - config.threshold:g}."
            )
        case Task.INSTANCE:
            steps.append("Single objects are separated by a watershed of the outputs distance and boundary.")
    if config.min_volume:
        steps.append(f"Regions below {config.min_volume:g} µm³ are removed.")
    return steps
