"""Evaluate a trained model on a test set: predictions, metrics, differences and errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import replace
from pathlib import Path

from napari_unet3d.configs import EvaluationConfig, FourthAxis
from napari_unet3d.configs.workers import WorkersConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.pairs import Pair, Subset, folder_notices, list_pairs, missing_partner
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.series import list_time_points
from napari_unet3d.errors import UserError
from napari_unet3d.inference.blockwise.scoring.volume import working_folder
from napari_unet3d.inference.evaluation_folder import PREDICTIONS, evaluation_folder
from napari_unet3d.inference.evaluation_volumes import predict_ahead, read_test_volume
from napari_unet3d.inference.events import EvaluateEvent, VolumeEvaluated
from napari_unet3d.inference.large_volumes import evaluate_large, is_large
from napari_unet3d.inference.predict import as_checkpoint, source_of
from napari_unet3d.inference.predictor import Predictor
from napari_unet3d.inference.results_folder import ResultsFolder
from napari_unet3d.inference.workers.start import started_workers
from napari_unet3d.inference.write import check_names_differ
from napari_unet3d.model.checkpoint import Checkpoint

_DEFAULTS, _ALONE = EvaluationConfig(), WorkersConfig()


def evaluate(
    model: Checkpoint | Path | str,
    data: Path | str | Sequence[Sample | Pair],
    *,
    out: Path | str | None = None,
    config: EvaluationConfig = _DEFAULTS,
    workers: WorkersConfig = _ALONE,
) -> Iterator[EvaluateEvent]:
    """Predict the volumes of a test set and compare them with their ground truth.

    Parameters
    ----------
    model : Checkpoint, Path or str
        A loaded model, a model file, or a run folder, whose best model is used.
    data : Path, str or sequence of Sample or Pair
        A dataset folder, whose test set is used, or samples with labels, or pairs of a dataset, which are read one
        after another.
    out : Path or str, optional
        Output folder for ``predictions/NAME_labels``, ``differences/NAME_difference`` (1 extra, 2 missed, 3 wrong
        class), both in the format and place of the image, ``figures/NAME.png``, ``metrics.json`` and ``metrics.csv``,
        ``errors.csv`` with every error, pictures of the worst ones in ``errors``, and ``evaluation.json`` with settings
        and sources; with uncertainty also ``predictions/NAME_uncertainty``. The files of a volume are written before
        its event, so they remain if the evaluation is stopped. An earlier evaluation in the folder is
        replaced as a whole at the end, and stays as it is if the new one is stopped; a folder with other files is
        refused. Nothing is written if `out` is omitted.
    config : EvaluationConfig
        Threshold, device, precision, surface tolerance, test augmentation and axis of the figures.
    workers : WorkersConfig
        Processes that predict at the same time, volumes from files and the blocks of larger ones; this process scores
        them. Results are the same, but predictions in events have no probability.

    Yields
    ------
    ModelLoaded
        The model is on its device.
    Notice
        Something that may impair the result.
    TilesPredicted
        Another batch of tiles is predicted.
    VolumeEvaluated
        A volume is predicted, scored and written.
    BlockDone, LargeVolumeEvaluated
        The same for a volume that does not fit into memory: it is predicted as `predict_files` does, and scored block
        by block, without figure and pictures of errors; its results are OME-Zarr.
    EvaluationFinished
        Metrics of all volumes and their mean; always the last event.

    Raises
    ------
    UserError
        If the model, the data, the device or the output folder cannot be used, a volume has no labels, or there is not
        enough memory.

    Examples
    --------
    Train for one epoch on a volume with a bright box, then score the model on another one; the last event has the
    metrics.

    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from napari_unet3d import TrainingConfig, train
    >>> labels = np.zeros((16, 32, 32), np.uint8)
    >>> labels[4:12, 8:24, 8:24] = 1
    >>> box = Sample("box", labels * 100.0, labels)
    >>> flipped = Sample("flipped", box.image[::-1], labels[::-1])
    >>> with TemporaryDirectory() as run:
    ...     *_, finished = train([box], run, TrainingConfig(preset="xxsmall", epochs=1, device="cpu"))
    ...     *_, evaluation = evaluate(run, [flipped])
    >>> [scores.name for scores in evaluation.volumes], 0 <= evaluation.mean.dice <= 1
    (['flipped'], True)
    """
    checkpoint = as_checkpoint(model)
    volumes = volumes_to_test(data, config.fourth_axis)
    out = None if out is None else Path(out)
    if out is not None:
        check_names_differ([volume.name for volume in volumes], "test volumes")
    about = {
        "model": absolute_path(model),
        "dataset": absolute_path(data),
        "epoch": checkpoint.epoch,
        "volumes": [volume.name for volume in volumes],
    }
    source = source_of(model) if not workers.is_alone else None
    with (
        folder_of_results(out) as folder,
        closing(Predictor(checkpoint, config, source)) as predictor,
        started_workers(workers, config.device) as processes,
        ExitStack() as temporary,
    ):
        results = ResultsFolder(folder, config, checkpoint.plan, about)
        yield from predictor.device_events()
        if isinstance(data, Path | str):
            yield from map(Notice, folder_notices(data, Subset.TEST))
        ahead = None
        if processes is not None:
            yield Notice(processes.description)
            kept = temporary.enter_context(working_folder(None if folder is None else folder / PREDICTIONS / "kept"))
            ahead = predict_ahead(predictor, volumes, config, processes, kept)
        for index, volume in enumerate(volumes):
            counts = index, len(volumes)
            if is_large(volume, predictor.plan, config.fourth_axis):
                if ahead is not None:
                    ahead.wait()
                yield from evaluate_large(predictor, volume, results, checkpoint.seen, counts, processes)
                continue
            sample, truth, seen = read_test_volume(checkpoint, volume, config, index)
            if ahead is None:
                yield from predictor.notices_for(sample)
                prediction = yield from predictor.predict(sample, *counts)
            else:
                prediction = yield from ahead.take(index, sample)
            prediction = replace(prediction, seen_in=seen)
            image = volume.image if isinstance(volume, Pair) else None
            scores = results.add(predictor.with_channels(sample), prediction, truth, image)
            options = config.ignore_border_objects, sample.channel_names
            yield VolumeEvaluated(scores, sample.image, truth, prediction, index + 1, len(volumes), *options)
    yield from results.notices()
    yield results.finished_event(out)


def folder_of_results(out: Path | None) -> AbstractContextManager[Path | None]:
    """Return the context of an output folder, or one of None if there is none."""
    return nullcontext() if out is None else evaluation_folder(out)


def absolute_path(source: object) -> str:
    """Return the absolute path of a source of volumes or of a model, or an empty string if it is in memory."""
    return str(Path(source).absolute()) if isinstance(source, Path | str) else ""


def volumes_to_test(
    data: Path | str | Sequence[Sample | Pair], fourth_axis: FourthAxis = FourthAxis.AUTO
) -> Sequence[Pair | Sample]:
    """Return the test volumes, of series each time point; raise a `UserError` if one has no labels, before reading."""
    given = list_pairs(data, Subset.TEST) if isinstance(data, Path | str) else data
    volumes: list[Pair | Sample] = []
    for each in given:
        volumes += [each] if isinstance(each, Sample) else list_time_points([each], fourth_axis)
    if not volumes and isinstance(data, Path | str):
        raise UserError(
            f"{Path(data) / 'test'} contains no volumes. Add images to test/images and their labels to test/labels."
        )
    if not volumes:
        raise UserError("There are no test volumes. Pass at least one sample with labels.")
    for volume in volumes:
        if isinstance(volume, Pair) and not volume.is_complete:
            raise UserError(missing_partner(volume))
        if volume.labels is None:
            raise UserError(f"The test volume '{volume.name}' has no labels to compare with. Add them, or use predict.")
    return volumes
