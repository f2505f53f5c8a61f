"""The page that goes with an exported model: what it is, and Python code that applies it without this package."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import ceil, prod
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from napari_unet3d import __version__
from napari_unet3d.configs import ExportFormat, Normalisation, ResizeMode, Task
from napari_unet3d.export.description import describe, not_in_the_file, post_processing
from napari_unet3d.export.task import ExportTask
from napari_unet3d.transforms.pad import minimum_shape

PAGE_FILE = "README.md"
_WHAT = {
    Task.BINARY: "A 3D network for the segmentation of one foreground",
    Task.SEMANTIC: "A 3D network for the segmentation of classes",
    Task.INSTANCE: "A 3D network for the segmentation of single objects",
}
_OUTLIERS = (
    "napari-unet3d clips outliers, such as hot pixels, before it normalises a volume. Volumes without outliers have "
    "the same output here and there."
)
_RESIZED = (
    "The network was trained on whole volumes that were resized to multiples of the stride; napari-unet3d does so, "
    "too, where the code above pads them."
)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("napari_unet3d.export"),
        autoescape=False,  # Markdown and Python
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(
    task: ExportTask, export_format: ExportFormat, usage: str, imports: Sequence[str], network: str, checked: str
) -> str:
    """Return the page in Markdown.

    Parameters
    ----------
    task : ExportTask
        The model.
    export_format : ExportFormat
        The format, which decides what the file does not hold.
    usage : str
        What has to be installed; a sentence.
    imports : sequence of str
        Lines of Python that import what the network needs.
    network : str
        Lines of Python that define the function ``network``, from images to probabilities.
    checked : str
        How the written model was checked; a sentence.
    """
    config, about = task.config, describe(task, export_format, "", None)
    is_resized = task.checkpoint.plan.patch_zyx is None and task.checkpoint.config.resize_mode is ResizeMode.RESIZE
    return (
        _environment()
        .get_template("usage.md.j2")
        .render(
            name=task.name,
            description=config.description,
            what=_WHAT[task.checkpoint.plan.task],
            version=__version__,
            authors=config.authors,
            license=config.license,
            citation=config.citation,
            facts=_facts(about),
            steps=not_in_the_file(task, export_format),
            usage=usage,
            example=example_code(task, imports, network).strip(),
            remarks=[line for line in (_outlier_remark(task), _RESIZED if is_resized else "", checked) if line],
        )
    )


def example_code(task: ExportTask, imports: Sequence[str], network: str) -> str:
    """Return a Python program that reads volume.npy and writes labels.npy, without this package."""
    checkpoint, plan = task.checkpoint, task.checkpoint.plan
    needed = list(imports)
    if plan.task is Task.INSTANCE:
        needed += ["from scipy import ndimage", "from skimage.morphology import h_maxima"]
        needed += ["from skimage.segmentation import watershed"]
    if task.config.min_volume:
        needed += ["from skimage.measure import label"]
    return (
        _environment()
        .get_template("example.py.j2")
        .render(
            imports=sorted(needed, key=lambda line: (line.split()[1].split(".")[0], line)),
            network=network,
            normalisation=checkpoint.config.normalisation.value,
            percentiles=checkpoint.config.percentiles,
            stride=plan.total_stride,
            smallest=plan.patch_zyx or minimum_shape(plan.total_stride),
            tile="padded" if plan.patch_zyx is None else task.tile_zyx,
            outputs=task.outputs,
            labels=labels_code(task).strip(),
        )
    )


def labels_code(task: ExportTask) -> str:
    """Return the lines of Python that make ``labels`` of ``output`` (channel, z, y, x)."""
    plan = task.checkpoint.plan
    settings: dict[str, Any] = post_processing(task)
    size = plan.spacing_um or task.checkpoint.voxel_size_um or (1.0, 1.0, 1.0)
    min_voxels = ceil(settings["min_volume"] / prod(size) * (1 - 1e-9))
    return (
        _environment()
        .get_template("labels.py.j2")
        .render(
            **settings,
            task=plan.task.value,
            values=[each.value for each in plan.classes],
            sigma=[min(size) / side for side in size],
            min_voxels=min_voxels if min_voxels > 1 else 0,
        )
    )


def _outlier_remark(task: ExportTask) -> str:
    is_robust = task.checkpoint.config.normalisation in (Normalisation.Z_SCORE, Normalisation.PERCENTILE)
    return _OUTLIERS if is_robust else ""


def _facts(about: dict[str, Any]) -> list[str]:
    image, tiles, size = about["input"], about["tiles"], about["voxel_size"]["zyx_um"]
    channels, outputs = image["channels"], about["output"]["channels"]
    sides, least = _times(image["sides_are_multiples_of_zyx"]), _times(image["smallest_zyx"])
    return [
        f"Input: {image['data_type']} ({image['axes']}) with {_channels(channels)}; z, y and x are multiples of "
        f"{sides}, at least {least}.",
        f"Output: {about['output']['data_type']} ({about['output']['axes']}) from 0 to 1, with {_channels(outputs)}.",
        f"Normalisation: {about['normalisation']['formula']}.",
        f"Voxels of the training: {'of unknown size' if size is None else _times(size) + ' µm (z × y × x)'}.",
        f"Tiles of {_times(tiles['size_zyx'])} voxels; an output voxel depends on up to {_times(tiles['halo_zyx'])} "
        "voxels around it.",
    ]


def _times(sides: Sequence[float]) -> str:
    return " × ".join(f"{side:g}" for side in sides)


def _channels(names: Sequence[str]) -> str:
    return f"the channel{'' if len(names) == 1 else 's'} {', '.join(names)}"
