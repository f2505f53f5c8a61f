"""The model file: weights in safetensors format, and in its header everything that is needed to use them.

Safetensors files contain arrays and text only, so that a model from a stranger cannot run code. The text of the header
is validated as a `TrainingConfig`, and the weights are compared with the network that it describes before any are read.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.seen_content import SeenContent
from napari_unet3d.errors import UserError
from napari_unet3d.files import EXPORT_FILE, MODEL_FILE
from napari_unet3d.model.bioimageio.model import PackagedModel
from napari_unet3d.model.bioimageio.package import is_package
from napari_unet3d.model.bioimageio.reading import read_package, read_package_header
from napari_unet3d.model.exported.onnx_session import OnnxNetwork, OnnxSession
from napari_unet3d.model.exported.reading import export_folder, read_exported, read_header
from napari_unet3d.model.header import ModelHeader
from napari_unet3d.model.network import build_network, default_plan, weight_shapes
from napari_unet3d.model.plan import Plan
from napari_unet3d.model.qim3d import SUFFIXES as QIM3D_SUFFIXES
from napari_unet3d.model.qim3d import read_qim3d
from napari_unet3d.model.tensor_file import (
    PROGRAM,
    FileKind,
    open_tensors,
    read_tensors,
    shapes_in,
    types_in,
    write_tensors,
)
from napari_unet3d.paths import is_file, is_folder
from napari_unet3d.runs.history import EpochRecord

_KIND = FileKind(PROGRAM, 1, "model", f"Choose a run folder or a model that {PROGRAM} trained.")


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a model's results depend on."""
    packages = {name: version(name) for name in ("napari-unet3d", "torch", "monai", "numpy")}
    return {"python": platform.python_version(), **packages}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained model with all that is needed to use it.

    Attributes
    ----------
    config : TrainingConfig
        The settings of the run.
    weights : dict of str to Tensor
        State of the network that `build_network(config, plan)` returns, in float32 on the CPU.
    epoch : int
        The epoch that the weights are from, counted from 1; 0 when it is not known.
    history : tuple of EpochRecord
        Losses of the epochs so far.
    voxel_size_um : tuple of float or None
        Voxel size (z, y, x) of the training volumes in µm; None when it was not the same for all, or not known.
    versions : dict of str to str
        Versions of Python and packages that it was trained with.
    plan : Plan
        Strides, patch, voxel size and classes; without it those of `default_plan`.
    seen : SeenContent or None
        What it was trained and validated on; None when it is not known.
    onnx : bytes or None
        The network as an ONNX file, which can only predict; it has no weights then.
    package : PackagedModel or None
        How a model of others is applied, by the description in its package.
    """

    config: TrainingConfig
    weights: dict[str, torch.Tensor]
    epoch: int
    history: tuple[EpochRecord, ...] = ()
    voxel_size_um: VoxelSize | None = None
    versions: dict[str, str] = field(default_factory=package_versions)
    plan: Plan = None  # type: ignore[assignment]  # always set by __post_init__
    seen: SeenContent | None = None
    onnx: bytes | None = None
    package: PackagedModel | None = None

    def __post_init__(self) -> None:
        if self.plan is None:
            object.__setattr__(self, "plan", default_plan(self.config))  # type: ignore[unreachable]

    @property
    def header(self) -> ModelHeader:
        """Everything but the weights."""
        return ModelHeader(
            config=self.config,
            epoch=self.epoch,
            history=self.history,
            voxel_size_um=self.voxel_size_um,
            versions=self.versions,
            plan=self.plan,
            seen=self.seen,
        )

    def network(self) -> torch.nn.Module:
        """Build the network with these weights, on the CPU and in evaluation mode."""
        if self.package is not None:
            return self.package.network(self.config, self.plan, self.weights, self.onnx).eval()
        if self.onnx is not None:
            session = OnnxSession("the ONNX file", self.onnx)
            return OnnxNetwork(session, self.plan.out_channels, is_softmax=self.plan.task is Task.SEMANTIC).eval()
        network = build_network(self.config, self.plan)
        network.load_state_dict(self.weights, strict=True)
        return network.eval()


def save_checkpoint(path: Path | str, checkpoint: Checkpoint) -> None:
    """Write a model file completely or not at all; an older file of that name is replaced.

    Parameters
    ----------
    path : Path or str
        The file, ending in ``.safetensors``; its folder is created if it is missing.
    checkpoint : Checkpoint
        The model; its weights may be on any device.

    Raises
    ------
    UserError
        If the disk is full or the folder cannot be written to.
    """
    write_tensors(Path(path), _KIND, checkpoint.header, checkpoint.weights)


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Read a model file; nothing in it is executed.

    Parameters
    ----------
    path : Path or str
        A model file, or a run folder, of which the best model is read; a ``.pth`` file of qim3d (see `read_qim3d`); or
        a model that was exported as ONNX or as a MONAI bundle, by its folder or its file of weights; or a package of
        bioimage.io, as a zip archive or unpacked (see `read_package`).

    Raises
    ------
    UserError
        If there is no such file, or it is not a complete model that this version can read.
    """
    path = Path(path)
    model = _read(path)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in model.weights.values()):
        raise UserError(f"The model {path} holds weights that are NaN or infinite: it is damaged. Train it again.")
    return model


