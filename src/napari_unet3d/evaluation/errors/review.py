"""Review notes on errors: seen or not, and a comment; saved to a file and matched to errors of other predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.errors.types import Box, ErrorKind, ErrorSet, Position, SegmentationError
from napari_unet3d.files import write_json
from napari_unet3d.paths import exists
from napari_unet3d.text_files import parse_json, read_limited

_LEAST_OVERLAP = 0.1  # of two boxes, for a match of an error whose old position is no longer wrong
_ERRORS_AT_ONCE = 256  # compared with all notes, so that thousands of both need little memory
_AT_POSITION = 1.0  # score for an old position inside the error


@dataclass(frozen=True, slots=True)
class ReviewNote:
    """A review note on one error.

    Attributes
    ----------
    kind : ErrorKind
        Kind of the error.
    position_zyx : tuple of int
        Its representative voxel.
    box_zyx : tuple of tuple of int
        Start and stop along z, y, x.
    is_seen : bool
        Whether it was marked as seen.
    note : str
        The comment.
    """

    kind: ErrorKind
    position_zyx: Position
    box_zyx: Box
    is_seen: bool = False
    note: str = ""

    @property
    def place(self) -> tuple[ErrorKind, Position, Box]:
        """What the note is on."""
        return self.kind, self.position_zyx, self.box_zyx

    @classmethod
    def on(cls, error: SegmentationError, *, is_seen: bool = False, note: str = "") -> ReviewNote:
        """Return a note on an error."""
        return cls(error.kind, error.position_zyx, error.box_zyx, is_seen, note)


def write_notes(path: Path, name: str, shape_zyx: Sequence[int], notes: Sequence[ReviewNote]) -> None:
    """Write the notes on the errors of one volume.

    Parameters
    ----------
    path : Path
        A JSON file; its folder is created if it is missing.
    name : str
        Name of the volume.
    shape_zyx : sequence of int
        Its shape.
    notes : sequence of ReviewNote
        The notes.

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
        for each in notes
    ]
    write_json(path, {"volume": name, "shape_zyx": list(shape_zyx), "errors": errors})


def read_notes(path: Path, shape_zyx: Sequence[int]) -> tuple[ReviewNote, ...]:
    """Read notes; none if there is no file.

    Parameters
    ----------
    path : Path
        A JSON file that `write_notes` wrote.
    shape_zyx : sequence of int
        Shape of the volume that they should be on.

    Raises
    ------
    UserError
        When the file cannot be read, is damaged, or is on a volume of another shape.
    """
    if not exists(path):
        return ()
    content = read_limited(path)
    try:
        values = parse_json(content)
        shape, notes = [int(side) for side in values["shape_zyx"]], tuple(map(_read, values["errors"]))
    except (ValueError, TypeError, KeyError):
        raise UserError(
            f"{path} does not hold review notes; it may be damaged. "
            "Repair it or move it away; until then nothing is saved there."
        ) from None
    if shape != list(shape_zyx):
        raise UserError(
            f"{path} is on a volume of {shape} voxels, but this one has {list(shape_zyx)}. "
            "Move the file away or rename the volume; until then nothing is saved there."
        )
    return notes


def match_notes(errors: ErrorSet, notes: Sequence[ReviewNote]) -> tuple[dict[int, ReviewNote], tuple[ReviewNote, ...]]:
    """Match notes to the errors of a prediction, which may be that of another model.

    A note matches an error of the same kind that contains the old position, or whose box and the old one have an IoU
    of at least 0.1. Each note matches at most one error; the best matches are taken first.

    Parameters
    ----------
    errors : ErrorSet
        The errors.
    notes : sequence of ReviewNote
        The notes.

    Returns
    -------
    tuple of dict of int to ReviewNote, and tuple of ReviewNote
        The notes by the number of the error, and those without a matching error.
    """
    same = {(error.kind, error.position_zyx, error.box_zyx): error.number for error in errors.errors}
    matched: dict[int, ReviewNote] = {}
    for each in notes:  # most often all of them are on these very errors
        number = same.get(each.place)
        if number is not None:
            matched.setdefault(number, each)
    others = [error for error in errors.errors if error.number not in matched]
    taken = {id(each) for each in matched.values()}
    left = dict(enumerate(each for each in notes if id(each) not in taken))
    rows, columns, scores = _matches(errors, others, list(left.values()))
    for best in np.argsort(-scores, kind="stable"):
        number, place = others[rows[best]].number, int(columns[best])
        if number not in matched and place in left:
            matched[number] = left.pop(place)
    return matched, tuple(left.values())


