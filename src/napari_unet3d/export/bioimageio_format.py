"""A model for bioimage.io: weights as a state dictionary of a class of MONAI and as ONNX, with an example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from napari_unet3d.configs import ExportFormat
from napari_unet3d.export import onnx_format
from napari_unet3d.export.bioimageio_description import (
    COVER_FILE,
    ENVIRONMENT_FILE,
    INPUT_FILE,
    ONNX_FILE,
    OUTPUT_FILE,
    RDF_FILE,
    WEIGHTS_FILE,
    check_citation,
    environment,
    rdf,
)
from napari_unet3d.export.comparison import Run, example_input, own_output, run_of_weights, to_probabilities
from napari_unet3d.export.documentation import PAGE_FILE, page
from napari_unet3d.export.model_format import ModelFormat
from napari_unet3d.export.monai_config import library_class
from napari_unet3d.export.saving import save_weights
from napari_unet3d.export.task import ExportTask
from napari_unet3d.export.torch_program import INPUT, trace
from napari_unet3d.inference.tile_grid import tile_grid
from napari_unet3d.model.exported.onnx_session import open_session
from napari_unet3d.transforms.normalise import normalise

_COVER_INCHES, _COVER_DPI = (8.0, 4.0), 100  # covers are twice as wide as high
_VALIDATION = (
    "## Validation\n\n`napari-unet3d evaluate` scores a model on volumes with ground truth: Dice, surface distances "
    "and, for single objects, F1. Score this one on images of your own before you trust it.\n"
)


def check(task: ExportTask) -> None:
    """Check that ONNX can be written, and that authors, licence and what a citation refers to are given.

    Raises
    ------
    UserError
        If not.
    """
    task.config.check_for(ExportFormat.BIOIMAGEIO)
    check_citation(task.config.citation)
    onnx_format.check(task)


def write(task: ExportTask, folder: Path) -> None:
    """Write weights, example and cover; the description follows with the page, which it names."""
    onnx_format.write_onnx(trace(task, logits=True), folder / ONNX_FILE, "logits")
    if library_class(task) is not None:
        save_weights(task.network.state_dict(), folder / WEIGHTS_FILE)
        (folder / ENVIRONMENT_FILE).write_text(yaml.safe_dump(environment(), sort_keys=False), encoding="utf-8")
    _write_example(task, folder)
    if task.checkpoint.history:
        _write_cover(task, folder)


def _write_example(task: ExportTask, folder: Path) -> None:
    tile, config = task.checked_tile_zyx, task.checkpoint.config
    image = example_input(task, tile)
    normalised = normalise(image, config.normalisation, config.percentiles)
    output = own_output(task, normalised, tile_grid(tile, tile, 0, task.checkpoint.plan.total_stride))
    np.save(folder / INPUT_FILE, image[None])
    np.save(folder / OUTPUT_FILE, output[None])


def _write_cover(task: ExportTask, folder: Path) -> None:
    from napari_unet3d.evaluation.reports.figure import curves_figure  # imports matplotlib, which is slow

    figure = curves_figure(task.checkpoint.history)
    figure.set_size_inches(*_COVER_INCHES)
    figure.savefig(folder / COVER_FILE, dpi=_COVER_DPI)


def runners(task: ExportTask, folder: Path) -> list[Run]:
    """Return functions that compute probabilities with each of the written weights."""
    session = open_session(folder / ONNX_FILE)
    runs: list[Run] = [lambda tiles: to_probabilities(task, session.run(tiles))]
    if (found := library_class(task)) is not None:
        from monai.networks import nets

        runs.append(run_of_weights(task, getattr(nets, found.name)(**found.arguments), folder / WEIGHTS_FILE))
    return runs


def document(task: ExportTask, folder: Path, checked: str) -> None:
    """Write the page and the description."""
    usage = (
        "With any program that runs models of bioimage.io, such as bioimageio.core, which tests it with "
        f"`bioimageio test {RDF_FILE}`. Or with onnxruntime and numpy, on Python 3.11 or newer:"
    )
    is_softmax = len(task.checkpoint.plan.classes) > 0
    probability = (
        "    scores = np.exp(logits - logits.max(1, keepdims=True))\n    return scores / scores.sum(1, keepdims=True)\n"
        if is_softmax
        else "    return 1 / (1 + np.exp(-logits))\n"
    )
    network = (
        f'session = onnxruntime.InferenceSession("{ONNX_FILE}")\n\n\n'
        "def network(tiles):\n"
        f'    logits = session.run(None, {{"{INPUT}": tiles}})[0]\n{probability}'
    )
    text = page(task, ExportFormat.BIOIMAGEIO, usage, ["import onnxruntime"], network, checked)
    (folder / PAGE_FILE).write_text(f"{text}\n\n{_VALIDATION}", encoding="utf-8")
    text = yaml.safe_dump(rdf(task, folder), sort_keys=False, allow_unicode=True)
    (folder / RDF_FILE).write_text(text, encoding="utf-8")


FORMAT = ModelFormat(
    name=ExportFormat.BIOIMAGEIO,
    file=RDF_FILE,
    tool="onnxruntime and PyTorch",
    check=check,
    write=write,
    runners=runners,
    document=document,
)
