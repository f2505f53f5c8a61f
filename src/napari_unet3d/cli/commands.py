"""One function per subcommand: parse its arguments, call the engine and print its events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from napari_unet3d.cli import progress_loops as follow
from napari_unet3d.cli.json_lines import train_in_lines
from napari_unet3d.cli.progress import print_result
from napari_unet3d.cli.score_table import score_table
from napari_unet3d.cli.settings_file import merge, read_positions
from napari_unet3d.configs import EvaluationConfig, PredictionConfig, SyntheticConfig, TrainingConfig
from napari_unet3d.errors import UserError

if TYPE_CHECKING:
    from napari_unet3d.training.events import PreflightEvent, TrainEvent

# The engine is imported inside the functions, so that help and error messages do not wait for torch.

FLAT = Parameter(name="*")  # each setting becomes an option of its own
SYNTHETIC, TRAINING, PREDICTION, EVALUATION = (
    SyntheticConfig(),
    TrainingConfig(),
    PredictionConfig(),
    EvaluationConfig(),
)


def generate(  # noqa: PLR0913 - one argument per option
    dataset: Path,
    /,
    *,
    train: int = 5,
    test: int = 1,
    objects_from: tuple[Path, ...] = (),
    positions: Path | None = None,
    overwrite: bool = False,
    config: Path | None = None,
    settings: Annotated[SyntheticConfig, FLAT] = SYNTHETIC,
) -> None:
    """Generate a dataset of synthetic volumes with exact labels.

    Parameters
    ----------
    dataset : Path
        Folder to create, with train and test, each with images and labels.
    train, test : int
        Number of training and of test volumes.
    objects_from : tuple of Path
        Volume files to place instead of generated objects; each holds one object, whose voxels are above 0.
    positions : Path
        CSV file with one centre z,y,x in voxels per line, instead of random positions.
    overwrite : bool
        Replace volumes of the same name.
    config : Path
        JSON or TOML file with settings; options override it.
    """
    from napari_unet3d.data.reading import read_volume
    from napari_unet3d.data.synthetic.dataset import generate as write_dataset

    events = write_dataset(
        dataset,
        merge(settings, config),
        n_train=train,
        n_test=test,
        objects=[read_volume(file).array for file in objects_from] or None,
        positions=read_positions(positions) if positions else None,
        overwrite=overwrite,
    )
    written = follow.follow_generate(events)
    print_result(f"{written.folder}: {written.n_train} training volumes, {written.n_test} test volumes")


def train(  # noqa: PLR0913 - one argument per option
    dataset: Path,
    /,
    *,
    run: Path,
    resume: bool = False,
    start_from: Path | None = None,
    check: bool = False,
    summary: bool = False,
    json_lines: bool = False,
    overwrite: bool = False,
    config: Path | None = None,
    settings: Annotated[TrainingConfig, FLAT] = TRAINING,
) -> int:
    """Train a 3D U-Net on the training volumes of a dataset.

    Data and settings are checked first: errors prevent the training, warnings are printed.

    Parameters
    ----------
    dataset : Path
        Folder with train/images and train/labels.
    run : Path
        Folder for the model, its settings and its history; it is created.
    resume : bool
        Continue an interrupted run in the run folder with its own settings; only epochs, max-minutes, patience and
        save-snapshots may be changed. If there is nothing to resume, a new run starts.
    start_from : Path
        Model (run folder, model file or .pth of qim3d) to start from.
    check : bool
        Only check data and settings, with memory and time of a step; the exit code is 1 if training is impossible.
    summary : bool
        Print every layer of the network before training.
    json_lines : bool
        For programs that follow the run: write each event to stdout as a line of JSON, and read the commands stop,
        pause and resume, one per line, from stdin. The end of stdin means stop, too.
    overwrite : bool
        Replace a run that is in the run folder.
    config : Path
        JSON or TOML file with settings, such as the config.json of another run; options override it.
    """
    if json_lines and (check or summary):
        raise UserError("--json-lines cannot be combined with --check or --summary. Leave these out.")
    if check:
        return _check(dataset, run, merge(settings, config), resume=resume, start_from=start_from)

    def events() -> Iterator[PreflightEvent | TrainEvent]:
        from napari_unet3d.training.preflight import check_then_train

        chosen = merge(settings, config)  # here, since wrong settings are an event for a program that follows the run
        return check_then_train(dataset, run, chosen, overwrite=overwrite, resume=resume, start_from=start_from)

    if json_lines:
        train_in_lines(events)
    else:
        follow.print_end(follow.follow_check_then_train(events(), follow.describer(layers=summary)))
    return 0


def _check(dataset: Path, run: Path, config: TrainingConfig, *, resume: bool, start_from: Path | None) -> int:
    from napari_unet3d.training.preflight import preflight
    from napari_unet3d.training.resume import resolve_start

    config = resolve_start(run, config, resume=resume, start_from=start_from).config
    result = follow.follow_preflight(preflight(dataset, config, run))
    print_result(follow.format_issues(result))
    return 0 if result.can_train else 1


def predict(
    run: Path,
    /,
    *images: Path,
    out: Path,
    probability: bool = False,
    config: Path | None = None,
    settings: Annotated[PredictionConfig, FLAT] = PREDICTION,
) -> None:
    """Apply a trained model to volumes; write NAME_labels in the format and with the voxel size of each.

    With --uncertainty, write NAME_uncertainty too.

    Parameters
    ----------
    run : Path
        Run folder, model file or .pth file of qim3d.
    images : tuple of Path
        Volumes to predict.
    out : Path
        Folder for the predictions.
    probability : bool
        Write NAME_probability too.
    config : Path
        JSON or TOML file with settings; options override it.
    """
    if not images:
        raise UserError("No image was given. Name at least one volume after the run folder.")
    for file in follow.follow_predict(run, images, out, merge(settings, config), probability=probability):
        print_result(str(file))


def evaluate(
    run: Path,
    dataset: Path,
    /,
    *,
    out: Path,
    config: Path | None = None,
    settings: Annotated[EvaluationConfig, FLAT] = EVALUATION,
) -> None:
    """Predict the test volumes of a dataset and compare them with their labels.

    Parameters
    ----------
    run : Path
        Run folder, model file or .pth file of qim3d.
    dataset : Path
        Folder with test/images and test/labels.
    out : Path
        Folder for predictions, differences, figures, metrics (JSON and CSV), and a list of all errors with pictures of
        the worst.
    config : Path
        JSON or TOML file with settings; options override it.
    """
    from napari_unet3d.inference.evaluate import evaluate as evaluation

    finished = follow.follow_evaluate(evaluation(run, dataset, out=out, config=merge(settings, config)))
    print_result(score_table(finished.volumes, finished.mean))
    print_result(f"metrics: {finished.metrics_file}")


def report(
    run: Path,
    /,
    *,
    out: Path,
    evaluation: Path | None = None,
    dataset: Path | None = None,
) -> None:
    """Write a report about a run: settings, curves, metrics, slices and the worst errors, all in one HTML file.

    Without an evaluation or a dataset, it covers the run folder only.

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
    read_run_files(run)  # a folder without a run is refused before minutes of evaluation
    if dataset is not None:
        from napari_unet3d.inference.evaluate import evaluate as evaluation_of

        evaluation = evaluation or run / EVALUATION_FOLDER
        follow.follow_evaluate(evaluation_of(run, dataset, out=evaluation, config=EVALUATION))
    write_report(run, out, evaluation)
    print_result(f"report: {out}")


def demo(
    folder: Path = Path("napari-unet3d-demo"),
    /,
    *,
    viewer: bool = True,
    screenshot: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Run the whole tutorial: generate, train, evaluate, and show the result in napari.

    Without a display, the viewer runs on a virtual one, saves a screenshot and ends.

    Parameters
    ----------
    folder : Path
        Folder for the dataset, the run, the predictions and the figures.
    viewer : bool
        Show the result in napari.
    screenshot : Path
        File for a picture of the viewer, which then ends instead of waiting to be closed.
    overwrite : bool
        Replace an earlier demo in the folder.
    """
    from napari_unet3d import demo as tutorial

    steps = tutorial.Demo(folder)
    if not overwrite:
        steps.check_new()
    if viewer:
        tutorial.check_display()  # before minutes of training
    follow.follow_demo(steps)
    if viewer and (picture := tutorial.show(steps, screenshot)):
        print_result(str(picture))


def doctor() -> int:
    """Print versions, device, cuDNN, Qt and OpenGL, and any problems with them."""
    from napari_unet3d.doctor import run_checks

    report = run_checks()
    print_result(report.text)
    return 1 if report.prevents_work else 0
