"""What the colours of errors mean, as a text for a label."""

from __future__ import annotations

import html
from collections.abc import Mapping

from napari_unet3d.evaluation.colours import EXTRA_COLOUR, MISSED_COLOUR, WRONG_CLASS_COLOUR


def colour_legend(meanings: Mapping[str, str]) -> str:
    """Return a legend as rich text.

    Parameters
    ----------
    meanings : dict of str to str
        Colours, such as ``#ff2020``, and what they mean.
    """
    return " &nbsp;&nbsp; ".join(
        f"<span style='color:{colour}'>■</span> {html.escape(text)}" for colour, text in meanings.items()
    )


def difference_legend(*, with_classes: bool) -> str:
    """Return the legend of a difference to the ground truth, with a third colour where there are several classes."""
    if with_classes:
        return colour_legend({EXTRA_COLOUR: "extra", MISSED_COLOUR: "missed", WRONG_CLASS_COLOUR: "wrong class"})
    return colour_legend({EXTRA_COLOUR: "extra voxels", MISSED_COLOUR: "missed voxels"})
