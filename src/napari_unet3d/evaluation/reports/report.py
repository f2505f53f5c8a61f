"""One page per run, in one file: what was trained, how it went, and what it got wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.reports.html_parts import Html, paragraph, text
from napari_unet3d.evaluation.reports.report_evaluation import errors_section, figures_section, metrics_section
from napari_unet3d.evaluation.reports.report_run import command_section, curves_section, data_section, settings_section
from napari_unet3d.files import write_text
from napari_unet3d.runs.history import best_record
from napari_unet3d.runs.run_files import EvaluationFiles, RunFiles, read_evaluation_files, read_run_files

EVALUATION_FOLDER = "evaluation"
"""Where a run folder keeps its evaluation when there is no other place for it."""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
{summary}
</header>
<main>
{sections}</main>
<footer>
{footer}
</footer>
</body>
</html>
"""


def write_report(run: Path | str, out: Path | str, evaluation: Path | str | None = None) -> None:
    """Write a page about a run that needs no other file, no network and no scripts.

    Everything comes from the text files and pictures of the two folders; no model is read. What is missing or broken is
    left out, and the page says so.

    Parameters
    ----------
    run : Path or str
        The run folder.
    out : Path or str
        The page to write, ending in ``.html``.
    evaluation : Path or str, optional
        A folder that `evaluate` wrote; without it, ``evaluation`` in the run folder if that is there.

    Raises
    ------
    UserError
        When a folder holds no run or no evaluation, or the page cannot be written.
    """
    check_page_name(Path(out))
    run_files = read_run_files(Path(run))
    folder = Path(evaluation) if evaluation is not None else Path(run) / EVALUATION_FOLDER
    has_evaluation = evaluation is not None or (folder / "metrics.json").is_file()
    evaluated = read_evaluation_files(folder) if has_evaluation else None
    write_text(Path(out), report_page(run_files, evaluated))


def check_page_name(out: Path) -> None:
    """Raise a `UserError` when a browser would not know the file for a page."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"The report cannot be called '{out.name}'; choose a name that ends in .html.")


def report_page(run: RunFiles, evaluation: EvaluationFiles | None) -> str:
    """Write the page of a run as text.

    Parameters
    ----------
    run : RunFiles
        The run.
    evaluation : EvaluationFiles, optional
        How its model did on a test set.
    """
    name = run.folder.absolute().name
    sections = [curves_section(run)]
    if evaluation is None:
        sections.append(
            paragraph("The model was not evaluated on a test set; only what the run tells is here.", "soft")
        )
    else:
        sections += [metrics_section(evaluation), figures_section(evaluation), errors_section(evaluation)]
    sections += [settings_section(run), data_section(run), command_section(run, evaluation)]
    gaps = [*run.problems, *(evaluation.problems if evaluation else ())]
    sections += [paragraph(f"Left out: {gap}", "gap") for gap in gaps]
    style = files("napari_unet3d.evaluation.reports").joinpath("report.css").read_text(encoding="utf-8")
    return _PAGE.format(
        title=text(name),
        style=style,
        summary=_summary(run, evaluation),
        sections="\n".join(part for part in sections if part),
        footer=paragraph(f"Written by napari-unet3d on {datetime.now(UTC):%Y-%m-%d at %H:%M} UTC.", "soft"),
    )


def _summary(run: RunFiles, evaluation: EvaluationFiles | None) -> str:
    started = str(run.environment.get("started", ""))[:10]
    words = [f"A 3D U-Net, trained on {started}." if started else "A 3D U-Net."]
    tiles = []
    best = best_record(run.history)
    if best is not None:
        which = "last" if best.lacks_foreground else "best"
        tiles.append((f"{best.epoch}", f"{which} of {len(run.history)} epoch{'s' if len(run.history) > 1 else ''}"))
        if best.dice is not None:
            tiles.append((f"{best.dice:.3f}", "validation Dice of the best epoch"))
    if evaluation is not None and isinstance(dice := evaluation.mean.get("dice"), float | int):
        n = len(evaluation.volumes)
        tiles.append((f"{dice:.3f}", f"mean Dice of {n} test volume{'s' if n != 1 else ''}"))
        if isinstance(objects := evaluation.mean.get("objects"), dict) and isinstance(objects.get("f1"), float | int):
            tiles.append((f"{objects['f1']:.3f}", "mean F1 of objects, at IoU 0.5"))
        tiles.append((f"{len(evaluation.errors)}", "errors in the test volumes"))
    markup = "".join(f'<div class="tile"><b>{text(value)}</b>{text(what)}</div>' for value, what in tiles)
    return paragraph(" ".join(words)) + (text(Html(f'<div class="tiles">{markup}</div>')) if tiles else "")
