"""Apply a trained model to one volume, or to a list of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from napari_unet3d.configs import PredictionConfig
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import read_sample
from napari_unet3d.inference.events import PredictEvent, PredictFilesEvent, PredictionWritten
from napari_unet3d.inference.predictor import Predictor
from napari_unet3d.inference.write import check_names_differ, check_not_beside, prediction_files, write_prediction
from napari_unet3d.model.checkpoint import Checkpoint, load_checkpoint

_DEFAULTS = PredictionConfig()


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
    sample = image if isinstance(image, Sample) else read_sample(image, times_as_channels=has_channels)
    with closing(Predictor(checkpoint, config)) as predictor:
        yield from predictor.device_events()
        yield from predictor.notices_for(sample)
        yield (yield from predictor.predict(sample))


def predict_files(
    model: Checkpoint | Path | str,
    images: Sequence[Path | str],
    folder: Path | str,
    config: PredictionConfig = _DEFAULTS,
    *,
    probability: bool = False,
) -> Iterator[PredictFilesEvent]:
    """Segment several files with one model; each result is written before the next file is read.

    Parameters
    ----------
    model : Checkpoint, Path or str
        As for `predict`.
    images : sequence of Path or str
        Files with one volume each.
    folder : Path or str
        Output folder for ``NAME_labels``, in the format of the image; see `write_prediction`.
    config : PredictionConfig
        Overlap of tiles, test-time augmentation, threshold, device and precision; with uncertainty,
        ``NAME_uncertainty`` is written as well.
    probability : bool
        Also write ``NAME_probability``.

    Yields
    ------
    ModelLoaded
        The model is on its device.
    Notice
        Something that may impair a result.
    TilesPredicted
        Another batch of tiles is predicted.
    PredictionWritten
        Another result is on disk; one per image.

    Raises
    ------
    UserError
        As `predict`; before any file is read if two images have the same name, or if a result would overwrite a file
        next to its image.
    """
    check_names_differ([prediction_files(source, folder)[0].name for source in images], "results")
    for source in images:
        check_not_beside(source, prediction_files(source, folder, probability, config.uncertainty))
    checkpoint = as_checkpoint(model)
    with closing(Predictor(checkpoint, config)) as predictor:
        yield from predictor.device_events()
        for n_written, source in enumerate(images, start=1):
            sample = read_sample(source, times_as_channels=checkpoint.plan.in_channels > 1)
            yield from predictor.notices_for(sample)
            prediction = yield from predictor.predict(sample, n_finished=n_written - 1, n_volumes=len(images))
            files = write_prediction(prediction, source, folder, probability)
            yield PredictionWritten(prediction, tuple(files), n_written, len(images))


def as_checkpoint(model: Checkpoint | Path | str) -> Checkpoint:
    """Load a model unless it is loaded already."""
    return model if isinstance(model, Checkpoint) else load_checkpoint(model)
