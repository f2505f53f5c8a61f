"""Moves the view to the validation volume of a run once, unless the user has moved it meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Layer

from napari_unet3d.session.epoch_view import EpochView
from napari_unet3d.widgets.viewer.navigation import jump_to, zoom_to
from napari_unet3d.widgets.viewer.view_state import CameraState

_PART_OF_VIEW = 0.85  # that the volume fills


@dataclass(frozen=True, slots=True)
class ViewPoint:
    """What a viewer shows: slices, axes and camera.

    Attributes
    ----------
    point : tuple of float
        The slices, in world coordinates.
    order : tuple of int
        The axes, those that are displayed last.
    ndisplay : int
        2 for slices, 3 for 3D.
    camera : CameraState
        The camera.
    has_layers : bool
        Whether there is anything to see.
    """

    point: tuple[float, ...]
    order: tuple[int, ...]
    ndisplay: int
    camera: CameraState
    has_layers: bool

    @classmethod
    def of(cls, viewer: Any) -> ViewPoint:
        """Return what a viewer shows now."""
        dims = viewer.dims
        return cls(tuple(dims.point), tuple(dims.order), dims.ndisplay, CameraState.of(viewer), bool(viewer.layers))

    def is_like(self, other: ViewPoint) -> bool:
        """Return whether both are the same but for rounding."""
        axes = (self.order, self.ndisplay) == (other.order, other.ndisplay)
        return axes and np.allclose(self.point, other.point) and self.camera.is_like(other.camera)


class FirstVisit:
    """Decides whether the view goes to the validation volume when the first epoch of a run is shown.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._before: ViewPoint | None = None

    @property
    def is_expected(self) -> bool:
        """Whether an epoch is expected that the view may go to."""
        return self._before is not None

    def expect(self) -> None:
        """Expect the first epoch of a run that has just started; the view is remembered as it is now."""
        self._before = ViewPoint.of(self._viewer)

    def cancel(self) -> None:
        """Expect nothing."""
        self._before = None

    def is_due(self) -> bool:
        """Return whether the view may go there now: once, and not after the user has moved it."""
        before, self._before = self._before, None
        return before is not None and (not before.has_layers or before.is_like(ViewPoint.of(self._viewer)))


def go_to_volume(viewer: Any, layer: Layer, view: EpochView) -> None:
    """Move slices and camera to the volume of an epoch: to the slice with most errors, with the whole volume in view.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    layer : Layer
        A layer that shows the epoch.
    view : EpochView
        The epoch.
    """
    shape = view.labels.shape
    what = view.difference if view.difference.any() else view.labels
    voxel = [side // 2 for side in shape]
    for axis in viewer.dims.not_displayed:
        own = axis - viewer.dims.ndim + 3
        if own >= 0 and what.any():
            counts = np.count_nonzero(np.moveaxis(what, own, 0).reshape(shape[own], -1), axis=1)
            voxel[own] = int(counts.argmax())
    jump_to(viewer, layer, (voxel[0], voxel[1], voxel[2]))
    size = np.ptp(layer.extent.world[:, -3:], axis=0)
    zoom_to(viewer, size, size / shape, _PART_OF_VIEW)
