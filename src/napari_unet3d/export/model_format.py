"""What the export needs to know of a format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_unet3d.configs import ExportFormat
from napari_unet3d.export.comparison import Run, tile_difference, volume_difference
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
    runners : callable
        Returns functions that run what was written, one for each kind of weights.
    document : callable
        Writes the page that goes with the model, given how it was checked.
    compare_volume : callable
        Runs a volume in several tiles, and returns the largest difference to this program; raises a `UserError` if it
        is too large. By default that of the runners.
    """

    name: ExportFormat
    file: str
    tool: str
    check: Callable[[ExportTask], None]
    write: Callable[[ExportTask, Path], None]
    runners: Callable[[ExportTask, Path], Sequence[Run]]
    document: Callable[[ExportTask, Path, str], None]
    compare_volume: Callable[[ExportTask, Path], float] | None = None

    def tile_difference(self, task: ExportTask, folder: Path) -> float:
        """Run a tile, and return the largest difference to this program; raise a `UserError` if it is too large."""
        return max(tile_difference(task, run) for run in self.runners(task, folder))

    def volume_difference(self, task: ExportTask, folder: Path) -> float:
        """Run a volume in several tiles; return and raise as for a tile."""
        if self.compare_volume is not None:
            return self.compare_volume(task, folder)
        return max(volume_difference(task, run) for run in self.runners(task, folder))
