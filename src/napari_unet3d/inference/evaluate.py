"""Apply a trained model to a test set, compare with the truth, and write everything that shows the difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from napari_unet3d.configs import Augmentation, EvaluationConfig
from napari_unet3d.data.dataset import read_pair
from napari_unet3d.data.events import Notice
from napari_unet3d.data.ground_truth import GroundTruth, decode_labels
from napari_unet3d.data.pairs import Pair, Subset, list_pairs, missing_partner, pairing_notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import EvaluateEvent, VolumeEvaluated
from napari_unet3d.inference.predict import as_checkpoint
from napari_unet3d.inference.predictor import Predictor
from napari_unet3d.inference.results_folder import ResultsFolder
from napari_unet3d.inference.write import check_distinct
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.transforms.augment import Augmenter

_DEFAULTS = EvaluationConfig()


def evaluate(
    model: Checkpoint | Path | str,
    data: Path | str | Sequence[Sample | Pair],
    *,
    out: Path | str | None = None,
    config: EvaluationConfig = _DEFAULTS,
) -> Iterator[EvaluateEvent]:
    """Predict the volumes of a test set and compare them with their labels.

    Parameters
    ----------
    model : Checkpoint, Path or str
        A loaded model, a model file, or a run folder, of which the best model is taken.
    data : Path, str or sequence of Sample or Pair
        A dataset folder, of which the test part is taken, or samples with labels, or volumes of a dataset, which are
        read one after the other.
    out : Path or str, optional
        Folder for ``predictions/NAME_labels.tif``, ``differences/NAME_difference.tif`` (1 extra, 2 missed, 3 of
        another class), ``figures/NAME.png``, ``metrics.json`` and ``metrics.csv``, ``errors.csv`` with each error and
        pictures of the worst ones in ``errors``, and ``evaluation.json`` with settings and origins, all written before
        the volume is announced, so that the results of finished volumes stay when the rest is not asked for. When the
        settings ask for uncertainty, ``predictions/NAME_uncertainty.tif``, too. Without it nothing is written.
    config : EvaluationConfig
        Threshold, device, precision, surface tolerance, augmentation of the test volumes and axis of the figure.

    Yields
    ------
    ModelLoaded
        The model is on its device.
    Notice
        Something that may spoil the result.
    TilesPredicted
        One more batch of tiles is predicted.
    VolumeEvaluated
        One volume is predicted, compared and written.
    EvaluationFinished
        All numbers; always the last event.

    Raises
    ------
    UserError
        If model, data or device cannot be used, a volume has no labels, or there is not enough memory.
    """
    checkpoint = as_checkpoint(model)
    volumes = _test_volumes(data)
    if out is not None:
        check_distinct([volume.name for volume in volumes], "test volumes")
    about = {
        "model": str(Path(model).absolute()) if isinstance(model, Path | str) else "",
        "dataset": str(Path(data).absolute()) if isinstance(data, Path | str) else "",
    }
    results = ResultsFolder(None if out is None else Path(out), config, checkpoint, about)
    with closing(Predictor(checkpoint, config)) as loaded:
        yield from loaded.device_events()
        if isinstance(data, Path | str) and (by_order := pairing_notice(data, Subset.TEST)):
            yield Notice(by_order)
        for index, volume in enumerate(volumes):
            sample = volume if isinstance(volume, Sample) else read_pair(volume)
            labels, trained = np.asarray(sample.labels), checkpoint.config
            truth = decode_labels(labels, trained.task, trained.ignore_label, sample.label_mask, name=sample.name)
            if config.test_augmentation is not Augmentation.NONE:
                sample, truth = _augmented(sample, truth, config, index)
            yield from loaded.notices_for(sample)
            prediction = yield from loaded.predict(sample, n_finished=index, n_volumes=len(volumes))
            scores = results.add(sample.image, prediction, truth)
            yield VolumeEvaluated(scores, sample.image, truth, prediction, index + 1, len(volumes))
    yield results.finished()


def _test_volumes(data: Path | str | Sequence[Sample | Pair]) -> Sequence[Pair | Sample]:
    """Find the test volumes and refuse what has no labels, before the first is predicted."""
    volumes = list_pairs(data, Subset.TEST) if isinstance(data, Path | str) else data
    if not volumes and isinstance(data, Path | str):
        raise UserError(
            f"{Path(data) / 'test'} holds no volumes. Add images to test/images and their labels to test/labels."
        )
    if not volumes:
        raise UserError("There are no test volumes. Give one sample with labels at least.")
    for volume in volumes:
        if isinstance(volume, Pair) and not volume.is_complete:
            raise UserError(missing_partner(volume))
        if volume.labels is None:
            raise UserError(f"The test volume '{volume.name}' has no labels to compare with. Add them, or use predict.")
    return volumes


def _augmented(sample: Sample, truth: GroundTruth, config: EvaluationConfig, index: int) -> tuple[Sample, GroundTruth]:
    """Vary a test volume together with its truth."""
    vary = Augmenter(config.test_augmentation, sample.voxel_size_um, sample.shape)
    channels = [truth.labels] if truth.label_mask is None else [truth.labels, truth.label_mask]
    numbers = torch.from_numpy(np.stack([channel.astype(np.int64) for channel in channels]))
    varied_image, varied_numbers = vary(
        torch.from_numpy(sample.image.astype(np.float32))[None], numbers, seed=config.seed + index
    )
    labels, *annotated = varied_numbers.numpy()
    truth = GroundTruth(labels.astype(truth.labels.dtype), annotated[0] > 0 if annotated else None)
    return replace(sample, image=varied_image[0].numpy(), labels=truth.labels, label_mask=truth.label_mask), truth
