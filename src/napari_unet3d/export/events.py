"""Events of `export_model`; the last one is the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_unet3d.configs import ExportFormat


@dataclass(frozen=True, slots=True)
class ExportStep:
    """What is done next; `n_done` of `n_steps` steps are done."""

    text: str
    n_done: int
    n_steps: int


@dataclass(frozen=True, slots=True)
class ModelExported:
    """The model is on disk, and its own program computes from it what this one computes.

    Attributes
    ----------
    folder : Path
        The folder that was written.
    format : ExportFormat
        Its format.
    tile_difference, volume_difference : float
        The largest difference between the outputs of both programs, which are from 0 to 1: for one tile, and for a
        volume in several tiles.
    """

    folder: Path
    format: ExportFormat
    tile_difference: float
    volume_difference: float


ExportEvent = ExportStep | ModelExported
