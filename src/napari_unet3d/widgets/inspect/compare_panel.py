"""The panel that compares two predictions: of two models, or of two epochs of one."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import partial

import numpy as np
from napari.layers import Labels

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.disagreement import BOTH, FIRST, SECOND, Disagreement
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.prediction_pair import PredictionPair
from napari_unet3d.widgets.components.containers import Panel, button, column, row, show_text, wrapping_label
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.forms.layer_menu import layer_menu
from napari_unet3d.widgets.inspect.view_switcher import SideBySideButton
from napari_unet3d.widgets.inspect.volume_layers import InspectionLayers
from napari_unet3d.widgets.jobs.latest_only import LatestOnly
from napari_unet3d.widgets.viewer.connections import connect_while_alive
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.layer_metadata import origin_of
from napari_unet3d.widgets.viewer.layers import show_labels, show_on_top
from napari_unet3d.widgets.viewer.places import labels_onto
from napari_unet3d.widgets.viewer.side_by_side import Arrangement, Cell

# Everybody can distinguish green, magenta and orange, also from the red, blue and yellow of errors.
_COLOURS: dict[int | None, str] = {FIRST: "#00c896", SECOND: "#f060d0", BOTH: "#ff8c1a"}
_LAYER_COLOURS = {None: "transparent", 0: "transparent", **_COLOURS}


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two predictions of a volume, as they were chosen."""

    first: Labels
    second: Labels
    truth: Labels | None
    about: PredictionPair

    @property
    def layers(self) -> tuple[Labels, Labels, Labels | None]:
        """Both predictions and the ground truth."""
        return self.first, self.second, self.truth


class ComparePanel(Panel):
    """Chooses two predictions of one volume, and shows in numbers and in a layer ``A ≠ B`` where they disagree.

    Parameters
    ----------
    session : InspectionSession
        What is inspected is offered for comparison.
    context : Context
        The viewer, its jobs and the message line.
    layers : InspectionLayers
        The layers of what is inspected, and those that are chosen, whose menus define what labels mean.

    Attributes
    ----------
    first_layer, second_layer, truth_layer : ComboBox
        Both predictions, and the ground truth if there is any.
    compare_button : PushButton
    side_button : SideBySideButton
    result : Label
        How much they differ.
    """

    def __init__(self, session: InspectionSession, context: Context, layers: InspectionLayers) -> None:
        super().__init__()
        self._context, self._layers = context, layers
        kind = Labels | None
        self.first_layer = layer_menu(
            context.viewer, kind, "A prediction, such as that of an epoch or of a model.", label="A"
        )
        self.second_layer = layer_menu(context.viewer, kind, "Another prediction of the same volume.", label="B")
        self.truth_layer = layer_menu(
            context.viewer,
            kind,
            "The ground truth, if there is any; it shows which of the two is right.",
            label="Ground truth (optional)",
        )
        self.compare_button = button(
            "Show where they differ",
            "Make a layer that shows the voxels on which they differ, and count them.",
            self.compare,
        )
        self.side_button = SideBySideButton(
            context.viewer,
            self._arrangement,
            "Show both, where they differ, and the ground truth if it is chosen, beside each other in one view.",
        )
        self.result = wrapping_label()
        self._work = LatestOnly(self.native, context.jobs, "disagreement")
        self._shown: tuple[_Pair, Labels] | None = None
        self._lay_out()
        self._work.failed.connect(self._on_failed)
        connect_while_alive(self.native, context.viewer.layers.events.removed, self._forget_removed)
        session.events.errors.connect(self._choose_inspected)

    def compare(self) -> None:
        """Show in a layer where both predictions differ, and count the voxels."""
        with self._context.message.explaining():
            pair = self._chosen()
            first = sample_from_layers(pair.first).image
            second = labels_onto(pair.first, pair.second).labels
            truth = None if pair.truth is None else labels_onto(pair.first, pair.truth)
            known = (None, None) if truth is None else (truth.labels, truth.label_mask)
            self.compare_button.enabled = False
            self._work.request(
                f"Comparing {pair.first.name} and {pair.second.name}",
                partial(pair.about.compare, first, second, *known),
                partial(self._show, pair),
            )

    def _chosen(self) -> _Pair:
        first, second, truth = self.first_layer.value, self.second_layer.value, self.truth_layer.value
        if first is None or second is None:
            raise UserError("Choose two predictions. 'Keep this prediction' in the dock Predict makes a second one.")
        if first is second or truth in (first, second):
            twice = first if first is second else truth
            raise UserError(f"The layer '{twice.name}' is chosen twice; choose different layers.")
        chosen = self._layers.chosen()
        known = [origin for origin in map(origin_of, (first, second)) if origin is not None]
        plan = next((origin.plan for origin in known if origin.plan is not None), chosen.origin.plan)
        assert plan is not None  # the menus of the dock define what labels mean
        volume = known[0].name if known else "" if chosen.image is None else chosen.image.name
        one, other = (each.name.removeprefix(volume).strip(" –") or each.name for each in (first, second))
        about = PredictionPair((one, other), plan.task, plan.ignore_label, has_truth=truth is not None)
        return _Pair(first, second, truth, about)

    def _show(self, pair: _Pair, found: Disagreement) -> None:
        self.compare_button.enabled = True
        viewer = self._context.viewer
        there = [layer for layer in pair.layers if layer in viewer.layers]
        name = f"{pair.first.name} ≠ {pair.about.names[1]}"
        layer = show_labels(viewer, name, found.labels, pair.first, colormap=_LAYER_COLOURS, opacity=0.9)
        layer.features = {"index": [0, *_COLOURS], "who": ["", *pair.about.meanings.values()]}
        if not self.side_button.is_on:
            show_on_top(viewer, layer, instead_of=there)
        self._shown = (pair, layer)
        self.side_button.enabled = len(there) == len([each for each in pair.layers if each is not None])
        show_text(self.result, _summarise(pair, found))

    def _arrangement(self) -> Arrangement | None:
        if self._shown is None:
            return None
        pair, layer = self._shown
        one, other = pair.about.names
        cells = [Cell(one, pair.first), Cell(other, pair.second), Cell("where they differ", layer)]
        if pair.truth is not None:
            cells.insert(0, Cell("ground truth", pair.truth))
        image = self._layers.chosen().image
        fits = image is not None and image in self._context.viewer.layers and np.shape(image.data) == layer.data.shape
        return Arrangement(image if fits else None, tuple(cells))

    def _forget_removed(self, *_: object) -> None:
        layers = self._context.viewer.layers
        if self._shown is not None:
            pair, layer = self._shown
            if any(each is not None and each not in layers for each in (*pair.layers, layer)):
                self._shown = None
                self.side_button.enabled = False

    def _choose_inspected(self, _errors: object) -> None:
        for menu, layer in ((self.first_layer, self._layers.prediction), (self.truth_layer, self._layers.truth)):
            if menu.value is None and layer in menu.choices:
                menu.value = layer

    def _on_failed(self, message: str) -> None:
        self.compare_button.enabled = True
        self._context.message.show_message(message, "error")

    def _lay_out(self) -> None:
        self.side_button.enabled = False
        show_text(self.result, "")
        menus = column(self.first_layer, self.second_layer, self.truth_layer, labels=True, spacing=4)
        self.lay_out(menus, row(self.compare_button, self.side_button), self.result)


def _summarise(pair: _Pair, found: Disagreement) -> str:
    dots = {value: f"<span style='color:{colour}'>■</span> " for value, colour in _COLOURS.items()}
    return "<br>".join(dots.get(value, "") + html.escape(text) for value, text in pair.about.describe(found))
