"""Corrected places of a prediction, with undo, and the training volume that they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task, UneditedRegions
from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.data.boxes import Box, MaskedBox, bounding_box, expand, expand_to, rasterize, union
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.label_merging import label_dtype, merge_labels
from napari_unet3d.data.provenance import CorrectionRecord, Provenance
from napari_unet3d.data.sample import Sample, Shape3D, VoxelSize
from napari_unet3d.errors import UserError

_AUTO_MARGIN = 6  # voxels of the longest side
_WORTH_CUTTING = 0.5  # part of the volume, up to which a smaller one is cut out


class CorrectionSource(ChoiceEnum):
    """Whose labels hold at a corrected place."""

    TRUTH = "truth"
    PREDICTION = "prediction"
    PAINTED = "painted"


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """One corrected place.

    Attributes
    ----------
    place : CorrectionRecord
        What was corrected there, for the record.
    box : tuple of slice
        Where it lies.
    before, after : ndarray of unsigned integers, shape (z, y, x) of the box
        The labels without and with it.
    decided : ndarray of bool, shape (z, y, x) of the box
        What was decided here; later corrections beside it leave it as it is.
    annotated : ndarray of bool, shape (z, y, x) of the box
        Where labels are known: what was decided and what lies around it.
    """

    record: CorrectionRecord
    box: Box
    before: NDArray[Any]
    after: NDArray[Any]
    edited: NDArray[np.bool_]
    annotated: NDArray[np.bool_]


class Corrections:
    """The labels of a prediction while they are corrected place by place.

    A place is corrected with some room around it, so that the network learns both sides of a boundary. In that room
    the truth holds where there is one, else what is in view.

    Parameters
    ----------
    prediction : ndarray of integers, shape (z, y, x)
        The predicted labels; they are copied.
    truth : Truth or None
        What they should be, as far as it is known.
    task : Task
        What labels are; ids of objects stay distinct.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.

    Attributes
    ----------
    labels : ndarray of unsigned integers, shape (z, y, x)
        The prediction with the corrections so far; it is changed in place.
    done, undone : list of Correction
        In the order of correcting, and in that of undoing.
    """

    def __init__(
        self, prediction: NDArray[Any], truth: GroundTruth | None, task: Task, voxel_size_um: VoxelSize
    ) -> None:
        self._prediction, self._truth, self._task, self._voxel_size_um = prediction, truth, task, voxel_size_um
        sources = [prediction] if truth is None else [prediction, truth.labels]
        self.labels: NDArray[Any] = prediction.astype(label_dtype(sources, are_ids=task is Task.INSTANCE))
        self._painted_from: NDArray[Any] | None = None
        self.done: list[Correction] = []
        self.undone: list[Correction] = []

    def accept(
        self, region: MaskedBox, taken: CorrectionSource, place: CorrectionRecord, margin_um: float
    ) -> Correction:
        """Let the truth or the prediction hold in a region.

        Parameters
        ----------
        region : Region
            Such as an error.
        taken : Taken
            Truth or prediction.
        place : CorrectionRecord
            For the record.
        margin_um : float
            How far around the region labels are known, too, in µm; 0 for `auto_margin_um`.

        Raises
        ------
        UserError
            When there is no truth to take.
        """
        if taken is CorrectionSource.TRUTH and self._truth is None:
            raise UserError("There is no truth to take here. Paint what is right, or take the prediction.")
        box = self._grown(region.box, margin_um)
        before, decided = self.labels[box].copy(), rasterize(box, region)
        if taken is CorrectionSource.PREDICTION:
            self._paste(box, decided, self._prediction)
        return self._add(place, taken, box, before, decided)

    def begin_painting(self) -> None:
        """Remember the labels as they are, before somebody changes them in place."""
        self._painted_from = self.labels.copy()

    @property
    def is_painting(self) -> bool:
        """Whether painting has begun and is not finished."""
        return self._painted_from is not None

    def finish_painting(self, region: MaskedBox, place: CorrectionRecord, margin_um: float) -> Correction | None:
        """Let what was painted since `begin_painting` hold, in the region and wherever else something was painted.

        Returns
        -------
        Correction or None
            None when nothing was painted.
        """
        old, self._painted_from = self._painted_from, None
        if old is None or (painted := bounding_box(self.labels != old)) is None:
            return None
        box = self._grown(union(region.box, painted), margin_um)
        before = old[box].copy()
        decided = (self.labels[box] != before) | rasterize(box, region)
        return self._add(place, CorrectionSource.PAINTED, box, before, decided)

    def undo(self) -> Correction | None:
        """Take the last correction back and give it; None when there is none."""
        if not self.done:
            return None
        last = self.done.pop()
        self.labels[last.box] = last.before
        self.undone.append(last)
        return last

    def redo(self) -> Correction | None:
        """Make the correction again that was undone last; None when there is none."""
        if not self.undone:
            return None
        last = self.undone.pop()
        self.labels[last.box] = last.after
        self.done.append(last)
        return last

    def sample(
        self,
        image: NDArray[Any],
        origin: Provenance,
        elsewhere: UneditedRegions,
        ignore_label: int | None,
        least_zyx: Shape3D,
    ) -> Sample:
        """Make a training volume of all corrections, cut out of the volume where that saves at least half of it.

        Parameters
        ----------
        image : ndarray of real numbers, shape (z, y, x)
            The image that was predicted.
        origin : Provenance
            Where it comes from; start, choice and places are filled in.
        elsewhere : Elsewhere
            What the prediction counts as away from the corrected places.
        ignore_label : int or None
            The label value of voxels that are not annotated in the dataset.
        least_zyx : tuple of int
            The volume is at least so large, such as the patches of the network, or as large as the image.

        Raises
        ------
        UserError
            When nothing is corrected.
        """
        if not self.done:
            raise UserError("Nothing is corrected yet. Correct an error first.")
        is_accepted = elsewhere is UneditedRegions.ACCEPT
        cut = self._whole if is_accepted else self._worth_cutting(least_zyx)
        labels = _as_painted(self.labels[cut], self._task, ignore_label)
        known = np.ones(labels.shape, bool) if is_accepted else self.annotated_mask(cut)
        start = tuple(side.start for side in cut)
        places = tuple(correction.record for correction in self.done)
        origin = origin.model_copy(
            update={"start_zyx": start, "unedited_regions": elsewhere.value, "corrections": places}
        )
        name = f"{origin.volume} corrected"
        return Sample(name, image[cut].copy(), np.where(known, labels, 0), self._voxel_size_um, known, origin)

    def ground_truth(self) -> GroundTruth:
        """Return what is right as far as it is known: the truth with the corrections, or these alone."""
        truth = self._truth or GroundTruth(np.zeros_like(self.labels), np.zeros(self.labels.shape, bool))
        labels = truth.labels.astype(self.labels.dtype)
        for correction in self.done:
            merge_labels(labels, correction.box, correction.annotated, self.labels, are_ids=self._task is Task.INSTANCE)
        return GroundTruth(
            labels, None if truth.label_mask is None else truth.label_mask | self.annotated_mask(self._whole)
        )

    def annotated_mask(self, box: Box) -> NDArray[np.bool_]:
        """Return the voxels of a box whose labels are known by corrections, as a mask (z, y, x) of that box."""
        return rasterize(box, *(MaskedBox(each.box, each.annotated) for each in self.done))

    @property
    def _whole(self) -> Box:
        z, y, x = (slice(0, side) for side in self.labels.shape)
        return z, y, x

    def _worth_cutting(self, least_zyx: Shape3D) -> Box:
        whole = reduce(union, (correction.box for correction in self.done))
        cut = expand_to(whole, least_zyx, self.labels.shape)
        n_voxels = prod(side.stop - side.start for side in cut)
        return cut if n_voxels <= _WORTH_CUTTING * self.labels.size else self._whole

    def _grown(self, box: Box, margin_um: float) -> Box:
        margin_um = margin_um or auto_margin_um(self._voxel_size_um)
        return expand(box, [round(margin_um / size) for size in self._voxel_size_um], self.labels.shape)

    def _add(
        self,
        place: CorrectionRecord,
        taken: CorrectionSource,
        box: Box,
        before: NDArray[Any],
        decided: NDArray[np.bool_],
    ) -> Correction:
        """Let the truth hold around what was decided, and note the correction."""
        annotated = np.ones_like(decided)
        if self._truth is not None:
            earlier = rasterize(box, *(MaskedBox(each.box, each.edited) for each in self.done)) & ~decided
            around = ~decided & ~earlier
            if self._truth.label_mask is not None:
                around &= self._truth.label_mask[box]
            # In one go with what is around it, so that an object on both sides is one.
            self._paste(box, around | decided if taken is CorrectionSource.TRUTH else around, self._truth.labels)
            annotated = decided | earlier | around
        place = place.model_copy(update={"source": taken.value})
        correction = Correction(place, box, before, self.labels[box].copy(), decided, annotated)
        self.done.append(correction)
        self.undone.clear()
        return correction

    def _paste(self, box: Box, mask: NDArray[np.bool_], source: NDArray[Any]) -> None:
        merge_labels(self.labels, box, mask, source, are_ids=self._task is Task.INSTANCE)


def auto_margin_um(voxel_size_um: VoxelSize) -> float:
    """Return the room around a corrected place in µm: enough to see both sides of a boundary along every axis."""
    return _AUTO_MARGIN * max(voxel_size_um)


def describe_count(corrections: Sequence[Correction]) -> str:
    """Count corrections in words, such as ``5 corrections: 3 truth, 1 prediction, 1 painted``."""
    counts = {taken: sum(each.record.source == taken.value for each in corrections) for taken in CorrectionSource}
    parts = ", ".join(f"{count} {taken.value}" for taken, count in counts.items() if count)
    return f"{len(corrections)} correction{'' if len(corrections) == 1 else 's'}: {parts}" if parts else ""


def _as_painted(labels: NDArray[Any], task: Task, ignore_label: int | None) -> NDArray[Any]:
    """Write labels in the convention of a dataset: background is 1 if 0 is ignored, and no id is the ignore label."""
    if ignore_label == 0:
        if task is Task.SEMANTIC:  # whose values are those of the dataset already
            return np.where(labels > 0, labels, 1)
        return labels.astype(np.min_scalar_type(int(labels.max(initial=0)) + 1)) + 1
    if task is Task.SEMANTIC or ignore_label is None or not (labels == ignore_label).any():
        return labels
    free = int(labels.max(initial=0)) + 1
    return np.where(labels == ignore_label, free, labels).astype(np.min_scalar_type(free))
