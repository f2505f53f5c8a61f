"""A small picture of one error: a slice through it, outlines of ground truth and prediction, and a scale bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.evaluation.colours import CHANNEL_COLOURS, KIND_COLOURS, PREDICTION_COLOUR, TRUTH_COLOUR
from napari_unet3d.evaluation.errors.types import ErrorSet, SegmentationError

_INCHES, _DOTS_PER_INCH = 2.0, 160
_FIELD_OF_VIEW = 2.0  # the side of the picture, relative to that of the error
_LEAST_VOXELS = 24
_MOST_IDS = 40
_SUBDIVISIONS = 6  # of a voxel's side
_N_AXES = 3
_NAME_LENGTH = 24  # more does not fit


def error_picture(
    image: NDArray[Any],
    prediction: NDArray[Any],
    truth: GroundTruth,
    errors: ErrorSet,
    error: SegmentationError,
    channel_names: Sequence[str] = (),
) -> Figure:
    """Draw the slice along z through an error.

    The error is filled with the colour of its kind; the ground truth is outlined in white and the prediction in green,
    each class and each instance separately. Outside of the volume the picture is black. Proportions are those of the
    volume.

    Parameters
    ----------
    image : ndarray of any real number type, shape (z, y, x) or (channel, z, y, x)
        Intensities; several channels are drawn in the colours that they have in the viewer.
    prediction : ndarray of integers, shape (z, y, x)
        Labels.
    truth : GroundTruth
        Ground truth of the same shape.
    errors : ErrorSet
        All errors of the volume.
    error : SegmentationError
        The one to draw.
    channel_names : sequence of str
        Names of several channels, which are written in their colours.
    """
    z, (rows, columns) = error.position_zyx[0], _window(errors, error)
    size_y, size_x = errors.geometry.spacing[1:]
    figure = Figure(figsize=(_INCHES, _INCHES), dpi=_DOTS_PER_INCH, facecolor="black")
    FigureCanvasAgg(figure)
    panel = figure.add_axes((0, 0, 1, 1))
    panel.set_axis_off()
    pixels = slice_colours(image[..., z, :, :])[rows, columns]
    extent = (0, pixels.shape[1] * size_x, pixels.shape[0] * size_y, 0)
    panel.imshow(pixels, extent=extent, interpolation="nearest")
    filled = np.zeros((*pixels.shape[:2], 4), np.float32)
    filled[errors.regions[z, rows, columns] == error.number] = _with_alpha(KIND_COLOURS[error.kind])
    panel.imshow(filled, extent=extent, interpolation="nearest")
    for labels, colour, style in (
        (truth.labels, TRUTH_COLOUR, "solid"),
        (prediction, PREDICTION_COLOUR, "dashed"),
    ):
        _outline(panel, labels[z, rows, columns], (size_y, size_x), colour, style)
    side = max(extent[1], extent[2])
    panel.set_xlim(extent[1] / 2 - side / 2, extent[1] / 2 + side / 2)
    panel.set_ylim(extent[2] / 2 + side / 2, extent[2] / 2 - side / 2)
    _scale_bar(panel, side, errors.geometry.unit)
    if image.ndim > _N_AXES:
        _name_channels(panel, channel_names)
    return figure


def slice_colours(image: NDArray[Any]) -> NDArray[np.float64]:
    """Return a slice as colours: grey, or each channel in the colour that it has in the viewer, added up.

    Parameters
    ----------
    image : ndarray of any real number type, shape (y, x) or (channel, y, x)
        Intensities; each channel is drawn from black to its full colour between its percentiles 0.5 and 99.8.

    Returns
    -------
    ndarray of float, shape (y, x, 3)
        Red, green and blue from 0 to 1.
    """
    channels = image[None] if image.ndim == _N_AXES - 1 else image
    colours = [(1.0, 1.0, 1.0)] if len(channels) == 1 else list(CHANNEL_COLOURS.values())
    total = np.zeros((*channels.shape[1:], 3))
    for number, channel in enumerate(channels):
        low, high = np.percentile(channel, [0.5, 99.8])
        brightness = np.clip((channel - low) / max(high - low, 1e-9), 0, 1)
        total += brightness[..., None] * colours[number % len(colours)]
    return np.clip(total, 0, 1)


def _name_channels(panel: Axes, names: Sequence[str]) -> None:
    colours = list(CHANNEL_COLOURS.values())
    for number, name in enumerate(names):
        panel.text(
            0.03,
            0.97 - 0.08 * number,
            name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…",
            color=colours[number % len(colours)],
            transform=panel.transAxes,
            ha="left",
            va="top",
            fontsize=7,
            parse_math=False,
            path_effects=[withStroke(linewidth=1.5, foreground="black")],
        )


def scale_bar_length(side: float) -> float:
    """Return a round length (1, 2 or 5 times a power of ten), at most a quarter of a picture's side."""
    target = side / 4
    power = 10.0 ** math.floor(math.log10(target))
    return max(step * power for step in (1, 2, 5) if step * power <= target * 1.0001)


def _window(errors: ErrorSet, error: SegmentationError) -> tuple[slice, slice]:
    """Return a region around the error in its slice that is square, as far as it is inside the volume."""
    sizes = np.asarray(errors.geometry.spacing[1:])
    box = np.asarray(error.box_zyx[1:], float)
    middles = box.mean(1) * sizes
    side = max(_FIELD_OF_VIEW * float(((box[:, 1] - box[:, 0]) * sizes).max()), _LEAST_VOXELS * float(sizes.max()))
    slices = []
    for middle, size, length in zip(middles, sizes, errors.regions.shape[1:], strict=True):
        first = math.floor((middle - side / 2) / size)
        end = math.ceil((middle + side / 2) / size)
        slices.append(slice(max(0, first), min(length, end)))
    return slices[0], slices[1]


def _outline(panel: Axes, labels: NDArray[Any], size_yx: tuple[float, float], colour: str, style: str) -> None:
    values = np.unique(labels)
    values = values[values > 0]
    # A margin of background closes outlines at the border of the picture; subdivided voxels give them corners.
    fine = np.pad(labels, 1).repeat(_SUBDIVISIONS, 0).repeat(_SUBDIVISIONS, 1)
    y, x = (
        ((np.arange(length) + 0.5) / _SUBDIVISIONS - 1) * size for length, size in zip(fine.shape, size_yx, strict=True)
    )
    shadow = [
        withStroke(linewidth=2.4, foreground="black", alpha=0.6)
    ]  # so that white is visible on bright structures, too
    for value in values[:_MOST_IDS]:
        panel.contour(x, y, fine == value, [0.5], colors=colour, linewidths=1.3, linestyles=style, path_effects=shadow)


def _scale_bar(panel: Axes, side: float, unit: str) -> None:
    length = scale_bar_length(side)
    (left, right), (bottom, top) = panel.get_xlim(), panel.get_ylim()
    end, height = right - 0.05 * (right - left), bottom + 0.06 * (top - bottom)
    panel.plot([end - length, end], [height, height], color="white", linewidth=3, solid_capstyle="butt")
    panel.text(
        end - length / 2,
        height + 0.03 * (top - bottom),
        f"{length:g} {unit}",
        color="white",
        ha="center",
        va="bottom",
        fontsize=8,
        bbox={"facecolor": "black", "alpha": 0.5, "edgecolor": "none", "pad": 1},
    )


def _with_alpha(colour: str) -> tuple[float, ...]:
    return (*(int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)), 0.55)
