"""Keeps what a person said about errors beside the run, while it is said."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.pairs import Subset
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.errors.review import ReviewNote, match_notes, read_notes, updated_notes, write_notes
from napari_unet3d.evaluation.errors.types import ErrorSet
from napari_unet3d.files import MODEL_FILE
from napari_unet3d.session import recent_runs as runs
from napari_unet3d.widgets.inspect.error_model import ErrorList, Notes
from napari_unet3d.widgets.inspect.inspection import Inspection

_FOLDER = "inspection"
_MILLISECONDS = 500  # that changes wait for more


class ReviewStore(QObject):
    """Reads what was said about the errors of a volume, and writes what is said now, a moment later.

    Parameters
    ----------
    rows : ErrorList
        Where it is said.

    Attributes
    ----------
    failed : Signal(str)
        Why nothing is saved, in words for the user.
    """

    failed = Signal(str)

    def __init__(self, rows: ErrorList) -> None:
        super().__init__(rows)
        self._rows = rows
        self._inspection: Inspection | None = None
        self._absent: tuple[ReviewNote, ...] = ()
        self._latest: dict[tuple[str, tuple[int, ...]], tuple[ReviewNote, ...]] = {}  # by name and shape of the volume
        self._path: Path | None = None
        self._waiting = QTimer(self)
        self._waiting.setSingleShot(True)
        self._waiting.setInterval(_MILLISECONDS)
        self._waiting.timeout.connect(self._write)
        rows.note_changed.connect(self._waiting.start)

    def open(self, inspection: Inspection) -> dict[int, Notes]:
        """Return what was said about the errors of an inspection, by their numbers; from now on it is about these.

        Where nothing is kept yet beside its run, it is what was said about another prediction of the volume.
        """
        self.flush()
        self._inspection = inspection
        self._path, self._absent = notes_file(inspection), ()
        try:
            remarks = read_notes(self._path, inspection.errors.regions.shape)
        except UserError as error:
            self._path = None
            self.failed.emit(str(error))
            return {}
        remarks = remarks or self._latest.get(_volume(inspection), ())
        self._latest[_volume(inspection)] = remarks
        known, self._absent = match_notes(inspection.errors, remarks)
        return {number: Notes(each.is_seen, each.note) for number, each in known.items()}

    def flush(self) -> None:
        """Write what waits to be written."""
        if self._waiting.isActive():
            self._waiting.stop()
            self._write()

    def _write(self) -> None:
        if self._inspection is None or self._path is None:
            return
        errors: ErrorSet = self._inspection.errors
        said = {each.number: self._rows.note_on(each) for each in errors.errors}
        remarks = updated_notes(
            errors, {number: (each.is_seen, each.note) for number, each in said.items()}, self._absent
        )
        self._latest[_volume(self._inspection)] = tuple(remarks)
        try:
            write_notes(self._path, self._inspection.name, errors.regions.shape, remarks)
        except UserError as error:
            self._path = None
            self.failed.emit(f"What you have seen is not saved: {error}")


def _volume(inspection: Inspection) -> tuple[str, tuple[int, ...]]:
    return inspection.name, inspection.errors.regions.shape


def notes_file(inspection: Inspection) -> Path:
    """Return the file of a volume: ``RUN/inspection/NAME.json``, or in the plugin's folder where there is no run.

    That of a volume that the run was trained with is ``RUN/inspection/train/NAME.json``, since one of the test set may
    have the same name.
    """
    run = inspection.run
    if run is not None and run.is_file() and (run.parent / MODEL_FILE).is_file():
        run = run.parent  # a model file of a run folder
    folder = (run if run is not None and run.is_dir() else runs.plugin_data_folder()) / _FOLDER
    if inspection.subset is Subset.TRAIN:
        folder /= Subset.TRAIN.value
    return folder / f"{file_name(inspection.name)}.json"
