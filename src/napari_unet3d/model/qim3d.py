"""Reading the models that qim3d saves: ``torch.save`` of the weights of one of its U-Nets.

Such a file is a pickle in a zip. Only torch's reader of weights opens it, which makes tensors and nothing else; names
and shapes are compared with the network that they should belong to before any weight is read.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from napari_unet3d.configs import Normalisation, Preset, ResizeMode, TrainingConfig
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.files import read_settings
from napari_unet3d.model.network import build_network

SUFFIXES = (".pth", ".pt")
_WRAPPINGS = ("model_state_dict", "state_dict")  # by which other scripts keep weights beside an optimiser
_PREFIXES = ("module.", "model.")  # of several GPUs, and of qim3d's class around MONAI's network
_FIRST, _UP = "model.0.conv.unit0.conv.weight", "model.2.0.conv.weight"
_MOST_PICKLE_BYTES = 2**20  # names and shapes of the largest preset take less than a fiftieth of it
_MOST_MODEL_BYTES = 16 * 2**30  # the largest preset has 4.6 GiB
_REMEDY = "Choose a model that qim3d saved with one of its presets, or one of this program."


def read_qim3d(path: Path) -> tuple[TrainingConfig, dict[str, torch.Tensor]]:
    """Read a model of qim3d; nothing in it is executed.

    The file holds weights alone. Preset, kernel sizes, bias and PReLU are told by their names and shapes, the rest is
    taken to be qim3d's default. A file ``NAME.pth.json`` beside it may say otherwise, in the words of
    `TrainingConfig`, such as ``{"activation": "relu"}``: activations without weights cannot be told apart.

    Volumes are not normalised, as in qim3d. It predicts only volumes that fit the network; the others are padded here.

    Parameters
    ----------
    path : Path
        What ``qim3d.ml.train_model(checkpoint_directory=…)`` wrote, or ``torch.save(model.state_dict(), …)``.

    Returns
    -------
    config : TrainingConfig
        Settings of the network.
    weights : dict of str to Tensor
        State of the network that `build_network(config)` builds, in float32 on the CPU.

    Raises
    ------
    UserError
        If it is no such file, wants to execute something, or belongs to another network.
    """
    _check_size(path)
    shapes = _read_weights(path, "meta")  # which takes no memory for them
    config = _config_for(path, shapes)
    expected = build_network(config, device="meta").state_dict()
    if {name: part.shape for name, part in shapes.items()} != {name: part.shape for name, part in expected.items()}:
        raise UserError(
            f"The weights in {path} are not those of qim3d's U-Net {config.preset.value}: names or shapes differ. "
            f"{_REMEDY}"
        )
    if not all(map(_is_plain, shapes.values())):
        raise UserError(f"The weights in {path} are not plain arrays in float32. {_REMEDY}")
    return config, {name: tensor.clone() for name, tensor in _read_weights(path, "cpu").items()}


def _is_plain(tensor: torch.Tensor) -> bool:
    """Tell arrays in float32 from sparse ones, and from views of much larger ones."""
    is_dense = tensor.dtype is torch.float32 and tensor.layout is torch.strided and tensor.is_contiguous()
    return is_dense and tensor.untyped_storage().nbytes() == 4 * tensor.numel()


def _check_size(path: Path) -> None:
    """Look at the zip's list of contents, before a reader takes memory for them."""
    try:
        with explain_os_errors(path, "read"), zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError):
        raise _damaged(path) from None
    n_bytes = sum(entry.file_size for entry in entries)
    if n_bytes > _MOST_MODEL_BYTES:
        raise UserError(f"{path} holds {n_bytes / 2**30:.0f} GiB, more than any U-Net of qim3d. {_REMEDY}")
    if any(entry.file_size > _MOST_PICKLE_BYTES for entry in entries if entry.filename.endswith(".pkl")):
        raise UserError(f"{path} holds more than the weights of a network. {_REMEDY}")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise UserError(f"{path} is a compressed archive, which torch never writes. {_REMEDY}")


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is no model that torch saved, or it is damaged. {_REMEDY}")


def _read_weights(path: Path, device: str) -> dict[str, torch.Tensor]:
    """Read names and tensors; those on the device ``"meta"`` have shapes only."""
    try:
        with explain_os_errors(path, "read"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of other versions, which either open or do not
            content = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{path} holds more than weights, or is damaged: opening it could run code of whoever made it, so it was "
            "not opened. "
            "In Python, save model.state_dict() instead of the model."
        ) from None
    except (RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError, AssertionError):
        raise _damaged(path) from None  # what torch says of it names bytes and lines of its own code
    weights = _unwrapped(content)
    if not weights or not all(isinstance(tensor, torch.Tensor) for tensor in weights.values()):
        raise UserError(f"{path} holds no weights of a network by their names. {_REMEDY}")
    return weights


def _unwrapped(content: Any) -> dict[str, Any]:
    """Take weights out of a dictionary around them, and wrappers out of their names."""
    for key in _WRAPPINGS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        return {}
    weights = {str(name): tensor for name, tensor in content.items()}
    for prefix in _PREFIXES:
        # MONAI's own names begin with "model." too, so it is a wrapper only where it stands twice.
        wrapper = prefix if prefix == "module." else prefix * 2
        if weights and all(name.startswith(wrapper) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights


def _config_for(path: Path, shapes: Mapping[str, torch.Tensor]) -> TrainingConfig:
    """Tell the settings of the network from the names and shapes of its weights and the file beside it."""
    if not {_FIRST, _UP} <= shapes.keys() or {shapes[_FIRST].ndim, shapes[_UP].ndim} != {5}:
        raise UserError(f"The weights in {path} are not those of a 3D U-Net of qim3d. {_REMEDY}")
    n_levels, n_channels = 1 + max(name.count("submodule.") for name in shapes), shapes[_FIRST].shape[0]
    presets = [size for size in Preset if (len(size.channels), size.channels[0]) == (n_levels, n_channels)]
    if not presets:
        raise UserError(
            f"The network in {path} has {n_levels} levels and {n_channels} channels in the first, like none of "
            f"qim3d's presets. {_REMEDY}"
        )
    beside = path.with_name(f"{path.name}.json")
    given = read_settings(beside) if beside.exists() else {}
    if not any(name.endswith(".A.weight") for name in shapes) and given.keys().isdisjoint({"activation", "adn_order"}):
        raise UserError(
            f"The activation of the network in {path} cannot be told from its weights, as it is not PReLU. "
            f'Write it to {beside.name} beside the model, such as {{"activation": "relu"}}.'
        )
    told = {
        "preset": presets[0],
        "kernel_size": shapes[_FIRST].shape[-1],
        "up_kernel_size": shapes[_UP].shape[-1],
        "bias": _FIRST.replace("weight", "bias") in shapes,
        "normalisation": Normalisation.NONE,
        "resize_mode": ResizeMode.PAD,
    }
    try:
        return TrainingConfig(**{**told, **given})
    except UserError as error:
        raise UserError(f"{error} The settings come from the weights in {path} and from {beside.name}.") from None
