"""The prediction of one file of several: read, predicted and written, by this process or by a worker."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from napari_unet3d.configs import PredictionConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.opening import open_volume
from napari_unet3d.data.volumes import sample_of
from napari_unet3d.data.voxel_size import with_voxel_size
from napari_unet3d.errors import UserError
from napari_unet3d.inference.blockwise.options import BlockOptions
from napari_unet3d.inference.events import BlockDone, Prediction, TilesPredicted
from napari_unet3d.inference.predict_series import SeriesPrediction, is_series, predict_series
from napari_unet3d.inference.predictor import Predictor, predictor_of
from napari_unet3d.inference.workers.base import Workers
from napari_unet3d.inference.write import already_there, write_prediction

Counts = tuple[int, int]
FileEvents = Generator[TilesPredicted | BlockDone | Notice, None, "FileResult"]
Result = Prediction | SeriesPrediction | list[Path]
"""What comes of a file: a prediction, or what was written of it block by block."""


@dataclass(frozen=True, slots=True)
class FileOptions:
    """What is written of each file.

    Attributes
    ----------
    blocks : BlockOptions
        Outputs, and how volumes are predicted block by block.
    probability : bool
        Whether the probability is written.
    skip_existing : bool
        Whether results that exist are kept.
    """

    blocks: BlockOptions
    probability: bool
    skip_existing: bool

    def absolute(self) -> FileOptions:
        """Return the same with absolute paths, for other processes."""
        out, mask = (None if path is None else path.absolute() for path in (self.blocks.out, self.blocks.mask))
        return replace(self, blocks=replace(self.blocks, out=out, mask=mask))


@dataclass(frozen=True, slots=True)
class FileResult:
    """What came of a file.

    Attributes
    ----------
    source : Path
        The file.
    files : tuple of Path
        What was written.
    prediction : Prediction or None
        The output of the model; None if it was written block by block, or by another process.
    n_times : int or None
        Number of time points of a series.
    problem : str
        Why it could not be predicted; empty if it was.
    not_written : str
        Why the result could not be written, which ends the prediction of all files; empty if it was.
    """

    source: Path
    files: tuple[Path, ...] = ()
    prediction: Prediction | None = None
    n_times: int | None = None
    problem: str = ""
    not_written: str = ""


def predict_file(
    predictor: Predictor, source: Path, options: FileOptions, counts: Counts, workers: Workers | None = None
) -> FileEvents:
    """Read, predict and write one file.

    Parameters
    ----------
    predictor : Predictor
        The model.
    source : Path
        The file.
    options : FileOptions
        What is written.
    counts : tuple of int
        Finished volumes and all volumes, for the events.
    workers : Workers, optional
        Processes for the blocks of a volume that is predicted block by block.

    Yields
    ------
    TilesPredicted, BlockDone, Notice
        As of `predict_files`.

    Returns
    -------
    FileResult
        What was written, or why nothing was.
    """
    with ExitStack() as temporary:  # the time points of a series
        outputs = options.blocks.outputs(source)
        try:
            result = yield from _predict(predictor, source, options, (outputs, temporary), counts, workers)
        except UserError as error:
            return FileResult(source, problem=str(error))
        is_new = not options.blocks.overwrite and not options.skip_existing
        if is_new and not isinstance(result, list) and (problem := already_there(outputs)):
            return FileResult(source, problem=problem)
        try:
            return _write(result, source, outputs[0].parent, options)
        except UserError as error:
            return FileResult(source, not_written=str(error))


def _predict(
    predictor: Predictor,
    source: Path,
    options: FileOptions,
    places: tuple[Sequence[Path], ExitStack],
    counts: Counts,
    workers: Workers | None,
) -> Generator[TilesPredicted | BlockDone | Notice, None, Result]:
    config = predictor.config
    with open_volume(source, "images", config.fourth_axis) as image:
        if options.blocks.applies_to(image, predictor):
            return (yield from options.blocks.predict(predictor, image, counts, workers))
        if is_series(image, predictor.n_channels, config):
            return (yield from predict_series(predictor, image, config, *places, *counts))
        sample = sample_of(image, times_as_channels=predictor.n_channels > 1)
    sample = with_voxel_size(sample, config.voxel_size_um)
    yield from predictor.notices_for(sample)
    return (yield from predictor.predict(sample, n_finished=counts[0], n_volumes=counts[1]))


def _write(result: Result, source: Path, folder: Path, options: FileOptions) -> FileResult:
    if isinstance(result, list):
        return FileResult(source, tuple(result))
    if isinstance(result, SeriesPrediction):
        files = result.write(source, keep_existing=options.skip_existing)
        return FileResult(source, tuple(files), result.prediction, result.n_times)
    files = write_prediction(result, source, folder, options.probability, keep_existing=options.skip_existing)
    return FileResult(source, tuple(files), result)


@dataclass(frozen=True, slots=True)
class FileTask:
    """A file, for a worker.

    Attributes
    ----------
    model : Path
        The file or run folder of the model.
    config : PredictionConfig
        How it is applied.
    source : Path
        The file.
    options : FileOptions
        What is written.
    """

    model: Path
    config: PredictionConfig
    source: Path
    options: FileOptions

    def __call__(self, n_done: int) -> Iterator[Notice | FileResult]:
        """Yield notices and the result, without the prediction itself; what was answered is not answered again."""
        for number, answer in enumerate(self._answers()):
            if number >= n_done:
                yield answer

    def _answers(self) -> Iterator[Notice | FileResult]:
        events = predict_file(predictor_of(self.model, self.config), self.source, self.options, (0, 1))
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                yield replace(end.value, prediction=None)
                return
            if isinstance(event, Notice):
                yield event


def predict_all(
    predictor: Predictor, files: Sequence[Path], options: FileOptions, workers: Workers | None
) -> Iterator[TilesPredicted | BlockDone | Notice | FileResult]:
    """Predict files one after another; with workers several at a time, and blocks of larger ones.

    Parameters
    ----------
    predictor : Predictor
        The model.
    files : sequence of Path
        The files.
    options : FileOptions
        What is written.
    workers : Workers or None
        The processes, if there are others.

    Yields
    ------
    TilesPredicted, BlockDone, Notice
        As of `predict_files`.
    FileResult
        What came of a file; with workers, files are ready in any order.
    """
    spread = [] if workers is None else [each for each in files if not _is_by_blocks(predictor, each, options)]
    n_done = 0
    if workers is not None and spread:
        assert predictor.source is not None, "workers read the model from its file"
        how = predictor.source, predictor.shared_config
        tasks = [FileTask(*how, each.absolute(), options.absolute()) for each in spread]
        told: set[str] = set()
        for number, answer in workers.run(tasks):
            if isinstance(answer, FileResult):
                n_done += 1
                given = {path.absolute(): path for path in options.blocks.outputs(spread[number])}
                files_of = tuple(given.get(path, path) for path in answer.files)
                yield replace(answer, source=spread[number], files=files_of)
            elif answer.message not in told:
                told.add(answer.message)
                yield answer
    for source in files:
        if source not in spread:
            yield (yield from predict_file(predictor, source, options, (n_done, len(files)), workers))
            n_done += 1


def _is_by_blocks(predictor: Predictor, source: Path, options: FileOptions) -> bool:
    with suppress(UserError), open_volume(source, "images", predictor.config.fourth_axis) as image:
        return options.blocks.applies_to(image, predictor)
    return False  # what is wrong with it is explained when it is predicted
