"""What a report shows of an evaluation: metrics, figures and the largest errors."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.seen_content import SeenIn
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.colours import KIND_COLOURS
from napari_unet3d.evaluation.errors.types import ErrorKind
from napari_unet3d.evaluation.metrics.metric import Metric, Scope
from napari_unet3d.evaluation.metrics.table import columns_of
from napari_unet3d.evaluation.metrics.types import Scores, seen_notice
from napari_unet3d.evaluation.reports.error_files import N_WORST, PICTURES
from napari_unet3d.runs.run_files import EvaluationFiles
from napari_unet3d.text_files import read_limited

_EITHER_UNIT = "µm (voxels where the voxel size is unknown)"
_MIXED_UNITS = (
    "The voxel size of some volumes is unknown: their distances are in voxels, those of the others in µm, and there is "
    "no mean."
)
_SEEN_HEADING = ("Seen by the model", "Whether the model has seen the volume, or a part of it, before it was scored.")
_MAX_PICTURE_BYTES = 2**24
_PNG = b"\x89PNG\r\n\x1a\n"


class _Number(NamedTuple):
    text: str
    exact: str  # for the tooltip


class _Row(NamedTuple):
    kind: str  # its class in the style sheet
    cells: list[str | _Number]


def data_uri(content: bytes, media_type: str) -> str:
    """Return a picture as an address that contains it."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def describe_evaluation(evaluation: EvaluationFiles) -> dict[str, Any]:
    """Return what `evaluation.html.j2` shows of an evaluation."""
    every = [*evaluation.volumes, {"name": "mean", **evaluation.mean}] if evaluation.volumes else []
    columns, instance_columns = columns_of(Scope.VOXELS), columns_of(Scope.INSTANCES)
    has_instances = any(isinstance(each.get("instances"), dict) for each in every)
    epoch, settings = evaluation.about.get("epoch"), evaluation.about.get("settings") or {}
    unit = _common_unit(every)
    counts = {kind: sum(row.get("kind") == kind.value for row in evaluation.errors) for kind in ErrorKind}
    return {
        "dataset": evaluation.about.get("dataset"),
        "predictions": evaluation.about.get("predictions"),
        "task": labels.get("task") if isinstance(labels := evaluation.about.get("labels"), dict) else None,
        "epoch": epoch if isinstance(epoch, int) and epoch > 0 else None,
        "headings": [*((metric.heading_with_unit(unit), metric.tooltip) for metric in columns), _SEEN_HEADING],
        "rows": _rows(every, columns, unit),
        "instance_headings": [(metric.heading_with_unit(unit), metric.tooltip) for metric in instance_columns],
        "instance_rows": _instance_rows(every, instance_columns) if has_instances else [],
        "unit_notice": "" if unit else _MIXED_UNITS,
        "figures": _figures(evaluation),
        "n_errors": len(evaluation.errors),
        "errors": [_error(evaluation, row) for row in evaluation.errors[:N_WORST]],
        "kinds": [
            {"label": kind.label, "count": count, "colour": KIND_COLOURS[kind]}
            for kind, count in counts.items()
            if count
        ],
        "has_left_out": any("left_out" in each for each in every),
        "ignores_border": bool(settings.get("ignore_border_objects")),
        "tolerance": _tolerance(evaluation.about, settings, unit or _EITHER_UNIT),
        "seen_notice": _seen_notice(evaluation),
        "problems": evaluation.problems,
    }


def _tolerance(about: dict[str, Any], settings: dict[str, Any], unit: str) -> str | None:
    """Return up to which depth errors are not listed: one value, or the range of what suits the voxels of each volume.

    None where the evaluation does not say so.
    """
    chosen, used = settings.get("tolerance"), about.get("tolerances")
    every = list(used.values()) if isinstance(used, dict) else [chosen]
    values = sorted({float(each) for each in every if isinstance(each, float | int)})
    if not values:
        return None
    value = f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"
    return f"{value} {unit}" + (", the smallest side of a voxel" if chosen is None else "")


def _common_unit(every: Sequence[dict[str, Any]]) -> str:
    """Return the unit of the distances of all volumes; empty if they differ."""
    units = {_unit(volume) for volume in every[:-1]}
    return units.pop() if len(units) == 1 else ""


def _unit(volume: dict[str, Any]) -> str:
    return "µm" if volume.get("distance_unit") == "µm" else "voxels"


