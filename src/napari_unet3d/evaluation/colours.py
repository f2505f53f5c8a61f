"""The colours of errors and of channels, the same in the viewer, in figures and in reports."""

from __future__ import annotations

from napari_unet3d.evaluation.errors.types import ErrorKind

EXTRA_COLOUR, MISSED_COLOUR = "#ff2020", "#2050ff"  # lighter than pure red and blue, to be visible on black
WRONG_CLASS_COLOUR = "#ffc800"
KIND_COLOURS = {
    ErrorKind.MISSED: MISSED_COLOUR,
    ErrorKind.EXTRA: EXTRA_COLOUR,
    ErrorKind.WRONG_CLASS: WRONG_CLASS_COLOUR,
    ErrorKind.MERGE: "#ff9a3c",
    ErrorKind.SPLIT: "#b06cff",
}
NEW_PREDICTION_COLOUR, CORRECTED_COLOUR = "#00c8ff", "#7ae582"  # of labels, beside those of the prediction before
TRUTH_COLOUR, PREDICTION_COLOUR = "#ffffff", "#00e0a0"  # of outlines: not the colour of an error, and visible on grey

CHANNEL_COLOURS = {
    "magenta": (1.0, 0.0, 1.0),
    "green": (0.0, 1.0, 0.0),
    "cyan": (0.0, 1.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "red": (1.0, 0.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
}
"""The colours of the channels of an image in turn, by the names of napari's colormaps; they add up."""
