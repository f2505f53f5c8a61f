"""What docks do with a model in a thread: predict volumes, evaluate it, open results; torch is imported there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_unet3d.configs.prediction import EvaluationConfig, PredictionConfig
from napari_unet3d.configs.training_enums import FourthAxis
from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.events import Notice
from napari_unet3d.data.formats.base import VolumeData
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.pairs import Pair
from napari_unet3d.data.reading import read_image, read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.seen_content import SeenContent, seen_in
from napari_unet3d.data.series_files import SeriesFile, series_suffix
from napari_unet3d.data.time_points import split_name
from napari_unet3d.data.volumes import read_sample, write_volume
from napari_unet3d.data.voxel_size import with_voxel_size
from napari_unet3d.inference.events import EvaluateEvent, PredictFilesEvent, Prediction
from napari_unet3d.inference.write import check_not_beside, result_suffix
from napari_unet3d.model.plan import Plan
from napari_unet3d.session.comparison import Comparison, compare, decode


@dataclass(frozen=True, slots=True)
class FileOpened:
    """A predicted file was read again to be shown.

    Attributes
    ----------
    sample : Sample
        The file.
    prediction : Prediction or None
        The prediction, if it was kept.
    labels : ndarray of unsigned integers, shape (z, y, x), or None
        The labels of the results; None when the prediction was kept.
    plan : Plan or None
        What the labels mean; None means foreground.
    """

    sample: Sample
    prediction: Prediction | None
    labels: NDArray[Any] | None
    plan: Plan | None


@dataclass(frozen=True, slots=True)
class SeriesOpened:
    """A predicted series was read again to be shown.

    Attributes
    ----------
    image : VolumeData
        All of its time points.
    labels : ndarray of unsigned integers, shape (t, z, y, x)
        The labels of the results.
    plan : Plan or None
        What the labels mean; None means foreground.
    """

    image: VolumeData
    labels: NDArray[Any]
    plan: Plan | None


def predict_sample(
    model: Path, sample: Sample, config: PredictionConfig, out: Path | None, source: Path | None = None
) -> Iterator[Any]:
    """Predict one volume and compare it with its labels; write the result if there is a folder for it.

    Results are written in the format of the file `source` that the volume comes from, if that holds its place.

    Yields
    ------
    ModelLoaded, Notice, TilesPredicted
        As `predict` does.
    Comparison
        The result; always the last event.
    """
    from napari_unet3d.inference.predict import predict
    from napari_unet3d.model.checkpoint import load_seen_content

    seen = load_seen_content(model)
    for event in predict(model, sample, config):
        if not isinstance(event, Prediction):
            yield event
            continue
        comparison = _compare(event, sample, seen)
        if out is not None:
            yield from _write_prediction(comparison, files_of_layer(sample, out, config, source), source)
        yield comparison


def _compare(prediction: Prediction, sample: Sample, seen: SeenContent | None) -> Comparison:
    """Compare a prediction with the labels of its volume, if it has any; the scores say what the model has seen."""
    truth = decode(sample.labels, prediction, sample.label_mask)
    if truth is not None:
        prediction = replace(prediction, seen_in=seen_in(seen, sample.image))
    return compare(prediction, truth)


def predict_series(
    model: Path,
    read: Callable[[int], Sample],
    n_times: int,
    config: PredictionConfig,
    out: Path | None,
    source: Path | None = None,
) -> Iterator[Any]:
    """Predict the time points of a series one after another; write them as one file if there is a folder for it.

    Parameters
    ----------
    model, config, out, source
        As for `predict_sample`.
    read : callable
        Returns a time point with its labels.
    n_times : int
        Number of time points.

    Yields
    ------
    ModelLoaded, Notice, TilesPredicted
        As `predict` does.
    Comparison
        After each time point, named after it.
    """
    from napari_unet3d.inference.predict import as_checkpoint
    from napari_unet3d.inference.predict_series import predict_time_points
    from napari_unet3d.inference.predictor import Predictor

    read_now: list[Sample] = []

    def samples() -> Iterator[Sample]:
        for time in range(n_times):
            read_now[:] = [with_voxel_size(read(time), config.voxel_size_um)]
            yield read_now[0]

    checkpoint = as_checkpoint(model)
    with closing(Predictor(checkpoint, config)) as predictor, ExitStack() as temporary:
        yield from predictor.device_events()
        files: dict[str, SeriesFile] = {}
        for event in predict_time_points(predictor, samples(), n_times):
            if not isinstance(event, Prediction):
                yield event
                continue
            sample = read_now[0]
            comparison = _compare(event, sample, checkpoint.seen)
            if out is not None and not files:
                yield from _notice_of_suffix(event.geometry, source)
                paths = files_of_layer(sample, out, config, source)
                files = {
                    kind: temporary.enter_context(SeriesFile(path, n_times, event.geometry))
                    for kind, path in paths.items()
                }
            for kind, file in files.items():
                file.add(split_name(event.name)[1] or 0, _array(comparison, kind))
            yield comparison
        if source is not None:
            check_not_beside(source, [file.path for file in files.values()])
        for file in files.values():
            file.write()


def predict_paths(
    model: Path, files: Sequence[Path], out: Path, config: PredictionConfig, probability: bool, overwrite: bool
) -> Iterator[PredictFilesEvent]:
    """Yield the events of `predict_files`; torch is imported in the thread that requests the first one."""
    from napari_unet3d.inference.predict import predict_files

    yield from predict_files(model, files, out, config, probability=probability, overwrite=overwrite)


def evaluate_volumes(
    model: Path, data: Path | Sequence[Pair], out: Path | None, config: EvaluationConfig
) -> Iterator[EvaluateEvent]:
    """Yield the events of `evaluate`; torch is imported in the thread that requests the first one."""
    from napari_unet3d.inference.evaluate import evaluate

    yield from evaluate(model, data, out=out, config=config)


def open_file(source: Path, result: Path, plan: Plan | None, kept: Prediction | None) -> Iterator[FileOpened]:
    """Read a volume and, where its prediction was not kept, its predicted labels."""
    yield FileOpened(
        read_sample(source, times_as_channels=plan is not None and plan.in_channels > 1),
        kept,
        read_volume(result).array if kept is None else None,
        plan,
    )


def open_series(source: Path, result: Path, plan: Plan | None, fourth_axis: FourthAxis) -> Iterator[SeriesOpened]:
    """Read a series and its predicted labels."""
    image = read_image(source, role="images", fourth_axis=fourth_axis)
    yield SeriesOpened(image, read_image(result, role="labels", fourth_axis=FourthAxis.TIME_POINTS).array, plan)


def files_of_layer(
    sample: Sample, folder: Path, config: PredictionConfig, source: Path | None = None
) -> dict[str, Path]:
    """Return the files that `predict_sample` writes, by what they hold; a time point is in the file of its series."""
    series, time = split_name(sample.name)
    name, (suffix, _) = file_name(series), result_suffix(sample.geometry, source)
    suffix = suffix if time is None else series_suffix(sample.geometry, suffix)
    has_truth = sample.labels is not None
    is_written = {"labels": True, "probability": True, "uncertainty": config.uncertainty, "difference": has_truth}
    return {kind: folder / f"{name}_{kind}{suffix}" for kind, is_asked in is_written.items() if is_asked}


def _write_prediction(comparison: Comparison, files: dict[str, Path], source: Path | None) -> Iterator[Notice]:
    geometry = comparison.prediction.geometry
    yield from _notice_of_suffix(geometry, source)
    if source is not None:
        check_not_beside(source, list(files.values()))
    for kind, file in files.items():
        write_volume(file, _array(comparison, kind), geometry=geometry)


def _notice_of_suffix(geometry: Geometry, source: Path | None) -> Iterator[Notice]:
    if notice := result_suffix(geometry, source)[1]:
        yield Notice(notice)


def _array(comparison: Comparison, kind: str) -> Any:
    return comparison.difference if kind == "difference" else getattr(comparison.prediction, kind)
