"""Colours of labels: those of a layer, and others for labels in the same place."""

from __future__ import annotations

from typing import Any

from napari.layers import Labels
from napari.utils.colormaps import label_colormap

from napari_unet3d.configs import Task

_N_COLOURS, _OTHER_SEED = 49, 0.25  # napari has 49 colours by default, and the seed 0.5


def other_colours(task: Task, colour: str) -> dict[str, Any]:
    """Return the colours of labels that must be told apart from a prediction in the same place.

    Parameters
    ----------
    task : Task
        Of a single foreground, that gets the colour; classes and objects get the colours of another palette, but the
        same one always.
    colour : str
        A colour of `napari_unet3d.evaluation.colours`.

    Returns
    -------
    dict of str to Any
        Options of a new Labels layer.
    """
    if task is Task.BINARY:
        return {"colormap": {None: colour, 0: "transparent", 1: colour}}
    return {"colormap": label_colormap(_N_COLOURS, seed=_OTHER_SEED)}


def colour_of(layer: Labels, value: int) -> str:
    """Return the colour that a Labels layer draws a value in, as ``#rrggbb``."""
    red, green, blue, _ = (round(255 * float(part)) for part in layer.colormap.map(value))
    return f"#{red:02x}{green:02x}{blue:02x}"
