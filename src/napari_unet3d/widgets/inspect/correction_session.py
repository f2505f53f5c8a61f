"""What is being corrected: a prediction, what was corrected in it, and the files that hold it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_unet3d.configs import Task, UneditedRegions
from napari_unet3d.data.corrections import Correction, Corrections, CorrectionSource
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample, Shape3D, VoxelSize
from napari_unet3d.errors import UserError
from napari_unet3d.session.origin import VolumeOrigin, without_subset
from napari_unet3d.widgets.inspect.corrected_layers import CorrectedLayers
from napari_unet3d.widgets.inspect.correction_target import CorrectionTarget, brush_size

if TYPE_CHECKING:
    from napari_unet3d.data.pairs import Pair
    from napari_unet3d.evaluation.errors.types import SegmentationError
    from napari_unet3d.widgets.inspect.inspection import Inspection, VolumeLayers

_LEAST_SAMPLE: Shape3D = (64, 64, 64)  # where the model has seen whole volumes


class CorrectionSession:
    """One prediction that is corrected; it outlives the choice of another one in the dock.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the corrected state is shown.
    shown : Shown
        The layers of the prediction, and where it comes from.
    prediction : ndarray of integers, shape (z, y, x)
        Predicted labels.
    truth : Truth or None
        What is known.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.

    Attributes
    ----------
    corrections : Corrections
        What was corrected.
    layers : CorrectedLayers
        Where it is seen.
    added : Pair or None
        The files that the corrections were written to.
    held : tuple of Correction
        The corrections that those files hold.
    """

    def __init__(
        self,
        viewer: Any,
        shown: VolumeLayers,
        prediction: NDArray[Any],
        truth: GroundTruth | None,
        voxel_size_um: VoxelSize,
    ) -> None:
        self._prediction, self.truth, self.voxel_size_um = prediction, truth, voxel_size_um
        plan = shown.origin.plan
        self._task = plan.task if plan else Task.BINARY
        self.corrections = Corrections(prediction, truth, self._task, voxel_size_um)
        self.layers = CorrectedLayers(viewer, shown, self.corrections)
        self.added: Pair | None = None
        self.held: tuple[Correction, ...] = ()
        self._spot: CorrectionTarget | None = None

    @property
    def origin(self) -> VolumeOrigin:
        """Name of the volume, and as far as they are known its model and dataset."""
        return self.layers.shown.origin

    @property
    def name(self) -> str:
        """Name of the volume, without the part of the dataset that the Dataset dock adds to it."""
        return without_subset(self.origin.name)[0]

    @property
    def shape(self) -> Shape3D:
        """Number of voxels along z, y, x."""
        z, y, x = self._prediction.shape
        return z, y, x

    @property
    def is_painting(self) -> bool:
        """Whether somebody paints at the moment."""
        return self.corrections.is_painting

    @property
    def is_changed(self) -> bool:
        """Whether there is something that the dataset does not hold yet."""
        return bool(self.corrections.done) and tuple(self.corrections.done) != self.held

    def is_of(self, prediction: NDArray[Any], origin: VolumeOrigin) -> bool:
        """Return whether it corrects this very prediction."""
        is_same_volume = (origin.name, origin.run) == (self.origin.name, self.origin.run)
        return is_same_volume and np.array_equal(prediction, self._prediction)

    def follow(self, inspection: Inspection) -> None:
        """Take over the layers of another inspection of the same prediction."""
        self.layers.follow(inspection, inspection.difference)

    def take(self, spot: CorrectionTarget, taken: CorrectionSource, margin_um: float) -> None:
        """Let the truth or the prediction hold at a place."""
        self.layers.show_left(self.corrections.accept(spot.region, taken, spot.place, margin_um))

    def begin_painting(self, spot: CorrectionTarget) -> None:
        """Let the user paint at a place, with the right label and a brush of its size, in slices."""
        self._spot = spot
        self.layers.begin_painting(self._label_for(spot), brush_size(spot.region))
        self.corrections.begin_painting()

    def finish_painting(self, margin_um: float) -> Correction | None:
        """Keep what was painted; None when nothing was."""
        spot, self._spot = self._spot, None
        if spot is None:
            return None
        done = self.corrections.finish_painting(spot.region, spot.place, margin_um)
        self.layers.end_painting(done)
        return done

    def undo(self) -> Correction | None:
        """Take the last correction back."""
        done = self.corrections.undo()
        self.layers.show_left(done)
        return done

    def redo(self) -> Correction | None:
        """Make the correction again that was taken back last."""
        done = self.corrections.redo()
        self.layers.show_left(done)
        return done

    def image_sample(self, chosen: Image | None) -> Sample:
        """Return the image that was predicted, without labels.

        Parameters
        ----------
        chosen : Image or None
            The layer to take where it was not known before.

        Raises
        ------
        UserError
            If there is no such layer.
        """
        layer = self.layers.shown.image or chosen
        if layer is None or np.shape(layer.data) != self.shape:
            raise UserError("The image of the prediction is not in the viewer. Open it and choose its layer above.")
        return Sample(self.name, np.asarray(layer.data), voxel_size_um=self.voxel_size_um)

    def sample(self, elsewhere: UneditedRegions, chosen: Image | None) -> Sample:
        """Make a training volume of the corrections, whose origin does not tell the part of the dataset yet.

        Parameters
        ----------
        elsewhere : Elsewhere
            What the prediction counts as away from the corrected places.
        chosen : Image or None
            The layer of the image, where it was not known before.
        """
        plan, run = self.origin.plan, self.origin.run
        least = plan.patch_zyx if plan is not None and plan.patch_zyx is not None else _LEAST_SAMPLE
        made = datetime.now(UTC).isoformat(timespec="microseconds")
        origin = Provenance(volume=self.name, run="" if run is None else str(run), made=made)
        ignore_label = plan.ignore_label if plan else None
        return self.corrections.sample(self.image_sample(chosen).image, origin, elsewhere, ignore_label, least)

    def taken_at(self, error: SegmentationError) -> str:
        """Say how an error was corrected: ``truth``, ``prediction`` or ``painted``; empty when it was not."""
        for correction in reversed(self.corrections.done):
            inside = [at - side.start for at, side in zip(error.position_zyx, correction.box, strict=True)]
            within = all(0 <= at < side for at, side in zip(inside, correction.edited.shape, strict=True))
            if within and correction.edited[tuple(inside)]:
                return correction.record.source
        return ""

    def _label_for(self, spot: CorrectionTarget) -> int:
        labels = self.corrections.labels
        if self._task is Task.INSTANCE and spot.wanted != 0:
            near = labels[spot.region.box]
            around = near[(near > 0) & ~spot.region.mask]
            if spot.place.kind == "missed" and around.size:  # the rest of an object that was found in part
                return int(np.bincount(around).argmax())
            return int(labels.max(initial=0)) + 1
        if spot.wanted is not None:
            return spot.wanted
        return int(labels.max(initial=0)) or 1
