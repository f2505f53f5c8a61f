"""Test volumes as they are predicted: read, decoded and augmented, by this process and by workers."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_unet3d.configs import Augmentation, EvaluationConfig, PredictionConfig
from napari_unet3d.data.dataset import read_pair
from napari_unet3d.data.events import Notice
from napari_unet3d.data.ground_truth import GroundTruth, decode_labels
from napari_unet3d.data.pairs import Pair
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.seen_content import SeenIn, seen_in
from napari_unet3d.data.voxel_size import with_voxel_size
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import Prediction
from napari_unet3d.inference.large_volumes import is_large
from napari_unet3d.inference.predictor import Predictor, predictor_of
from napari_unet3d.inference.workers.base import Workers
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.model.plan import Plan
from napari_unet3d.transforms.augment import Augmenter


def read_test_volume(
    checkpoint: Checkpoint, volume: Sample | Pair, config: EvaluationConfig, index: int
) -> tuple[Sample, GroundTruth, SeenIn]:
    """Read a test volume, and augment it if that is asked for.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    volume : Sample or Pair
        The volume, or its files.
    config : EvaluationConfig
        Voxel size and augmentation.
    index : int
        Which of the test volumes it is; the augmentation depends on it.

    Returns
    -------
    Sample, GroundTruth, SeenIn
        The volume, its ground truth, and whether the model has seen it.
    """
    sample = volume if isinstance(volume, Sample) else read_pair(volume, config.fourth_axis)
    sample = with_voxel_size(sample, config.voxel_size_um)
    labels, trained = np.asarray(sample.labels), checkpoint.config
    truth = decode_labels(labels, trained.task, trained.ignore_label, sample.label_mask, name=sample.name)
    seen = seen_in(checkpoint.seen, sample.image)
    if config.test_augmentation is not Augmentation.NONE:
        sample, truth = _augmented(sample, truth, config, index)
    return sample, truth, seen


def _augmented(sample: Sample, truth: GroundTruth, config: EvaluationConfig, index: int) -> tuple[Sample, GroundTruth]:
    """Augment a test volume together with its ground truth."""
    augment = Augmenter(config.test_augmentation, sample.spacing, sample.shape)
    channels = [truth.labels] if truth.label_mask is None else [truth.labels, truth.label_mask]
    targets = torch.from_numpy(np.stack([channel.astype(np.int64) for channel in channels]))
    image, targets = augment(torch.from_numpy(sample.channels.astype(np.float32)), targets, seed=config.seed + index)
    labels, *label_mask = targets.numpy()
    truth = GroundTruth(labels.astype(truth.labels.dtype), label_mask[0] > 0 if label_mask else None)
    return replace(sample, image=image.numpy(), labels=truth.labels, label_mask=truth.label_mask), truth


@dataclass(frozen=True, slots=True)
class VolumeTask:
    """A test volume, for a worker, which writes the prediction to a file.

    Attributes
    ----------
    model : Path
        The file or run folder of the model.
    shared, config : PredictionConfig, EvaluationConfig
        How it is applied, and how the volume is read.
    volume : Pair
        The files of the volume.
    index : int
        Which of the test volumes it is.
    file : Path
        The file to write, ending in .npz.
    """

    model: Path
    shared: PredictionConfig
    config: EvaluationConfig
    volume: Pair
    index: int
    file: Path

    def __call__(self, n_done: int) -> Iterator[Notice | Path]:
        """Yield notices and the file; what was answered before is not answered again."""
        for number, answer in enumerate(self._answers()):
            if number >= n_done:
                yield answer

    def _answers(self) -> Generator[Notice | Path, None, None]:
        predictor = predictor_of(self.model, self.shared)
        sample, _, _ = read_test_volume(predictor.checkpoint, self.volume, self.config, self.index)
        yield from predictor.notices_for(sample)
        prediction = yield from _with_notices(predictor.predict(sample))
        arrays: dict[str, Any] = {"labels": prediction.labels}
        if prediction.uncertainty is not None:
            arrays["uncertainty"] = prediction.uncertainty
        np.savez(self.file, allow_pickle=False, **arrays)
        yield self.file


def _with_notices(events: Generator[Any, None, Prediction]) -> Generator[Notice, None, Prediction]:
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            prediction: Prediction = end.value
            return prediction
        if isinstance(event, Notice):
            yield event


class PredictedAhead:
    """Predictions of workers, which are ready in any order and taken in the order of the volumes.

    Parameters
    ----------
    answers : iterator
        Index of a volume, and a notice or the file of its prediction.
    plan : Plan
        Task and classes of the model.
    """

    def __init__(self, answers: Iterator[tuple[int, Notice | Path]], plan: Plan) -> None:
        self._answers, self._plan = answers, plan
        self._notices: dict[int, list[Notice]] = {}
        self._files: dict[int, Path] = {}

    def take(self, index: int, sample: Sample) -> Generator[Notice, None, Prediction]:
        """Wait for the prediction of a volume, yield its notices, and return it; it has no probability."""
        while index not in self._files:
            self._receive(*next(self._answers))
        yield from self._notices.pop(index, [])
        file = self._files.pop(index)
        with np.load(file, allow_pickle=False) as arrays:
            labels, uncertainty = arrays["labels"], arrays.get("uncertainty")
        file.unlink()
        probability: Any = np.broadcast_to(np.float32(np.nan), labels.shape)  # takes no memory
        return Prediction(sample.name, labels, probability, sample.geometry, self._plan, uncertainty=uncertainty)

    def wait(self) -> None:
        """Wait for all predictions, so that the workers can do something else."""
        for number, answer in self._answers:
            self._receive(number, answer)

    def _receive(self, number: int, answer: Notice | Path) -> None:
        if isinstance(answer, Notice):
            self._notices.setdefault(number, []).append(answer)
        else:
            self._files[number] = answer


def predict_ahead(
    predictor: Predictor, volumes: Sequence[Sample | Pair], config: EvaluationConfig, workers: Workers, folder: Path
) -> PredictedAhead:
    """Return the predictions that workers make of the volumes that fit into memory.

    Parameters
    ----------
    predictor : Predictor
        The model.
    volumes : sequence of Sample or Pair
        All test volumes.
    config : EvaluationConfig
        How they are read and predicted.
    workers : Workers
        The processes.
    folder : Path
        Where they write predictions.

    Raises
    ------
    UserError
        If a volume is in memory only.
    """
    assert predictor.source is not None, "workers read the model from its file"
    tasks, indices = [], []
    for index, volume in enumerate(volumes):
        if isinstance(volume, Sample):
            raise UserError("Other processes cannot use volumes that are only in memory. Pass a dataset folder.")
        if not is_large(volume, predictor.plan, config.fourth_axis):
            file = folder.absolute() / f"{index}.npz"
            how = predictor.source, predictor.shared_config, config
            tasks.append(VolumeTask(*how, _absolute(volume), index, file))
            indices.append(index)
    answers = ((indices[number], answer) for number, answer in workers.run(tasks))
    return PredictedAhead(answers, predictor.plan)


def _absolute(pair: Pair) -> Pair:
    image, labels, mask = (
        None if path is None else path.absolute() for path in (pair.image, pair.labels, pair.label_mask)
    )
    return replace(pair, image=image, labels=labels, label_mask=mask)
