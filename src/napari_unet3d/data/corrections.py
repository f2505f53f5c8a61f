"""Corrections of a prediction, with undo; `corrected_volume` makes a training volume of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.data.boxes import Box, MaskedBox, bounding_box, expand, rasterize, union, whole_box
from napari_unet3d.data.geometry import Geometry, VoxelSize
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.label_merging import label_dtype, merge_labels
from napari_unet3d.data.provenance import CorrectionRecord
from napari_unet3d.errors import UserError

_AUTO_MARGIN = 6  # voxels along the axis with the largest voxels


class CorrectionSource(ChoiceEnum):
    """Where the labels of a corrected region come from."""

    TRUTH = "truth"
    PREDICTION = "prediction"
    PAINTED = "painted"


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """One corrected region.

    Attributes
    ----------
    record : CorrectionRecord
        The record for the provenance.
    box : tuple of slice
        Position, including the margin.
    before, after : ndarray of unsigned integers, shape (z, y, x) of the box
        Labels before and after the correction.
    edited : ndarray of bool, shape (z, y, x) of the box
        The corrected voxels; later corrections nearby do not change them.
    annotated : ndarray of bool, shape (z, y, x) of the box
        Voxels with known labels: the corrected ones and those of the margin.
    """

    record: CorrectionRecord
    box: Box
    before: NDArray[Any]
    after: NDArray[Any]
    edited: NDArray[np.bool_]
    annotated: NDArray[np.bool_]


class Corrections:
    """The labels of a prediction while its errors are corrected one by one.

    Each correction includes a margin, so that the network is trained on both sides of a boundary. Labels in the margin
    are those of the ground truth if there is one, else the current ones.

    Parameters
    ----------
    prediction : ndarray of integers, shape (z, y, x)
        The predicted labels; they are copied.
    truth : GroundTruth or None
        The ground truth.
    task : Task
        For instance segmentation, ids of objects stay distinct.
    geometry : Geometry
        Voxel size, orientation and origin.

    Attributes
    ----------
    labels : ndarray of unsigned integers, shape (z, y, x)
        The corrected prediction; it is changed in place.
    task, geometry : Task, Geometry
        As passed.
    done, undone : list of Correction
        In order of correction, and in order of undoing.

    Examples
    --------
    >>> prediction, truth = np.zeros((2, 4, 6, 6), np.uint8)
    >>> truth[1:3, 2:4, 2:4] = 1
    >>> corrections = Corrections(prediction, GroundTruth(truth), Task.BINARY, Geometry((1.0, 1.0, 1.0)))
    >>> missed = MaskedBox((slice(1, 3), slice(2, 4), slice(2, 4)), np.ones((2, 2, 2), bool))
    >>> _ = corrections.accept(missed, CorrectionSource.TRUTH, CorrectionRecord(kind="missed"), margin=1.0)
    >>> int(corrections.labels.sum())
    8
    """

    def __init__(self, prediction: NDArray[Any], truth: GroundTruth | None, task: Task, geometry: Geometry) -> None:
        self._prediction, self._truth, self.task, self.geometry = prediction, truth, task, geometry
        sources = [prediction] if truth is None else [prediction, truth.labels]
        self.labels: NDArray[Any] = prediction.astype(label_dtype(sources, are_ids=task is Task.INSTANCE))
        self._painted_from: NDArray[Any] | None = None
        self.done: list[Correction] = []
        self.undone: list[Correction] = []

    def accept(
        self, region: MaskedBox, source: CorrectionSource, record: CorrectionRecord, margin: float
    ) -> Correction:
        """Accept the ground truth or the prediction in a region.

        Parameters
        ----------
        region : MaskedBox
            For example an error.
        source : CorrectionSource
            Ground truth or prediction.
        record : CorrectionRecord
            The record for the provenance.
        margin : float
            Margin around the region, in the unit of the geometry; 0 for `auto_margin`.

        Raises
        ------
        UserError
            If there is no ground truth.
        """
        if source is CorrectionSource.TRUTH and self._truth is None:
            raise UserError("There is no ground truth here. Paint the correct labels, or use the prediction.")
        box = self._expand(region.box, margin)
        before, edited = self.labels[box].copy(), rasterize(box, region)
        if source is CorrectionSource.PREDICTION:
            self._paste(box, edited, self._prediction)
        return self._add(record, source, box, before, edited)

    def begin_painting(self) -> None:
        """Store the current labels before they are painted in place."""
        self._painted_from = self.labels.copy()

    @property
    def is_painting(self) -> bool:
        """Whether painting was begun and not finished."""
        return self._painted_from is not None

    def finish_painting(self, region: MaskedBox, record: CorrectionRecord, margin: float) -> Correction | None:
        """Accept what was painted since `begin_painting`, in the region and elsewhere.

        Returns
        -------
        Correction or None
            None if nothing was painted.
        """
        old, self._painted_from = self._painted_from, None
        if old is None or (painted := bounding_box(self.labels != old)) is None:
            return None
        box = self._expand(union(region.box, painted), margin)
        before = old[box].copy()
        edited = (self.labels[box] != before) | rasterize(box, region)
        return self._add(record, CorrectionSource.PAINTED, box, before, edited)

    def undo(self) -> Correction | None:
        """Undo the last correction and return it; None if there is none."""
        if not self.done:
            return None
        last = self.done.pop()
        self.labels[last.box] = last.before
        self.undone.append(last)
        return last

    def redo(self) -> Correction | None:
        """Redo the correction that was undone last and return it; None if there is none."""
        if not self.undone:
            return None
        last = self.undone.pop()
        self.labels[last.box] = last.after
        self.done.append(last)
        return last

    @property
    def has_truth(self) -> bool:
        """Whether there is ground truth beside the corrections."""
        return self._truth is not None

    def ground_truth(self) -> GroundTruth:
        """Return the ground truth with the corrections, or the corrections alone if there is no ground truth."""
        truth = self._truth or GroundTruth(np.zeros_like(self.labels), np.zeros(self.labels.shape, bool))
        labels = truth.labels.astype(self.labels.dtype)
        for correction in self.done:
            merge_labels(labels, correction.box, correction.annotated, self.labels, are_ids=self.task is Task.INSTANCE)
        return GroundTruth(
            labels,
            None if truth.label_mask is None else truth.label_mask | self.annotated_mask(whole_box(self.labels.shape)),
        )

    def annotated_mask(self, box: Box) -> NDArray[np.bool_]:
        """Return the voxels of a box that corrections annotate, as a mask (z, y, x) of that box."""
        return rasterize(box, *(MaskedBox(each.box, each.annotated) for each in self.done))

    def _expand(self, box: Box, margin: float) -> Box:
        margin = margin or auto_margin(self.geometry.spacing)
        return expand(box, [round(margin / size) for size in self.geometry.spacing], self.labels.shape)

    def _add(
        self,
        record: CorrectionRecord,
        source: CorrectionSource,
        box: Box,
        before: NDArray[Any],
        edited: NDArray[np.bool_],
    ) -> Correction:
        """Copy ground truth into the margin, and add the correction."""
        annotated = np.ones_like(edited)
        if self._truth is not None:
            earlier = rasterize(box, *(MaskedBox(each.box, each.edited) for each in self.done)) & ~edited
            around = ~edited & ~earlier
            if self._truth.label_mask is not None:
                around &= self._truth.label_mask[box]
            # Region and margin together, so that an object in both gets one id.
            self._paste(box, around | edited if source is CorrectionSource.TRUTH else around, self._truth.labels)
            annotated = edited | earlier | around
        record = record.model_copy(update={"source": source.value})
        correction = Correction(record, box, before, self.labels[box].copy(), edited, annotated)
        self.done.append(correction)
        self.undone.clear()
        return correction

    def _paste(self, box: Box, mask: NDArray[np.bool_], source: NDArray[Any]) -> None:
        merge_labels(self.labels, box, mask, source, are_ids=self.task is Task.INSTANCE)


def auto_margin(spacing: VoxelSize) -> float:
    """Return the default margin, enough for both sides of a boundary along each axis.

    >>> auto_margin((2.0, 0.5, 0.5))
    12.0
    """
    return _AUTO_MARGIN * max(spacing)


def describe_count(corrections: Sequence[Correction]) -> str:
    """Return the number of corrections as text, such as ``5 corrections: 3 truth, 1 prediction, 1 painted``."""
    counts = {source: sum(each.record.source == source.value for each in corrections) for source in CorrectionSource}
    parts = ", ".join(f"{count} {source.value}" for source, count in counts.items() if count)
    return f"{len(corrections)} correction{'' if len(corrections) == 1 else 's'}: {parts}" if parts else ""
