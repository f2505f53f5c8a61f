"""Files of tensors with a card of text, in safetensors: numbers and JSON only, so reading one runs no code."""

from __future__ import annotations

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

PROGRAM = "napari-unet3d"
UNFINISHED = ".part"  # at the end of a file that is being written
C = TypeVar("C", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file of tensors is for.

    Attributes
    ----------
    name : str
        Word by which the file itself says what it is.
    version : int
        Rises when older programs cannot read what is written.
    words : str
        What it is called in messages, such as ``"model"``.
    remedy : str
        What to choose instead of a file that is none.
    """

    name: str
    version: int
    description: str
    remedy: str


def write_tensors(path: Path, kind: FileKind, card: BaseModel, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write a file of tensors, all of it or nothing; an older file of that name is replaced.

    Parameters
    ----------
    path : Path
        Where to, ending in ``.safetensors``; the folder is made if it is missing.
    kind : FileKind
        What the file is.
    card : BaseModel
        The text that belongs to the tensors.
    tensors : mapping of str to Tensor
        On any device and in any layout.

    Raises
    ------
    UserError
        If the disk is full or the folder cannot be written to.
    """
    header = {"format": kind.name, "format_version": str(kind.version), "card": card.model_dump_json()}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_write(path, UNFINISHED) as beside:
        beside.touch()
        mode = beside.stat().st_mode
        try:
            save_file(plain, beside, metadata=header)
            beside.chmod(mode)  # safetensors lets nobody but the owner read, where the user's umask may allow more
        except safetensors.SafetensorError as error:  # its writer reports a full disk under this name
            raise UserError(f"Cannot write {path}: {error}. Free some space or choose another folder.") from error


@contextmanager
def open_tensors(path: Path, kind: FileKind, card: type[C]) -> Iterator[tuple[C, Any]]:
    """Open a file of tensors and check its text; tensors are read when they are asked for.

    Yields
    ------
    card : C
        The text, checked.
    file : safe_open
        The tensors by name, as they were when the file was opened, even if it is replaced meanwhile.

    Raises
    ------
    UserError
        If there is no such file, it is damaged, of another kind, or newer than this program.
    """
    try:
        # As "pt" it would be opened twice, by safetensors for the header and by torch for the tensors: when a training
        # replaces the file in between, the tensors are those of another header.
        with explain_os_errors(path, "read"), safetensors.safe_open(path, framework="np") as file:
            yield _read_card(path, kind, file.metadata() or {}, card), file
    except safetensors.SafetensorError as error:
        raise UserError(
            f"{path} is no {kind.description} of {PROGRAM}, or it is damaged ({error}). {kind.remedy}"
        ) from None


def _read_card(path: Path, kind: FileKind, header: dict[str, str], card: type[C]) -> C:
    found = header.get("format", "")
    if found != kind.name:
        other = f"a file of {PROGRAM} with another purpose" if found.startswith(PROGRAM) else "of another program"
        raise UserError(f"{path} is a safetensors file, but {other}. {kind.remedy}")
    if header.get("format_version") != str(kind.version):
        raise UserError(
            f"The {kind.description} {path} has format version {header.get('format_version')}, this program knows "
            f"{kind.version}. Update {PROGRAM}."
        )
    try:
        return card.model_validate_json(header.get("card", ""))
    except ValidationError as error:
        reason = explain_validation(error)
    except UserError as error:  # from a setting that is out of its bounds
        reason = str(error)
    raise UserError(
        f"The settings in the {kind.description} {path} cannot be read. {reason} Update {PROGRAM}, or train the model again."
    )


def shapes_in(file: Any) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor without reading any."""
    return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict


def types_in(file: Any) -> dict[str, str]:
    """Return the number type of each tensor, such as ``"F32"``, without reading any."""
    return {name: str(file.get_slice(name).get_dtype()) for name in file.keys()}  # noqa: SIM118 - not a dict


def read_tensors(file: Any) -> dict[str, torch.Tensor]:
    """Read all tensors; each is a copy, so that a later change of the file does not reach it."""
    return {name: torch.from_numpy(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - not a dict
