"""The layers in which a run is watched: the volume once, the prediction of an epoch, and where it differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_unet3d.runs.snapshot_files import SnapshotData, SnapshotVolume
from napari_unet3d.session.epoch_view import EpochView
from napari_unet3d.widgets.viewer.layers import (
    DIFFERENCE_COLOURS,
    OWNED,
    find_layer,
    hide_own_layers,
    remove_own,
    shifted,
    spatial_kwargs,
)

_Place = dict[str, Any]
_IMAGE, _PREDICTION, _DIFFERENCE = "watched", "watched prediction", "watched difference"


class SnapshotLayers:
    """Shows epochs of a run, one after another, in the same layers.

    Nothing else in the viewer moves: not the camera, not the slices, not the selection. What the person hides stays
    hidden, and a layer that the person removes does not come back before another volume is chosen.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show them.
    truths : callable
        Gives the Labels layers with the truth of a volume, which would cover the mistakes in 3D; they are hidden once.
    """

    def __init__(self, viewer: Any, truths: Callable[[str], Sequence[Labels]]) -> None:
        self._viewer, self._truths = viewer, truths
        self._volume: SnapshotData | None = None
        self._made: set[str] = set()  # names of layers; those that are gone were removed by the person
        self._introduced: set[str] = set()  # volumes whose truth was hidden once
        self._earlier: set[str] = set()  # names of layers that were there before the run

    def show(self, view: EpochView) -> None:
        """Show an epoch."""
        name = view.volume.info.volume
        if self._volume is not view.volume:
            self._leave(name)
            self._volume = view.volume
        with _unmoved(self._viewer):
            place = self._show_volume(view.volume)
            self._put(Labels, f"{name} {_PREDICTION}", view.labels, place, visible=False, opacity=0.7)
            looks = {"colormap": DIFFERENCE_COLOURS, "opacity": 0.9}
            self._put(Labels, f"{name} {_DIFFERENCE}", view.difference, place, **looks)

    def expect_other_run(self) -> None:
        """Leave the layers until another run shows something: of the same volumes, it goes on in them."""
        self._volume = None

    def note_what_is_there(self) -> None:
        """Take the layers of now for those that another volume of the run may take the place of.

        What comes later, such as a prediction while the first epoch is on its way, is there to be looked at.
        """
        self._earlier = {layer.name for layer in self._viewer.layers}

    def remove(self) -> None:
        """Take the layers away; an image of the person's own stays."""
        for name in self._made:
            remove_own(self._viewer, name)
        self._made, self._volume = set(), None

    def keep(self, view: EpochView) -> Labels:
        """Make a Labels layer ``NAME epoch 12`` of an epoch, which stays; hidden, as it would cover the mistakes."""
        card = view.volume.info
        name = f"{card.volume} epoch {view.epoch}"
        place = _place_of(card, _image_of(self._viewer, view.volume))
        with _unmoved(self._viewer):
            layer: Labels = self._put(Labels, name, view.labels.copy(), place, visible=False)
            return layer

    def _leave(self, name: str) -> None:
        """Take away what belongs to another volume."""
        others = {made for made in self._made if made not in {f"{name} {kind}" for kind in _KINDS}}
        for other in others:
            remove_own(self._viewer, other)
        self._made = set()

    def _show_volume(self, volume: SnapshotData) -> _Place:
        image = _image_of(self._viewer, volume)
        if image is not None:
            if find_layer(self._viewer, f"{image.name} {_DIFFERENCE}", Labels) is None:
                for truth in self._truths(image.name) if image.name not in self._introduced else ():
                    truth.visible = False
                self._introduced.add(image.name)
            return _place_of(volume.info, image)
        place = _place_of(volume.info, None)
        name = f"{volume.info.volume} {_IMAGE}"
        if name not in self._made:
            if find_layer(self._viewer, name, Image) is None:
                hide_own_layers(self._viewer, self._earlier)  # another volume may lie in the same place
            self._put(Image, name, volume.image, place)
        return place

    def _put(self, kind: type[Layer], name: str, data: NDArray[Any], place: _Place, **looks: Any) -> Any:
        layer = find_layer(self._viewer, name, kind)
        if layer is None:
            if name in self._made:
                return None
            layer = kind(data, name=name, metadata={OWNED: True}, **place, **looks)
            self._viewer.add_layer(layer)
        else:
            layer.data = data
            for key, value in place.items():
                if not _is_same(getattr(layer, key), value):
                    setattr(layer, key, value)
        if name.endswith(_KINDS):
            self._made.add(name)
        return layer


_KINDS = (_IMAGE, _PREDICTION, _DIFFERENCE)


def _image_of(viewer: Any, volume: SnapshotData) -> Image | None:
    """Find the layer of the person's own that shows the volume."""
    card = volume.info
    for layer in viewer.layers:
        is_plain = isinstance(layer, Image) and layer.ndim == 3 and not layer.rgb and not layer.multiscale
        is_alike = is_plain and layer.name == card.volume and layer.data.shape == card.volume_shape_zyx
        if is_alike and _shows(layer, volume):
            return layer
    return None


def _shows(layer: Image, volume: SnapshotData) -> bool:
    """Compare a slice, unless the run has brought the volume to other voxels: names like ``1`` are common."""
    card = volume.info
    if card.step_zyx != (1.0, 1.0, 1.0):
        return True
    z, y, x = (round(first) for first in card.first_zyx)
    depth, height, width = card.shape_zyx
    middle = depth // 2
    own = np.asarray(layer.data[z + middle, y : y + height, x : x + width])
    return bool(np.array_equal(own, volume.image[middle]))


def _place_of(card: SnapshotVolume, image: Image | None) -> _Place:
    if image is None:
        return spatial_kwargs(card.own_voxel_size_um) | {"translate": card.offset_um}
    scale = np.multiply(image.scale, card.step_zyx)
    return spatial_kwargs(image) | {"scale": scale, "translate": shifted(image, card.first_zyx)}


def _is_same(one: Any, other: Any) -> bool:
    if hasattr(one, "affine_matrix"):
        one, other = one.affine_matrix, getattr(other, "affine_matrix", other)
    try:
        return bool(np.allclose(one, other))
    except (TypeError, ValueError):
        return [str(each) for each in one] == [str(each) for each in other]


@contextmanager
def _unmoved(viewer: Any) -> Iterator[None]:
    """Leave the selection and the slices as they are, unless there was nothing to see before."""
    was_empty = not viewer.layers
    selected, point = set(viewer.layers.selection), viewer.dims.point
    yield
    if not was_empty:
        viewer.layers.selection = selected
        if viewer.dims.ndim == len(point) and viewer.dims.point != point:
            viewer.dims.point = point
