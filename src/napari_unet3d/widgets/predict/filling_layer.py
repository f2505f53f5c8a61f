"""The labels of a large volume in the viewer, which fill while it is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_unet3d.data.boxes import Box
from napari_unet3d.inference.blockwise.preview import Preview
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.components.containers import single_shot
from napari_unet3d.widgets.viewer.connections import connect_while_alive
from napari_unet3d.widgets.viewer.layer_metadata import OWNED, PREDICTION, mark_companions, mark_origin
from napari_unet3d.widgets.viewer.layers import show_on_top, spatial_kwargs
from napari_unet3d.widgets.viewer.navigation import view_center
from napari_unet3d.widgets.viewer.view_state import camera_of

_MOST_VOXELS = 2**26  # of the largest resolution that is kept in memory
_SMALL_SIDE = 256  # of the smallest one, which is what napari shows in 3D
_REFRESH_MS = 300


class ViewFocus:
    """Knows which voxel is in the middle of the view; other threads may ask.

    Parameters
    ----------
    widget : QObject
        The view is followed as long as this exists.
    viewer : napari.Viewer
        The viewer.
    layer : Layer
        The layer whose voxel it is.
    """

    def __init__(self, widget: QObject, viewer: Any, layer: Image) -> None:
        self._viewer, self._layer = viewer, layer
        self._voxel: tuple[float, float, float] | None = None
        for emitter in (viewer.dims.events.current_step, viewer.dims.events.ndisplay, camera_of(viewer).events.center):
            connect_while_alive(widget, emitter, self._on_moved)
        self._on_moved()

    def __call__(self) -> tuple[float, float, float] | None:
        """Return the voxel (z, y, x); None if it is not known."""
        return self._voxel

    def _on_moved(self, _event: Any = None) -> None:
        if self._layer in self._viewer.layers:
            self._voxel = view_center(self._viewer, self._layer)


class FillingLabels:
    """Shows labels as they are predicted, block by block, in a Labels layer of several resolutions.

    Parameters
    ----------
    widget : QObject
        Has the timer.
    viewer : napari.Viewer
        The viewer.
    image : Image
        The layer of the image, in whose place they are shown.
    preview : Preview
        The labels.
    origin : VolumeOrigin
        Where they come from.
    """

    def __init__(self, widget: QObject, viewer: Any, image: Image, preview: Preview, origin: VolumeOrigin) -> None:
        self._viewer, self._image, self._preview = viewer, image, preview
        self._place = spatial_kwargs(image)
        self._low = [_Resolution(preview, step) for step in _steps(preview.shape)]
        for box in preview.done:
            self._add(box)
        self._refresh_timer = single_shot(widget, self._refresh, _REFRESH_MS)
        self.layer = self._show([preview, *(each.array for each in self._low)], origin)

    def add(self, box: Box) -> None:
        """Show another block."""
        self._add(box)
        if not self._refresh_timer.isActive():
            self._refresh_timer.start()

    def settle(self) -> None:
        """Show all blocks at once."""
        if self._refresh_timer.isActive():
            self._refresh_timer.stop()
            self._refresh()

    def finish(self, levels: Sequence[Any], origin: VolumeOrigin) -> None:
        """Show the finished labels, with their own resolutions, instead."""
        self._refresh_timer.stop()
        is_visible = self.layer.visible
        if self.layer in self._viewer.layers:
            self.layer = self._show(list(levels), origin)
            self.layer.visible = is_visible

    def _add(self, box: Box) -> None:
        for each in self._low:
            each.add(box)

    def _refresh(self) -> None:
        if self.layer in self._viewer.layers:
            self.layer.refresh()

    def _show(self, levels: list[Any], origin: VolumeOrigin) -> Labels:
        """Show resolutions in a layer of their own; napari cannot give others to a layer that has some."""
        viewer, name = self._viewer, f"{origin.name}{PREDICTION}"
        for old in [each for each in viewer.layers if each.name == name and each.metadata.get(OWNED)]:
            viewer.layers.remove(old)
        is_multiscale = len(levels) > 1
        data = levels if is_multiscale else levels[0]
        labels = Labels(data, name=name, multiscale=is_multiscale, opacity=0.5, metadata={OWNED: True}, **self._place)
        viewer.add_layer(labels)
        mark_origin([labels], origin)
        mark_companions(labels, image=self._image)
        show_on_top(viewer, labels)
        return labels


class _Resolution:
    """A lower resolution in memory: every so many voxels along each axis."""

    def __init__(self, preview: Preview, step: int) -> None:
        self._preview, self._step = preview, step
        self.array: NDArray[Any] = np.zeros([-(-side // step) for side in preview.shape], preview.dtype)

    def add(self, box: Box) -> None:
        """Take the voxels of a block."""
        step = self._step
        firsts = [-(-side.start // step) for side in box]
        source = tuple(slice(first * step, side.stop, step) for first, side in zip(firsts, box, strict=True))
        values = self._preview[source]
        target = tuple(slice(first, first + n) for first, n in zip(firsts, values.shape, strict=True))
        self.array[target] = values


def _steps(shape: tuple[int, int, int]) -> list[int]:
    """Return the steps of the lower resolutions: the first that fits into memory, and half of it, and so on.

    >>> _steps((1024, 1024, 1024)), _steps((20, 30, 40))
    ([4], [2])
    """
    step, steps = 2, []
    while prod(-(-side // step) for side in shape) > _MOST_VOXELS:
        step *= 2
    while True:
        steps.append(step)
        if max(shape) // step <= _SMALL_SIDE:
            return steps
        step *= 2
