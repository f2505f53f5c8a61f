"""Apply a trained model to a test set, compare with the truth, and write everything that shows the difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from napari_unet3d.configs import Augmentation, EvaluationConfig
from napari_unet3d.data.annotation import Truth, read_truth
from napari_unet3d.data.dataset import file_name, read_pair
from napari_unet3d.data.events import Notice
from napari_unet3d.data.pairs import Pair, Part, list_pairs, missing_partner, pairing_notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.differences import difference_labels
from napari_unet3d.evaluation.figure import slices_figure, write_figure
from napari_unet3d.evaluation.metrics import ScoringRules, score
from napari_unet3d.evaluation.score_files import write_metrics
from napari_unet3d.evaluation.scores import Scores, mean_scores
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.prediction.augmentation import augmentation_for
from napari_unet3d.prediction.events import EvaluateEvent, EvaluationFinished, Prediction, VolumeEvaluated
from napari_unet3d.prediction.loaded_model import LoadedModel
from napari_unet3d.prediction.predict import as_checkpoint
from napari_unet3d.prediction.writing import check_distinct

_DEFAULTS = EvaluationConfig()


def evaluate(
    model: Checkpoint | Path | str,
    data: Path | str | Sequence[Sample],
    *,
    out: Path | str | None = None,
    config: EvaluationConfig = _DEFAULTS,
) -> Iterator[EvaluateEvent]:
    """Predict the volumes of a test set and compare them with their labels.

    Parameters
    ----------
    model : Checkpoint, Path or str
        A loaded model, a model file, or a run folder, of which the best model is taken.
    data : Path, str or sequence of Sample
        A dataset folder, of which the test part is taken, or samples with labels.
    out : Path or str, optional
        Folder for ``predictions/NAME_labels.tif``, ``differences/NAME_difference.tif`` (1 extra, 2 missed, 3 of
        another class), ``figures/NAME.png``, ``metrics.json`` and ``metrics.csv``, all written before the volume is
        announced, so that the results of finished volumes stay when the rest is not asked for. Without it nothing is
        written.
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
    results = _Results(None if out is None else Path(out), config, checkpoint)
    with closing(LoadedModel(checkpoint, config)) as loaded:
        yield from loaded.announce()
        if isinstance(data, Path | str) and (by_order := pairing_notice(data, Part.TEST)):
            yield Notice(by_order)
        for index, volume in enumerate(volumes):
            sample = volume if isinstance(volume, Sample) else read_pair(volume)
            labels, trained = np.asarray(sample.labels), checkpoint.config
            truth = read_truth(labels, trained.task, trained.zero_is, sample.annotated)
            if config.test_augmentation is not Augmentation.NONE:
                sample, truth = _augmented(sample, truth, config, index)
            yield from loaded.notices_for(sample)
            prediction = yield from loaded.predict(sample, n_finished=index, n_volumes=len(volumes))
            scores = results.add(prediction, truth)
            yield VolumeEvaluated(scores, sample.image, truth, prediction, index + 1, len(volumes))
    yield results.finished()


def _test_volumes(data: Path | str | Sequence[Sample]) -> Sequence[Pair | Sample]:
    """Find the test volumes and refuse what has no labels, before the first is predicted."""
    if isinstance(data, Path | str):
        pairs = list_pairs(data, Part.TEST)
        if not pairs:
            raise UserError(
                f"{Path(data) / 'test'} holds no volumes. Add images to test/images and their labels to test/labels."
            )
        for pair in pairs:
            if not pair.is_whole:
                raise UserError(missing_partner(pair))
        return pairs
    if not data:
        raise UserError("There are no test volumes. Give one sample with labels at least.")
    for sample in data:
        if sample.labels is None:
            raise UserError(f"The test volume '{sample.name}' has no labels to compare with. Add them, or use predict.")
    return data


def _augmented(sample: Sample, truth: Truth, config: EvaluationConfig, index: int) -> tuple[Sample, Truth]:
    """Vary a test volume together with its truth."""
    vary = augmentation_for(config.test_augmentation, sample.voxel_size_um, sample.shape)
    values, numbers = np.unique(truth.labels, return_inverse=True)  # ids may be too large for the augmentation
    numbers = 1 + numbers.reshape(sample.shape).astype(np.int32)
    if truth.annotated is not None:
        numbers[~truth.annotated] = 0
    image = torch.from_numpy(sample.image.astype(np.float32))[None]
    varied_image, varied_numbers = vary(image, torch.from_numpy(numbers)[None], seed=config.seed + index)
    numbers = varied_numbers[0].numpy()
    # Where nothing is annotated the label is 0, which is the first of the values then.
    truth = Truth(values[np.maximum(numbers - 1, 0)], None if truth.annotated is None else numbers > 0)
    return replace(sample, image=varied_image[0].numpy(), labels=truth.labels, annotated=truth.annotated), truth


class _Results:
    """The numbers so far and, when there is an output folder, the files that hold them."""

    def __init__(self, out: Path | None, config: EvaluationConfig, checkpoint: Checkpoint) -> None:
        self._out = out
        self._config = config
        self._rules = ScoringRules(
            task=checkpoint.config.task,
            classes={each.value: each.name for each in checkpoint.plan.classes},
            tolerance_um=config.tolerance_um,
        )
        self._scores: list[Scores] = []
        self._figures: list[Path] = []

    def add(self, prediction: Prediction, truth: Truth) -> Scores:
        """Compare one volume with its truth and write what shows the difference."""
        scores = score(prediction.labels, truth, prediction.name, prediction.voxel_size_um, self._rules)
        self._scores.append(scores)
        if self._out is not None:
            self._write(self._out, prediction, truth, scores)
        return scores

    def _write(self, out: Path, prediction: Prediction, truth: Truth, scores: Scores) -> None:
        name, voxel_size_um = file_name(prediction.name), prediction.voxel_size_um
        difference = difference_labels(prediction.labels, truth, self._rules.task)
        write_volume(out / "predictions" / f"{name}_labels.tif", prediction.labels, voxel_size_um)
        write_volume(out / "differences" / f"{name}_difference.tif", difference, voxel_size_um)
        figure = slices_figure(
            truth,
            prediction.labels,
            axis=self._config.figure_axis,
            n_slices=self._config.figure_slices,
            voxel_size_um=voxel_size_um,
            title=f"{prediction.name} · Dice {scores.dice:.3f}",
        )
        self._figures.append(out / "figures" / f"{name}.png")
        write_figure(self._figures[-1], figure)
        for metrics in ("metrics.csv", "metrics.json"):
            write_metrics(out / metrics, self._scores, mean_scores(self._scores))

    def finished(self) -> EvaluationFinished:
        """Give the last event."""
        return EvaluationFinished(
            volumes=tuple(self._scores),
            mean=mean_scores(self._scores),
            metrics_file=None if self._out is None else self._out / "metrics.json",
            figures=tuple(self._figures),
        )
