"""Figures for files and reports: slices of ground truth, prediction and difference, and the losses of a run.

They are drawn without pyplot: nothing is displayed, and no state is shared between threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from napari_unet3d.configs import Axis
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.label_values import check_same_shape
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.differences import signed_difference
from napari_unet3d.files import atomic_write
from napari_unet3d.runs.history import EpochRecord, best_record

_ROWS = ("Ground truth", "Prediction", "Difference")
_UNKNOWN_GREY = 0.4
_PANEL_INCHES = 2.1
_MARGINS_INCHES = {"left": 0.55, "right": 1.15, "bottom": 0.15, "top": 0.65}
_GAP_INCHES = 0.08
_ROW_LABEL_INCHES = 1.1
_DOTS_PER_INCH = 150
# Okabe and Ito (2008), distinguishable with colour blindness.
_TRAIN_COLOUR, _VAL_COLOUR, _F1_COLOUR = "#0072b2", "#d55e00", "#cc79a7"


def slice_positions(n_voxels: int, n_slices: int = 5) -> list[int]:
    """Return the positions of slices along an axis.

    They are evenly spaced from the first voxel to the last and rounded down, but the two outer ones are moved inwards
    by a twelfth of the length (half a step at most), because volumes are often empty at their borders.

    Parameters
    ----------
    n_voxels : int
        Length of the axis, at least 1.
    n_slices : int
        Number of slices, at least 1; all of a shorter axis.

    Examples
    --------
    >>> slice_positions(128)
    [10, 31, 63, 95, 116]
    """
    if n_voxels <= n_slices:
        return list(range(n_voxels))
    if n_slices == 1:
        return [(n_voxels - 1) // 2]
    fractions = np.linspace(0, 1, n_slices)
    inset = min(1 / 12, fractions[1] / 2)
    fractions[0], fractions[-1] = inset, 1 - inset
    return sorted({int(fraction * (n_voxels - 1)) for fraction in fractions})


def slices_figure(
    truth: GroundTruth,
    prediction: NDArray[Any],
    axis: Axis = Axis.Z,
    n_slices: int = 5,
    spacing: VoxelSize = (1.0, 1.0, 1.0),
    title: str = "",
) -> Figure:
    """Draw slices of ground truth, prediction and their difference in three rows.

    The difference ranges from −1 (missed, blue) over 0 (agreement) to 1 (extra, red). Voxels that are not annotated are
    grey in the ground truth and no difference. The proportions of the panels are those of the volume, not of its grid.

    Parameters
    ----------
    truth : GroundTruth
        Ground truth of the same shape; everything above 0 is foreground.
    prediction : ndarray of integers or bool, shape (z, y, x)
        Labels; everything above 0 is foreground.
    axis : Axis
        The axis that the slices are perpendicular to.
    n_slices : int
        Number of slices; see `slice_positions`.
    spacing : tuple of float
        Size of a voxel along z, y, x, in any unit.
    title : str
        Title above the figure.

    Raises
    ------
    UserError
        When the shapes differ.
    """
    check_same_shape(prediction, truth.labels, title or "figure")
    positions = slice_positions(prediction.shape[axis.number], n_slices)
    height, width = np.delete(np.array(prediction.shape) * spacing, axis.number)
    figure, panels, colourbar = _panel_grid(len(positions), height / width)
    for column, position in zip(panels.T, positions, strict=True):
        target, predicted = (np.take(volume, position, axis.number) > 0 for volume in (truth.labels, prediction))
        difference, shown = signed_difference(predicted, target), target.astype(np.float32)
        if truth.label_mask is not None:
            unknown = ~np.take(truth.label_mask, position, axis.number)
            difference[unknown], shown[unknown] = 0, _UNKNOWN_GREY
        column[0].set_title(f"{axis.value} = {position}", fontsize=10)
        for panel, mask in zip(column, (shown, predicted), strict=False):
            panel.imshow(mask, cmap="gray", vmin=0, vmax=1, **_placement(mask))
        drawn = column[2].imshow(difference, cmap="coolwarm", vmin=-1, vmax=1, **_placement(difference))
    for panel, label in zip(panels[:, 0], _ROWS, strict=True):
        panel.set_ylabel(label, fontsize=11)
    bar = figure.colorbar(drawn, cax=colourbar, ticks=[-1, 0, 1])
    bar.ax.set_yticklabels(["−1 missed", "0", "1 extra"], fontsize=9)
    # A name may be long (a letter is about 0.6 of its size wide) and contain dollar signs, which are no formula here.
    size = float(np.clip(figure.get_figwidth() * 72 / (0.6 * max(len(title), 1)), 6, 13))
    figure.suptitle(title, fontsize=size, y=1 - 0.12 / figure.get_figheight(), va="top", parse_math=False)
    return figure


def _placement(pixels: NDArray[Any]) -> dict[str, Any]:
    # Single voxels stay sharp if the panel has enough pixels for them, and are averaged instead of dropped if not.
    enlarged = max(pixels.shape) <= _PANEL_INCHES * _DOTS_PER_INCH
    return {"aspect": "auto", "interpolation": "nearest" if enlarged else "antialiased"}


def _panel_grid(n_columns: int, height_to_width: float) -> tuple[Figure, NDArray[Any], Axes]:
    """Return a figure, three rows of panels and an axis for the colour bar, without overlaps for any proportions."""
    # Very flat or very tall slices are drawn out of proportion instead of as a line.
    ratio = float(np.clip(height_to_width, 0.2, 4))
    # Flat ones are at least as high as the label of the row.
    panel_width = max(_PANEL_INCHES, _ROW_LABEL_INCHES / ratio) if ratio < 1 else _PANEL_INCHES / ratio**0.5
    panel_height = panel_width * ratio
    inches = _MARGINS_INCHES
    width = inches["left"] + n_columns * (panel_width + _GAP_INCHES) + inches["right"]
    height = inches["bottom"] + 3 * (panel_height + _GAP_INCHES) + inches["top"]
    figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    panels = np.empty((3, n_columns), dtype=object)
    for row, column in np.ndindex(*panels.shape):
        left = inches["left"] + column * (panel_width + _GAP_INCHES)
        bottom = inches["bottom"] + (2 - row) * (panel_height + _GAP_INCHES)
        panel = figure.add_axes((left / width, bottom / height, panel_width / width, panel_height / height))
        panel.set_xticks([])
        panel.set_yticks([])
        panels[row, column] = panel
    left = width - inches["right"] + 0.1
    colourbar = figure.add_axes((left / width, inches["bottom"] / height, 0.14 / width, panel_height / height))
    return figure, panels, colourbar


def curves_figure(history: Sequence[EpochRecord]) -> Figure:
    """Draw training and validation loss over the epochs, with a mark at the best epoch.

    Parameters
    ----------
    history : sequence of EpochRecord
        The epochs of a run; some or all may have no validation loss.
    """
    figure = Figure(figsize=(7, 4.2), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    _draw_losses(figure.add_subplot(), history)
    return figure


def _set_up(axes: Axes, quantity: str) -> None:
    axes.set(xlabel="Epoch", ylabel=quantity)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_losses(axes: Axes, history: Sequence[EpochRecord]) -> None:
    _set_up(axes, "Loss")
    epochs = [record.epoch for record in history]
    axes.plot(epochs, [record.train_loss for record in history], ".-", color=_TRAIN_COLOUR, label="training loss")
    validated = [(record.epoch, record.val_loss) for record in history if record.val_loss is not None]
    if validated:
        axes.plot(*zip(*validated, strict=True), ".-", color=_VAL_COLOUR, label="validation loss")
    best = best_record(history)
    if best is not None:
        label = f"{'last' if best.lacks_foreground else 'best'} epoch: {best.epoch} (loss {best.loss:.4g})"
        axes.plot(best.epoch, best.loss, "o", markersize=11, fillstyle="none", color="black", label=label)
        axes.legend(frameon=False)


def history_figure(history: Sequence[EpochRecord]) -> Figure:
    """Draw the losses and, next to them, validation Dice and F1 of objects over the epochs; the best epoch is marked.

    Parameters
    ----------
    history : sequence of EpochRecord
        The epochs of a run, at least one; without validation there is no second panel.
    """
    dice = [(record.epoch, record.dice) for record in history if record.dice is not None]
    f1 = [(record.epoch, record.val_f1) for record in history if record.val_f1 is not None]
    curves = [each for each in (("Dice", dice, _VAL_COLOUR), ("object F1", f1, _F1_COLOUR)) if each[1]]
    figure = Figure(figsize=(10 if curves else 6, 3.4), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2 if curves else 1, squeeze=False)[0]
    _draw_losses(panels[0], history)
    if curves:
        _set_up(panels[1], f"Validation {' and '.join(name for name, _, _ in curves)}")
        for name, points, colour in curves:
            panels[1].plot(*zip(*points, strict=True), ".-", color=colour, label=f"validation {name}")
        panels[1].set_ylim(0, 1)
        best = best_record(history)
        if best is not None and best.dice is not None:
            label = f"best epoch: {best.epoch} (Dice {best.dice:.3f})"
            panels[1].plot(best.epoch, best.dice, "o", markersize=11, fillstyle="none", color="black", label=label)
        panels[1].legend(frameon=False, loc="lower right")
    return figure


def write_figure(path: Path | str, figure: Figure) -> None:
    """Write a figure in the format of the file's suffix, such as PNG, PDF or SVG.

    Raises
    ------
    UserError
        If the suffix is not that of a format for figures, the disk is full or the folder cannot be written to.
    """
    path = Path(path)
    if path.suffix[1:].lower() not in FigureCanvasBase.get_supported_filetypes():
        raise UserError(f"A figure cannot be written as '{path.name}'; choose a name that ends in .png, .pdf or .svg.")
    with atomic_write(path) as temporary:
        figure.savefig(temporary)


def write_curves(path: Path | str, history: Sequence[EpochRecord]) -> None:
    """Write `curves_figure` to a file."""
    write_figure(path, curves_figure(history))
