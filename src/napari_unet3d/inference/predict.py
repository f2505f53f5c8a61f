"""Apply a trained model to a volume, or to files one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from napari_unet3d.configs import PredictionConfig
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import read_sample
from napari_unet3d.inference.events import PredictEvent, PredictFilesEvent, PredictionWritten
from napari_unet3d.inference.predictor import Predictor
from napari_unet3d.inference.write import (
    check_distinct,
    check_keeps_own_files,
    prediction_files,
    write_prediction,
)
from napari_unet3d.model.checkpoint import Checkpoint, load_checkpoint

_DEFAULTS = PredictionConfig()


def predict(
    model: Checkpoint | Path | str, image: Sample | Path | str, config: PredictionConfig = _DEFAULTS
) -> Iterator[PredictEvent]:
    """Segment one volume with a trained model.

    Parameters
    ----------
    model : Checkpoint, Path or str
        A loaded model, a model file, or a run folder, of which the best model is taken.
    image : Sample, Path or str
        The volume, or a file that holds one.
    config : PredictionConfig
        Overlap of tiles, mirror images, threshold, device and precision.

    Yields
    ------
    ModelLoaded
        The model is on its device.
    Notice
        Something that may spoil the result, such as another voxel size than that of the training volumes.
    TilesPredicted
        One more batch of tiles is predicted; a volume that fits a single tile gives one.
    Prediction
        The result, on the grid of the image; always the last event.

    Raises
    ------
    UserError
        If model, image or device cannot be used, or there is not enough memory.
    """
    checkpoint = as_checkpoint(model)
    sample = image if isinstance(image, Sample) else read_sample(image)
    with closing(Predictor(checkpoint, config)) as loaded:
        yield from loaded.device_events()
        yield from loaded.notices_for(sample)
        yield (yield from loaded.predict(sample))


def predict_files(
    model: Checkpoint | Path | str,
    images: Sequence[Path | str],
    folder: Path | str,
    config: PredictionConfig = _DEFAULTS,
    *,
    probability: bool = False,
) -> Iterator[PredictFilesEvent]:
    """Segment one file after another with the same model, and write each result before the next is read.

    Parameters
    ----------
    model : Checkpoint, Path or str
        As for `predict`.
    images : sequence of Path or str
        Files, each with one volume.
    folder : Path or str
        Where ``NAME_labels`` goes, in the format of its image; see `write_prediction`.
    config : PredictionConfig
        Overlap of tiles, mirror images, threshold, device and precision; with uncertainty ``NAME_uncertainty`` is
        written too.
    probability : bool
        Write ``NAME_probability`` too.

    Yields
    ------
    ModelLoaded
        The model is on its device.
    Notice
        Something that may spoil a result.
    TilesPredicted
        One more batch of tiles is predicted.
    PredictionWritten
        One more result is on disk; one per image.

    Raises
    ------
    UserError
        As `predict`; before anything is read when two images have the same name, or a result would replace a
        file beside its image.
    """
    check_distinct([prediction_files(source, folder)[0].name for source in images], "results")
    for source in images:
        check_keeps_own_files(source, prediction_files(source, folder, probability, config.uncertainty))
    with closing(Predictor(as_checkpoint(model), config)) as loaded:
        yield from loaded.device_events()
        for n_written, source in enumerate(images, start=1):
            sample = read_sample(source)
            yield from loaded.notices_for(sample)
            prediction = yield from loaded.predict(sample, n_finished=n_written - 1, n_volumes=len(images))
            files = write_prediction(prediction, source, folder, probability)
            yield PredictionWritten(prediction, tuple(files), n_written, len(images))


def as_checkpoint(model: Checkpoint | Path | str) -> Checkpoint:
    """Load a model unless it is loaded already."""
    return model if isinstance(model, Checkpoint) else load_checkpoint(model)
