"""Apply a trained model to one volume, or to a list of files."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from napari_unet3d.configs import PredictionConfig
from napari_unet3d.configs.blocks import BlockConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.opening import open_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import read_sample, sample_of
from napari_unet3d.data.voxel_size import with_voxel_size
from napari_unet3d.errors import UserError
from napari_unet3d.inference.blockwise.options import BlockOptions
from napari_unet3d.inference.events import (
    BlockDone,
    PredictEvent,
    PredictFilesEvent,
    Prediction,
    PredictionFailed,
    PredictionWritten,
    TilesPredicted,
)
from napari_unet3d.inference.input_files import find_input_files
from napari_unet3d.inference.predict_series import SeriesPrediction, is_series, predict_series
from napari_unet3d.inference.predictor import Predictor
from napari_unet3d.inference.write import already_there, write_prediction
from napari_unet3d.model.checkpoint import Checkpoint, load_checkpoint

_DEFAULTS, _NO_BLOCKS = PredictionConfig(), BlockConfig()
Result = Prediction | SeriesPrediction | list[Path]
"""What comes of a file: a prediction, or what was written of it block by block."""


def predict(
    model: Checkpoint | Path | str, image: Sample | Path | str, config: PredictionConfig = _DEFAULTS
) -> Iterator[PredictEvent]:
    """Segment one volume with a trained model.

    Parameters
    ----------
    model : Checkpoint, Path or str
        A loaded model, a model file, or a run folder, whose best model is used.
    image : Sample, Path or str
        The volume, or the file that contains it.
    config : PredictionConfig
        Overlap of tiles, test-time augmentation, threshold, device and precision.

    Yields
    ------
    ModelLoaded
        The model is on its device.
    Notice
        Something that may impair the result, such as a voxel size that differs from that of the training volumes.
    TilesPredicted
        Another batch of tiles is predicted; a volume that fits into one tile yields one.
    Prediction
        The result, on the grid of the image; always the last event.

    Raises
    ------
    UserError
        If the model, the image or the device cannot be used, or there is not enough memory.

    Examples
    --------
    Train for one epoch on a volume with a bright box, then segment it; the last event is the result.

    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from napari_unet3d import TrainingConfig, train
    >>> labels = np.zeros((16, 32, 32), np.uint8)
    >>> labels[4:12, 8:24, 8:24] = 1
    >>> sample = Sample("box", labels * 100.0, labels, voxel_size_um=(2.0, 0.5, 0.5))
    >>> with TemporaryDirectory() as run:
    ...     *_, finished = train([sample], run, TrainingConfig(preset="xxsmall", epochs=1, device="cpu"))
    ...     *_, prediction = predict(run, sample)
    >>> prediction.labels.shape, prediction.probability.dtype, prediction.voxel_size_um
    ((16, 32, 32), dtype('float32'), (2.0, 0.5, 0.5))
    """
    checkpoint = as_checkpoint(model)
    has_channels = checkpoint.plan.in_channels > 1
    if isinstance(image, Sample):
        sample = image
    else:
        sample = read_sample(image, times_as_channels=has_channels, fourth_axis=config.fourth_axis)
    sample = with_voxel_size(sample, config.voxel_size_um)
    with closing(Predictor(checkpoint, config)) as predictor:
        yield from predictor.device_events()
        yield from predictor.notices_for(sample)
        yield (yield from predictor.predict(sample))


def predict_files(  # noqa: PLR0913 - as many options as the command has
    model: Checkpoint | Path | str,
    images: Iterable[Path | str],
    folder: Path | str | None,
    config: PredictionConfig = _DEFAULTS,
    *,
    probability: bool = False,
    overwrite: bool = False,
    skip_existing: bool = False,
    blocks: BlockConfig = _NO_BLOCKS,
    mask: Path | str | None = None,
    in_place: bool = False,
) -> Iterator[PredictFilesEvent]:
    """Segment several files with one model; each result is written before the next file is read.

    All paths are checked before the model is loaded. A volume that cannot be read or predicted does not prevent the
    others; the error at the end names all of them. The time points of a series are predicted one after another and
    written as one file (t, z, y, x).

    A volume that does not fit into memory is predicted block by block and written as OME-Zarr, if its file can be read
    in parts: OME-Zarr, Zarr, HDF5, npy, and TIFF without compression. If that is interrupted, the same call continues
    it: a folder ``RESULT.unfinished`` keeps the blocks that are done.

    Parameters
    ----------
    model : Checkpoint, Path or str
        As for `predict`.
    images : iterable of Path or str
        Files with one volume each, folders of such files, and wildcards; see `find_input_files`.
    folder : Path, str or None
        Output folder for ``NAME_labels``, in the format of the image; see `write_prediction`. Of a single volume that
        is predicted block by block, it may be the name of the labels, which ends in .ome.zarr; None for `in_place`.
    config : PredictionConfig
        Overlap of tiles, test-time augmentation, threshold, device and precision; with uncertainty,
        ``NAME_uncertainty`` is written as well.
    probability : bool
        Also write ``NAME_probability``.
    overwrite : bool
        Replace results that exist, except next to the image, where a file of that name may be the user's own.
    skip_existing : bool
        Keep results that exist; volumes that have all of theirs are not predicted.
    blocks : BlockConfig
        How volumes are predicted block by block; if it is not the default, all of them are.
    mask : Path or str, optional
        A volume of the shape of the image, which is predicted block by block: where it is 0, the result is background.
    in_place : bool
        Write the labels into the group ``labels`` of the OME-Zarr image, block by block.

    Yields
    ------
    ModelLoaded
        The model is on its device.
    Notice
        Something that may impair a result, or what is left out.
    TilesPredicted
        Another batch of tiles is predicted.
    BlockDone
        Another block of a volume is done.
    PredictionWritten
        Another result is on disk.
    PredictionFailed
        A volume could not be read or predicted.

    Raises
    ------
    UserError
        Before any volume is read: if a path leads to no volume, two images have the same name, a result exists and
        neither `overwrite` nor `skip_existing` is set, or the model or the device cannot be used. At once, if a result
        cannot be written. After the last volume, if some could not be predicted.

    Examples
    --------
    Train for one epoch on a volume with a bright box, then predict all volumes of a folder.

    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from napari_unet3d import TrainingConfig, train, write_volume
    >>> labels = np.zeros((16, 32, 32), np.uint8)
    >>> labels[4:12, 8:24, 8:24] = 1
    >>> with TemporaryDirectory() as run, TemporaryDirectory() as scans:
    ...     write_volume(Path(scans, "box.tif"), labels * 100, (2.0, 0.5, 0.5))
    ...     config = TrainingConfig(preset="xxsmall", epochs=1, device="cpu")
    ...     *_, finished = train([Sample("box", labels * 100.0, labels)], run, config)
    ...     *_, written = predict_files(run, [Path(scans, "*.tif")], Path(run, "out"))
    >>> [file.name for file in written.files], written.n_written
    (['box_labels.tif'], 1)
    """
    if overwrite and skip_existing:
        raise UserError("Results that exist can be either overwritten or skipped. Choose one of the two.")
    found = find_input_files(images)
    kinds = probability, config.uncertainty
    by_blocks = BlockOptions(_path(folder), blocks, *kinds, _path(mask), in_place, overwrite)
    by_blocks.check_files(found.files)
    files, notice = by_blocks.without_existing(found.files, skip_existing=skip_existing)
    yield from map(Notice, [*found.notices, *([notice] if notice else [])])
    if not files:
        return
    failed: dict[Path, str] = {}
    with closing(Predictor(as_checkpoint(model), config)) as predictor:
        yield from predictor.device_events()
        for n_done, source in enumerate(files):
            with ExitStack() as temporary:  # the time points of a series
                paths, counts = by_blocks.outputs(source), (n_done, len(files))
                result, problem = yield from _predict_file(predictor, source, (paths, by_blocks), temporary, counts)
                if isinstance(result, Prediction | SeriesPrediction) and not overwrite and not skip_existing:
                    problem = already_there(paths)
                if result is None or problem:
                    failed[source] = problem
                    yield PredictionFailed(source, problem, n_done + 1, len(files))
                    continue
                try:
                    written = _write(result, source, paths[0].parent, probability, keep_existing=skip_existing)
                except UserError as error:
                    raise UserError(f"{error} {_format_failed(failed, len(files))}".strip()) from None
            yield _written(result, written, source, n_done + 1 - len(failed), len(files), len(failed))
    if failed:
        raise UserError(_format_failed(failed, len(files)))


def _path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)


def _write(
    result: Result,
    source: Path,
    folder: Path,
    probability: bool,
    *,
    keep_existing: bool,
) -> list[Path]:
    if isinstance(result, list):
        return result
    if isinstance(result, SeriesPrediction):
        return result.write(source, keep_existing=keep_existing)
    return write_prediction(result, source, folder, probability, keep_existing=keep_existing)


def _written(result: Result, files: Sequence[Path], source: Path, *counts: int) -> PredictionWritten:
    n_written, n_volumes, n_failed = counts
    if isinstance(result, list):
        return PredictionWritten(None, tuple(files), n_written, n_volumes, source, n_failed)
    if isinstance(result, SeriesPrediction):
        own = result.prediction, tuple(files)
        return PredictionWritten(*own, n_written, n_volumes, source, n_failed, result.n_times)
    return PredictionWritten(result, tuple(files), n_written, n_volumes, source, n_failed)


def _predict_file(
    predictor: Predictor,
    source: Path,
    places: tuple[Sequence[Path], BlockOptions],
    temporary: ExitStack,
    counts: tuple[int, int],
) -> Generator[TilesPredicted | BlockDone | Notice, None, tuple[Result | None, str]]:
    """Read and predict one file; return the prediction or what was written, or None and what is wrong with the file."""
    (outputs, by_blocks), config = places, predictor.config
    try:
        with open_volume(source, "images", config.fourth_axis) as image:
            if by_blocks.applies_to(image, predictor):
                return (yield from by_blocks.predict(predictor, image, counts)), ""
            if is_series(image, predictor.n_channels, config):
                return (yield from predict_series(predictor, image, config, outputs, temporary, *counts)), ""
            sample = sample_of(image, times_as_channels=predictor.n_channels > 1)
        sample = with_voxel_size(sample, config.voxel_size_um)
        yield from predictor.notices_for(sample)
        return (yield from predictor.predict(sample, n_finished=counts[0], n_volumes=counts[1])), ""
    except UserError as error:
        return None, str(error)


def _format_failed(failed: Mapping[Path, str], n_volumes: int) -> str:
    if not failed:
        return ""
    named = {source: source.name in message for source, message in failed.items()}
    lines = [message if named[source] else f"{source.name}: {message}" for source, message in failed.items()]
    return "\n".join([f"{len(failed)} of {n_volumes} volumes could not be predicted.", *lines])


def as_checkpoint(model: Checkpoint | Path | str) -> Checkpoint:
    """Load a model unless it is loaded already."""
    return model if isinstance(model, Checkpoint) else load_checkpoint(model)
