"""Corrections of one prediction: the places to correct, what was corrected there, and the files that hold it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from napari_unet3d.configs import Task, UneditedRegions
from napari_unet3d.data.boxes import MaskedBox
from napari_unet3d.data.corrected_volume import make_corrected_volume
from napari_unet3d.data.corrections import Correction, Corrections, CorrectionSource
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.pairs import Pair
from napari_unet3d.data.provenance import CorrectionRecord, Provenance
from napari_unet3d.data.sample import Sample, Shape3D
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.errors.types import ErrorSet, SegmentationError
from napari_unet3d.inference.events import Prediction
from napari_unet3d.session.channel_image import ChannelImage
from napari_unet3d.session.origin import VolumeOrigin, without_subset

_MINIMUM_SHAPE: Shape3D = (64, 64, 64)  # of a training volume, where the model was trained on whole volumes


@dataclass(frozen=True, slots=True, eq=False)
class CorrectionTarget:
    """A place to correct: an error, or a box that was chosen by hand.

    Attributes
    ----------
    region : MaskedBox
        Its voxels.
    record : CorrectionRecord
        What is recorded about it.
    label : int or None
        The label that is missing there; 0 for background, None when it is not known.
    """

    region: MaskedBox
    record: CorrectionRecord
    label: int | None = None


def target_of_error(error: SegmentationError, errors: ErrorSet) -> CorrectionTarget:
    """Return an error of a set as a place to correct."""
    record = CorrectionRecord(
        kind=error.kind.value,
        number=error.number,
        position_zyx=error.position_zyx,
        volume=error.volume,
        volume_unit=errors.geometry.volume_unit,
    )
    label = error.target[0] if error.target else 0
    return CorrectionTarget(MaskedBox(error.slices, errors.mask_of(error)), record, label)


def target_around(
    position_zyx: tuple[float, float, float], length: float, spacing: VoxelSize, shape: Shape3D
) -> CorrectionTarget:
    """Return a box around a voxel as a place to correct.

    Parameters
    ----------
    position_zyx : tuple of float
        Its centre in voxels; one outside of the volume is moved to its border.
    length : float
        Side of the box in the unit of `spacing`.
    spacing : tuple of float
        Size of a voxel along z, y, x, in µm or in voxels.
    shape : tuple of int
        Shape (z, y, x) of the volume.
    """
    centre = [round(min(max(0.0, at), side - 1)) for at, side in zip(position_zyx, shape, strict=True)]
    half = [max(0, round(length / size / 2)) for size in spacing]
    z, y, x = (
        slice(max(0, at - reach), min(side, at + reach + 1))
        for at, reach, side in zip(centre, half, shape, strict=True)
    )
    mask = np.ones(tuple(side.stop - side.start for side in (z, y, x)), bool)
    record = CorrectionRecord(position_zyx=(centre[0], centre[1], centre[2]))
    return CorrectionTarget(MaskedBox((z, y, x), mask), record)


class CorrectionSession:
    """The corrections of one prediction.

    Parameters
    ----------
    prediction : Prediction
        What is corrected; its labels are copied.
    truth : GroundTruth or None
        What is known.
    origin : VolumeOrigin
        Name of the volume and, as far as they are known, its model and dataset.
    image : array-like of real numbers, shape (z, y, x), or ChannelImage, or None
        The image that was predicted; it may be set later, and is read when corrections become a training volume.

    Attributes
    ----------
    corrections : Corrections
        What was corrected.
    image : array-like or None
        The image.
    added : Pair or None
        The files that the corrections were written to.
    added_corrections : tuple of Correction
        The corrections that those files hold.
    """

    def __init__(
        self, prediction: Prediction, truth: GroundTruth | None, origin: VolumeOrigin, image: Any = None
    ) -> None:
        self.prediction, self.truth, self.origin, self.image = prediction, truth, origin, image
        self.corrections = Corrections(prediction.labels, truth, prediction.task, prediction.geometry)
        self.added: Pair | None = None
        self.added_corrections: tuple[Correction, ...] = ()
        self._painting: CorrectionTarget | None = None

    @property
    def name(self) -> str:
        """Name of the volume, without the subset that the Dataset dock adds to it."""
        return without_subset(self.origin.name)[0]

    @property
    def shape(self) -> Shape3D:
        """Number of voxels along z, y, x."""
        z, y, x = self.corrections.labels.shape
        return z, y, x

    @property
    def done(self) -> list[Correction]:
        """The corrections, in the order in which they were made."""
        return self.corrections.done

    @property
    def is_painting(self) -> bool:
        """Whether somebody paints at the moment."""
        return self.corrections.is_painting

    @property
    def is_changed(self) -> bool:
        """Whether there is something that the dataset does not hold yet."""
        return bool(self.done) and tuple(self.done) != self.added_corrections

    def is_of(self, prediction: Prediction, origin: VolumeOrigin) -> bool:
        """Return whether these are the corrections of a prediction."""
        is_same_volume = (origin.name, origin.run) == (self.origin.name, self.origin.run)
        return is_same_volume and np.array_equal(prediction.labels, self.prediction.labels)

    def accept(self, target: CorrectionTarget, source: CorrectionSource, margin: float) -> Correction:
        """Accept the ground truth or the prediction at a place.

        Raises
        ------
        UserError
            When there is no ground truth to accept.
        """
        return self.corrections.accept(target.region, source, target.record, margin)

    def begin_painting(self, target: CorrectionTarget) -> None:
        """Begin to paint at a place: what is changed in ``corrections.labels`` from now on is a correction."""
        self._painting = target
        self.corrections.begin_painting()

    def finish_painting(self, margin: float) -> Correction | None:
        """Keep what was painted as a correction; None when nothing was."""
        target, self._painting = self._painting, None
        if target is None:
            return None
        return self.corrections.finish_painting(target.region, target.record, margin)

    def image_sample(self) -> Sample:
        """Return the image that was predicted, without labels.

        Raises
        ------
        UserError
            When the image is not known.
        """
        if self.image is None or np.shape(self.image)[-3:] != self.shape:
            raise UserError("The image of the prediction is not in the viewer. Open it and choose its layer above.")
        return Sample(
            self.name,
            np.asarray(self.image),
            geometry=self.prediction.geometry,
            channel_names=self.image.channel_names if isinstance(self.image, ChannelImage) else (),
            intensities=self.prediction.intensities,
        )

    def training_sample(self, unedited_regions: UneditedRegions) -> Sample:
        """Make a training volume of the corrections, whose provenance does not name the subset yet.

        Parameters
        ----------
        unedited_regions : UneditedRegions
            What the prediction counts as away from the corrected places.

        Raises
        ------
        UserError
            When nothing is corrected, or the image is not known.
        """
        plan, run = self.origin.plan, self.origin.run
        minimum = plan.patch_zyx if plan is not None and plan.patch_zyx is not None else _MINIMUM_SHAPE
        made = datetime.now(UTC).isoformat(timespec="microseconds")
        provenance = Provenance(
            volume=self.name,
            run="" if run is None else str(run),
            made=made,
            intensities=self.prediction.intensities,
        )
        ignore_label = plan.ignore_label if plan else None
        image = self.image_sample()
        sample = make_corrected_volume(
            self.corrections, image.image, provenance, unedited_regions, ignore_label, minimum
        )
        return replace(sample, channel_names=image.channel_names)

    def source_at(self, error: SegmentationError) -> str:
        """Return how an error was corrected: ``truth``, ``prediction`` or ``painted``; empty when it was not."""
        for correction in reversed(self.done):
            inside = [at - side.start for at, side in zip(error.position_zyx, correction.box, strict=True)]
            within = all(0 <= at < side for at, side in zip(inside, correction.edited.shape, strict=True))
            if within and correction.edited[tuple(inside)]:
                return correction.record.source
        return ""

    def label_to_paint(self, target: CorrectionTarget) -> int:
        """Return the label that is most likely right at a place; 0 for background."""
        labels = self.corrections.labels
        if self.prediction.task is Task.INSTANCE and target.label != 0:
            nearby = labels[target.region.box]
            around = nearby[(nearby > 0) & ~target.region.mask]
            if target.record.kind == "missed" and around.size:  # the rest of an object that was found in part
                return int(np.bincount(around).argmax())
            return int(labels.max(initial=0)) + 1
        if target.label is not None:
            return target.label
        return int(labels.max(initial=0)) or 1
