"""Read models that this program has exported; no code that comes with them is run."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.errors import UserError, explain_validation
from napari_unet3d.files import EXPORT_FILE
from napari_unet3d.model.architectures import get_architecture
from napari_unet3d.model.exported.onnx_session import read_onnx
from napari_unet3d.model.header import ModelHeader
from napari_unet3d.model.network import build_network, default_plan, weight_shapes
from napari_unet3d.model.plan import Plan
from napari_unet3d.model.weights_archive import WeightsArchive, is_plain
from napari_unet3d.paths import is_file, is_folder
from napari_unet3d.text_files import open_regular, read_json_object

_REMEDY = "Export the model again, or choose the run that it is from."


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """An exported model.

    Attributes
    ----------
    header : ModelHeader
        Its settings and plan.
    weights : dict of str to Tensor
        The weights of our network; empty for ONNX.
    onnx : bytes or None
        The ONNX file, if it is one.
    """

    header: ModelHeader
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    onnx: bytes | None = None


def export_folder(path: Path) -> Path | None:
    """Return the folder of an exported model, given that folder or the file of weights in it; None if it is none."""
    if path.suffix == ".safetensors":  # a model of its own, wherever it lies
        return None
    above = [path] if is_folder(path) else list(path.parents)[:2]  # the weights of a bundle lie one folder deeper
    return next((folder for folder in above if is_file(folder / EXPORT_FILE)), None)


def read_header(folder: Path) -> ModelHeader:
    """Read what the description of an exported model says about it.

    Raises
    ------
    UserError
        If it cannot be read, or is no description of an exported model.
    """
    return parse_header(folder, read_json_object(folder / EXPORT_FILE, allow_nan=True))


def read_exported(folder: Path) -> ExportedModel:
    """Read an exported model.

    Parameters
    ----------
    folder : Path
        A folder that `export_folder` has found.

    Raises
    ------
    UserError
        If it is damaged, or its format is one that only other programs read.
    """
    about = read_json_object(folder / EXPORT_FILE, allow_nan=True)
    header = parse_header(folder, about)
    match about.get("format"):
        case "onnx":
            return ExportedModel(header, onnx=read_onnx(folder / "model.onnx"))
        case "monai-bundle":
            return ExportedModel(header, _weights(folder / "models" / "model.pt", header))
    raise UserError(
        f"{folder} holds a model for other programs, in the format '{about.get('format')}', which is not read here. "
        "Choose the run that it is from, or export it as onnx or monai-bundle."
    )


def parse_header(folder: Path, about: dict[str, Any]) -> ModelHeader:
    """Return what a description of our export says about its model; raise as `read_header`."""
    try:
        return ModelHeader.model_validate(about.get("model"))
    except ValidationError as error:
        reason = explain_validation(error)
    except UserError as error:  # a setting out of bounds
        reason = str(error)
    raise UserError(f"The settings in {folder / EXPORT_FILE} cannot be read. {reason} {_REMEDY}")


def _weights(path: Path, header: ModelHeader) -> dict[str, torch.Tensor]:
    with os.fdopen(open_regular(path), "rb") as file:  # one open: what was checked is what is read
        return weights_of_class(WeightsArchive(path, file, _REMEDY), path, header.config, header.plan)


def weights_of_class(
    archive: WeightsArchive, name: Path, config: TrainingConfig, plan: Plan | None
) -> dict[str, torch.Tensor]:
    """Read the weights of the class of a library that our network corresponds to.

    Parameters
    ----------
    archive : WeightsArchive
        The file.
    name : Path
        Its name, for messages.
    config, plan : TrainingConfig, Plan or None
        The network.

    Returns
    -------
    dict of str to Tensor
        The weights of our network, with initial ones where the class of the library has none.

    Raises
    ------
    UserError
        If they are of another network.
    """
    plan = plan or default_plan(config)
    wrong = UserError(f"The weights in {name} do not belong to the network that the description says. {_REMEDY}")
    if weight_shapes(config, plan) is None:
        raise wrong
    with torch.device("meta"):
        network = build_network(config, plan, device="meta")
        expected = get_architecture(config.architecture).for_inference(network).state_dict()
    found = archive.read("meta")  # without memory for them
    if {name: each.shape for name, each in found.items()} != {name: each.shape for name, each in expected.items()}:
        raise wrong
    if not all(map(is_plain, found.values())):
        raise UserError(f"The weights in {name} are not plain arrays in float32. {_REMEDY}")
    read = {name: each.clone() for name, each in archive.read("cpu").items()}
    return {name: read.get(name, initial) for name, initial in build_network(config, plan).state_dict().items()}
