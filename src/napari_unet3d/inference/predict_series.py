"""Predict the time points of a series one after another, and write them as one file."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_unet3d.configs import FourthAxis, PredictionConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.opening import OpenVolume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.series_files import SeriesFile
from napari_unet3d.data.time_points import series_of
from napari_unet3d.data.volumes import sample_of
from napari_unet3d.data.voxel_size import with_voxel_size
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import Prediction, TilesPredicted
from napari_unet3d.inference.predictor import Predictor
from napari_unet3d.inference.write import check_not_beside, exists


def is_series(image: OpenVolume, n_channels: int, config: PredictionConfig) -> bool:
    """Return whether the time points of an image are predicted one by one.

    They are used as channels if the model needs several channels, the image has no others, and the user has not said
    that the fourth axis is time.
    """
    if image.n_times is None:
        return False
    return n_channels == 1 or image.roles.c is not None or config.fourth_axis is FourthAxis.TIME_POINTS


def read_series(image: OpenVolume, config: PredictionConfig) -> Iterator[Sample]:
    """Yield the time points of an image that is open, each of which is read when it is needed."""
    for time in range(image.n_times or 0):
        yield with_voxel_size(sample_of(image, time=time), config.voxel_size_um)


def predict_time_points(
    predictor: Predictor, samples: Iterable[Sample], n_times: int, n_finished: int = 0, n_volumes: int = 1
) -> Iterator[TilesPredicted | Notice | Prediction]:
    """Predict the time points of a series.

    Parameters
    ----------
    predictor : Predictor
        The model.
    samples : iterable of Sample
        The time points, which may be read one after another.
    n_times : int
        Number of time points.
    n_finished, n_volumes : int
        Finished volumes and all volumes, for the events; a series is one.

    Yields
    ------
    Notice
        What was assumed of the series; once, if it is the same for several time points.
    TilesPredicted
        After each batch of tiles.
    Prediction
        After each time point, named after series and time point.

    Raises
    ------
    UserError
        As `Predictor.predict`.
    """
    seen: set[str] = set()
    for number, sample in enumerate(samples):
        for notice in predictor.notices_for(sample):
            if (text := notice.message.replace(sample.name, series_of(sample.name))) not in seen:
                seen.add(text)
                yield notice
        events = predictor.predict(sample, n_finished=n_finished, n_volumes=n_volumes)
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                yield end.value
                break
            yield replace(event, n_times_done=number, n_times=n_times) if isinstance(event, TilesPredicted) else event


@dataclass(frozen=True, slots=True)
class SeriesPrediction:
    """The prediction of a series, which is written when all of its time points are there.

    Attributes
    ----------
    prediction : Prediction
        That of the last time point, named after the series.
    n_times : int
        Number of time points.
    files : tuple of SeriesFile
        Labels and, if requested, probability and uncertainty.
    """

    prediction: Prediction
    n_times: int
    files: tuple[SeriesFile, ...]

    def write(self, source: Path, *, keep_existing: bool = False) -> list[Path]:
        """Write the files, except those that exist if they are kept; raises as `write_prediction`."""
        written = [file for file in self.files if not (keep_existing and exists(file.path))]
        check_not_beside(source, [file.path for file in written])
        for file in written:
            file.write()
        return [file.path for file in written]


def predict_series(  # noqa: PLR0913 - the series, where its result goes, and how far all are
    predictor: Predictor,
    image: OpenVolume,
    config: PredictionConfig,
    outputs: Sequence[Path],
    stack: ExitStack,
    n_finished: int,
    n_volumes: int,
) -> Generator[TilesPredicted | Notice, None, SeriesPrediction]:
    """Predict the time points of an image that is open, and keep each in temporary files until all are there.

    Parameters
    ----------
    predictor : Predictor
        The model.
    image : OpenVolume
        The image.
    config : PredictionConfig
        The voxel size that is used where the file has none.
    outputs : sequence of Path
        The files for labels and, if requested, probability and uncertainty.
    stack : ExitStack
        Deletes the temporary files at its end.
    n_finished, n_volumes : int
        Finished volumes and all volumes, for the events.

    Raises
    ------
    UserError
        If a time point cannot be read or predicted; it is named.
    """
    n_times = image.n_times or 0
    files: tuple[SeriesFile, ...] = ()
    number, last = 0, None
    try:
        samples = read_series(image, config)
        for event in predict_time_points(predictor, samples, n_times, n_finished, n_volumes):
            if not isinstance(event, Prediction):
                yield event
                continue
            place = n_times, event.geometry, image.stored.time_step_s
            files = files or tuple(stack.enter_context(SeriesFile(path, *place)) for path in outputs)
            for file, values in zip(files, _arrays(event, outputs), strict=True):
                file.add(number, values)
            number, last = number + 1, event
    except UserError as error:
        raise UserError(
            f"Time point {number} of {n_times} of {image.path.name} could not be predicted: {error}"
        ) from None
    assert last is not None, "a series has time points"
    return SeriesPrediction(replace(last, name=series_of(last.name)), n_times, files)


def _arrays(prediction: Prediction, outputs: Sequence[Path]) -> list[NDArray[Any]]:
    """Return what is written of a time point, in the order of `prediction_files`."""
    found: list[NDArray[Any]] = [prediction.labels]
    if len(outputs) == 2 + (prediction.uncertainty is not None):
        found.append(prediction.probability)
    if prediction.uncertainty is not None:
        found.append(prediction.uncertainty)
    return found
