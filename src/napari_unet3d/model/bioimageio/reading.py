"""Read the model of a package: weights that this program knows the network of, or else ONNX."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load as load_safetensors

from napari_unet3d.configs import Normalisation, TrainingConfig
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.errors import UserError, shorten
from napari_unet3d.files import EXPORT_FILE
from napari_unet3d.model.bioimageio.description import Description, parse_description
from napari_unet3d.model.bioimageio.known_networks import channel_names, find_network, training_normalisation
from napari_unet3d.model.bioimageio.model import PackagedModel
from napari_unet3d.model.bioimageio.outputs import meaning_of
from napari_unet3d.model.bioimageio.package import PackageFiles
from napari_unet3d.model.bioimageio.schema import Weights
from napari_unet3d.model.exported.reading import parse_header, weights_of_class
from napari_unet3d.model.header import ModelHeader
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.model.weights_archive import WeightsArchive
from napari_unet3d.text_files import parse_json

_STATE_DICT, _ONNX = "pytorch_state_dict", "onnx"
_MOST_BYTES = 2**31  # of weights
_REMEDY = "Choose a model with ONNX weights, or run this one with bioimageio.core."


@dataclass(frozen=True, slots=True)
class ReadPackage:
    """What is in a package.

    Attributes
    ----------
    config, plan : TrainingConfig, Plan
        Settings and plan of the network, as far as it is one of this program.
    weights : dict of str to Tensor
        Its weights; empty for ONNX.
    onnx : bytes or None
        The ONNX file, if that is used.
    voxel_size_um : tuple of float or None
        Voxel size (z, y, x) in µm that the description gives.
    header : ModelHeader or None
        All that is known of a model that this program has exported; it is applied like its run then.
    model : PackagedModel or None
        How a model of others is applied.
    """

    config: TrainingConfig
    plan: Plan
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    onnx: bytes | None = None
    voxel_size_um: VoxelSize | None = None
    header: ModelHeader | None = None
    model: PackagedModel | None = None


def read_package(path: Path) -> ReadPackage:
    """Read the model of a package; no code that comes with it is run.

    Parameters
    ----------
    path : Path
        The zip archive, its unpacked folder, or the description in that folder.

    Returns
    -------
    ReadPackage
        The model, with the weights of a network of MONAI that this program builds, too, or else with its ONNX file.

    Raises
    ------
    UserError
        If the package is damaged, or asks for something that is not supported, which is named.
    """
    files = PackageFiles(path)
    raw = files.description()
    if (own := _own(files, raw)) is not None:
        return own
    where = path.parent.name if path.suffix == ".yaml" else path.name
    description = parse_description(raw, where)
    meaning = meaning_of(description, where)
    normalisation = training_normalisation(description.preprocessing, description.in_channels)
    settings = (normalisation or {"normalisation": Normalisation.NONE}) | {"class_names": meaning.class_names}
    model = PackagedModel(where, description, meaning, repr(raw).encode(), can_train=normalisation is not None)
    if (known := _known_network(model, settings)) is not None:
        config, plan = known
        weights = _read_state(files, description.weights[_STATE_DICT], config, plan)
        return ReadPackage(config, plan, weights, voxel_size_um=description.voxel_size_um, model=model)
    if _ONNX not in description.weights:
        raise UserError(_nothing_to_run(description, where))
    plan = Plan(
        task=meaning.task,
        strides=((1, 1, 1),),
        classes=tuple(LabelClass(value=value, name=name) for value, name in enumerate(meaning.class_names, 1)),
        channels=channel_names(description.input_names, description.in_channels),
    )
    config = TrainingConfig(**settings, task=meaning.task)
    onnx = _read(files, description.weights[_ONNX])
    return ReadPackage(config, plan, onnx=onnx, voxel_size_um=description.voxel_size_um, model=model)


def read_package_header(path: Path) -> ModelHeader | None:
    """Return what a package that this program has exported says of its model, without weights; None for others.

    Raises
    ------
    UserError
        If it is damaged.
    """
    return _own_header(PackageFiles(path))


def _known_network(model: PackagedModel, settings: Mapping[str, Any]) -> tuple[TrainingConfig, Plan] | None:
    description, meaning = model.description, model.meaning
    found = description.weights.get(_STATE_DICT)
    if found is None or found.architecture is None:
        return None
    channels = description.in_channels
    network = find_network(found.architecture, settings, meaning.task, meaning.class_names, channels)
    if network is None:
        return None
    config, plan = network
    return config, plan.model_copy(update={"channels": channel_names(description.input_names, channels)})


def _own(files: PackageFiles, raw: Any) -> ReadPackage | None:
    """Return a model that this program has exported and described in its own file, too; None for others."""
    header = _own_header(files)
    if header is None or header.plan is None:
        return None
    try:
        entry = raw["weights"][_STATE_DICT]
        found = Weights(source=str(entry["source"]), sha256=entry.get("sha256"))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    weights = _read_state(files, found, header.config, header.plan)
    return ReadPackage(header.config, header.plan, weights, header=header)


def _own_header(files: PackageFiles) -> ModelHeader | None:
    if not files.holds(EXPORT_FILE):
        return None
    try:
        about = parse_json(files.read(EXPORT_FILE, 2**26), allow_nan=True)
    except ValueError as error:
        raise UserError(f"{EXPORT_FILE} in {files.path} cannot be read as JSON: {error}.") from None
    if not isinstance(about, Mapping):
        raise UserError(f"{files.path / EXPORT_FILE} is no JSON object.")
    return parse_header(files.path, dict(about))


def _read_state(files: PackageFiles, entry: Weights, config: TrainingConfig, plan: Plan) -> dict[str, torch.Tensor]:
    content, name = _read(files, entry), files.path / shorten(entry.source, 100)
    if name.suffix == ".safetensors":
        content = _as_archive(content, name)
    return weights_of_class(WeightsArchive(name, BytesIO(content), _REMEDY), name, config, plan)


def _as_archive(content: bytes, name: Path) -> bytes:
    """Return weights in safetensors format as torch would save them, so that both are checked alike."""
    try:
        weights = load_safetensors(content)
    except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError):
        raise UserError(f"{name} is no safetensors file, or it is damaged. Download it again.") from None
    archive = BytesIO()
    torch.save(weights, archive)
    return archive.getvalue()


def _read(files: PackageFiles, entry: Weights) -> bytes:
    content = files.read(entry.source, _MOST_BYTES)
    if entry.sha256 and hashlib.sha256(content).hexdigest() != entry.sha256.lower():
        raise UserError(
            f"{shorten(entry.source, 100)} in {files.path} is not the file that its description says (another "
            "SHA-256). Download the model again."
        )
    return content


def _nothing_to_run(description: Description, where: str) -> str:
    formats = ", ".join(shorten(name, 50) for name in list(description.weights)[:10]) or "none"
    reason = ""
    state = description.weights.get(_STATE_DICT)
    if state is not None and state.architecture is not None:
        named = state.architecture.name
        if state.architecture.source:
            reason = f" Its network {shorten(named, 50)} is Python code in the package, which is never run."
        else:
            module = f"{state.architecture.import_from}.{named}"
            reason = f" Its network {shorten(module, 100)}, with its arguments, is none that is trained here."
    return (
        f"{where} has no weights that are read here: ONNX, or a state dictionary of MONAI's UNet or DynUNet, were "
        f"looked for, and its weights are {formats}.{reason} {_REMEDY}"
    )
