"""One function per subcommand: parse its arguments, call the engine and print its events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from napari_unet3d.cli import progress_loops as follow
from napari_unet3d.cli.json_lines import train_in_lines
from napari_unet3d.cli.progress import print_result, print_status
from napari_unet3d.cli.settings_file import merge, read_positions
from napari_unet3d.cli.signals import following_the_first, saving_on_usr1
from napari_unet3d.configs import PredictionConfig, SyntheticConfig, TrainingConfig
from napari_unet3d.configs.blocks import BlockConfig
from napari_unet3d.configs.workers import WorkersConfig
from napari_unet3d.errors import UserError
from napari_unet3d.model.torchrun import process_number
from napari_unet3d.training.save_schedule import SaveRequests

if TYPE_CHECKING:
    from napari_unet3d.training.events import PreflightEvent, TrainEvent

# The engine is imported inside the functions, so that help and error messages do not wait for torch.

FLAT = Parameter(name="*")  # each setting becomes an option of its own
SYNTHETIC, TRAINING, PREDICTION, BLOCKS = SyntheticConfig(), TrainingConfig(), PredictionConfig(), BlockConfig()
WORKERS = WorkersConfig()


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
    train : int
        Number of training volumes.
    test : int
        Number of test volumes.
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

    read = [read_volume(file) for file in objects_from]
    for notice in dict.fromkeys(notice for volume in read for notice in volume.notices):
        print_status(notice)
    events = write_dataset(
        dataset,
        merge(settings, config),
        n_train=train,
        n_test=test,
        objects=[volume.array for volume in read] or None,
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
    on_usr1: Literal["continue", "stop"] = "continue",
    overwrite: bool = False,
    config: Path | None = None,
    settings: Annotated[TrainingConfig, FLAT] = TRAINING,
) -> int:
    """Train a 3D U-Net on the training volumes of a dataset.

    Data and settings are checked first: errors prevent the training, warnings are printed.

    On several GPUs or computers: torchrun --nproc-per-node gpu -m -- napari_unet3d train DATASET --run RUN

    Parameters
    ----------
    dataset : Path
        Folder with train/images and train/labels.
    run : Path
        Folder for the model, its settings and its history; it is created.
    resume : bool
        Continue an interrupted run in the run folder with its own settings; only epochs, max-minutes, patience,
        checkpoint-minutes, save-snapshots, device, precision, num-workers and track may be changed. If there is
        nothing to resume, a new run starts.
    start_from : Path
        Model (run folder, model file, .pth of qim3d, exported MONAI bundle, or package of bioimage.io with weights of
        MONAI's UNet or DynUNet) to start from.
    check : bool
        Only check data and settings, with memory and time of a step; the exit code is 1 if training is impossible.
    summary : bool
        Print every layer of the network before training.
    json_lines : bool
        For programs that follow the run: write each event to stdout as a line of JSON, and read the commands stop,
        pause and resume, one per line, from stdin. The end of stdin means stop, too.
    on_usr1 : str
        On the signal USR1 the state of the run is saved at the next step; then the training continues, or stops with
        an exit code that is not 0.
    overwrite : bool
        Replace a run that is in the run folder.
    config : Path
        JSON or TOML file with settings, such as the config.json of another run; options override it.
    """
    if json_lines and (check or summary):
        raise UserError("--json-lines cannot be combined with --check or --summary. Leave these out.")
    follows = (number := process_number()) is not None and number.follows
    if check:
        return 0 if follows else _check(dataset, run, merge(settings, config), resume=resume, start_from=start_from)

    requests = SaveRequests()

    def events() -> Iterator[PreflightEvent | TrainEvent]:
        from napari_unet3d.training.preflight import check_then_train

        chosen = merge(settings, config)  # here, since wrong settings are an event for a program that follows the run
        return check_then_train(
            dataset, run, chosen, overwrite=overwrite, resume=resume, start_from=start_from, save_requests=requests
        )

    if follows:
        with following_the_first():
            deque(events(), maxlen=0)
        return 0
    with saving_on_usr1(requests, ends=on_usr1 == "stop"):
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


def predict(  # noqa: PLR0913 - one argument per option
    run: Path,
    /,
    *images: Path,
    out: Path | None = None,
    probability: bool = False,
    overwrite: bool = False,
    skip_existing: bool = False,
    mask: Path | None = None,
    in_place: bool = False,
    config: Path | None = None,
    settings: Annotated[PredictionConfig, FLAT] = PREDICTION,
    blocks: Annotated[BlockConfig, FLAT] = BLOCKS,
    processes: Annotated[WorkersConfig, FLAT] = WORKERS,
) -> None:
    """Apply a trained model to volumes; write NAME_labels in the format and with the voxel size of each.

    With --uncertainty, write NAME_uncertainty too. A volume that cannot be read or predicted does not prevent the
    others; those that failed are listed at the end, and the exit code is 1.

    A volume that does not fit into memory is predicted block by block and written as OME-Zarr, with its resolution
    levels and, for single objects, a table. If that is interrupted, the same command continues it.

    Parameters
    ----------
    run : Path
        Run folder, model file, .pth file of qim3d, model that was exported as onnx or monai-bundle, or package of
        bioimage.io (.zip, or its unpacked folder) with weights as ONNX or of MONAI's UNet or DynUNet.
    images : tuple of Path
        Volumes to predict, folders of volumes, or wildcards such as 'scans/*.tif'.
    out : Path
        Folder for the predictions; or a name that ends in .ome.zarr, for a volume that is predicted block by block.
    probability : bool
        Write NAME_probability too.
    overwrite : bool
        Replace results that exist in the output folder; without it or --skip-existing, nothing is predicted then.
    skip_existing : bool
        Keep results that exist in the output folder, and predict only the other volumes.
    mask : Path
        Volume of the shape of the image; where it is 0, nothing is predicted and the result is background.
    in_place : bool
        Write the labels into the OME-Zarr image, as labels/prediction, instead of --out.
    config : Path
        JSON or TOML file with settings; options override it.
    """
    if not images:
        raise UserError("No image was given. Name at least one volume after the run folder.")
    from napari_unet3d.inference.predict import predict_files

    events = predict_files(
        run,
        images,
        out,
        merge(settings, config),
        probability=probability,
        overwrite=overwrite,
        skip_existing=skip_existing,
        blocks=blocks,
        mask=mask,
        in_place=in_place,
        workers=processes,
    )
    for file in follow.follow_predict(events):
        print_result(str(file))


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