def _rows(every: Sequence[dict[str, Any]], columns: Sequence[Metric], common_unit: str) -> list[_Row]:
    rows = []
    for place, volume in enumerate(every, start=1):
        unit = "" if common_unit else _unit(volume)
        row = _row(str(volume["name"]), volume, columns, "mean" if place == len(every) else "", unit)
        seen = _seen_in(volume)
        rows.append(_Row(row.kind, [*row.cells, _Number(seen.label, seen.explanation)]))
        of_classes = [_row(_title(each), each, columns, "class", unit) for each in volume.get("classes", ())]
        rows += [_Row(each.kind, [*each.cells, _Number("", "")]) for each in of_classes]
    return rows


def _seen_in(volume: dict[str, Any]) -> SeenIn:
    """Return whether the model has seen a volume; not known where the file does not say so."""
    value = volume.get("seen_in")
    return next((each for each in SeenIn if each.value == value), SeenIn.UNKNOWN)


def describe_seen(evaluation: EvaluationFiles) -> str:
    """Return in a few words whether the model has seen the volumes, to stand beside their mean."""
    seen = SeenIn.of_all(map(_seen_in, evaluation.volumes))
    if seen is SeenIn.MIXED:
        n_never = sum(_seen_in(each) is SeenIn.NEVER for each in evaluation.volumes)
        return f"{n_never} of them never seen by the model"
    unknown = "it is not known whether the model has seen them"
    return unknown if seen is SeenIn.UNKNOWN else f"{seen.label} by the model" if seen is SeenIn.NEVER else seen.label


def _seen_notice(evaluation: EvaluationFiles) -> str:
    volumes = [Scores(str(each["name"]), {}, seen_in=_seen_in(each)) for each in evaluation.volumes]
    return seen_notice(volumes)


def _instance_rows(every: Sequence[dict[str, Any]], columns: Sequence[Metric]) -> list[_Row]:
    return [
        _row(str(each["name"]), each.get("instances"), columns, "mean" if place == len(every) else "")
        for place, each in enumerate(every, start=1)
    ]


def _row(name: str, scores: Any, columns: Sequence[Metric], kind: str, unit: str = "") -> _Row:
    known = scores if isinstance(scores, dict) else {}
    left_out = known.get("left_out")
    numbers = []
    for metric in columns:
        value, count = known.get(metric.name), left_out.get(metric.name) if isinstance(left_out, dict) else None
        n_left_out = count if isinstance(count, int) else 0
        exact = repr(value) if isinstance(value, int | float) else ""
        numbers.append(_Number(metric.text(value, n_left_out, unit), exact))
    return _Row(kind, [name, *numbers])


def _title(of_class: dict[str, Any]) -> str:
    """Return the name of a class, with the number of volumes that do not have it."""
    name, n_absent = str(of_class.get("name", "")), of_class.get("n_absent")
    return f"{name} (absent from {n_absent})" if isinstance(n_absent, int) and n_absent else name


def _figures(evaluation: EvaluationFiles) -> list[dict[str, Any]]:
    """Return the figures of the worst and of the best volume."""
    ranked = sorted(evaluation.volumes, key=_dice)
    chosen = {"The lowest Dice": ranked[:1], "The highest Dice": ranked[1:][-1:]}
    return [
        {
            "description": description,
            "name": str(volume["name"]),
            "dice": _dice(volume),
            "picture": _png(evaluation.folder / "figures" / f"{file_name(str(volume['name']))}.png"),
        }
        for description, volumes in chosen.items()
        for volume in volumes
    ]


def _error(evaluation: EvaluationFiles, row: dict[str, str]) -> dict[str, Any]:
    # Only the name counts: a table from elsewhere must not include other files in the page.
    name = Path(row.get("picture") or "").name
    return {
        "kind": row.get("kind", ""),
        "volume": row.get("volume", ""),
        "size": f"{_rounded(row, 'error_volume')} {'µm³' if row.get('distance_unit') == 'µm' else 'voxels'}",
        "depth": f"{_rounded(row, 'depth')} {'µm' if row.get('distance_unit') == 'µm' else 'voxels'}",
        "position": ", ".join(f"{axis} {row.get(f'{axis}_voxel', '?')}" for axis in "zyx"),
        "picture": _png(evaluation.folder / PICTURES / name) if name else None,
    }


def _rounded(row: dict[str, str], column: str) -> str:
    try:
        return f"{float(row[column]):.3g}"
    except (KeyError, ValueError):
        return "?"


def _dice(volume: dict[str, Any]) -> float:
    dice = volume.get("dice")
    return float(dice) if isinstance(dice, int | float) else 0.0


def _png(path: Path) -> str | None:
    """Return the address of a picture; None if it is missing or is no PNG."""
    try:
        content = read_limited(path, _MAX_PICTURE_BYTES)
    except (UserError, ValueError):
        return None
    return data_uri(content, "image/png") if content.startswith(_PNG) else None
