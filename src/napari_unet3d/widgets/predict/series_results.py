"""The predictions of the time points of a series: kept in memory, and in view at the slider of the viewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_unet3d.data.time_points import split_name
from napari_unet3d.session.comparison import Comparison
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.predict.live_prediction import LivePrediction, VisiblePrediction
from napari_unet3d.widgets.viewer.connections import connect_while_alive
from napari_unet3d.widgets.viewer.places import TimePoint, time_shown
from napari_unet3d.widgets.viewer.series_layers import follow_time

_MOST_KEPT_BYTES = 2**30


class SeriesResults:
    """Follows the slider of time: the prediction in view is that of the time point that is shown.

    Parameters
    ----------
    live : LivePrediction
        The prediction in view.
    context : Context
        The viewer and the message line.
    widget : QWidget
        Whose life it shares.
    show : callable
        Shows a prediction that is in the viewer as the one in view.
    """

    def __init__(
        self, live: LivePrediction, context: Context, widget: Any, show: Callable[[VisiblePrediction], None]
    ) -> None:
        self._live, self._context, self._show = live, context, show
        self._time_points: dict[int, VisiblePrediction] = {}
        self._n_dropped = 0
        live.changed.connect(self._keep_changes)
        connect_while_alive(widget, context.viewer.dims.events.current_step, self._on_slider)

    def begin(self) -> None:
        """Forget an earlier series; its layers stay in the viewer."""
        self._time_points.clear()
        self._n_dropped = 0

    def add(self, shown: VisiblePrediction) -> None:
        """Keep the prediction of a time point; the earliest are dropped when all take more than a gigabyte."""
        at = shown.position
        assert isinstance(at, TimePoint), "it is one of a series"
        self._time_points[at.time] = shown
        n_bytes = {time: each.comparison.nbytes for time, each in self._time_points.items()}
        for time in list(n_bytes)[:-1]:
            if sum(n_bytes.values()) <= _MOST_KEPT_BYTES or time == at.time:
                break
            del self._time_points[time], n_bytes[time]
            self._n_dropped += 1
        if at.is_shown(self._context.viewer):
            self._show(shown)

    def go_to(self, name: str) -> bool:
        """Move the slider to the time point with a name; return whether there is one."""
        for shown in self._time_points.values():
            if shown.comparison.prediction.name == name and isinstance(shown.position, TimePoint):
                shown.position.go_to(self._context.viewer)
                return True
        return False

    @property
    def dropped_notice(self) -> str:
        """A message if time points were not kept; empty otherwise."""
        if not self._n_dropped:
            return ""
        return (
            f"The labels of {self._n_dropped} time points no longer follow the settings, since the predictions of the "
            "others fill a gigabyte of memory; predict again to change them."
        )

    def _on_slider(self, _event: Any = None) -> None:
        follow_time(self._context.viewer)
        first = next(iter(self._time_points.values()), None)
        if first is None or not isinstance(first.position, TimePoint) or not self._is_in_view():
            return
        at = first.position
        if at.layer not in self._context.viewer.layers:
            return
        shown = self._time_points.get(time_shown(self._context.viewer, at.layer, at.axis))
        if shown is None:
            self._live.forget()
        elif self._live.shown is None or self._live.shown.comparison is not shown.comparison:
            self._show(shown)

    def _is_in_view(self) -> bool:
        """Return whether the series is in view, rather than another volume of the same dock."""
        return self._live.shown is None or isinstance(self._live.shown.position, TimePoint)

    def _keep_changes(self, comparison: Comparison | None) -> None:
        shown = self._live.shown
        if comparison is None or shown is None or not isinstance(shown.position, TimePoint):
            return
        _, time = split_name(comparison.prediction.name)
        if time in self._time_points and time == shown.position.time:
            self._time_points[time] = shown
