"""A page per run, in one file: what was trained, how it went, and what the model gets wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.colours import PREDICTION_COLOUR, TRUTH_COLOUR
from napari_unet3d.evaluation.reports.report_evaluation import describe_evaluation
from napari_unet3d.evaluation.reports.report_run import describe_run, reproducing_commands
from napari_unet3d.files import write_text
from napari_unet3d.runs.history import best_record
from napari_unet3d.runs.run_files import EvaluationFiles, RunFiles, read_evaluation_files, read_run_files

EVALUATION_FOLDER = "evaluation"
"""The folder in a run folder that holds the evaluation of its model, unless another one was chosen."""


def write_report(run: Path | str, out: Path | str, evaluation: Path | str | None = None) -> None:
    """Write a page about a run that needs no other file, no network and no scripts.

    All content comes from the text files and pictures of the two folders; no model is read. What is missing or damaged
    is left out, and the page says so.

    Parameters
    ----------
    run : Path or str
        The run folder.
    out : Path or str
        The page to write, ending in ``.html``.
    evaluation : Path or str, optional
        A folder that `evaluate` wrote; without it, ``evaluation`` in the run folder if that exists.

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
    """Raise a `UserError` if the name of a page does not end as browsers need it."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"The report cannot be called '{out.name}'; choose a name that ends in .html.")


def report_page(run: RunFiles, evaluation: EvaluationFiles | None) -> str:
    """Return the page of a run as HTML; everything that comes from files is escaped.

    Parameters
    ----------
    run : RunFiles
        The run.
    evaluation : EvaluationFiles, optional
        How well its model did on a test set.
    """
    environment = Environment(
        loader=PackageLoader("napari_unet3d.evaluation.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        title=run.folder.absolute().name,
        tiles=_tiles(run, evaluation),
        run=describe_run(run),
        evaluation=None if evaluation is None else describe_evaluation(evaluation),
        commands=reproducing_commands(run, evaluation),
        problems=[*run.problems, *(evaluation.problems if evaluation else ())],
        truth_colour=TRUTH_COLOUR,
        prediction_colour=PREDICTION_COLOUR,
        written=datetime.now(UTC),
    )


def _tiles(run: RunFiles, evaluation: EvaluationFiles | None) -> list[tuple[str, str]]:
    """Return the most important numbers, each with a description."""
    tiles = []
    best = best_record(run.history)
    if best is not None:
        which = "last" if best.lacks_foreground else "best"
        tiles.append((f"{best.epoch}", f"{which} of {len(run.history)} epoch{'s' if len(run.history) > 1 else ''}"))
        if best.dice is not None:
            tiles.append((f"{best.dice:.3f}", "validation Dice of the best epoch"))
        if best.val_f1 is not None:
            tiles.append((f"{best.val_f1:.3f}", "validation F1 of objects, at IoU 0.5, of the best epoch"))
    if evaluation is not None and isinstance(dice := evaluation.mean.get("dice"), float | int):
        n = len(evaluation.volumes)
        tiles.append((f"{dice:.3f}", f"mean Dice of {n} test volume{'s' if n != 1 else ''}"))
        instances = evaluation.mean.get("instances")
        if isinstance(instances, dict) and isinstance(instances.get("f1"), float | int):
            tiles.append((f"{instances['f1']:.3f}", "mean F1 of instances, at IoU 0.5"))
        tiles.append((f"{len(evaluation.errors)}", "errors in the test volumes"))
    return tiles
