"""The rows of the table of errors, and which of them are in view and in what order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QSortFilterProxyModel, Qt, Signal
from qtpy.QtGui import QFont

from napari_unet3d.evaluation.errors.types import ErrorKind, SegmentationError
from napari_unet3d.evaluation.metrics.colours import KIND_COLOURS
from napari_unet3d.widgets.inspect.error_columns import columns_for, dot, tick

_SORT = Qt.ItemDataRole.UserRole


@dataclass(frozen=True, slots=True)
class Notes:
    """What a person said about an error: whether it was looked at, and a note."""

    is_seen: bool = False
    note: str = ""


class ErrorList(QAbstractTableModel):
    """The errors, one per row, with what a person said about each.

    Attributes
    ----------
    remarked : Signal()
        Emitted after a person marked an error as seen or not, or wrote a note.
    errors : tuple of SegmentationError
        The rows.
    """

    SEEN, KIND, VOLUME, DEPTH, PLACE, WHAT, NOTE = range(7)

    note_changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.errors: tuple[SegmentationError, ...] = ()
        self._remarks: dict[int, Notes] = {}  # by the number of the error
        self._corrected: Mapping[int, str] = {}  # likewise
        self._columns = columns_for(None)
        self._tick = tick()
        self._dots = {kind: dot(colour) for kind, colour in KIND_COLOURS.items()}

    def show_errors(
        self, errors: tuple[SegmentationError, ...], remarks: Mapping[int, Notes], names: Mapping[int, str] | None
    ) -> None:
        """Replace all rows.

        Parameters
        ----------
        errors : tuple of SegmentationError
            The rows.
        remarks : mapping of int to Remarks
            What is known about them, by their numbers.
        names : mapping of int to str, or None
            What values are called that are not called by their number; None when foreground is all there is.
        """
        self.beginResetModel()
        self.errors, self._remarks, self._columns = errors, dict(remarks), columns_for(names)
        self._corrected = {}
        self.endResetModel()

    def note_on(self, error: SegmentationError) -> Notes:
        """Return what a person said about an error."""
        return self._remarks.get(error.number, Notes())

    def mark_seen(self, error: SegmentationError, is_seen: bool = True) -> None:
        """Mark an error as looked at, or not."""
        self._remark(error, Notes(is_seen, self.note_on(error).note))

    def show_corrected(self, taken: Mapping[int, str]) -> None:
        """Say which errors were corrected, by a green tick at their kind, and how, in the column of notes.

        Those that were not before are marked as seen.

        Parameters
        ----------
        taken : mapping of int to str
            Whose labels hold there now, such as ``truth``, by the numbers of the errors.
        """
        if taken == self._corrected:
            return
        before, self._corrected = self._corrected, taken
        self.dataChanged.emit(self.index(0, 0), self.index(len(self.errors) - 1, self.NOTE))
        for error in self.errors:
            if error.number in taken and error.number not in before:
                self.mark_seen(error)

    def words(self, error: SegmentationError, column: int) -> str:
        """Return the text of a cell."""
        if column == self.NOTE:
            taken, note = self._corrected.get(error.number, ""), self.note_on(error).note
            return "; ".join(words for words in (taken and f"corrected: {taken}", note) if words)
        return self._columns[column].words(error)

    @property
    def n_seen(self) -> int:
        """How many errors were looked at."""
        return sum(self.note_on(error).is_seen for error in self.errors)

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Return the number of errors."""
        return 0 if parent.isValid() else len(self.errors)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Return the number of columns."""
        return 0 if parent.isValid() else len(self._columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the heading of a column, or what it means."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._columns[section].heading
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"<qt>{self._columns[section].explanation}</qt>"
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        error, column = self.errors[index.row()], index.column()
        match role:
            case Qt.ItemDataRole.EditRole if column == self.NOTE:
                return self.note_on(error).note
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.EditRole:
                return self.words(error, column)
            case Qt.ItemDataRole.CheckStateRole if column == self.SEEN:
                return Qt.CheckState.Checked if self.note_on(error).is_seen else Qt.CheckState.Unchecked
            case Qt.ItemDataRole.DecorationRole if column == self.KIND:
                return self._tick if error.number in self._corrected else self._dots[error.kind]
            case Qt.ItemDataRole.ToolTipRole if column == self.KIND and error.number in self._corrected:
                return f"{self.words(error, column)}, corrected: {self._corrected[error.number]}"
            case Qt.ItemDataRole.ToolTipRole if column != self.SEEN:
                return self.words(error, column) or None
            case Qt.ItemDataRole.TextAlignmentRole if column in (self.VOLUME, self.DEPTH):
                return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            case Qt.ItemDataRole.FontRole if not self.note_on(error).is_seen and column == self.KIND:
                font = QFont()
                font.setBold(True)
                return font
        if role == _SORT:
            return self._sort_value(error, column)
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Take a tick or a note."""
        error, column = self.errors[index.row()], index.column()
        if role == Qt.ItemDataRole.CheckStateRole and column == self.SEEN:
            self.mark_seen(error, Qt.CheckState(value) is Qt.CheckState.Checked)
            return True
        if role == Qt.ItemDataRole.EditRole and column == self.NOTE:
            self._remark(error, Notes(self.note_on(error).is_seen, str(value).strip()))
            return True
        return False

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Say what can be done with a cell."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.column() == self.SEEN:
            return flags | Qt.ItemFlag.ItemIsUserCheckable
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() == self.NOTE else flags

    def _remark(self, error: SegmentationError, remarks: Notes) -> None:
        if remarks == self.note_on(error):
            return
        self._remarks[error.number] = remarks
        row = self.errors.index(error)
        self.dataChanged.emit(self.index(row, 0), self.index(row, self.NOTE))
        self.note_changed.emit()

    def _sort_value(self, error: SegmentationError, column: int) -> Any:
        if column == self.SEEN:
            return int(self.note_on(error).is_seen)
        return self.words(error, column).lower() if column == self.NOTE else self._columns[column].sort(error)


