"""Scores as lines of text: a line per volume, and below it one per class; the mean comes last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_unet3d.evaluation.metrics.types import ClassScores, Scores

_WIDTH = 100
_LEAST_COLUMN, _LEAST_NAME = 6, 8
_GAP = "  "


def score_table(volumes: Sequence[Scores], mean: Scores) -> str:
    """Return scores as a table of at most 100 characters in width; the middle of long names is left out.

    Parameters
    ----------
    volumes : sequence of Scores
        The volumes, all of the same task.
    mean : Scores
        Their mean.

    Returns
    -------
    str
        Lines without a line break at the end. Found and extra instances are those at IoU 0.5. A mean that leaves out
        volumes or classes says beside it how many.
    """
    from napari_unet3d.evaluation.metrics.metric import Table
    from napari_unet3d.evaluation.metrics.table import narrow_columns

    columns = narrow_columns(Table.COMMAND, with_instances=mean.instances is not None)
    headings = [metric.heading_with_unit for metric in columns]
    widths = [max(len(heading), _LEAST_COLUMN) for heading in headings]
    rows = [("volume", headings)]
    for scores in (*volumes, mean):
        named: list[tuple[str, Scores | ClassScores]] = [(scores.name, scores)]
        named += [(f"  {each.title}", each) for each in scores.classes]
        rows += [
            (name, [metric.text(each.of(metric), each.n_left_out(metric)) for metric in columns])
            for name, each in named
        ]
    widths = [max(width, *(len(cells[number]) for _, cells in rows[1:])) for number, width in enumerate(widths)]
    name_width = _WIDTH - sum(len(_GAP) + width for width in widths)
    name_width = max(_LEAST_NAME, min(name_width, max(len(name) for name, _ in rows)))
    return "\n".join(
        _GAP.join([f"{_shortened(name, name_width):<{name_width}}", *map(str.rjust, cells, widths)])
        for name, cells in rows
    )


def _shortened(name: str, width: int) -> str:
    if len(name) <= width:
        return name
    end = width // 2
    return f"{name[: width - end - 1]}…{name[-end:]}"
