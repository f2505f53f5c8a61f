"""Import models that qim3d saved: the weights of one of its U-Nets, written by ``torch.save``.

Names and shapes are compared with the expected network before any weight is read; see `weights_archive`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch

from napari_unet3d.configs import Normalisation, Preset, ResizeMode, TrainingConfig
from napari_unet3d.errors import UserError
from napari_unet3d.files import read_settings
from napari_unet3d.model.network import build_network
from napari_unet3d.model.weights_archive import WeightsArchive, is_plain
from napari_unet3d.paths import exists
from napari_unet3d.text_files import open_regular

SUFFIXES = (".pth", ".pt")
_FIRST, _UP = "model.0.conv.unit0.conv.weight", "model.2.0.conv.weight"
_REMEDY = "Choose a model that qim3d saved with one of its presets, or a model of this program."


def read_qim3d(path: Path) -> tuple[TrainingConfig, dict[str, torch.Tensor]]:
    """Read a model of qim3d; no code in it is executed.

    The file contains weights only. Preset, kernel sizes, bias and PReLU follow from their names and shapes; for the
    rest, qim3d's defaults are assumed. A file ``NAME.pth.json`` beside it can set it to other values of
    `TrainingConfig`, such as ``{"activation": "relu"}``: activations without weights cannot be distinguished.

    Volumes are not normalised, as in qim3d. Volumes whose shape does not suit the network, which qim3d refuses, are
    padded.

    Parameters
    ----------
    path : Path
        File written by ``qim3d.ml.train_model(checkpoint_directory=…)`` or ``torch.save(model.state_dict(), …)``.

    Returns
    -------
    config : TrainingConfig
        Settings of the network.
    weights : dict of str to Tensor
        State of the network that `build_network(config)` builds, in float32 on the CPU.

    Raises
    ------
    UserError
        If it is not such a file, contains code, or belongs to another network.
    """
    with os.fdopen(open_regular(path), "rb") as file:  # one open: what was checked is what is read
        archive = WeightsArchive(path, file, _REMEDY)
        shapes = archive.read("meta")  # without memory for them
        config = _config_for(path, shapes)
        _check_shapes(path, config, shapes)
        return config, {name: tensor.clone() for name, tensor in archive.read("cpu").items()}


def _check_shapes(path: Path, config: TrainingConfig, shapes: Mapping[str, torch.Tensor]) -> None:
    expected = build_network(config, device="meta").state_dict()
    if {name: part.shape for name, part in shapes.items()} != {name: part.shape for name, part in expected.items()}:
        raise UserError(
            f"The weights in {path} are not those of qim3d's U-Net {config.preset.value}: names or shapes differ. "
            f"{_REMEDY}"
        )
    if not all(map(is_plain, shapes.values())):
        raise UserError(f"The weights in {path} are not plain arrays in float32. {_REMEDY}")


def _config_for(path: Path, shapes: Mapping[str, torch.Tensor]) -> TrainingConfig:
    """Infer the settings of the network from the names and shapes of its weights and from the file beside it."""
    if not {_FIRST, _UP} <= shapes.keys() or {shapes[_FIRST].ndim, shapes[_UP].ndim} != {5}:
        raise UserError(f"The weights in {path} are not those of a 3D U-Net of qim3d. {_REMEDY}")
    n_levels, n_channels = 1 + max(name.count("submodule.") for name in shapes), shapes[_FIRST].shape[0]
    presets = [size for size in Preset if (len(size.channels), size.channels[0]) == (n_levels, n_channels)]
    if not presets:
        raise UserError(
            f"The network in {path} has {n_levels} levels and {n_channels} channels in the first, unlike all of "
            f"qim3d's presets. {_REMEDY}"
        )
    beside = path.with_name(f"{path.name}.json")
    given = read_settings(beside) if exists(beside) else {}
    if not any(name.endswith(".A.weight") for name in shapes) and given.keys().isdisjoint({"activation", "adn_order"}):
        raise UserError(
            f"The activation of the network in {path} cannot be inferred from its weights, as it is not PReLU. "
            f'Write it to {beside.name} beside the model, such as {{"activation": "relu"}}.'
        )
    inferred = {
        "preset": presets[0],
        "kernel_size": shapes[_FIRST].shape[-1],
        "up_kernel_size": shapes[_UP].shape[-1],
        "bias": _FIRST.replace("weight", "bias") in shapes,
        "normalisation": Normalisation.NONE,
        "resize_mode": ResizeMode.PAD,
    }
    try:
        return TrainingConfig(**{**inferred, **given})
    except UserError as error:
        raise UserError(f"{error} The settings come from the weights in {path} and from {beside.name}.") from None
