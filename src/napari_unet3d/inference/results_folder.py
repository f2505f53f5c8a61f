"""The metrics of an evaluation so far and, if there is an output folder, its files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_unet3d.configs import EvaluationConfig, Task
from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.events import Notice
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.evaluation.errors.find import list_errors
from napari_unet3d.evaluation.metrics.differences import difference_labels
from napari_unet3d.evaluation.metrics.overlaps import border_ids
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.evaluation.metrics.types import Scores, mean_scores
from napari_unet3d.evaluation.reports.error_files import ErrorFiles
from napari_unet3d.evaluation.reports.figure import slices_figure, write_figure
from napari_unet3d.evaluation.reports.score_files import write_metrics
from napari_unet3d.evaluation.tolerance import tolerance_for
from napari_unet3d.files import EVALUATION_FILE, write_json
from napari_unet3d.inference.blockwise.scoring.volume import CountedVolume
from napari_unet3d.inference.evaluation_folder import DIFFERENCES, FIGURES, PREDICTIONS
from napari_unet3d.inference.events import EvaluationFinished, Prediction
from napari_unet3d.inference.write import result_suffix
from napari_unet3d.model.checkpoint import package_versions
from napari_unet3d.model.plan import Plan


class ResultsFolder:
    """Scores predictions one after another and writes predictions, differences, figures, metrics and errors.

    Parameters
    ----------
    out : Path, optional
        Output folder, see `evaluation_folder`; nothing is written without it.
    config : EvaluationConfig
        Surface tolerance, axis and number of slices of the figures.
    plan : Plan
        Task and classes.
    about : dict of str to any
        Sources of predictions and dataset and names of the volumes, for ``evaluation.json``.
    """

    def __init__(self, out: Path | None, config: EvaluationConfig, plan: Plan, about: dict[str, Any]) -> None:
        self._out, self._config = out, config
        self._options = MetricOptions(
            task=plan.task,
            classes={each.value: each.name for each in plan.classes},
            tolerance=config.tolerance,
            ignore_border=config.ignore_border_objects,
        )
        self._about = {
            **about,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "settings": config.model_dump(mode="json"),
            "versions": package_versions(),
        }
        self._scores: list[Scores] = []
        self._tolerances: dict[str, float] = {}
        self._figures: list[str] = []
        self._n_at_border = [0, 0]
        self._notices: list[str] = []
        self._errors = None if out is None else ErrorFiles(out)

    def add(self, sample: Sample, prediction: Prediction, truth: GroundTruth, source: Path | None = None) -> Scores:
        """Score one prediction and write its files.

        Parameters
        ----------
        sample : Sample
            The volume with the channels that were predicted, for the pictures of errors.
        prediction : Prediction
            Output of the model.
        truth : GroundTruth
            Ground truth of the volume.
        source : Path, optional
            The file of the image, in whose format results are written; see `result_suffix`.
        """
        scores = score(prediction.labels, truth, prediction.name, prediction.geometry, self._options)
        scores = replace(scores, seen_in=prediction.seen_in)
        self._scores.append(scores)
        if self._options.task is Task.INSTANCE and self._options.ignore_border:
            for number, labels in enumerate((truth.labels, prediction.labels)):
                self._n_at_border[number] += len(border_ids(labels))
        self._tolerances[prediction.name] = tolerance_for(prediction.geometry.spacing, self._options.tolerance)
        if self._out is not None:
            self._write(self._out, prediction, truth, scores, source)
            self._write_errors(sample, prediction, truth)
        return scores

    def add_counted(self, volume: CountedVolume) -> Scores:
        """Add the scores and errors of a volume that does not fit into memory and was counted block by block."""
        scores = volume.scores
        self._scores.append(scores)
        if self._options.task is Task.INSTANCE and self._options.ignore_border:
            self._n_at_border = [have + more for have, more in zip(self._n_at_border, volume.n_at_border, strict=True)]
        self._tolerances[scores.name] = tolerance_for(volume.geometry.spacing, self._options.tolerance)
        if self._out is not None:
            self._write_about(self._out)
            self._write_metrics(self._out)
        if self._errors is not None and volume.errors is not None:
            self._errors.add_undrawn(scores.name, volume.errors)
        return scores

    def difference_file(self, name: str) -> Path | None:
        """Return the file for where a volume that does not fit into memory differs from its ground truth."""
        return None if self._out is None else self._out / DIFFERENCES / f"{file_name(name)}_difference.ome.zarr"

    def labels_file(self, name: str, folder: Path) -> Path:
        """Return the file for the predicted labels of such a volume; in another folder if nothing is written."""
        return (folder if self._out is None else self._out / PREDICTIONS) / f"{file_name(name)}_labels.ome.zarr"

    @property
    def options(self) -> MetricOptions:
        """What is compared, and how."""
        return self._options

    def _write_about(self, out: Path) -> None:
        self._about["tolerances"] = self._tolerances
        write_json(out / EVALUATION_FILE, self._about)

    def _write_metrics(self, out: Path) -> None:
        for metrics in ("metrics.csv", "metrics.json"):
            write_metrics(out / metrics, self._scores, mean_scores(self._scores))

    def _write(
        self, out: Path, prediction: Prediction, truth: GroundTruth, scores: Scores, source: Path | None
    ) -> None:
        name, geometry = file_name(prediction.name), prediction.geometry
        suffix, notice = result_suffix(geometry, source)
        if notice:
            self._notices.append(f"{prediction.name}: {notice}")
        self._write_about(out)  # first, so that a folder is known as that of an evaluation
        difference = difference_labels(prediction.labels, truth, self._options.task)
        write_volume(out / PREDICTIONS / f"{name}_labels{suffix}", prediction.labels, geometry=geometry)
        if prediction.uncertainty is not None:
            write_volume(out / PREDICTIONS / f"{name}_uncertainty{suffix}", prediction.uncertainty, geometry=geometry)
        write_volume(out / DIFFERENCES / f"{name}_difference{suffix}", difference, geometry=geometry)
        figure = slices_figure(
            truth,
            prediction.labels,
            axis=self._config.figure_axis,
            n_slices=self._config.figure_slices,
            spacing=geometry.spacing,
            title=f"{prediction.name} · Dice {scores.dice:.3f}",
        )
        self._figures.append(f"{name}.png")
        write_figure(out / FIGURES / self._figures[-1], figure)
        self._write_metrics(out)

    def _write_errors(self, sample: Sample, prediction: Prediction, truth: GroundTruth) -> None:
        assert self._errors is not None
        options, place, tolerance = self._options, prediction.geometry, self._tolerances[prediction.name]
        errors = list_errors(prediction.labels, truth, options.task, place, tolerance, options.ignore_border)
        self._errors.add(replace(sample, name=prediction.name), prediction.labels, truth, errors)

    def notices(self) -> Iterator[Notice]:
        """Yield at the end what was written otherwise than its image, and what was left out of the scores."""
        yield from map(Notice, self._notices)
        if self._options.ignore_border and self._options.task is not Task.INSTANCE:
            yield Notice(
                f"Border objects were not ignored: the task {self._options.task} has no single objects. Leave out "
                "ignore_border_objects."
            )
        elif any(self._n_at_border):
            n_true, n_predicted = self._n_at_border
            yield Notice(
                f"{n_true} true and {n_predicted} predicted objects touch the border of their volume and are left out "
                "of the scores of objects."
            )

    def finished_event(self, out: Path | None) -> EvaluationFinished:
        """Return the last event of the evaluation, whose files are in `out` now."""
        return EvaluationFinished(
            volumes=tuple(self._scores),
            mean=mean_scores(self._scores),
            metrics_file=None if out is None else out / "metrics.json",
            figures=() if out is None else tuple(out / FIGURES / figure for figure in self._figures),
        )
