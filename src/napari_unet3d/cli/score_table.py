"""Scores as lines of text: a line per volume, and below it one per class; the mean comes last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_unet3d.evaluation.metrics.types import ClassScores, Scores

_WIDTH = 108
_LEAST_COLUMN, _LEAST_NAME = 6, 8
_GAP = "  "


def score_table(volumes: Sequence[Scores], mean: Scores) -> str:
    """Return scores as a table of at most 108 characters in width; the middle of long names is left out.

    Parameters
    ----------
    volumes : sequence of Scores
        The volumes, all of the same task.
    mean : Scores
        Their mean.

    Returns
    -------
    str
        Lines without a line break at the end; the last column says whether the model has seen the volume: in training
        (``train``), in validation (``val``), never, or ``?`` where that is not known. Lines below say why distances
        have no mean, if so, and what it means that a volume was seen in training. Found and extra instances are those
        at IoU 0.5. A mean that leaves out volumes or classes says beside it how many.
    """
    from napari_unet3d.evaluation.metrics.metric import Table
    from napari_unet3d.evaluation.metrics.table import narrow_columns
    from napari_unet3d.evaluation.metrics.types import seen_notice, unit_notice

    columns = narrow_columns(Table.COMMAND, with_instances=mean.instances is not None)
    unit = mean.distance_unit
    headings = [metric.term_with_unit(unit) for metric in columns]
    rows = [("volume", [*headings, "seen"])]
    for scores in (*volumes, mean):
        own_unit = "" if unit else scores.distance_unit  # beside each number where they differ
        named: list[tuple[str, Scores | ClassScores]] = [(scores.name, scores)]
        named += [(f"  {each.title}", each) for each in scores.classes]
        rows += [
            (
                name,
                [
                    *(metric.text(each.of(metric), each.n_left_out(metric), own_unit) for metric in columns),
                    scores.seen_in.short_label if each is scores else "",
                ],
            )
            for name, each in named
        ]
    widths = [max(_LEAST_COLUMN, *map(len, cells)) for cells in zip(*(cells for _, cells in rows), strict=True)]
    name_width = _WIDTH - sum(len(_GAP) + width for width in widths)
    name_width = max(_LEAST_NAME, min(name_width, max(len(name) for name, _ in rows)))
    lines = [
        _GAP.join([f"{_shortened(name, name_width):<{name_width}}", *map(str.rjust, cells, widths)])
        for name, cells in rows
    ]
    return "\n".join([*lines, *filter(None, [unit_notice(volumes), seen_notice(volumes)])])


def _shortened(name: str, width: int) -> str:
    if len(name) <= width:
        return name
    end = width // 2
    return f"{name[: width - end - 1]}…{name[-end:]}"