def merge_notes(
    base: Sequence[ReviewNote], own: Sequence[ReviewNote], other: Sequence[ReviewNote]
) -> tuple[ReviewNote, ...]:
    """Return what two people have noted since both read the same notes; where both changed one, the own counts.

    Parameters
    ----------
    base, own, other : sequence of ReviewNote
        The notes that both read, and those of each now.
    """
    before, mine, theirs = ({each.place: each for each in reversed(notes)} for notes in (base, own, other))
    merged = {each.place: mine[each.place] for each in own}
    for place in dict.fromkeys([*theirs, *before]):
        is_theirs = theirs.get(place) != before.get(place) and mine.get(place) == before.get(place)
        if is_theirs and place in theirs:
            merged[place] = theirs[place]
        elif is_theirs:
            merged.pop(place, None)
    return tuple(merged.values())


def updated_notes(
    errors: ErrorSet, reviewed: Mapping[int, tuple[bool, str]], unmatched: Sequence[ReviewNote]
) -> tuple[ReviewNote, ...]:
    """Return all notes to write: those on the current errors, and those without a matching error.

    Parameters
    ----------
    errors : ErrorSet
        The errors.
    reviewed : mapping of int to tuple of bool and str
        Whether it was seen, and the comment, by the number of the error.
    unmatched : sequence of ReviewNote
        Notes on errors that were corrected or are hidden now.
    """
    notes = [
        ReviewNote.on(error, is_seen=reviewed[error.number][0], note=reviewed[error.number][1])
        for error in errors.errors
        if reviewed.get(error.number, (False, "")) != (False, "")
    ]
    return (*notes, *unmatched)


def _matches(
    errors: ErrorSet, some: Sequence[SegmentationError], notes: Sequence[ReviewNote]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return which errors match which notes, by their places in both sequences, and how well, by errors first."""
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    if notes:
        numbers = _numbers_at(errors, notes)
        for start in range(0, len(some), _ERRORS_AT_ONCE):
            scores = _scores(some[start : start + _ERRORS_AT_ONCE], notes, numbers)
            rows, columns = np.nonzero(scores)
            found.append((rows + start, columns, scores[rows, columns]))
    rows, columns, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return rows, columns, values


def _scores(
    errors: Sequence[SegmentationError], notes: Sequence[ReviewNote], numbers_at_notes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return how well each error (rows) matches each note (columns); 0 where it does not."""
    boxes, old_boxes = (np.array([each.box_zyx for each in some]) for some in (errors, notes))
    shared = np.minimum(boxes[:, None, :, 1], old_boxes[None, :, :, 1]) - np.maximum(
        boxes[:, None, :, 0], old_boxes[None, :, :, 0]
    )
    both = np.clip(shared, 0, None).prod(axis=2)
    sizes, old_sizes = (np.diff(each, axis=2).prod(axis=(1, 2)) for each in (boxes, old_boxes))
    overlap = both / (sizes[:, None] + old_sizes[None] - both)
    numbers = np.array([error.number for error in errors])
    at_position = numbers_at_notes[None] == numbers[:, None]
    same_kind = np.equal.outer([error.kind for error in errors], [note.kind for note in notes])
    scores: NDArray[np.float64] = same_kind * (at_position * _AT_POSITION + overlap)
    scores[scores < _LEAST_OVERLAP] = 0
    return scores


def _numbers_at(errors: ErrorSet, notes: Sequence[ReviewNote]) -> NDArray[np.int64]:
    positions = np.array([note.position_zyx for note in notes])
    inside = ((positions >= 0) & (positions < errors.regions.shape)).all(axis=1)
    numbers = np.zeros(len(positions), np.int64)
    numbers[inside] = errors.regions[tuple(positions[inside].T)]
    return numbers


def _read(value: Any) -> ReviewNote:
    z, y, x = (int(index) for index in value["position_zyx"])
    box_z, box_y, box_x = ((int(first), int(end)) for first, end in value["box_zyx"])
    if not isinstance(value["seen"], bool) or not isinstance(value["note"], str):
        raise TypeError
    return ReviewNote(ErrorKind(value["kind"]), (z, y, x), (box_z, box_y, box_x), value["seen"], value["note"])
