"""The layers that show a run: the volume once, the prediction of an epoch, and its difference to the ground truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_unet3d.runs.snapshot_files import SnapshotData, SnapshotVolume
from napari_unet3d.session.epoch_view import EpochView
from napari_unet3d.widgets.viewer.channel_layers import COLOURMAPS, volume_of
from napari_unet3d.widgets.viewer.layer_metadata import LIVE_DIFFERENCE, LIVE_IMAGE, LIVE_PREDICTION, OWNED
from napari_unet3d.widgets.viewer.layers import (
    DIFFERENCE_COLOURS,
    find_layer,
    hide_own_layers,
    remove_own,
    shifted,
    spatial_kwargs,
)

_Position = dict[str, Any]
_KINDS = (LIVE_IMAGE, LIVE_PREDICTION, LIVE_DIFFERENCE)


class SnapshotLayers:
    """Shows epochs of a run, one after another, in the same layers.

    Nothing else in the viewer changes: not the camera, not the slices, not the selection. What the user hides stays
    hidden, and a layer that the user removes does not come back before another volume is chosen.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show them.
    labels_of : callable
        Returns the Labels layers with the ground truth of a volume, which would cover the errors in 3D; they are hidden
        once.
    """

    def __init__(self, viewer: Any, labels_of: Callable[[str], Sequence[Labels]]) -> None:
        self._viewer, self._labels_of = viewer, labels_of
        self._volume: SnapshotData | None = None
        self._made: set[str] = set()  # names of layers; those that are gone were removed by the user
        self._introduced: set[str] = set()  # volumes whose ground truth was hidden once
        self._positions: dict[str, _Position] = {}  # of volumes whose image is, or was, a layer of the user
        self._earlier: set[str] = set()  # names of layers that were there before the run

    def show(self, view: EpochView) -> Labels | None:
        """Show an epoch; return its layer, or None when the user has removed that."""
        name = view.volume.info.volume
        if self._volume is not view.volume:
            self._leave(view.volume.info)
            self._volume = view.volume
        with _unmoved(self._viewer):
            position = self._show_volume(view.volume)
            shown = self._put(Labels, f"{name}{LIVE_PREDICTION}", view.labels, position, visible=False, opacity=0.7)
            options = {"colormap": DIFFERENCE_COLOURS, "opacity": 0.9}
            difference = self._put(Labels, f"{name}{LIVE_DIFFERENCE}", view.difference, position, **options)
        return shown if difference is None else difference

    def expect_other_run(self) -> None:
        """Leave the layers until another run shows something; one with the same volumes reuses them."""
        self._volume = None
        self._positions.clear()

    def note_present_layers(self) -> None:
        """Record the present layers, which are hidden when a volume of the run is shown.

        Later ones, such as a prediction that was made during the first epoch, stay visible.
        """
        self._earlier = {layer.name for layer in self._viewer.layers}

    def remove(self) -> None:
        """Remove the layers; an image of the user stays."""
        for name in self._made:
            remove_own(self._viewer, name)
        self._made, self._volume = set(), None
        self._positions.clear()

    def keep(self, view: EpochView) -> Labels:
        """Copy an epoch to a Labels layer ``NAME epoch 12``; it is hidden, as it would cover the errors."""
        info = view.volume.info
        name = f"{info.volume} epoch {view.epoch}"
        position = _position_of(info, _image_of(self._viewer, view.volume))
        with _unmoved(self._viewer):
            layer: Labels = self._put(Labels, name, view.labels.copy(), position, visible=False)
            return layer

    def _leave(self, info: SnapshotVolume) -> None:
        """Remove the layers of another volume than this one."""
        own = {*_image_names(info), f"{info.volume}{LIVE_PREDICTION}", f"{info.volume}{LIVE_DIFFERENCE}"}
        for other in self._made - own:
            remove_own(self._viewer, other)
        self._made = set()

    def _show_volume(self, volume: SnapshotData) -> _Position:
        image = _image_of(self._viewer, volume)
        if image is not None:
            if find_layer(self._viewer, f"{image.name}{LIVE_DIFFERENCE}", Labels) is None:
                for truth in self._labels_of(image.name) if image.name not in self._introduced else ():
                    truth.visible = False
                self._introduced.add(image.name)
            self._positions[volume.info.volume] = _position_of(volume.info, image)
            return self._positions[volume.info.volume]
        if volume.info.volume in self._positions:  # the user has removed the image
            return self._positions[volume.info.volume]
        position = _position_of(volume.info, None)
        names = _image_names(volume.info)
        if not self._made.intersection(names):
            if not any(find_layer(self._viewer, name, Image) for name in names):
                hide_own_layers(self._viewer, self._earlier)  # another volume may be in the same place
            for number, (name, channel) in enumerate(zip(names, _channels(volume), strict=True)):
                colour = COLOURMAPS[number % len(COLOURMAPS)]
                options = {"colormap": colour, "blending": "additive"} if len(names) > 1 else {}
                self._put(Image, name, channel, position, **options)
            for name in names:
                self._move_below_labels(name, volume.info.volume)
        return position

    def _move_below_labels(self, name: str, volume: str) -> None:
        """Move the image of a volume below what was predicted of it, which it would cover."""
        layers, image = self._viewer.layers, find_layer(self._viewer, name, Image)
        names = [f"{volume}{ending}" for ending in (LIVE_PREDICTION, LIVE_DIFFERENCE)]
        predicted = [find_layer(self._viewer, each, Labels) for each in names]
        above = [layers.index(layer) for layer in predicted if layer is not None]
        if image is not None and above and layers.index(image) > min(above):
            layers.move(layers.index(image), min(above))

    def _put(self, kind: type[Layer], name: str, data: NDArray[Any], position: _Position, **options: Any) -> Any:
        layer = find_layer(self._viewer, name, kind)
        if layer is None:
            if name in self._made:
                return None
            layer = kind(data, name=name, metadata={OWNED: True}, **position, **options)
            self._viewer.add_layer(layer)
        else:
            layer.data = data
            for key, value in position.items():
                if not _is_same(getattr(layer, key), value):
                    setattr(layer, key, value)
        if name.endswith(_KINDS):
            self._made.add(name)
        return layer


def _image_of(viewer: Any, volume: SnapshotData) -> Image | None:
    """Return the layer of the user that shows the volume, or None."""
    info = volume.info
    for layer in viewer.layers:
        is_plain = isinstance(layer, Image) and layer.ndim == 3 and not layer.rgb and not layer.multiscale
        is_named = info.volume in (layer.name, volume_of(layer)) or layer.name.startswith(f"{info.volume} ")
        is_alike = is_plain and is_named and layer.data.shape == info.volume_shape_zyx
        if is_alike and _shows(layer, volume):
            return layer
    return None


def _shows(layer: Image, volume: SnapshotData) -> bool:
    """Compare a slice, unless the run has resampled the volume: names like ``1`` are common."""
    info = volume.info
    if info.step_zyx != (1.0, 1.0, 1.0):
        return True
    z, y, x = (round(first) for first in info.first_zyx)
    depth, height, width = info.shape_zyx
    middle = depth // 2
    own = np.asarray(layer.data[z + middle, y : y + height, x : x + width])
    return bool(np.array_equal(own, _channels(volume)[0][middle]))


def _channels(volume: SnapshotData) -> NDArray[Any]:
    return volume.image[None] if volume.image.ndim == 3 else volume.image


def _image_names(info: SnapshotVolume) -> list[str]:
    """Return the names of the layers of a volume, one per channel."""
    if len(info.channel_names) < 2:
        return [f"{info.volume}{LIVE_IMAGE}"]
    return [f"{info.volume} {channel}{LIVE_IMAGE}" for channel in info.channel_names]


def _position_of(info: SnapshotVolume, image: Image | None) -> _Position:
    like = info.geometry if image is None else image
    place = spatial_kwargs(like)
    return place | {"scale": np.multiply(place["scale"], info.step_zyx), "translate": shifted(like, info.first_zyx)}


def _is_same(one: Any, other: Any) -> bool:
    if hasattr(one, "affine_matrix"):
        one, other = one.affine_matrix, getattr(other, "affine_matrix", other)
    try:
        return bool(np.allclose(one, other))
    except (TypeError, ValueError):
        return [str(each) for each in one] == [str(each) for each in other]


@contextmanager
def _unmoved(viewer: Any) -> Iterator[None]:
    """Keep the selection and the slices as they are, unless there was no layer before."""
    was_empty = not viewer.layers
    selected, point = set(viewer.layers.selection), viewer.dims.point
    yield
    if not was_empty:
        viewer.layers.selection = selected
        if viewer.dims.ndim == len(point) and viewer.dims.point != point:
            viewer.dims.point = point
