"""The parts of a report that come from an evaluation: metrics, figures and the worst errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_unet3d.data.dataset import file_name
from napari_unet3d.evaluation.errors.types import ErrorKind
from napari_unet3d.evaluation.metrics.colours import KIND_COLOURS, PREDICTION_COLOUR, TRUTH_COLOUR
from napari_unet3d.evaluation.reports.error_files import N_WORST, PICTURES
from napari_unet3d.evaluation.reports.html_parts import Html, number, paragraph, picture, section, table, text
from napari_unet3d.runs.run_files import EvaluationFiles

_COLUMNS = {
    "Dice": ("dice", ".4f"),
    "IoU": ("iou", ".4f"),
    "Precision": ("precision", ".4f"),
    "Recall": ("recall", ".4f"),
    "HD95 (µm)": ("hd95_um", ".2f"),
    "NSD": ("nsd", ".4f"),
}
_OBJECTS = {
    "F1": ("f1", ".4f"),
    "AP": ("ap", ".4f"),
    "Precision": ("precision", ".4f"),
    "Recall": ("recall", ".4f"),
    "True": ("n_true", ".4g"),
    "Predicted": ("n_predicted", ".4g"),
    "Found": ("n_found", ".4g"),
    "Splits": ("n_split", ".4g"),
    "Merges": ("n_merged", ".4g"),
}
_PNG = b"\x89PNG\r\n\x1a\n"


def metrics_section(evaluation: EvaluationFiles) -> str:
    """Show the scores of each volume, of its classes and of its objects."""
    if not evaluation.volumes:
        return ""
    every = [*evaluation.volumes, {"name": "mean", **evaluation.mean}]
    parts = [*_origin(evaluation), table(["Volume", *_COLUMNS], *_rows(every))]
    if any(isinstance(each.get("objects"), dict) for each in every):
        rows = [[each["name"], *_numbers(each.get("objects"), _OBJECTS)] for each in every]
        parts.append("<h3>Single objects, found with an IoU of at least 0.5</h3>")
        parts.append(table(["Volume", *_OBJECTS], rows, ["" for _ in evaluation.volumes] + ["mean"]))
    return section("Test set", *parts)


def figures_section(evaluation: EvaluationFiles) -> str:
    """Show the slices of the worst and of the best volume."""
    ranked = sorted(evaluation.volumes, key=_dice)
    if not ranked:
        return ""
    chosen = {"The lowest Dice": ranked[0]}
    if len(ranked) > 1:
        chosen["The highest Dice"] = ranked[-1]
    parts, lost = [], []
    for words, volume in chosen.items():
        name = str(volume["name"])
        content = _png(evaluation.folder / "figures" / f"{file_name(name)}.png")
        caption = f"{words} has '{name}' ({_dice(volume):.4f})."
        if content is None:
            lost.append(name)
        else:
            parts.append(picture(content, ".png", f"Slices of '{name}': truth, prediction and difference", caption))
    if lost:
        parts.append(paragraph(f"Left out: there is no figure of {', '.join(lost)}.", "gap"))
    return section("Slices", *parts)


def errors_section(evaluation: EvaluationFiles) -> str:
    """Show the largest errors, with their pictures."""
    if not evaluation.errors:
        return section("Errors", paragraph("There are none.")) if evaluation.volumes and not evaluation.problems else ""
    n = len(evaluation.errors)
    shown = evaluation.errors[:N_WORST]
    tolerance = (evaluation.about.get("settings") or {}).get("tolerance_um")
    words = f"{n} error{'s' if n > 1 else ''} in all"
    words += f" that go deeper than {tolerance:g} µm" if isinstance(tolerance, float | int) else ""
    words += f"; these are the {len(shown)} largest." if n > len(shown) else "."
    cards = [_card(evaluation, place, row) for place, row in enumerate(shown, start=1)]
    counts = {kind: _count(evaluation.errors, kind) for kind in ErrorKind}
    there = [kind for kind, count in counts.items() if count]
    return section(
        "Errors",
        paragraph(words),
        table(["Kind", "Number"], [[kind.label, number(counts[kind], "d")] for kind in there]),
        _legend(there),
        f'<div class="errors">{"".join(cards)}</div>',
    )


def _origin(evaluation: EvaluationFiles) -> list[str]:
    about = evaluation.about
    words = []
    if about.get("dataset"):
        words.append(f"The test volumes of {about['dataset']}.")
    if isinstance(epoch := about.get("epoch"), int) and epoch > 0:
        words.append(f"The model is that of epoch {epoch}.")
    return [paragraph(" ".join(words))] if words else []


def _rows(every: Sequence[dict[str, Any]]) -> tuple[list[list[Any]], list[str]]:
    rows, kinds = [], []
    for place, volume in enumerate(every, start=1):
        rows.append([volume["name"], *_numbers(volume, _COLUMNS)])
        kinds.append("mean" if place == len(every) else "")
        for of_class in volume.get("classes", ()):
            rows.append([of_class.get("name", ""), *_numbers(of_class, _COLUMNS)])
            kinds.append("class")
    return rows, kinds


def _numbers(scores: Any, columns: dict[str, tuple[str, str]]) -> list[Html]:
    given = scores if isinstance(scores, dict) else {}
    values = [(given.get(name), form) for name, form in columns.values()]
    return [number(value if isinstance(value, int | float) else None, form) for value, form in values]


def _card(evaluation: EvaluationFiles, place: int, row: dict[str, str]) -> str:
    at = ", ".join(f"{axis} {row.get(f'{axis}_voxel', '?')}" for axis in "zyx")
    caption = Html(
        f"<b>{place} · {text(row.get('kind', ''))}</b> in {text(row.get('volume', ''))}<br>"
        f"{_rounded(row, 'volume_um3')} µm³ · {_rounded(row, 'depth_um')} µm deep<br>at voxel {text(at)}"
    )
    # Only the name counts: a table from elsewhere must not pull other files into the page.
    name = Path(row.get("picture") or "").name
    content = _png(evaluation.folder / PICTURES / name) if name else None
    if content is None:
        return f"<figure><figcaption>{caption.markup}<br>There is no picture of it.</figcaption></figure>"
    return picture(content, ".png", f"Slice through error {place}", caption)


def _legend(kinds: Sequence[ErrorKind]) -> str:
    boxes = "".join(
        f'<span class="key" style="background:{KIND_COLOURS[kind]}"></span>{text(kind.label)}' for kind in kinds
    )
    lines = (
        f'<span class="key line" style="border-color:{TRUTH_COLOUR}"></span>truth'
        f'<span class="key line dashed" style="border-color:{PREDICTION_COLOUR}"></span>prediction'
    )
    return f'<p><span class="dark">{boxes}{lines}</span></p>'


def _rounded(row: dict[str, str], column: str) -> str:
    try:
        return text(f"{float(row[column]):.3g}")
    except (KeyError, ValueError):
        return "?"


def _count(errors: Sequence[dict[str, str]], kind: ErrorKind) -> int:
    return sum(row.get("kind") == kind.value for row in errors)


def _dice(volume: dict[str, Any]) -> float:
    dice = volume.get("dice")
    return float(dice) if isinstance(dice, int | float) else 0.0


def _png(path: Path) -> bytes | None:
    """Read a picture; None when it is missing or no PNG."""
    try:
        content = path.read_bytes()
    except (OSError, ValueError):
        return None
    return content if content.startswith(_PNG) else None
