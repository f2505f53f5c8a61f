"""What a person said about errors: seen or not, and notes; kept in a file, and found again in another prediction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.evaluation.errors.types import Box, ErrorKind, ErrorSet, Position, SegmentationError
from napari_unet3d.files import write_json

_LEAST_OVERLAP = 0.1  # of two boxes, by which an error is known again although its old place is right now
_AT_PLACE = 1.0  # what it counts that the old place lies in the error


@dataclass(frozen=True, slots=True)
class ReviewNote:
    """What a person said about one error.

    Attributes
    ----------
    kind : ErrorKind
        What was wrong.
    position_zyx : tuple of int
        The voxel of it that was looked at.
    box_zyx : tuple of tuple of int
        First voxel and the one after the last along z, y, x.
    is_seen : bool
        Whether it was looked at.
    note : str
        The words.
    """

    kind: ErrorKind
    position_zyx: Position
    box_zyx: Box
    is_seen: bool = False
    note: str = ""

    @classmethod
    def on(cls, error: SegmentationError, *, is_seen: bool = False, note: str = "") -> ReviewNote:
        """Make a remark on an error."""
        return cls(error.kind, error.position_zyx, error.box_zyx, is_seen, note)


def write_notes(path: Path, name: str, shape_zyx: Sequence[int], remarks: Sequence[ReviewNote]) -> None:
    """Write remarks on the errors of one volume, all of them or nothing.

    Parameters
    ----------
    path : Path
        A JSON file; its folder is made if it is missing.
    name : str
        Name of the volume.
    shape_zyx : sequence of int
        Its shape.
    remarks : sequence of Remark
        What was said.

    Raises
    ------
    UserError
        When the file cannot be written.
    """
    errors = [
        {
            "kind": each.kind.value,
            "position_zyx": each.position_zyx,
            "box_zyx": each.box_zyx,
            "seen": each.is_seen,
            "note": each.note,
        }
        for each in remarks
    ]
    write_json(path, {"volume": name, "shape_zyx": list(shape_zyx), "errors": errors})


def read_notes(path: Path, shape_zyx: Sequence[int]) -> tuple[ReviewNote, ...]:
    """Read remarks; none when there is no file.

    Parameters
    ----------
    path : Path
        A JSON file that `write_notes` wrote.
    shape_zyx : sequence of int
        Shape of the volume that they should be about.

    Raises
    ------
    UserError
        When the file cannot be read, is damaged, or is about a volume of another shape.
    """
    if not path.exists():
        return ()
    with explain_os_errors(path, "read"):
        content = path.read_bytes()
    try:
        values = json.loads(content.decode("utf-8"))
        shape, remarks = [int(side) for side in values["shape_zyx"]], tuple(map(_read, values["errors"]))
    except (ValueError, TypeError, KeyError):
        raise UserError(
            f"{path} does not hold what was seen of this volume; it may be damaged. "
            "Repair it or move it away; until then nothing is saved there."
        ) from None
    if shape != list(shape_zyx):
        raise UserError(
            f"{path} is about a volume of {shape} voxels, and this one has {list(shape_zyx)}. "
            "Move the file away or rename the volume; until then nothing is saved there."
        )
    return remarks


def match_notes(
    errors: ErrorSet, remarks: Sequence[ReviewNote]
) -> tuple[dict[int, ReviewNote], tuple[ReviewNote, ...]]:
    """Find out which errors the remarks are about, also when another model made the prediction.

    An error is known when it is of the same kind and the place that was looked at lies in it, or its box and the old
    one share a tenth of what they cover. Each remark is about one error at most, the best first.

    Parameters
    ----------
    errors : ErrorSet
        The errors.
    remarks : sequence of Remark
        What was said.

    Returns
    -------
    tuple of dict of int to Remark, and tuple of Remark
        The remarks by the number of the error, and those on errors that are not there.
    """
    scores = _scores(errors, remarks)
    known: dict[int, ReviewNote] = {}
    left = set(range(len(remarks)))
    rows, columns = np.nonzero(scores)
    for place in np.argsort(-scores[rows, columns], kind="stable"):
        number, remark = errors.errors[rows[place]].number, int(columns[place])
        if number not in known and remark in left:
            known[number] = remarks[remark]
            left.discard(remark)
    return known, tuple(remarks[place] for place in sorted(left))


def updated_notes(
    errors: ErrorSet, said: Mapping[int, tuple[bool, str]], absent: Sequence[ReviewNote]
) -> tuple[ReviewNote, ...]:
    """Return all remarks to write: those on the errors that are there, and those on others.

    Parameters
    ----------
    errors : ErrorSet
        The errors.
    said : mapping of int to tuple of bool and str
        Seen, and note, by the number of the error.
    absent : sequence of Remark
        Remarks on errors that are not there, because they were corrected or are hidden now.
    """
    remarks = [
        ReviewNote.on(error, is_seen=said[error.number][0], note=said[error.number][1])
        for error in errors.errors
        if said.get(error.number, (False, "")) != (False, "")
    ]
    return (*remarks, *absent)


def _scores(errors: ErrorSet, remarks: Sequence[ReviewNote]) -> NDArray[np.float64]:
    """Say how well each error (rows) fits each remark (columns); 0 where it does not at all."""
    if not errors.errors or not remarks:
        return np.zeros((len(errors.errors), len(remarks)))
    boxes, old_boxes = (np.array([each.box_zyx for each in some]) for some in (errors.errors, remarks))
    shared = np.minimum(boxes[:, None, :, 1], old_boxes[None, :, :, 1]) - np.maximum(
        boxes[:, None, :, 0], old_boxes[None, :, :, 0]
    )
    both = np.clip(shared, 0, None).prod(axis=2)
    sizes, old_sizes = (np.diff(each, axis=2).prod(axis=(1, 2)) for each in (boxes, old_boxes))
    overlap = both / (sizes[:, None] + old_sizes[None] - both)
    numbers = np.array([error.number for error in errors.errors])
    at_place = _numbers_at(errors, remarks)[None] == numbers[:, None]
    same_kind = np.equal.outer([error.kind for error in errors.errors], [remark.kind for remark in remarks])
    scores: NDArray[np.float64] = same_kind * (at_place * _AT_PLACE + overlap)
    scores[scores < _LEAST_OVERLAP] = 0
    return scores


def _numbers_at(errors: ErrorSet, remarks: Sequence[ReviewNote]) -> NDArray[np.int64]:
    places = np.array([remark.position_zyx for remark in remarks])
    inside = ((places >= 0) & (places < errors.regions.shape)).all(axis=1)
    numbers = np.zeros(len(places), np.int64)
    numbers[inside] = errors.regions[tuple(places[inside].T)]
    return numbers


def _read(value: Any) -> ReviewNote:
    z, y, x = (int(index) for index in value["position_zyx"])
    box_z, box_y, box_x = ((int(first), int(end)) for first, end in value["box_zyx"])
    if not isinstance(value["seen"], bool) or not isinstance(value["note"], str):
        raise TypeError
    return ReviewNote(ErrorKind(value["kind"]), (z, y, x), (box_z, box_y, box_x), value["seen"], value["note"])
