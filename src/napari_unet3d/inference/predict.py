"""Apply a trained model to one volume, or to a list of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from napari_unet3d.configs import PredictionConfig
from napari_unet3d.configs.blocks import BlockConfig
from napari_unet3d.configs.workers import WorkersConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import read_sample
from napari_unet3d.data.voxel_size import with_voxel_size
from napari_unet3d.errors import UserError
from napari_unet3d.inference.blockwise.options import BlockOptions
from napari_unet3d.inference.events import (
    PredictEvent,
    PredictFilesEvent,
    PredictionFailed,
    PredictionWritten,
)
from napari_unet3d.inference.input_files import find_input_files
from napari_unet3d.inference.predict_file import FileOptions, FileResult, predict_all
from napari_unet3d.inference.predictor import Predictor
from napari_unet3d.inference.workers.start import started_workers
from napari_unet3d.model.checkpoint import Checkpoint, load_checkpoint

_DEFAULTS, _NO_BLOCKS, _ALONE = PredictionConfig(), BlockConfig(), WorkersConfig()


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
    workers: WorkersConfig = _ALONE,
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
    workers : WorkersConfig
        Processes that predict at the same time: several files, and the blocks of volumes that are predicted block by
        block. Results are the same; events have no predictions then, and files are ready in any order.

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
    how = FileOptions(by_blocks, probability, skip_existing)
    source_of_model = source_of(model) if not workers.is_alone else None
    with (
        closing(Predictor(as_checkpoint(model), config, source_of_model)) as predictor,
        started_workers(workers, config.device) as processes,
    ):
        yield from predictor.device_events()
        if processes is not None:
            yield Notice(processes.description)
        n_done = 0
        for answer in predict_all(predictor, files, how, processes):
            if not isinstance(answer, FileResult):
                yield answer
                continue
            n_done += 1
            if answer.problem:
                failed[answer.source] = answer.problem
                yield PredictionFailed(answer.source, answer.problem, n_done, len(files))
            elif answer.not_written:
                raise UserError(f"{answer.not_written} {_format_failed(failed, len(files))}".strip())
            else:
                counts = n_done - len(failed), len(files), answer.source, len(failed), answer.n_times
                yield PredictionWritten(answer.prediction, answer.files, *counts)
    if failed:
        raise UserError(_format_failed(failed, len(files)))


def _path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)


def source_of(model: Checkpoint | Path | str) -> Path:
    """Return where worker processes read a model from."""
    if isinstance(model, Checkpoint):
        raise UserError("Other processes cannot use a model that is only in memory. Pass its file or its run folder.")
    return Path(model).absolute()


def _format_failed(failed: Mapping[Path, str], n_volumes: int) -> str:
    if not failed:
        return ""
    named = {source: source.name in message for source, message in failed.items()}
    lines = [message if named[source] else f"{source.name}: {message}" for source, message in failed.items()]
    return "\n".join([f"{len(failed)} of {n_volumes} volumes could not be predicted.", *lines])


def as_checkpoint(model: Checkpoint | Path | str) -> Checkpoint:
    """Load a model unless it is loaded already."""
    return model if isinstance(model, Checkpoint) else load_checkpoint(model)
