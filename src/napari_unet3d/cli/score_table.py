"""Scores as lines of text: a line per volume, and below it one per class; the mean comes last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_unet3d.evaluation.metrics.types import ClassScores, InstanceScores, Scores

_WIDEST = 100
_NARROWEST_COLUMN = 6
_GAP = "  "
_Columns = dict[str, tuple[str, str]]  # by the heading: the attribute, and how it is written
_FOREGROUND: _Columns = {
    "Dice": ("dice", ".4f"),
    "IoU": ("iou", ".4f"),
    "precision": ("precision", ".4f"),
    "recall": ("recall", ".4f"),
    "HD95 µm": ("hd95_um", ".2f"),
    "NSD": ("nsd", ".4f"),
}
_FOREGROUND_OF_OBJECTS = {name: _FOREGROUND[name] for name in ("Dice", "HD95 µm", "NSD")}  # all would be too wide
_OBJECTS: _Columns = {
    "F1": ("f1", ".4f"),
    "AP": ("ap", ".4f"),
    "true": ("n_true", ".4g"),
    "found": ("n_found", ".4g"),
    "extra": ("n_extra", ".4g"),
    "splits": ("n_split", ".4g"),
    "merges": ("n_merged", ".4g"),
}


def score_table(volumes: Sequence[Scores], mean: Scores) -> str:
    """Lay scores out in columns, at most 100 characters wide; long names lose their middle.

    Parameters
    ----------
    volumes : sequence of Scores
        The volumes, all of the same task.
    mean : Scores
        Their mean.

    Returns
    -------
    str
        Lines without a line break at the end. Found and extra objects are those at IoU 0.5.
    """
    with_objects = mean.instances is not None
    columns = _FOREGROUND_OF_OBJECTS if with_objects else _FOREGROUND
    headings = [*columns, *(_OBJECTS if with_objects else ())]
    widths = [max(len(heading), _NARROWEST_COLUMN) for heading in headings]
    rows = [("volume", headings)]
    for scores in (*volumes, mean):
        of_objects = _cells(scores.instances, _OBJECTS) if scores.instances else []
        rows.append((scores.name, _cells(scores, columns) + of_objects))
        rows += [(f"  {each.name}", _cells(each, columns)) for each in scores.classes]
    room = _WIDEST - sum(len(_GAP) + width for width in widths)
    name_width = min(room, max(len(name) for name, _ in rows))
    lines = [
        _GAP.join([f"{_shortened(name, name_width):<{name_width}}", *map(_right, cells, widths)])
        for name, cells in rows
    ]
    return "\n".join(lines)


def _cells(scores: Scores | ClassScores | InstanceScores, columns: _Columns) -> list[str]:
    numbers = [(getattr(scores, attribute), form) for attribute, form in columns.values()]
    return ["–" if number is None else format(number, form) for number, form in numbers]


def _right(cell: str, width: int) -> str:
    return f"{cell:>{width}}"


def _shortened(name: str, width: int) -> str:
    if len(name) <= width:
        return name
    end = width // 2
    return f"{name[: width - end - 1]}…{name[-end:]}"
