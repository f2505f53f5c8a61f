"""Errors as files: a table for spreadsheets, and pictures of the largest ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import explain_os_errors
from napari_unet3d.evaluation.errors.types import ErrorList, ErrorSet, SegmentationError
from napari_unet3d.evaluation.reports.score_files import write_table

PICTURES = "errors"
"""The folder of the pictures in the folder of an evaluation."""

N_WORST = 12
"""The number of errors with a picture."""

ERROR_HEADING = (
    *("volume", "number", "kind", "error_volume", "depth", "distance_unit", "n_voxels"),
    *("z_voxel", "y_voxel", "x_voxel", "z", "y", "x"),
    *("predicted", "true", "whole", "picture"),
)


@dataclass(frozen=True, slots=True)
class _Row:
    """One error and its cells in the table."""

    volume: str
    error: SegmentationError
    cells: list[Any]
    is_drawn: bool = True

    @property
    def picture(self) -> str:
        return f"{file_name(self.volume)}-{self.error.number}.png"


class ErrorFiles:
    """Writes ``errors.csv`` and the pictures of the largest errors of all volumes so far.

    Parameters
    ----------
    folder : Path
        The folder of an evaluation.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[_Row] = []
        self._drawn: set[str] = set()

    def add(self, sample: Sample, prediction: NDArray[Any], truth: GroundTruth, errors: ErrorSet) -> None:
        """Write the errors of one more volume.

        Parameters
        ----------
        sample : Sample
            The volume, whose intensities are drawn in pictures.
        prediction : ndarray of integers, shape (z, y, x)
            Labels.
        truth : GroundTruth
            Ground truth of the same shape.
        errors : ErrorSet
            Errors of the prediction.

        Raises
        ------
        UserError
            If the disk is full or the folder cannot be written to.
        """
        from napari_unet3d.evaluation.reports.error_picture import error_picture  # imports matplotlib, which takes long
        from napari_unet3d.evaluation.reports.figure import write_figure

        name = sample.name
        self._rows += [_Row(name, error, _cells(name, error, errors)) for error in errors.errors]
        worst = sorted((row for row in self._rows if row.is_drawn), key=lambda row: -row.error.volume)[:N_WORST]
        pictures = {row.picture for row in worst}
        for row in worst:
            if row.volume == name:
                figure = error_picture(sample.image, prediction, truth, errors, row.error, sample.channel_names)
                write_figure(self._folder / PICTURES / row.picture, figure)
        for picture in self._drawn - pictures:
            with explain_os_errors(self._folder / PICTURES / picture, "remove"):
                (self._folder / PICTURES / picture).unlink(missing_ok=True)
        self._drawn = pictures
        self._write()

    def add_undrawn(self, name: str, errors: ErrorList) -> None:
        """Write the errors of one more volume, which does not fit into memory, without pictures."""
        self._rows += [_Row(name, error, _cells(name, error, errors), is_drawn=False) for error in errors.errors]
        self._write()

    def _write(self) -> None:
        rows = [[*row.cells, row.picture if row.picture in self._drawn else None] for row in self._rows]
        write_table(self._folder / "errors.csv", ERROR_HEADING, rows)


def write_errors(path: Path, name: str, errors: ErrorList) -> None:
    """Write the errors of one volume as CSV for a spreadsheet.

    Depth and position (z, y, x) are in the unit of the column ``distance_unit``: µm, or voxels where the voxel size is
    unknown. The volume of an error is in µm³ or in voxels.

    Raises
    ------
    UserError
        If the disk is full or the folder cannot be written to.
    """
    write_table(path, ERROR_HEADING[:-1], [_cells(name, error, errors) for error in errors.errors])


def _cells(name: str, error: SegmentationError, errors: ErrorList) -> list[Any]:
    geometry = errors.geometry
    position = [index * size for index, size in zip(error.position_zyx, geometry.spacing, strict=True)]
    return [
        *(name, error.number, error.kind.value, error.volume, error.depth, geometry.unit, error.n_voxels),
        *error.position_zyx,
        *position,
        *(_values(error.predicted), _values(error.target), "yes" if error.is_whole else "no"),
    ]


def _values(values: Sequence[int]) -> str | None:
    return " ".join(map(str, values)) or None
