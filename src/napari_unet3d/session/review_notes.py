"""What a person noted about the errors of a prediction: kept beside its run, and recognised in another prediction."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.pairs import Subset
from napari_unet3d.evaluation.errors.review import (
    ReviewNote,
    match_notes,
    merge_notes,
    read_notes,
    updated_notes,
    write_notes,
)
from napari_unet3d.evaluation.errors.types import ErrorSet
from napari_unet3d.files import MODEL_FILE
from napari_unet3d.session import recent_runs
from napari_unet3d.session.origin import VolumeOrigin

_FOLDER = "inspection"


@dataclass(frozen=True, slots=True)
class ErrorNote:
    """Whether a person has seen an error, and the note about it."""

    is_seen: bool = False
    note: str = ""


class ReviewNotes:
    """Reads and writes the notes on the errors of one volume after the other."""

    def __init__(self) -> None:
        self._origin = VolumeOrigin("")
        self._path: Path | None = None  # None while nothing can be written
        self._absent: tuple[ReviewNote, ...] = ()  # on errors that are not there now
        self._saved: tuple[ReviewNote, ...] = ()  # in the file
        self._latest: dict[tuple[str, tuple[int, ...]], tuple[ReviewNote, ...]] = {}  # by name and shape of the volume

    def read(self, errors: ErrorSet, origin: VolumeOrigin) -> dict[int, ErrorNote]:
        """Return the notes on the errors of a prediction, by their numbers.

        Where none are saved beside its run yet, those on the latest other prediction of the volume are taken.

        Raises
        ------
        UserError
            When the file is damaged or about another volume; then nothing is written to it.
        """
        self._origin, self._path, self._absent = origin, None, ()
        path, volume = notes_file(origin), (origin.name, errors.regions.shape)
        self._saved = read_notes(path, errors.regions.shape)
        notes = self._saved or self._latest.get(volume, ())
        self._path, self._latest[volume] = path, notes
        known, self._absent = match_notes(errors, notes)
        return {number: ErrorNote(each.is_seen, each.note) for number, each in known.items()}

    def write(self, errors: ErrorSet, notes: Mapping[int, ErrorNote]) -> None:
        """Write the notes on the errors that were read last, if they differ from the file; nothing if it is unreadable.

        Raises
        ------
        UserError
            When the file cannot be written; then it is not tried again.
        """
        if self._path is None:
            return
        said = {error.number: notes.get(error.number, ErrorNote()) for error in errors}
        every = updated_notes(
            errors, {number: (each.is_seen, each.note) for number, each in said.items()}, self._absent
        )
        # Of two notes on one error, the first is ours and the other from another viewer.
        every = tuple(reversed({each.place: each for each in reversed(every)}.values()))
        self._latest[self._origin.name, errors.regions.shape] = every
        if every == self._saved:
            return
        path, self._path = self._path, None
        in_file = read_notes(path, errors.regions.shape)
        if in_file != self._saved:  # another viewer has written to it
            mine = {each.place for each in every}
            every = merge_notes(self._saved, every, in_file)
            self._absent += tuple(each for each in every if each.place not in mine)
        write_notes(path, self._origin.name, errors.regions.shape, every)
        self._path, self._saved = path, every


def as_seen(numbers: Iterable[int], notes: Mapping[int, ErrorNote]) -> dict[int, ErrorNote]:
    """Return the notes on some errors, by their numbers, with these marked as seen."""
    return {number: replace(notes.get(number, ErrorNote()), is_seen=True) for number in numbers}


def carry_over(
    before: ErrorSet | None, notes: Mapping[int, ErrorNote], errors: ErrorSet | None
) -> dict[int, ErrorNote]:
    """Return the notes on errors as notes on the same errors in another set, such as one of another tolerance."""
    if before is None or errors is None or not notes:
        return {}
    said = {number: (each.is_seen, each.note) for number, each in notes.items()}
    known, _ = match_notes(errors, updated_notes(before, said, ()))
    return {number: ErrorNote(each.is_seen, each.note) for number, each in known.items()}


def notes_file(origin: VolumeOrigin) -> Path:
    """Return the file of a volume: ``RUN/inspection/NAME.json``, or in the plugin's folder where there is no run.

    That of a training volume is ``RUN/inspection/train/NAME.json``, since a test volume may have the same name.
    """
    run = origin.run
    if run is not None and os.path.isfile(run) and os.path.isfile(run.parent / MODEL_FILE):
        run = run.parent  # a model file of a run folder
    folder = (run if run is not None and os.path.isdir(run) else recent_runs.plugin_data_folder()) / _FOLDER
    if origin.subset is Subset.TRAIN:
        folder /= Subset.TRAIN.value
    return folder / f"{file_name(origin.name)}.json"
