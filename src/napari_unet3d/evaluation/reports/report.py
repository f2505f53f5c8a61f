"""A page per run, in one file: what was trained, how it went, and what the model gets wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.colours import PREDICTION_COLOUR, TRUTH_COLOUR
from napari_unet3d.evaluation.reports.report_evaluation import describe_evaluation, describe_seen
from napari_unet3d.evaluation.reports.report_run import describe_run, reproducing_commands
from napari_unet3d.files import write_text
from napari_unet3d.paths import is_file
from napari_unet3d.runs.history import best_record
from napari_unet3d.runs.run_files import EvaluationFiles, RunFiles, read_evaluation_files, read_run_files

EVALUATION_FOLDER = "evaluation"
"""The folder in a run folder that holds the evaluation of its model, unless another one was chosen."""


def write_report(run: Path | str | None, out: Path | str, evaluation: Path | str | None = None) -> None:
    """Write a page about a run or an evaluation that needs no other file, no network and no scripts.

    All content comes from the text files and pictures of the two folders; no model is read. What is missing or damaged
    is left out, and the page says so.

    Parameters
    ----------
    run : Path, str or None
        The run folder; None for a page about an evaluation alone, such as one of predictions of another tool.
    out : Path or str
        The page to write, ending in ``.html``.
    evaluation : Path or str, optional
        A folder that `evaluate` wrote; without it, ``evaluation`` in the run folder if that exists.

    Raises
    ------
    UserError
        When a folder holds no run or no evaluation, neither is passed, or the page cannot be written.
    """
    check_page_name(Path(out))
    if run is None and evaluation is None:
        raise UserError("There is neither a run nor an evaluation to report on. Name the folder of one of them.")
    run_files = None if run is None else read_run_files(Path(run))
    if evaluation is None and run is not None and is_file(Path(run) / EVALUATION_FOLDER / "metrics.json"):
        evaluation = Path(run) / EVALUATION_FOLDER
    evaluated = None if evaluation is None else read_evaluation_files(Path(evaluation))
    write_text(Path(out), report_page(run_files, evaluated))


def check_page_name(out: Path) -> None:
    """Raise a `UserError` if the name of a page does not end as browsers need it."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"The report cannot be called '{out.name}'; choose a name that ends in .html.")


def report_page(run: RunFiles | None, evaluation: EvaluationFiles | None) -> str:
    """Return the page of a run as HTML; everything that comes from files is escaped.

    Parameters
    ----------
    run : RunFiles or None
        The run; None for an evaluation alone.
    evaluation : EvaluationFiles, optional
        How well its model, or the predictions of another tool, did on a test set.
    """
    environment = Environment(
        loader=PackageLoader("napari_unet3d.evaluation.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        title=_title(run, evaluation),
        tiles=_tiles(run, evaluation),
        run=None if run is None else describe_run(run),
        evaluation=None if evaluation is None else describe_evaluation(evaluation),
        commands=reproducing_commands(run, evaluation),
        problems=[problem for files in (run, evaluation) if files is not None for problem in files.problems],
        truth_colour=TRUTH_COLOUR,
        prediction_colour=PREDICTION_COLOUR,
        written=datetime.now(UTC),
    )


def _title(run: RunFiles | None, evaluation: EvaluationFiles | None) -> str:
    """Return the name of the run, or that of the folder of the predictions of another tool."""
    if run is not None:
        return run.folder.absolute().name
    assert evaluation is not None
    return Path(str(evaluation.about.get("predictions") or evaluation.folder.absolute())).name


def _tiles(run: RunFiles | None, evaluation: EvaluationFiles | None) -> list[tuple[str, str]]:
    """Return the most important numbers, each with a description."""
    tiles = []
    best = None if run is None else best_record(run.history)
    if run is not None and best is not None:
        which = "last" if best.lacks_foreground else "best"
        tiles.append((f"{best.epoch}", f"{which} of {len(run.history)} epoch{'s' if len(run.history) > 1 else ''}"))
        if best.dice is not None:
            tiles.append((f"{best.dice:.3f}", "validation Dice of the best epoch"))
        if best.val_f1 is not None:
            tiles.append((f"{best.val_f1:.3f}", "validation F1 of objects, at IoU 0.5, of the best epoch"))
    if evaluation is not None and isinstance(dice := evaluation.mean.get("dice"), float | int):
        n = len(evaluation.volumes)
        seen = describe_seen(evaluation)
        tiles.append((f"{dice:.3f}", f"mean Dice of {n} test volume{'s' if n != 1 else ''}, {seen}"))
        instances = evaluation.mean.get("instances")
        if isinstance(instances, dict) and isinstance(instances.get("f1"), float | int):
            tiles.append((f"{instances['f1']:.3f}", "mean F1 of instances, at IoU 0.5"))
        tiles.append((f"{len(evaluation.errors)}", "errors in the test volumes"))
    return tiles
