"""Files of tensors with a header in JSON, in safetensors format: they contain no code that reading could run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import torch
from pydantic import BaseModel, ValidationError
from safetensors.torch import save_file

from napari_unet3d.errors import UserError, explain_os_errors, explain_validation
from napari_unet3d.files import atomic_write
from napari_unet3d.text_files import open_regular, parse_json

PROGRAM = "napari-unet3d"
UNFINISHED = ".part"  # suffix of a file that is being written
_HEADER = "header"  # key in the metadata of safetensors
C = TypeVar("C", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file.

    Attributes
    ----------
    name : str
        Identifier of the kind in the file itself.
    version : int
        Format version; it increases when older programs cannot read new files.
    description : str
        Name of the kind in messages, such as ``"model"``.
    remedy : str
        What the user can do after choosing a file of another kind; a sentence.
    """

    name: str
    version: int
    description: str
    remedy: str


def write_tensors(path: Path, kind: FileKind, header: BaseModel, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write a file of tensors completely or not at all; an older file of that name is replaced.

    Parameters
    ----------
    path : Path
        The file, ending in ``.safetensors``; its folder is created if it is missing.
    kind : FileKind
        The kind of file.
    header : BaseModel
        Everything but the tensors.
    tensors : mapping of str to Tensor
        Tensors by name, on any device and in any memory layout.

    Raises
    ------
    UserError
        If the disk is full or the folder cannot be written to.
    """
    metadata = {"format": kind.name, "format_version": str(kind.version), _HEADER: header.model_dump_json()}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # safetensors writes to a file beside the one it is given, and renames it.
    with atomic_write(path, UNFINISHED, in_folder=True) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            save_file(plain, temporary, metadata=metadata)
            temporary.chmod(mode)  # safetensors makes it readable by the owner only, whatever the umask is
        except safetensors.SafetensorError as error:  # raised for a full disk, too
            raise UserError(f"Cannot write {path}: {error}. Free some space or choose another folder.") from error


@contextmanager
def open_tensors(path: Path, kind: FileKind, header_type: type[C]) -> Iterator[tuple[C, Any]]:
    """Open a file of tensors and validate its header; tensors are read on demand.

    Parameters
    ----------
    path : Path
        The file.
    kind : FileKind
        The kind that it must be of.
    header_type : type
        Model that the header is validated with.

    Yields
    ------
    header : C
        The validated header.
    file : safe_open
        The tensors by name, as they were when the file was opened, even if it is replaced in the meantime.

    Raises
    ------
    UserError
        If there is no such file, or it is damaged, of another kind, or newer than this program.
    """
    try:
        # As "pt" it would be opened twice, by safetensors for the header and by torch for the tensors. If a training
        # replaced the file in between, header and tensors would not belong together.
        os.close(open_regular(path))  # safetensors would wait for a pipe, and does not tell what is not permitted
        with explain_os_errors(path, "read"), safetensors.safe_open(path, framework="np") as file:
            yield _read_header(path, kind, file.metadata() or {}, header_type), file
    except MemoryError:
        raise UserError(f"{path} does not fit into memory. Close other programs, or choose another file.") from None
    except safetensors.SafetensorError as error:
        raise UserError(
            f"{path} is not a {kind.description} of {PROGRAM}, or it is damaged ({error}). {kind.remedy}"
        ) from None


def _read_header(path: Path, kind: FileKind, metadata: dict[str, str], header_type: type[C]) -> C:
    name = metadata.get("format", "")
    if name != kind.name:
        other = f"a file of {PROGRAM} with another purpose" if name.startswith(PROGRAM) else "of another program"
        raise UserError(f"{path} is a safetensors file, but {other}. {kind.remedy}")
    if metadata.get("format_version") != str(kind.version):
        raise UserError(
            f"The {kind.description} {path} has format version {metadata.get('format_version')}, but this program "
            f"reads version {kind.version}. Update {PROGRAM}."
        )
    text = metadata.get(_HEADER, "")
    try:
        header = header_type.model_validate_json(text)
        parse_json(text, allow_nan=True)  # within limits that pydantic does not have
        return header
    except ValidationError as error:
        reason = explain_validation(error)
    except ValueError as error:
        reason = f"They are no settings: {error}."
    except UserError as error:  # a setting out of bounds
        reason = str(error)
    raise UserError(
        f"The settings in the {kind.description} {path} cannot be read. {reason} Update {PROGRAM}, or train the model "
        "again."
    )


def shapes_in(file: Any) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor without reading any."""
    return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict


def types_in(file: Any) -> dict[str, str]:
    """Return the data type of each tensor, such as ``"F32"``, without reading any."""
    return {name: str(file.get_slice(name).get_dtype()) for name in file.keys()}  # noqa: SIM118 - not a dict


def read_tensors(file: Any) -> dict[str, torch.Tensor]:
    """Read all tensors as copies, which later changes of the file do not affect."""
    return {name: torch.from_numpy(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - not a dict
