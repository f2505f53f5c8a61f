"""Import models that qim3d saved: the weights of one of its U-Nets, written by ``torch.save``.

Such a file is a pickle in a zip archive. It is opened with torch's ``weights_only`` reader alone, which creates tensors
and nothing else, and names and shapes are compared with the expected network before any weight is read.
"""

from __future__ import annotations

import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch

from napari_unet3d.configs import Normalisation, Preset, ResizeMode, TrainingConfig
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.files import read_settings
from napari_unet3d.model.network import build_network
from napari_unet3d.model.pickle_check import UnexpectedContentError, check_weights_pickle
from napari_unet3d.paths import exists
from napari_unet3d.text_files import open_regular

SUFFIXES = (".pth", ".pt")
_WRAPPINGS = ("model_state_dict", "state_dict")  # with which other scripts save weights beside an optimiser
_PREFIXES = ("module.", "model.")  # from training on several GPUs, and from qim3d's class around MONAI's network
_FIRST, _UP = "model.0.conv.unit0.conv.weight", "model.2.0.conv.weight"
_MAX_PICKLE_BYTES = 2**20  # fifty times what names and shapes of the largest preset need
_MAX_MODEL_BYTES = 16 * 2**30  # the largest preset has 4.6 GiB
_TORCH_ERRORS = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError),
    *(LookupError, RuntimeError, TypeError, ValueError, struct.error),
)
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
        _check_archive(path, file)
        shapes = _read_weights(path, file, "meta")  # without memory for them
        config = _config_for(path, shapes)
        _check_shapes(path, config, shapes)
        return config, {name: tensor.clone() for name, tensor in _read_weights(path, file, "cpu").items()}


def _check_shapes(path: Path, config: TrainingConfig, shapes: Mapping[str, torch.Tensor]) -> None:
    expected = build_network(config, device="meta").state_dict()
    if {name: part.shape for name, part in shapes.items()} != {name: part.shape for name, part in expected.items()}:
        raise UserError(
            f"The weights in {path} are not those of qim3d's U-Net {config.preset.value}: names or shapes differ. "
            f"{_REMEDY}"
        )
    if not all(map(_is_plain, shapes.values())):
        raise UserError(f"The weights in {path} are not plain arrays in float32. {_REMEDY}")


def _is_plain(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is a dense float32 array, and not a view of a much larger one."""
    is_dense = tensor.dtype is torch.float32 and tensor.layout is torch.strided and tensor.is_contiguous()
    return is_dense and tensor.untyped_storage().nbytes() == 4 * tensor.numel()


def _check_archive(path: Path, file: BinaryIO) -> None:
    """Check sizes in the directory of the zip archive, and the pickle in it, before torch creates anything of it."""
    try:
        with explain_os_errors(path, "read"), zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError):
        raise _damaged(path) from None
    _check_sizes(path, entries)
    file.seek(0)
    if file.read(4) != b"PK\3\4":  # torch would read it in its old format, which has no archive
        raise _damaged(path)
    file.seek(0)
    try:
        check_weights_pickle(torch._C.PyTorchFileReader(file).get_record("data.pkl"))
    except UnexpectedContentError:
        raise _unsafe(path) from None
    except RuntimeError:
        raise _damaged(path) from None


def _check_sizes(path: Path, entries: Sequence[zipfile.ZipInfo]) -> None:
    n_bytes = sum(entry.file_size for entry in entries)
    if n_bytes > _MAX_MODEL_BYTES:
        raise UserError(f"{path} contains {n_bytes / 2**30:.0f} GiB, more than any U-Net of qim3d. {_REMEDY}")
    if any(entry.file_size > _MAX_PICKLE_BYTES for entry in entries if entry.filename.endswith(".pkl")):
        raise UserError(f"{path} contains more than the weights of a network. {_REMEDY}")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise UserError(f"{path} is a compressed archive, which torch never writes. {_REMEDY}")


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is not a model saved by torch, or it is damaged. {_REMEDY}")


def _unsafe(path: Path) -> UserError:
    return UserError(
        f"{path} contains more than weights, or is damaged. Opening it could run code of whoever made it, so it was "
        "not opened. In Python, save model.state_dict() instead of the model."
    )


def _read_weights(path: Path, file: BinaryIO, device: str) -> dict[str, torch.Tensor]:
    """Read names and tensors; on the device ``"meta"``, tensors have shapes only."""
    file.seek(0)
    try:
        with explain_os_errors(path, "read"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of other versions
            content = torch.load(file, map_location=device, weights_only=True)
    except pickle.UnpicklingError:
        raise _unsafe(path) from None
    except _TORCH_ERRORS:
        raise _damaged(path) from None  # torch's message is about its own code
    weights = _unwrap(content)
    if not weights or not all(isinstance(tensor, torch.Tensor) for tensor in weights.values()):
        raise UserError(f"{path} contains no named weights of a network. {_REMEDY}")
    return weights


def _unwrap(content: Any) -> dict[str, Any]:
    """Return the weights without dictionaries around them and wrappers in their names."""
    for key in _WRAPPINGS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        return {}
    weights = {str(name): tensor for name, tensor in content.items()}
    for prefix in _PREFIXES:
        # MONAI's own names begin with "model.", too, so it is a wrapper only if it occurs twice.
        wrapper = prefix if prefix == "module." else prefix * 2
        if weights and all(name.startswith(wrapper) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights


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
