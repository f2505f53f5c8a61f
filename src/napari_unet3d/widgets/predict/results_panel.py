"""The part of the Predict dock below its buttons: scores, what the colours mean, and which volume is shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from napari.layers import Labels

from napari_unet3d.configs import FourthAxis, PostProcessing, Task
from napari_unet3d.data.formats.registry import volume_name
from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.time_points import split_name
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.inference.events import (
    EvaluationFinished,
    LargeVolumeEvaluated,
    Prediction,
    PredictionWritten,
    VolumeEvaluated,
)
from napari_unet3d.model.plan import Plan
from napari_unet3d.session.comparison import Comparison, encode, from_evaluation
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.session.prediction_job import FileOpened, SeriesOpened, open_file, open_series
from napari_unet3d.widgets.components.containers import Panel, button, row, wrapping_label
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dock_window import open_dock
from napari_unet3d.widgets.components.legend import difference_legend
from napari_unet3d.widgets.components.scores_table import ScoresTable
from napari_unet3d.widgets.export.save_section import SaveSection
from napari_unet3d.widgets.predict.live_prediction import LivePrediction, VisiblePrediction
from napari_unet3d.widgets.predict.request import PredictionRequest
from napari_unet3d.widgets.predict.series_results import SeriesResults
from napari_unet3d.widgets.predict.show import (
    describe_labels,
    show_comparison_of_layer,
    show_labels_of_file,
    show_series,
    show_volume,
)
from napari_unet3d.widgets.viewer.layers import Reference
from napari_unet3d.widgets.viewer.time_layers import LayerSeries

_MAX_KEPT_BYTES = 2**30
_PROOFREAD_TOOLTIP = "Measure the objects of this prediction one by one, merge, split or delete them."
_INSPECT, _CORRECT = "Inspect these errors", "Correct this prediction"
_INSPECT_TOOLTIP = "List every error of the volume in view, and go from one to the next."
_CORRECT_TOOLTIP = "Open the dock Inspect to paint over what is wrong here, and to train on with that."


class ResultsPanel(Panel):
    """Shows results in a table, and in the viewer the volume that is chosen.

    Parameters
    ----------
    live : LivePrediction
        The prediction in view.
    context : Context
        Viewer, jobs and message line.

    Attributes
    ----------
    request : PredictionRequest
        What the results are of.
    table : ScoresTable
        A row per volume.
    export : SaveSection
        Saves scores and pictures.
    inspect_button, proofread_button : PushButton
        Open the docks Inspect and Objects with the prediction in view.
    tolerance : float or None
        Distance in µm within which two surfaces count as the same; None for the default for the voxels of each volume.
    """

    def __init__(self, live: LivePrediction, context: Context) -> None:
        super().__init__()
        self._live, self._context = live, context
        self.request: PredictionRequest | None = None
        self.tolerance: float | None = None
        self.table, self.export, self.legend = ScoresTable(), SaveSection(context), wrapping_label()
        self.table.setToolTip("The scores of each volume; the tooltip of each heading explains it.")
        self.show_button = button(
            "Show the selected volume",
            "Show the volume of the selected row in the viewer, as a double click on the row does.",
            self.show_selected,
        )
        self.inspect_button = button(_INSPECT, _INSPECT_TOOLTIP, self.inspect)
        self.proofread_button = button("Proofread objects", _PROOFREAD_TOOLTIP, self.proofread)
        self.n_times_shown = 0
        self.series = SeriesResults(live, context, self.native, self._show_live)
        self._rows: dict[str, Callable[[], None]] = {}
        self._kept_bytes = 0
        self._opening = context.latest_only(self.native, "open")
        self.table.cellDoubleClicked.connect(lambda row, _column: self._show_row(row))
        live.changed.connect(self._on_changed)
        self.lay_out(self.legend, self.table, self.show_button)
        self.lay_out(row(self.inspect_button, self.proofread_button), self.export)
        self.begin(None)

    def begin(self, request: PredictionRequest | None) -> None:
        """Forget earlier results; their layers stay in the viewer."""
        self.request = request
        self.n_times_shown = 0
        self.series.begin()
        self._rows.clear()
        self._kept_bytes = 0
        self.table.clear_rows()
        self._live.forget()
        self.show_button.hide()
        self.export.hide()

    def show_layer(self, comparison: Comparison, image: Reference, truth: Labels | None) -> None:
        """Show the prediction of a layer in its position, or at the origin when the layer left the viewer."""
        layers = self._context.viewer.layers
        position = image if image in layers else comparison.prediction.geometry
        truth = truth if truth in layers else None
        origin = self._origin(comparison)
        labels = show_comparison_of_layer(self._context.viewer, comparison, position, truth, origin)
        self._show_live(VisiblePrediction(comparison, position, truth, labels, origin))

    def show_time_point(self, comparison: Comparison, series: LayerSeries, truth: Labels | None) -> None:
        """Show the prediction of a time point of a layer, in layers of the whole series."""
        viewer = self._context.viewer
        self.n_times_shown += 1
        position = series.at(split_name(comparison.prediction.name)[1] or 0)
        truth = truth if truth in viewer.layers else None
        origin = self._origin(comparison)
        labels = show_comparison_of_layer(viewer, comparison, position, truth, origin)
        if comparison.scores is not None:
            self.table.show_scores(comparison.scores)
        self.series.add(VisiblePrediction(comparison, position, truth, labels, origin))
        self._rows[comparison.prediction.name] = partial(self._go_to_time, comparison.prediction.name)

    def _go_to_time(self, name: str) -> None:
        if not self.series.go_to(name):
            raise UserError(f"'{name}' was not kept; move the slider of the viewer to this time point.")

    def add_file(self, event: PredictionWritten, source: Path) -> None:
        """Add a file whose prediction is written; its arrays are kept until they fill a gigabyte."""
        if event.prediction is None:
            self.table.show_name(volume_name(source))
            self._add_large_file(event.files[0], volume_name(source))
            return
        name = event.prediction.name
        self.table.show_name(name)
        if event.n_times is not None:
            self._rows[name] = partial(self._open_series, name, source, event.files[0], event.prediction.plan)
            self.show_button.show()
            return
        kept = event.prediction if self._reserve(Comparison(event.prediction).nbytes) else None
        self._rows[name] = partial(self._open_file, source, event.files[0], event.prediction.plan, kept)
        self.show_button.show()

    def _add_large_file(self, labels: Path | None, name: str) -> None:
        def refuse() -> None:
            place = "" if labels is None else f", and neither do its labels in {labels}"
            raise UserError(
                f"'{name}' does not fit into memory{place}. Open files with napari-ome-zarr, which reads what is in "
                "view."
            )

        self._rows[name] = refuse
        self.show_button.show()

    def add_evaluated(self, event: VolumeEvaluated | LargeVolumeEvaluated) -> None:
        """Add a volume of a test set; its arrays are kept until they fill a gigabyte."""
        self.table.show_scores(event.scores)
        if isinstance(event, LargeVolumeEvaluated):
            self._add_large_file(event.labels, event.scores.name)
            return
        if self._reserve(event.image.nbytes + Comparison(event.prediction, event.truth).nbytes):
            self._rows[event.scores.name] = partial(self._show_evaluated, event)

    def finish_evaluation(self, event: EvaluationFinished) -> Scores:
        """Show all scores and, of the volumes that were kept, the worst; return the scores of the worst of all."""
        for scores in event.volumes:
            self.table.show_scores(scores)
        if len(event.volumes) > 1:
            self.table.show_mean(event.mean)
        self._offer_export(None)
        self.show_button.visible = bool(self._rows)
        ranked = sorted(event.volumes, key=lambda scores: scores.dice)
        shown = next((scores.name for scores in ranked if scores.name in self._rows), None)
        if shown is not None:
            self.table.selectRow(self.table.names.index(shown))
            self._rows[shown]()
        return ranked[0]

    def show_selected(self) -> None:
        """Show the volume of the table's selected row in the viewer."""
        self._show_row(max(0, self.table.currentRow()))

    def inspect(self) -> None:
        """Open the dock Inspect with the volume in view, and find its errors; without ground truth, to correct it."""
        if self._live.shown is None:
            return
        open_dock(self._context.viewer, "Inspect", self._live.subject())

    def proofread(self) -> None:
        """Open the dock Objects with the labels in view, to measure and edit their objects."""
        if self._live.shown is not None:
            open_dock(self._context.viewer, "Objects", self._live.subject())

    def _reserve(self, n_bytes: int) -> bool:
        """Return whether an array can be kept, and count it."""
        fits = self._kept_bytes + n_bytes <= _MAX_KEPT_BYTES
        self._kept_bytes += n_bytes * fits
        return fits

    def _show_row(self, row: int) -> None:
        name = self.table.names[row]
        with self._context.message.explaining():
            if name in self._rows:
                self._rows[name]()
            elif name != "mean":
                raise UserError(
                    f"'{name}' was not kept, since the volumes before it fill a gigabyte of memory; "
                    "write the results to a folder and open it from there."
                )

    def _show_evaluated(self, event: VolumeEvaluated) -> None:
        arrays = event.image, encode(event.truth, event.prediction)
        geometry = event.prediction.geometry
        sample = Sample(
            event.scores.name,
            *arrays,
            label_mask=event.truth.label_mask,
            geometry=geometry,
            channel_names=event.channel_names,
        )
        self._show_volume(sample, from_evaluation(event, self.tolerance))

    def _open_file(self, source: Path, result: Path, plan: Plan | None, kept: Prediction | None) -> None:
        self._opening.request(f"Opening {source.name}", partial(open_file, source, result, plan, kept), self._on_opened)

    def _open_series(self, name: str, source: Path, result: Path, plan: Plan | None) -> None:
        axis = FourthAxis.AUTO if self.request is None else self.request.fourth_axis
        work = partial(open_series, source, result, plan, axis)
        self._opening.request(f"Opening {source.name}", work, partial(self._on_series, name))

    def _on_series(self, name: str, opened: SeriesOpened) -> None:
        self._live.forget()
        show_series(self._context.viewer, name, opened)
        self._context.message.show_message(
            f"'{name}' is shown with the labels of its file; predict the layer to change them with the settings."
        )

    def _on_opened(self, opened: FileOpened) -> None:
        if opened.prediction is not None:
            self._show_volume(opened.sample, Comparison(opened.prediction))
            if opened.sample.notices:
                self._context.message.show_message(" ".join(opened.sample.notices), "warning")
            return
        self._live.forget()
        model = None if self.request is None else self.request.model
        show_labels_of_file(self._context.viewer, opened, VolumeOrigin(opened.sample.name, opened.plan, model))
        self._context.message.show_message(
            f"'{opened.sample.name}' is shown with the labels of its file. More was not kept, since the volumes "
            "before it fill a gigabyte of memory; predict it alone to change its labels with the settings."
            + "".join(f" {notice}" for notice in opened.sample.notices)
        )

    def _show_volume(self, sample: Sample, comparison: Comparison) -> None:
        origin = self._origin(comparison)
        position, truth, labels = show_volume(self._context.viewer, sample, comparison, origin)
        self._show_live(VisiblePrediction(comparison, position, truth, labels, origin))

    def _show_live(self, shown: VisiblePrediction) -> None:
        self._live.show(shown, PostProcessing() if self.request is None else self.request.post_processing)

    def _on_changed(self, comparison: Comparison | None) -> None:
        if comparison is not None and comparison.scores is not None:
            self.table.show_scores(comparison.scores)
        self._offer_export(comparison)
        has_difference = comparison is not None and comparison.difference is not None
        for widget in (self.legend, self.inspect_button, self.proofread_button):
            widget.visible = comparison is not None
        self.inspect_button.text = _INSPECT if has_difference else _CORRECT
        self.inspect_button.tooltip = _INSPECT_TOOLTIP if has_difference else _CORRECT_TOOLTIP
        if comparison is None:
            return
        lines = [difference_legend(with_classes=comparison.prediction.task is Task.SEMANTIC)] if has_difference else []
        lines.append(
            describe_labels(self._context.viewer, comparison) + (" · updating …" if self._live.is_busy else "")
        )
        self.legend.value = "<br>".join(lines)
        self.export.show()

    def _origin(self, comparison: Comparison) -> VolumeOrigin:
        prediction, request = comparison.prediction, self.request
        if request is None:
            return VolumeOrigin(prediction.name, prediction.plan)
        subset = None if request.dataset is None else Subset.TEST
        return VolumeOrigin(prediction.name, prediction.plan, request.model, request.dataset, subset)

    def _offer_export(self, comparison: Comparison | None) -> None:
        self.export.results.show_comparison(comparison)
        self.export.results.show_scores(self.table.volumes)
