"""The subcommands that score predictions and report on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from napari_unet3d.cli import progress_loops as follow
from napari_unet3d.cli.commands import FLAT, WORKERS
from napari_unet3d.cli.progress import print_result
from napari_unet3d.cli.score_table import score_table
from napari_unet3d.cli.settings_file import merge
from napari_unet3d.configs import EvaluationConfig, Task
from napari_unet3d.configs.workers import WorkersConfig
from napari_unet3d.errors import UserError

EVALUATION = EvaluationConfig()


def evaluate(  # noqa: PLR0913 - one argument per option
    run: Path,
    dataset: Path | None = None,
    /,
    *,
    out: Path,
    predictions: Path | None = None,
    task: Task | None = None,
    ignore_label: int | None = None,
    class_names: tuple[str, ...] = (),
    config: Path | None = None,
    settings: Annotated[EvaluationConfig, FLAT] = EVALUATION,
    processes: Annotated[WorkersConfig, FLAT] = WORKERS,
) -> None:
    """Predict the test volumes of a dataset and compare them with their labels.

    With --predictions, compare predictions that are files, such as those of other tools: evaluate DATASET
    --predictions FOLDER --out FOLDER.

    Parameters
    ----------
    run : Path
        Run folder, model file, .pth file of qim3d or package of bioimage.io; left out with --predictions.
    dataset : Path
        Folder with test/images and test/labels.
    out : Path
        Folder for predictions, differences, figures, metrics (JSON and CSV), and a list of all errors with pictures of
        the worst. An earlier evaluation in it is replaced as a whole; a folder with other files is refused.
    predictions : Path
        Folder with a file of predicted labels for each test volume, with its name; endings such as _labels are ignored.
    task : Task
        With --predictions: what the labels are; by default binary.
    ignore_label : int
        With --predictions: value in the ground truth of voxels that are not annotated.
    class_names : tuple of str
        With --predictions: names of the classes 1, 2, …
    config : Path
        JSON or TOML file with settings; options override it.
    """
    chosen = merge(settings, config)
    if predictions is None:
        if dataset is None:
            raise UserError("No dataset was given. Write: evaluate RUN DATASET --out FOLDER.")
        if task is not None or ignore_label is not None or class_names:
            raise UserError("Task, ignore label and class names are those of the model. Leave these options out.")
        from napari_unet3d.inference.evaluate import evaluate as evaluation

        events = evaluation(run, dataset, out=out, config=chosen, workers=processes)
    else:
        if dataset is not None:
            raise UserError("--predictions takes no model. Write: evaluate DATASET --predictions FOLDER --out FOLDER.")
        if not processes.is_alone:
            raise UserError("Workers predict, and predictions exist already. Leave out --workers and --scheduler.")
        from napari_unet3d.inference.evaluate_predictions import evaluate_predictions

        events = evaluate_predictions(
            predictions,
            run,
            out=out,
            task=task or Task.BINARY,
            ignore_label=ignore_label,
            class_names=class_names,
            config=chosen,
        )
    finished = follow.follow_evaluate(events)
    print_result(score_table(finished.volumes, finished.mean))
    print_result(f"metrics: {finished.metrics_file}")


def report(
    run: Path | None = None,
    /,
    *,
    out: Path,
    evaluation: Path | None = None,
    dataset: Path | None = None,
) -> None:
    """Write a report about a run: settings, curves, metrics, slices and the worst errors, all in one HTML file.

    Without an evaluation or a dataset, it covers the run folder only. Without a run, it covers an evaluation only, such
    as one of predictions of another tool.

    Parameters
    ----------
    run : Path
        Run folder.
    out : Path
        The file to write, such as report.html.
    evaluation : Path
        Folder that evaluate has written; with a dataset, the folder for a new evaluation.
    dataset : Path
        Folder with test/images and test/labels, on which to evaluate the model first, with default settings; results
        go to the folder evaluation in the run folder.
    """
    from napari_unet3d.evaluation.reports.report import EVALUATION_FOLDER, check_page_name, write_report
    from napari_unet3d.runs.run_files import read_run_files

    check_page_name(out)
    if run is None and (evaluation is None or dataset is not None):
        raise UserError("No run was given. Name a run folder, or with --evaluation the folder of an evaluation alone.")
    if run is not None:
        read_run_files(run)  # a folder without a run is refused before minutes of evaluation
    if run is not None and dataset is not None:
        from napari_unet3d.inference.evaluate import evaluate as evaluation_of

        evaluation = evaluation or run / EVALUATION_FOLDER
        follow.follow_evaluate(evaluation_of(run, dataset, out=evaluation, config=EVALUATION))
    write_report(run, out, evaluation)
    print_result(f"report: {out}")
