"""Apply a trained model to one volume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.configs import Fit, PredictionConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import read_sample
from napari_unet3d.errors import UserError
from napari_unet3d.model.checkpoint import Checkpoint, load_checkpoint
from napari_unet3d.model.devices import TorchSettings, choose_hardware, explain_memory_errors
from napari_unet3d.model.network import place_network
from napari_unet3d.model.normalisation import normalise
from napari_unet3d.prediction.events import ModelLoaded, PredictEvent, PredictFilesEvent, Prediction, PredictionWritten
from napari_unet3d.prediction.fit import fit_volume, fitted_shape, unfit_volume
from napari_unet3d.prediction.writing import (
    check_distinct,
    check_keeps_own_files,
    prediction_files,
    write_prediction,
)

_DEFAULTS = PredictionConfig()
_REMEDY = "Predict a part of the volume, or on the device cpu if it was the GPU's memory"
_SAME_VOXEL_SIZE = 0.05  # relative; calibrations differ by a few per cent without meaning anything by it


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
        Threshold, device and precision.

    Yields
    ------
    ModelLoaded
        The model is on its device.
    Notice
        Something that may spoil the result, such as another voxel size than that of the training volumes.
    Prediction
        The result, on the grid of the image; always the last event.

    Raises
    ------
    UserError
        If model, image or device cannot be used, or there is not enough memory.
    """
    checkpoint = as_checkpoint(model)
    sample = image if isinstance(image, Sample) else read_sample(image)
    with closing(LoadedModel(checkpoint, config)) as loaded:
        yield from loaded.announce()
        yield from loaded.notices_for(sample)
        yield loaded.predict(sample)


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
        Threshold, device and precision.
    probability : bool
        Write ``NAME_probability`` too.

    Yields
    ------
    ModelLoaded
        The model is on its device.
    Notice
        Something that may spoil a result.
    PredictionWritten
        One more result is on disk; one per image.

    Raises
    ------
    UserError
        As `predict`; before anything is read when two images have the same name, or a result would replace a
        file beside its image.
    """
    checkpoint = as_checkpoint(model)
    check_distinct([prediction_files(source, folder)[0].name for source in images], "results")
    for source in images:
        check_keeps_own_files(source, prediction_files(source, folder, probability))
    with closing(LoadedModel(checkpoint, config)) as loaded:
        yield from loaded.announce()
        for n_written, source in enumerate(images, start=1):
            sample = read_sample(source)
            yield from loaded.notices_for(sample)
            prediction = loaded.predict(sample)
            files = write_prediction(prediction, source, folder, probability)
            yield PredictionWritten(prediction, tuple(files), n_written, len(images))


def as_checkpoint(model: Checkpoint | Path | str) -> Checkpoint:
    """Load a model unless it is loaded already."""
    return model if isinstance(model, Checkpoint) else load_checkpoint(model)


class LoadedModel:
    """A model on its device, which predicts one volume after another; close it to give the memory back.

    A volume goes through what the training volumes went through: normalised, then fitted to the network in the
    same way. The exception is a model that was trained on cropped volumes: cropping changes no voxel that is
    kept, so nothing is lost by padding instead, and the prediction covers the whole volume.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    config : PredictionConfig
        Threshold, device and precision.

    Raises
    ------
    UserError
        If the device is not there, or has not enough memory for the network.
    """

    def __init__(self, checkpoint: Checkpoint, config: PredictionConfig) -> None:
        self._checkpoint = checkpoint
        self._config = config
        self._fit = Fit.PAD if checkpoint.config.fit is Fit.CROP else checkpoint.config.fit
        self._hardware = choose_hardware(config.device, config.precision)
        self._settings = TorchSettings(self._hardware, seed=0)
        with explain_memory_errors(_REMEDY):
            self._network = place_network(checkpoint.network(), self._hardware)

    def announce(self) -> Iterator[ModelLoaded | Notice]:
        """Give the events that tell where the model runs and what is wrong there."""
        yield ModelLoaded(self._hardware.words)
        yield from map(Notice, self._hardware.notices)

    def notices_for(self, sample: Sample) -> Iterator[Notice]:
        """Give a notice when the voxels of the volume have another size than those of the training volumes."""
        trained = self._checkpoint.voxel_size_um
        if trained is None:
            return
        if any(abs(new / old - 1) > _SAME_VOXEL_SIZE for new, old in zip(sample.voxel_size_um, trained, strict=True)):
            yield Notice(
                f"The voxels of '{sample.name}' measure {_words(sample.voxel_size_um)} µm (z × y × x), those of the "
                f"training volumes {_words(trained)} µm. The network sees objects in voxels: resample the volume to "
                "that voxel size if the prediction is poor."
            )

    def predict(self, sample: Sample) -> Prediction:
        """Segment one volume.

        Raises
        ------
        UserError
            If there is not enough memory, or the network's numbers overflow.
        """
        probability = self._probability(sample)
        if not np.isfinite(probability).all():
            raise UserError(
                f"The network's numbers overflowed on '{sample.name}' ({self._hardware.words}). "
                "Choose precision fp32, or train the model again."
            )
        labels = (probability >= self._config.threshold).astype(np.uint8)
        return Prediction(sample.name, labels, probability, sample.voxel_size_um)

    def _probability(self, sample: Sample) -> NDArray[np.float32]:
        config, device = self._checkpoint.config, self._hardware.device
        shape = fitted_shape(sample.shape, self._checkpoint.plan.total_stride, self._fit)
        with explain_memory_errors(_REMEDY):
            grey = fit_volume(normalise(sample.image, config.normalisation), shape, self._fit, is_labels=False)
            with self._settings.lent(_REMEDY), torch.inference_mode(), self._hardware.autocast():
                logits = self._network(torch.from_numpy(grey)[None, None].to(device))
                fitted = torch.sigmoid(logits[0, 0].float()).cpu().numpy()
            return np.ascontiguousarray(unfit_volume(fitted, sample.shape, self._fit))

    def close(self) -> None:
        """Let go of the network and hand its memory back to the device."""
        del self._network
        if self._hardware.device.type == "cuda":
            torch.cuda.empty_cache()


def _words(voxel_size_um: tuple[Any, ...]) -> str:
    return " × ".join(f"{size:g}" for size in voxel_size_um)