class ErrorsInView(QSortFilterProxyModel):
    """Sorts the errors and leaves out those that nobody asked for; the one that is looked at stays.

    Attributes
    ----------
    kinds : set of ErrorKind
        The kinds to show.
    least_um3 : float
        The least volume to show in µm³.
    text : str
        What must stand somewhere in the row, in capitals or not.
    only_unseen : bool
        Leave out what was looked at.
    view_center : SegmentationError or None
        Shown even after it was seen.
    """

    def __init__(self, errors: ErrorList) -> None:
        super().__init__(errors)
        self.kinds = set(ErrorKind)
        self.least_um3, self.text, self.only_unseen = 0.0, "", False
        self.looked_at: SegmentationError | None = None
        self._errors = errors
        self.setSourceModel(errors)
        self.setSortRole(_SORT)

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:
        """Return whether a row is shown."""
        error = self._errors.errors[row]
        if error.kind not in self.kinds or error.volume_um3 < self.least_um3:
            return False
        if self.only_unseen and self._errors.note_on(error).is_seen and error != self.looked_at:
            return False
        words = (self._errors.words(error, column) for column in range(self._errors.columnCount()))
        return not self.text or self.text.lower() in " ".join(words).lower()

    def in_order(self) -> list[SegmentationError]:
        """Return the errors that are shown, in the order of the table."""
        return [self.at(row) for row in range(self.rowCount())]

    def at(self, row: int) -> SegmentationError:
        """Return the error in a row of the table."""
        return self._errors.errors[self.mapToSource(self.index(row, 0)).row()]

    def row_of(self, error: SegmentationError | None) -> int | None:
        """Return the row of an error in the table, or None when it is not shown."""
        if error is None or error not in self._errors.errors:
            return None
        row = self.mapFromSource(self._errors.index(self._errors.errors.index(error), 0)).row()
        return row if row >= 0 else None
