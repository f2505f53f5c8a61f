"""Write what torch saves; torch's own writer ends the whole process when the disk is full."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import torch


def save_through_memory(save: Callable[[BinaryIO], object], path: Path) -> None:
    """Call a function that writes to a file, and write what it wrote to a path.

    Raises
    ------
    OSError
        If the disk is full, for example.
    """
    buffer = io.BytesIO()
    save(buffer)
    path.write_bytes(buffer.getbuffer())


def save_weights(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write weights as a state dictionary of plain tensors on the CPU; raise as `save_through_memory`."""
    plain = {name: each.detach().cpu().contiguous() for name, each in weights.items()}
    save_through_memory(lambda file: torch.save(plain, file), path)
