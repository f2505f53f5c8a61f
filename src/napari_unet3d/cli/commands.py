"""One function per subcommand: read the arguments, hand them to the engine, show its events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from napari_unet3d.cli import progress_loops as follow
from napari_unet3d.cli.json_lines import train_in_lines
from napari_unet3d.cli.progress import print_result
from napari_unet3d.cli.score_table import score_table
from napari_unet3d.cli.settings_file import merge, read_positions
from napari_unet3d.configs import EvaluationConfig, PredictionConfig, SyntheticConfig, TrainingConfig
from napari_unet3d.errors import UserError

if TYPE_CHECKING:
    from napari_unet3d.training.event_json import RunEvent

# The engine is imported inside the functions, so that help and wrong options answer without loading torch.

FLAT = Parameter(name="*")  # each field of the settings becomes an option of its own
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
        Folder that gets train and test, each with images and labels.
    train, test : int
        How many volumes to make for training and for the test.
    objects_from : tuple of Path
        Volume files to place instead of generated objects: one object each, above 0 where it is.
    positions : Path
        CSV file with one centre z,y,x in voxels per line, instead of drawn positions.
    overwrite : bool
        Replace volumes of the same name.
    config : Path
        JSON or TOML file that stands in for options; options win.
    """
    from napari_unet3d.data.synthetic.dataset import generate as write_dataset
    from napari_unet3d.data.volumes import read_volume

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
    print_result(f"{written.folder}: {written.n_train} volumes to train, {written.n_test} to test")


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

    What makes training impossible is said before it starts, and so is what deserves a look.

    Parameters
    ----------
    dataset : Path
        Folder with train/images and train/labels.
    run : Path
        Folder for the model, its settings and its history; it is made.
    resume : bool
        Go on with the run in the folder where it was left, with its settings; only epochs, max-minutes, patience
        and save-snapshots may be given anew. Where no run was left, it begins.
    start_from : Path
        Model (run folder, model file or .pth of qim3d) whose weights the run begins with.
    check : bool
        Only say what is found in data and settings, with memory and time; the exit code is 1 if training is impossible.
    summary : bool
        Print every layer of the network before training.
    json_lines : bool
        For programs that follow the run: write every event to stdout as a line of JSON, and heed the words stop, pause
        and resume, a line each, on stdin. The end of stdin means stop, too.
    overwrite : bool
        Replace a run that lies in the folder already.
    config : Path
        JSON or TOML file that stands in for options, such as the config.json of another run; options win.
    """
    begins: dict[str, Any] = {"overwrite": overwrite, "resume": resume, "start_from": start_from}
    if json_lines:
        if check or summary:
            raise UserError("--json-lines goes with neither --check nor --summary. Leave these out.")
        train_in_lines(lambda: _checked_run(dataset, run, merge(settings, config), begins))
        return 0
    from napari_unet3d.data.dataset import Subset, list_pairs, read_pair
    from napari_unet3d.training.loop import train as training
    from napari_unet3d.training.preflight import preflight
    from napari_unet3d.training.resume import resolve_start

    chosen = merge(settings, config)
    settled = resolve_start(run, chosen, resume=resume, start_from=start_from).config
    examined = follow.follow_preflight(preflight(dataset, settled, run, timed=check))
    if check:
        print_result(follow.print_issues(examined))
        return 0 if examined.can_train else 1
    said = follow.print_warnings(examined)
    pairs = list_pairs(dataset, Subset.TRAIN)
    finished = follow.follow_train(
        training(dataset, run, chosen, **begins),
        follow.describer(settled, read_pair(pairs[0]).shape if pairs else None, layers=summary),
        said=said,
    )
    follow.print_end(finished)
    return 0


def _checked_run(dataset: Path, run: Path, chosen: TrainingConfig, begins: dict[str, Any]) -> Iterator[RunEvent]:
    from napari_unet3d.training.preflight import check_then_train

    return check_then_train(dataset, run, chosen, **begins)


def predict(
    run: Path,
    /,
    *images: Path,
    out: Path,
    probability: bool = False,
    config: Path | None = None,
    settings: Annotated[PredictionConfig, FLAT] = PREDICTION,
) -> None:
    """Apply a trained model to volumes; writes NAME_labels in the format and with the voxel size of each.

    With --uncertainty NAME_uncertainty is written too.

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
        JSON or TOML file that stands in for options; options win.
    """
    if not images:
        raise UserError("No image is given; name one volume or more after the run folder.")
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
        Folder for predictions, differences, figures, metrics (JSON and CSV), and all errors with pictures of the worst.
    config : Path
        JSON or TOML file that stands in for options; options win.
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
    """Write one page about a run: settings, curves, metrics, slices and the worst errors, all in one HTML file.

    Without an evaluation and a dataset it holds what the run folder tells.

    Parameters
    ----------
    run : Path
        Run folder.
    out : Path
        The page, such as report.html.
    evaluation : Path
        Folder that evaluate wrote; together with a dataset, the folder for the new evaluation.
    dataset : Path
        Folder with test/images and test/labels, to evaluate the model on first, with the default settings; the results
        stay in evaluation in the run folder.
    """
    from napari_unet3d.evaluation.reports.report import EVALUATION_FOLDER, check_page_name, write_report
    from napari_unet3d.runs.run_files import read_run_files

    check_page_name(out)
    read_run_files(run)  # what is no run is said before minutes of evaluation
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

    Without a display the viewer runs under a virtual one, saves a screenshot and ends.

    Parameters
    ----------
    folder : Path
        Where the dataset, the run, the predictions and the pictures are written.
    viewer : bool
        Show the result in napari.
    screenshot : Path
        Save a picture of the viewer there and end, instead of waiting for it to be closed.
    overwrite : bool
        Replace an earlier demo in the folder.
    """
    from napari_unet3d import demo as tutorial

    place = tutorial.Demo(folder)
    if not overwrite:
        place.check_new()
    if viewer:
        tutorial.check_display()  # before minutes of training
    follow.follow_demo(place)
    if viewer and (picture := tutorial.show(place, screenshot)):
        print_result(str(picture))


def doctor() -> int:
    """Print versions, device, cuDNN, Qt and OpenGL, and what is wrong with them."""
    from napari_unet3d.doctor import run_checks

    report = run_checks()
    print_result(report.text)
    return 1 if report.prevents_work else 0
