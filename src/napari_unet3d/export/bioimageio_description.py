"""The description of a model for bioimage.io, by version 0.5 of its specification."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from napari_unet3d import __version__
from napari_unet3d.configs import Normalisation, Task
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.errors import UserError
from napari_unet3d.export.documentation import PAGE_FILE
from napari_unet3d.export.monai_config import library_class
from napari_unet3d.export.task import ExportTask
from napari_unet3d.files import EXPORT_FILE
from napari_unet3d.transforms.pad import minimum_shape

RDF_FILE, COVER_FILE = "rdf.yaml", "cover.png"
WEIGHTS_FILE, ONNX_FILE = "weights.pt", "model.onnx"
ENVIRONMENT_FILE = "environment.yaml"
INPUT_FILE, OUTPUT_FILE = "test_input.npy", "test_output.npy"
OPSET = 20
_FORMAT_VERSION = "0.5.12"
_DOI = re.compile(r"10\.\d{4,9}/\S+[^\s.,;)]")
_URL = re.compile(r"https?://\S+")
_LEAST_NAME = 5  # letters
_NOT_IN_NAMES = re.compile(r"[^\w +()-]")  # letters, numbers, spaces and a few signs are allowed


def rdf(task: ExportTask, folder: Path) -> dict[str, Any]:
    """Return the description of the files in a folder."""
    config = task.config
    covers = [{"source": COVER_FILE}] if (folder / COVER_FILE).is_file() else []
    return {
        "format_version": _FORMAT_VERSION,
        "type": "model",
        "name": _name(task),
        "description": config.description or f"{task.name}: a 3D network trained with napari-unet3d.",
        "authors": [{"name": author.replace("/", " ")} for author in config.authors],
        "license": config.license,
        "cite": [_citation(config.citation)] if config.citation else [],
        "documentation": {"source": PAGE_FILE},
        "covers": covers,
        "attachments": [{"source": EXPORT_FILE}],  # by which this program reads all settings again
        "tags": ["3d", "segmentation", "unet", "pytorch", "onnx", "napari-unet3d"],
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [_input(task)],
        "outputs": [_output(task)],
        "weights": _weights(task, folder),
        "config": {"napari_unet3d": {"version": __version__}},
    }


def environment() -> dict[str, Any]:
    """Return the conda environment that the state dictionary needs."""
    packages = [f"monai>={version('monai')}"]
    return {
        "channels": ["conda-forge", "nodefaults"],
        "dependencies": ["python>=3.11", f"pytorch=={version('torch').split('+')[0]}", "pip", {"pip": packages}],
    }


def halo_of(task: ExportTask) -> Shape3D:
    """Return the halo (z, y, x): the margin that lacks context, at most a quarter of a tile, which is left over."""
    z, y, x = (max(1, min(halo, tile // 4)) for halo, tile in zip(task.halo_zyx, task.checked_tile_zyx, strict=True))
    return z, y, x


def check_citation(text: str) -> None:
    """Raise a `UserError` if a citation says neither a DOI nor an address, one of which the format asks for."""
    if text and not {"doi", "url"} & _citation(text).keys():
        raise UserError(
            f"The citation '{text}' has neither a DOI nor a web address, which bioimage.io asks for. Add one."
        )


def _citation(text: str) -> dict[str, str]:
    """Return a citation with its DOI, else with its address, if it says one."""
    for key, pattern in (("doi", _DOI), ("url", _URL)):
        if (found := pattern.search(text)) is not None:
            return {"text": text, key: found[0]}
    return {"text": text}


def _name(task: ExportTask) -> str:
    """Return the name of the model with the characters, and the length, that the format allows."""
    name = _NOT_IN_NAMES.sub(" ", task.name).strip() or "model"
    return name if len(name) >= _LEAST_NAME else f"3D segmentation {name}"


def _scale(task: ExportTask, axis: int) -> dict[str, Any]:
    """Return the voxel size along an axis, which image and output share; nothing if it is not known."""
    size_um = task.checkpoint.plan.spacing_um or task.checkpoint.voxel_size_um
    return {} if size_um is None else {"scale": size_um[axis], "unit": "micrometer"}


def _input(task: ExportTask) -> dict[str, Any]:
    plan = task.checkpoint.plan
    axes: list[dict[str, Any]] = [
        {"type": "batch"},
        {"type": "channel", "channel_names": list(plan.channels) or ["intensity"]},
    ]
    sides = zip("zyx", plan.total_stride, minimum_shape(plan.total_stride), halo_of(task), strict=True)
    for number, (axis, step, least, halo) in enumerate(sides):
        smallest = max(least, -(-(2 * halo + 1) // step) * step)  # what the halo leaves has at least a voxel
        space: dict[str, Any] = {"type": "space", "id": axis, "size": {"min": smallest, "step": step}}
        axes.append(space | _scale(task, number))
    return {
        "id": "image",
        "axes": axes,
        "data": {"type": "float32"},
        "test_tensor": {"source": INPUT_FILE},
        "preprocessing": _preprocessing(task),
    }


def _preprocessing(task: ExportTask) -> list[dict[str, Any]]:
    axes, (low, high) = ["z", "y", "x"], task.checkpoint.config.percentiles
    match task.checkpoint.config.normalisation:
        case Normalisation.Z_SCORE:
            return [{"id": "zero_mean_unit_variance", "kwargs": {"axes": axes}}]
        case Normalisation.PERCENTILE:
            return [{"id": "scale_range", "kwargs": {"axes": axes, "min_percentile": low, "max_percentile": high}}]
        case Normalisation.MIN_MAX:
            return [{"id": "scale_range", "kwargs": {"axes": axes}}]
        case Normalisation.NONE:
            return []


def _output(task: ExportTask) -> dict[str, Any]:
    is_softmax = task.checkpoint.plan.task is Task.SEMANTIC
    spaces = [
        {"type": "space", "id": axis, "size": {"tensor_id": "image", "axis_id": axis}, "halo": halo}
        | _scale(task, number)
        for number, (axis, halo) in enumerate(zip("zyx", halo_of(task), strict=True))
    ]
    return {
        "id": "probability",
        "axes": [{"type": "batch"}, {"type": "channel", "channel_names": list(task.outputs)}, *spaces],
        "data": {"type": "float32", "range": [0.0, 1.0]},
        "test_tensor": {"source": OUTPUT_FILE},
        "postprocessing": [{"id": "softmax", "kwargs": {"axis": "channel"}} if is_softmax else {"id": "sigmoid"}],
    }


def _weights(task: ExportTask, folder: Path) -> dict[str, Any]:
    weights: dict[str, Any] = {"onnx": {**_file(folder / ONNX_FILE), "opset_version": OPSET}}
    if (found := library_class(task)) is not None:
        weights["pytorch_state_dict"] = {
            **_file(folder / WEIGHTS_FILE),
            "pytorch_version": version("torch").split("+")[0],
            "dependencies": {"source": ENVIRONMENT_FILE},
            "architecture": {"import_from": found.module, "callable": found.name, "kwargs": found.arguments},
        }
    return weights


def _file(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        return {"source": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
