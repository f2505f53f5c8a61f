"""What is shown of a volume that is predicted block by block."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from qtpy.QtCore import QObject

from napari_unet3d.inference.blockwise.preview import BlocksBegun
from napari_unet3d.inference.events import BlockDone
from napari_unet3d.model.plan import Plan
from napari_unet3d.session.large_prediction import LargePrediction
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.predict.filling_layer import FillingLabels
from napari_unet3d.widgets.predict.request import PredictionRequest
from napari_unet3d.widgets.predict.show import make_room_for

_STEPS = {
    "read": "Reading the intensities of the whole volume …",
    "separated": "Separating single objects …",
    "labelled": "Writing their labels …",
}
_TABLES = (".csv", ".parquet")


class LargeResults:
    """Shows the labels of a layer as they are predicted; they stay when it is cancelled.

    Parameters
    ----------
    widget : QObject
        Has the timer.
    context : Context
        Viewer and message line.

    Attributes
    ----------
    labels : FillingLabels or None
        The layer that fills.
    end : str
        Where the result is, after it was written.
    """

    def __init__(self, widget: QObject, context: Context) -> None:
        self._widget, self._viewer, self._message = widget, context.viewer, context.message
        self._request: PredictionRequest | None = None
        self.labels: FillingLabels | None = None
        self.end = ""

    @property
    def kept(self) -> str:
        """What is said of an unfinished result after "Cancelled."; empty if there is none."""
        if self.labels is None or self.end:
            return ""
        return " What is predicted is kept; with the same settings, Predict continues it."

    def begin(self, request: PredictionRequest) -> None:
        """Forget an earlier result; its layer stays in the viewer."""
        self._request, self.labels, self.end = request, None, ""

    def on_event(self, event: Any) -> None:
        """Show one event, if it is of such a prediction."""
        match event:
            case BlocksBegun(preview=preview):
                image = self._image
                self._message.show_message("Predicting, first what is in view …")
                make_room_for(self._viewer, image)
                self.labels = FillingLabels(self._widget, self._viewer, image, preview, self._origin())
            case BlockDone(step="predicted", box=box):
                if self.labels is not None:
                    self.labels.add(box)
            case BlockDone(step=step, n_done=1) if step in _STEPS:
                self._message.show_message(_STEPS[step])
            case LargePrediction(files=files, levels=levels, plan=plan):
                if self.labels is not None:
                    self.labels.finish(levels, self._origin(plan))
                others = f", the table of objects in {files[-1].name}" if files[-1].suffix in _TABLES else ""
                self.end = f"The labels are in {files[0]}{others}"

    def settle(self) -> None:
        """Show all blocks that are predicted, after the end."""
        if self.labels is not None:
            self.labels.settle()

    @property
    def _image(self) -> Image:
        assert self._request is not None
        assert isinstance(self._request.image, Image)
        return self._request.image

    def _origin(self, plan: Plan | None = None) -> VolumeOrigin:
        return VolumeOrigin(self._image.name, plan, None if self._request is None else self._request.model)