def load_seen_content(path: Path | str | None) -> SeenContent | None:
    """Read what a model has seen, without its weights; None when it is not known, or the model cannot be read."""
    if path is None:
        return None
    try:
        if is_package(Path(path)):
            header = read_package_header(Path(path))
            return None if header is None else header.seen
        if (folder := export_folder(Path(path))) is not None:
            return read_header(folder).seen
        file = _model_file(Path(path))
        if file.suffix.lower() in QIM3D_SUFFIXES:
            return None
        with open_tensors(file, _KIND, ModelHeader) as (header, _):
            return header.seen
    except UserError:
        return None


def _read(path: Path) -> Checkpoint:
    folder = export_folder(path)
    if is_package(folder or path):
        return _from_package(folder or path)
    if folder is not None:
        exported = read_exported(folder)
        return replace(_of_header(exported.header, exported.weights), onnx=exported.onnx)
    if path.suffix.lower() == ".onnx":
        raise UserError(
            f"{path} cannot be used alone: {EXPORT_FILE}, which the export writes beside it, describes how volumes are "
            "normalised. Choose a folder that napari-unet3d export has written, or a package of bioimage.io."
        )
    path = _model_file(path)
    return _from_qim3d(path) if path.suffix.lower() in QIM3D_SUFFIXES else _from_tensors(path)


def _from_package(path: Path) -> Checkpoint:
    found = read_package(path)
    if found.header is not None:
        return _of_header(found.header, found.weights)
    size, onnx, model = found.voxel_size_um, found.onnx, found.model
    return Checkpoint(
        found.config, found.weights, 0, voxel_size_um=size, versions={}, plan=found.plan, onnx=onnx, package=model
    )


def _from_qim3d(path: Path) -> Checkpoint:
    config, weights = read_qim3d(path)
    return Checkpoint(config, weights, epoch=0, versions={})


def _from_tensors(path: Path) -> Checkpoint:
    with open_tensors(path, _KIND, ModelHeader) as (header, file):
        _check_tensors(path, file, header)
        weights = read_tensors(file)
    return _of_header(header, weights)


def _of_header(header: ModelHeader, weights: dict[str, torch.Tensor]) -> Checkpoint:
    return Checkpoint(
        config=header.config,
        weights=weights,
        epoch=header.epoch,
        history=header.history,
        voxel_size_um=header.voxel_size_um,
        versions=header.versions,
        plan=header.plan or default_plan(header.config),
        seen=header.seen,
    )


def _model_file(path: Path) -> Path:
    if not is_folder(path):
        return path
    if not is_file(path / MODEL_FILE):
        raise UserError(
            f"The folder {path} holds no {MODEL_FILE}. Choose a run folder in which at least one epoch was finished."
        )
    return path / MODEL_FILE


def _check_tensors(path: Path, file: Any, header: ModelHeader) -> None:
    """Compare names, shapes and types with the network that the header describes, before any weights are read."""
    plan = header.plan or default_plan(header.config)
    if shapes_in(file) != weight_shapes(header.config, plan):
        raise UserError(
            f"The weights in {path} do not belong to the network that its settings describe "
            f"(architecture {header.config.architecture}, preset {header.config.preset}). "
            "Choose another model or train it again."
        )
    if set(types_in(file).values()) != {"F32"}:
        raise UserError(f"The weights in {path} are not in float32. Choose a model that {PROGRAM} trained.")
