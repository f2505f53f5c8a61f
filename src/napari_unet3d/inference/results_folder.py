"""The metrics of an evaluation so far and, if there is an output folder, its files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_unet3d.configs import EvaluationConfig
from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.evaluation.errors.find import list_errors
from napari_unet3d.evaluation.metrics.differences import difference_labels
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.evaluation.metrics.types import Scores, mean_scores
from napari_unet3d.evaluation.reports.error_files import ErrorFiles
from napari_unet3d.evaluation.reports.figure import slices_figure, write_figure
from napari_unet3d.evaluation.reports.score_files import write_metrics
from napari_unet3d.files import EVALUATION_FILE, write_json
from napari_unet3d.inference.events import EvaluationFinished, Prediction
from napari_unet3d.inference.write import result_suffix
from napari_unet3d.model.checkpoint import Checkpoint, package_versions


class ResultsFolder:
    """Scores predictions one after another and writes predictions, differences, figures, metrics and errors.

    Parameters
    ----------
    out : Path, optional
        Output folder; nothing is written without it.
    config : EvaluationConfig
        Surface tolerance, axis and number of slices of the figures.
    checkpoint : Checkpoint
        The model, which determines task and classes.
    about : dict of str to str
        Sources of model and dataset, for ``evaluation.json``.
    """

    def __init__(
        self, out: Path | None, config: EvaluationConfig, checkpoint: Checkpoint, about: dict[str, str]
    ) -> None:
        self._out, self._config = out, config
        self._options = MetricOptions(
            task=checkpoint.config.task,
            classes={each.value: each.name for each in checkpoint.plan.classes},
            tolerance=config.tolerance,
        )
        self._about = {
            **about,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "epoch": checkpoint.epoch,
            "settings": config.model_dump(mode="json"),
            "versions": package_versions(),
        }
        self._scores: list[Scores] = []
        self._figures: list[Path] = []
        self._errors = None if out is None else ErrorFiles(out)

    def add(
        self, image: NDArray[Any], prediction: Prediction, truth: GroundTruth, source: Path | None = None
    ) -> Scores:
        """Score one prediction and write its files.

        Parameters
        ----------
        image : ndarray of any real number type, shape (z, y, x)
            Intensities, for the pictures of errors.
        prediction : Prediction
            Output of the model.
        truth : GroundTruth
            Ground truth of the volume.
        source : Path, optional
            The file of the image, in whose format results are written; see `result_suffix`.
        """
        scores = score(prediction.labels, truth, prediction.name, prediction.geometry, self._options)
        self._scores.append(scores)
        if self._out is not None:
            self._write(self._out, prediction, truth, scores, source)
            self._write_errors(image, prediction, truth)
        return scores

    def _write(
        self, out: Path, prediction: Prediction, truth: GroundTruth, scores: Scores, source: Path | None
    ) -> None:
        name, geometry = file_name(prediction.name), prediction.geometry
        suffix, _ = result_suffix(geometry, source)
        difference = difference_labels(prediction.labels, truth, self._options.task)
        write_volume(out / "predictions" / f"{name}_labels{suffix}", prediction.labels, geometry=geometry)
        if prediction.uncertainty is not None:
            write_volume(out / "predictions" / f"{name}_uncertainty{suffix}", prediction.uncertainty, geometry=geometry)
        write_volume(out / "differences" / f"{name}_difference{suffix}", difference, geometry=geometry)
        figure = slices_figure(
            truth,
            prediction.labels,
            axis=self._config.figure_axis,
            n_slices=self._config.figure_slices,
            spacing=geometry.spacing,
            title=f"{prediction.name} · Dice {scores.dice:.3f}",
        )
        self._figures.append(out / "figures" / f"{name}.png")
        write_figure(self._figures[-1], figure)
        for metrics in ("metrics.csv", "metrics.json"):
            write_metrics(out / metrics, self._scores, mean_scores(self._scores))
        write_json(out / EVALUATION_FILE, self._about)

    def _write_errors(self, image: NDArray[Any], prediction: Prediction, truth: GroundTruth) -> None:
        assert self._errors is not None
        errors = list_errors(prediction.labels, truth, self._options.task, prediction.geometry, self._config.tolerance)
        self._errors.add(prediction.name, image, prediction.labels, truth, errors)

    def finished_event(self) -> EvaluationFinished:
        """Return the last event of the evaluation."""
        return EvaluationFinished(
            volumes=tuple(self._scores),
            mean=mean_scores(self._scores),
            metrics_file=None if self._out is None else self._out / "metrics.json",
            figures=tuple(self._figures),
        )
