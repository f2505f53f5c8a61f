"""What is being corrected in the viewer: a prediction, the layer that shows its corrected state, and where to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_unet3d.configs import Task, ZeroIs
from napari_unet3d.data.annotation import Truth
from napari_unet3d.data.boxes import Region
from napari_unet3d.data.corrections import Correction, Corrections, Taken
from napari_unet3d.data.provenance import CorrectedPlace
from napari_unet3d.data.sample import Shape3D, VoxelSize
from napari_unet3d.widgets.layers import Place, bring_out, existing, show_labels
from napari_unet3d.widgets.origins import Origin

if TYPE_CHECKING:
    from napari_unet3d.data.pairs import Pair
    from napari_unet3d.evaluation.error_table import ErrorObject

_MOST_BRUSH = 20
_OPACITY = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """A place to correct: an error, or a box that was chosen by hand.

    Attributes
    ----------
    region : Region
        Its voxels.
    place : CorrectedPlace
        What is noted about it.
    wanted : int or None
        The label that is missing there; 0 for background, None when that is not known.
    """

    region: Region
    place: CorrectedPlace
    wanted: int | None = None


class Correcting:
    """One prediction that is corrected; it outlives the choice of another one in the dock.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the corrected state is shown.
    prediction : ndarray of integers, shape (z, y, x)
        Predicted labels.
    truth : Truth or None
        What is known.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    origin : Origin
        Name of the volume, and as far as they are known its model and dataset.
    image : Image or None
        The layer of the image.
    place : Layer or tuple of float
        Where layers that belong to it lie.
    difference : Labels, optional
        The layer of the difference from the truth, from which corrected errors vanish.
    prediction_layer : Labels, optional
        The layer of the prediction, which is hidden while its corrected state is shown.

    Attributes
    ----------
    corrections : Corrections
        What was corrected.
    added : Pair or None
        The files that the corrections were written to.
    """

    def __init__(  # noqa: PLR0913 - what an inspection knows, or the layers of a dock
        self,
        viewer: Any,
        prediction: NDArray[Any],
        truth: Truth | None,
        voxel_size_um: VoxelSize,
        origin: Origin,
        image: Image | None,
        place: Place,
        difference: Labels | None = None,
        prediction_layer: Labels | None = None,
    ) -> None:
        self._viewer, self._prediction, self.place = viewer, prediction, place
        self.truth, self.voxel_size_um, self.origin, self.image = truth, voxel_size_um, origin, image
        self._difference, self._prediction_layer = difference, prediction_layer
        self._as_predicted = None if difference is None else difference.data
        self.corrections = Corrections(prediction, truth, self.task, voxel_size_um)
        self.added: Pair | None = None
        self.n_added = 0
        self._spot: Spot | None = None
        self._n_displayed = 3

    @property
    def name(self) -> str:
        """Name of the volume, without the part of the dataset that the Dataset dock adds to it."""
        return self.origin.name.removesuffix(" (train)").removesuffix(" (test)")

    @property
    def shape(self) -> Shape3D:
        """Number of voxels along z, y, x."""
        z, y, x = self._prediction.shape
        return z, y, x

    @property
    def task(self) -> Task:
        """What the labels are."""
        return self.origin.plan.task if self.origin.plan else Task.FOREGROUND

    @property
    def zero_is(self) -> ZeroIs:
        """What label 0 means in the dataset of the model."""
        return self.origin.plan.zero_is if self.origin.plan else ZeroIs.BACKGROUND

    @property
    def is_painting(self) -> bool:
        """Whether somebody paints at the moment."""
        return self.corrections.is_painting

    @property
    def is_changed(self) -> bool:
        """Whether there is something that the dataset does not hold yet."""
        done = self.corrections.done
        return bool(done) and (self.added is None or self.n_added != len(done))

    def is_of(self, prediction: NDArray[Any], origin: Origin) -> bool:
        """Tell whether it corrects this very prediction."""
        is_same_volume = (origin.name, origin.run) == (self.origin.name, self.origin.run)
        return is_same_volume and np.array_equal(prediction, self._prediction)

    def take(self, spot: Spot, taken: Taken, margin_um: float) -> None:
        """Let the truth or the prediction hold at a place."""
        self._show_left(self.corrections.take(spot.region, taken, spot.place, margin_um))

    def begin_painting(self, spot: Spot) -> None:
        """Let the user paint at a place, with the right label and a brush of its size, in slices."""
        self._spot, self._n_displayed = spot, self._viewer.dims.ndisplay
        layer = self.show()
        bring_out(self._viewer, layer)  # so that nothing covers what is painted
        self.corrections.begin_painting()
        self._viewer.dims.ndisplay = 2
        self._viewer.layers.selection.active = layer
        label = self._label_for(spot)
        layer.selected_label = label
        layer.brush_size = _brush_size(spot.region)
        layer.mode = "paint" if label else "erase"

    def finish_painting(self, margin_um: float) -> Correction | None:
        """Keep what was painted; None when nothing was."""
        spot, self._spot = self._spot, None
        if spot is None:
            return None
        done = self.corrections.finish_painting(spot.region, spot.place, margin_um)
        layer = self._show_left(done)
        layer.mode = "pan_zoom"
        self._lower(layer)
        self._viewer.dims.ndisplay = self._n_displayed
        return done

    def undo(self) -> Correction | None:
        """Take the last correction back."""
        done = self.corrections.undo()
        self._show_left(done)
        return done

    def redo(self) -> Correction | None:
        """Make the correction again that was taken back last."""
        done = self.corrections.redo()
        self._show_left(done)
        return done

    def show(self) -> Labels:
        """Show the corrected state in the Labels layer ``NAME corrected``; it shares its memory with the layer."""
        name, labels = f"{self.name} corrected", self.corrections.labels
        layer = existing(self._viewer, name, Labels)
        if layer is not None and layer.data is labels:
            layer.refresh()
            return layer
        active = self._viewer.layers.selection.active
        layer = show_labels(self._viewer, name, labels, self.place, opacity=_OPACITY)
        if self._prediction_layer is not None:
            self._prediction_layer.visible = False
        self._lower(layer)
        if active is not None and active in self._viewer.layers:
            self._viewer.layers.selection.active = active
        return layer

    def _lower(self, layer: Labels) -> None:
        """Put the corrected state below the difference, which tells what is left to correct."""
        layers = self._viewer.layers
        if self._difference in layers and layers.index(layer) > layers.index(self._difference):
            layers.move(layers.index(layer), layers.index(self._difference))

    def _show_left(self, changed: Correction | None) -> Labels:
        """Show the corrected state, and in the layer of the difference what is left of the errors."""
        layer, original = self._difference, self._as_predicted
        if changed is not None and layer is not None and original is not None and layer in self._viewer.layers:
            if layer.data is original:  # others look at that array, too
                layer.data = original.copy()
            left = original[changed.box].copy()
            left[self.corrections.known_in(changed.box)] = 0
            layer.data[changed.box] = left
            layer.refresh()
        return self.show()

    def taken_at(self, error: ErrorObject) -> str:
        """Say how an error was corrected: ``truth``, ``prediction`` or ``painted``; empty when it was not."""
        for correction in reversed(self.corrections.done):
            inside = [at - side.start for at, side in zip(error.position_zyx, correction.box, strict=True)]
            within = all(0 <= at < side for at, side in zip(inside, correction.decided.shape, strict=True))
            if within and correction.decided[tuple(inside)]:
                return correction.place.taken
        return ""

    def _label_for(self, spot: Spot) -> int:
        labels = self.corrections.labels
        if self.task is Task.OBJECTS and spot.wanted != 0:
            near = labels[spot.region.box]
            around = near[(near > 0) & ~spot.region.mask]
            if spot.place.kind == "missed" and around.size:  # the rest of an object that was found in part
                return int(np.bincount(around).argmax())
            return int(labels.max(initial=0)) + 1
        if spot.wanted is not None:
            return spot.wanted
        return int(labels.max(initial=0)) or 1


def _brush_size(region: Region) -> int:
    sides = sorted(side.stop - side.start for side in region.box)
    return int(np.clip(sides[1] // 2, 1, _MOST_BRUSH))


def spot_of_error(error: ErrorObject, mask: NDArray[np.bool_]) -> Spot:
    """Give the place of an error.

    Parameters
    ----------
    error : ErrorObject
        The error.
    mask : ndarray of bool, shape (z, y, x) of its box
        Its voxels.
    """
    place = CorrectedPlace(
        kind=error.kind.value,
        number=error.number,
        position_zyx=error.position_zyx,
        volume_um3=error.volume_um3,
    )
    wanted = error.wanted[0] if error.wanted else 0
    return Spot(Region(error.slices, mask), place, wanted)


def spot_around(
    position_zyx: tuple[float, float, float], size_um: float, voxel_size_um: VoxelSize, shape: Shape3D
) -> Spot:
    """Give a box around a voxel as a place to correct.

    Parameters
    ----------
    position_zyx : tuple of float
        Its middle in voxels; one outside of the volume is moved to its border.
    size_um : float
        Side of the box in µm.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    shape : tuple of int
        Shape (z, y, x) of the volume.
    """
    middle = [round(min(max(0.0, at), side - 1)) for at, side in zip(position_zyx, shape, strict=True)]
    half = [max(0, round(size_um / size / 2)) for size in voxel_size_um]
    z, y, x = (
        slice(max(0, at - reach), min(side, at + reach + 1))
        for at, reach, side in zip(middle, half, shape, strict=True)
    )
    mask = np.ones(tuple(side.stop - side.start for side in (z, y, x)), bool)
    return Spot(Region((z, y, x), mask), CorrectedPlace(position_zyx=(middle[0], middle[1], middle[2])))
