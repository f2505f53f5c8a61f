"""Proofread objects as corrections of a training volume."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Any

import numpy as np

from napari_unet3d.data.boxes import Box, MaskedBox, union
from napari_unet3d.data.corrections import CorrectionSource
from napari_unet3d.data.object_edits import ObjectEdit, object_box
from napari_unet3d.data.provenance import CorrectionRecord
from napari_unet3d.errors import UserError
from napari_unet3d.session.correction import CorrectionSession
from napari_unet3d.session.inspection_input import labels_as_prediction
from napari_unet3d.session.object_labels import ObjectLabels, Proofread
from napari_unet3d.session.origin import VolumeOrigin

AUTO_MARGIN = 0.0
_MOST_COMMON = 2  # how much larger a common box may be than those of the objects together


def proofread_corrections(
    labels: ObjectLabels, done: Proofread, image: Any, margin: float = AUTO_MARGIN
) -> CorrectionSession:
    """Return a correction around each edited object, and around each that was reviewed and left as it was.

    Edits that were undone do not count. Within the boxes all labels are taken as right, those of neighbours, too.

    Parameters
    ----------
    labels : ObjectLabels
        The labels as they are now.
    done : Proofread
        What was edited and reviewed.
    image : array-like of real numbers, shape (z, y, x), or ChannelImage, or None
        The image; None if it is not known, which is explained when the volume is made.
    margin : float
        Margin around each object, in the unit of the geometry; 0 for a suitable one.

    Raises
    ------
    UserError
        When nothing is edited or reviewed.
    """
    array = labels.array
    edits, reviewed = done.edits_in_effect(array), done.marks_by_hand(array)
    if not edits and not reviewed:
        raise UserError("No object is edited or reviewed yet. Edit one, or mark it as reviewed, first.")
    origin = labels.origin or VolumeOrigin(labels.name)
    session = CorrectionSession(labels_as_prediction(array, origin, labels.geometry), None, origin, image)
    session.added = done.added
    accept = session.corrections.accept
    for edit in edits:
        for box in _boxes_of(edit):
            record = CorrectionRecord(kind=edit.kind, position_zyx=_middle(box))
            accept(_whole(box), CorrectionSource.PAINTED, record, margin)
    for place in reviewed:
        box = object_box(array, int(array[place]))
        record = CorrectionRecord(kind="reviewed", position_zyx=place)
        accept(_whole(box), CorrectionSource.PREDICTION, record, margin)
    return session


def count_corrections(labels: ObjectLabels, done: Proofread) -> tuple[int, int]:
    """Return how many edits are in effect, and how many objects were reviewed without being edited."""
    return len(done.edits_in_effect(labels.array)), len(done.marks_by_hand(labels.array))


def _boxes_of(edit: ObjectEdit) -> list[Box]:
    """Return the box around all objects of an edit, or those of each where the common one holds mostly others."""
    boxes = [change.box for change in edit.changes]
    common = reduce(union, boxes)
    return [common] if _n_voxels(common) <= _MOST_COMMON * sum(map(_n_voxels, boxes)) else boxes


def _n_voxels(box: Box) -> int:
    return prod(side.stop - side.start for side in box)


def _whole(box: Box) -> MaskedBox:
    return MaskedBox(box, np.ones(tuple(side.stop - side.start for side in box), bool))


def _middle(box: Box) -> tuple[int, int, int]:
    z, y, x = ((side.start + side.stop) // 2 for side in box)
    return z, y, x
