"""Weights that ``torch.save`` has written: a pickle in a zip archive, read without running code.

Only torch's ``weights_only`` reader opens it, which creates tensors and nothing else, after the archive and the pickle
were checked. Names and shapes can be read before any weight is.
"""

from __future__ import annotations

import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch

from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.model.pickle_check import UnexpectedContentError, check_weights_pickle

_WRAPPINGS = ("model_state_dict", "state_dict")  # with which other scripts save weights beside an optimiser
_PREFIXES = ("module.", "model.")  # from training on several GPUs, and from qim3d's class around MONAI's network
_MAX_PICKLE_BYTES = 2**20  # fifty times what names and shapes of the largest preset need
_MAX_MODEL_BYTES = 16 * 2**30  # the largest preset has 4.6 GiB
_TORCH_ERRORS = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError),
    *(LookupError, RuntimeError, TypeError, ValueError, struct.error),
)


class WeightsArchive:
    """A file of ``torch.save`` that holds named weights and nothing else.

    Parameters
    ----------
    path : Path
        The file, for messages.
    file : BinaryIO
        The opened file.
    remedy : str
        What to do if it is another file; a sentence.

    Raises
    ------
    UserError
        If it is damaged, too large, or contains more than weights.
    """

    def __init__(self, path: Path, file: BinaryIO, remedy: str) -> None:
        self._path, self._file, self._remedy = path, file, remedy
        self._check()

    def read(self, device: str) -> dict[str, torch.Tensor]:
        """Read names and tensors; on the device ``"meta"``, tensors have shapes only."""
        self._file.seek(0)
        try:
            with explain_os_errors(self._path, "read"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about pickles of other versions
                content = torch.load(self._file, map_location=device, weights_only=True)
        except pickle.UnpicklingError:
            raise self._unsafe() from None
        except _TORCH_ERRORS:
            raise self._damaged() from None  # torch's message is about its own code
        weights = _unwrap(content)
        if not weights or not all(isinstance(tensor, torch.Tensor) for tensor in weights.values()):
            raise UserError(f"{self._path} contains no named weights of a network. {self._remedy}")
        return weights

    def _check(self) -> None:
        """Check sizes in the directory of the archive, and the pickle in it, before torch creates anything of it."""
        try:
            with explain_os_errors(self._path, "read"), zipfile.ZipFile(self._file) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError):
            raise self._damaged() from None
        self._check_sizes(entries)
        self._file.seek(0)
        if self._file.read(4) != b"PK\3\4":  # torch would read it in its old format, which has no archive
            raise self._damaged()
        self._file.seek(0)
        try:
            check_weights_pickle(torch._C.PyTorchFileReader(self._file).get_record("data.pkl"))
        except UnexpectedContentError:
            raise self._unsafe() from None
        except RuntimeError:
            raise self._damaged() from None

    def _check_sizes(self, entries: Sequence[zipfile.ZipInfo]) -> None:
        path, n_bytes = self._path, sum(entry.file_size for entry in entries)
        if n_bytes > _MAX_MODEL_BYTES:
            raise UserError(f"{path} contains {n_bytes / 2**30:.0f} GiB, more than any U-Net of qim3d. {self._remedy}")
        if any(entry.file_size > _MAX_PICKLE_BYTES for entry in entries if entry.filename.endswith(".pkl")):
            raise UserError(f"{path} contains more than the weights of a network. {self._remedy}")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise UserError(f"{path} is a compressed archive, which torch never writes. {self._remedy}")

    def _damaged(self) -> UserError:
        return UserError(f"{self._path} is not a model saved by torch, or it is damaged. {self._remedy}")

    def _unsafe(self) -> UserError:
        return UserError(
            f"{self._path} contains more than weights, or is damaged. Opening it could run code of whoever made it, so "
            "it was not opened. In Python, save model.state_dict() instead of the model."
        )


def is_plain(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is a dense float32 array, and not a view of a much larger one."""
    is_dense = tensor.dtype is torch.float32 and tensor.layout is torch.strided and tensor.is_contiguous()
    return is_dense and tensor.untyped_storage().nbytes() == 4 * tensor.numel()


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
