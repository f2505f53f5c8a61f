"""What the export needs to know of a format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_unet3d.configs import ExportFormat
from napari_unet3d.export.task import ExportTask


@dataclass(frozen=True, slots=True)
class ModelFormat:
    """A format, in functions of the model and, but for the first, the folder that is written.

    Attributes
    ----------
    name : ExportFormat
        The format.
    file : str
        The file in the folder that holds the weights.
    tool : str
        The program that runs what was written.
    check : callable
        Raises a `UserError` if the model cannot be written.
    write : callable
        Writes the files.
    compare_tile, compare_volume : callable
        Run what was written, and return the largest difference to this program for a tile, and for a volume in several
        tiles; they raise a `UserError` if it is too large.
    document : callable
        Writes the page that goes with the model, given how it was checked.
    """

    name: ExportFormat
    file: str
    tool: str
    check: Callable[[ExportTask], None]
    write: Callable[[ExportTask, Path], None]
    compare_tile: Callable[[ExportTask, Path], float]
    compare_volume: Callable[[ExportTask, Path], float]
    document: Callable[[ExportTask, Path, str], None]
