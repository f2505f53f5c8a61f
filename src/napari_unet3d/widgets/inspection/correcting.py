"""What is being corrected in the viewer: a prediction, the layer that shows its corrected state, and where to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_unet3d.configs import Elsewhere, Task, ZeroIs
from napari_unet3d.data.annotation import Truth
from napari_unet3d.data.corrections import Correction, Corrections, Taken
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample, Shape3D, VoxelSize
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.inspection.spots import Spot, brush_size
from napari_unet3d.widgets.view.layers import Place, bring_out, existing, hide_own_layers, show_labels
from napari_unet3d.widgets.view.origins import Origin

if TYPE_CHECKING:
    from napari_unet3d.data.pairs import Pair
    from napari_unet3d.evaluation.error_table import ErrorObject

_OPACITY = 0.6
_LEAST_SAMPLE: Shape3D = (64, 64, 64)  # where the model has seen whole volumes


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

    def bring_out(self, prediction: Labels) -> None:
        """Show the image with a new prediction of it, instead of what a training has shown meanwhile."""
        hide_own_layers(self._viewer)
        if self.image is not None and self.image in self._viewer.layers:
            self.image.visible = True
        bring_out(self._viewer, prediction)

    def follow(self, difference: Labels | None, prediction_layer: Labels | None) -> None:
        """Take over the layers of another inspection of the same prediction."""
        self._difference, self._prediction_layer = difference, prediction_layer
        self._as_predicted = None if difference is None else difference.data
        for correction in self.corrections.done:
            self._show_left(correction)

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
        layer.brush_size = brush_size(spot.region)
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

    def image_sample(self, chosen: Image | None) -> Sample:
        """Give the image that was predicted, without labels.

        Parameters
        ----------
        chosen : Image or None
            The layer to take where it was not known before.

        Raises
        ------
        UserError
            If there is no such layer.
        """
        layer = self.image or chosen
        if layer is None or np.shape(layer.data) != self.shape:
            raise UserError("The image of the prediction is not in the viewer. Open it and choose its layer above.")
        return Sample(self.name, np.asarray(layer.data), voxel_size_um=self.voxel_size_um)

    def sample(self, part: str, elsewhere: Elsewhere, chosen: Image | None) -> Sample:
        """Make a training volume of the corrections.

        Parameters
        ----------
        part : str
            The part of the dataset that the predicted volume belongs to; empty when it belongs to none.
        elsewhere : Elsewhere
            What the prediction counts as away from the corrected places.
        chosen : Image or None
            The layer of the image, where it was not known before.
        """
        plan, run = self.origin.plan, self.origin.run
        least = plan.patch_zyx if plan is not None and plan.patch_zyx is not None else _LEAST_SAMPLE
        made = datetime.now(UTC).isoformat(timespec="microseconds")
        origin = Provenance(volume=self.name, part=part, run="" if run is None else str(run), made=made)
        return self.corrections.sample(self.image_sample(chosen).image, origin, elsewhere, self.zero_is, least)

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
