"""The rows of the table of errors, and which of them are in view and in what order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt
from qtpy.QtGui import QFont

from napari_unet3d.data.geometry import UNKNOWN
from napari_unet3d.evaluation.colours import KIND_COLOURS
from napari_unet3d.evaluation.errors.types import ErrorKind, SegmentationError
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.review_notes import ErrorNote
from napari_unet3d.widgets.inspect.error_columns import columns_for, dot, tick


class ErrorList(QAbstractTableModel):
    """The errors of a session, one per row, with the notes on them.

    Parameters
    ----------
    session : InspectionSession
        What is inspected.
    parent : QObject
        The table.

    Attributes
    ----------
    errors : tuple of SegmentationError
        The rows.
    """

    SEEN, KIND, VOLUME, DEPTH, PLACE, WHAT, NOTE = range(7)

    def __init__(self, session: InspectionSession, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self.errors: tuple[SegmentationError, ...] = ()
        self._rows: dict[int, int] = {}
        self._columns = columns_for(None)
        self._tick = tick()
        self._dots = {kind: dot(colour) for kind, colour in KIND_COLOURS.items()}
        session.events.notes.connect(self._on_notes)
        session.events.corrected.connect(self._on_corrected)

    def show_errors(self, names: Mapping[int, str] | None) -> None:
        """Replace all rows.

        Parameters
        ----------
        names : mapping of int to str, or None
            Names of values that are not called by their number; None when foreground is all there is.
        """
        self.beginResetModel()
        errors = self._session.errors
        self.errors, self._columns = (
            tuple(errors or ()),
            columns_for(names, UNKNOWN if errors is None else errors.geometry),
        )
        self._rows = {error.number: row for row, error in enumerate(self.errors)}
        self.endResetModel()

    def row_of(self, error: SegmentationError) -> int | None:
        """Return the row of an error, or None when it is not one of them."""
        row = self._rows.get(error.number)
        return row if row is not None and self.errors[row] == error else None

    def note_on(self, error: SegmentationError) -> ErrorNote:
        """Return whether an error was seen, and the note about it."""
        return self._session.note_on(error)

    def text(self, error: SegmentationError, column: int) -> str:
        """Return the text of a cell."""
        if column == self.NOTE:
            source, note = self._session.corrected.get(error.number, ""), self.note_on(error).note
            return "; ".join(part for part in (source and f"corrected: {source}", note) if part)
        return self._columns[column].text(error)

    @property
    def n_seen(self) -> int:
        """How many errors were seen."""
        return sum(note.is_seen for number, note in self._session.notes.items() if number in self._rows)

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
                return self.text(error, column)
            case Qt.ItemDataRole.CheckStateRole if column == self.SEEN:
                return Qt.CheckState.Checked if self.note_on(error).is_seen else Qt.CheckState.Unchecked
            case Qt.ItemDataRole.DecorationRole if column == self.KIND:
                return self._tick if error.number in self._session.corrected else self._dots[error.kind]
            case Qt.ItemDataRole.ToolTipRole if column == self.KIND and error.number in self._session.corrected:
                return f"{self.text(error, column)}, corrected: {self._session.corrected[error.number]}"
            case Qt.ItemDataRole.ToolTipRole if column != self.SEEN:
                return self.text(error, column) or None
            case Qt.ItemDataRole.TextAlignmentRole if column in (self.VOLUME, self.DEPTH):
                return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            case Qt.ItemDataRole.FontRole if not self.note_on(error).is_seen and column == self.KIND:
                font = QFont()
                font.setBold(True)
                return font
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Set whether an error was seen, or its note."""
        error, column = self.errors[index.row()], index.column()
        if role == Qt.ItemDataRole.CheckStateRole and column == self.SEEN:
            self._session.mark_seen(error, Qt.CheckState(value) is Qt.CheckState.Checked)
            return True
        if role == Qt.ItemDataRole.EditRole and column == self.NOTE:
            self._session.set_note(error, str(value).strip())
            return True
        return False

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Return what can be done with a cell."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.column() == self.SEEN:
            return flags | Qt.ItemFlag.ItemIsUserCheckable
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() == self.NOTE else flags

    def _on_notes(self, notes: Mapping[int, ErrorNote]) -> None:
        rows = [self._rows[number] for number in notes if number in self._rows]
        if rows:
            self.dataChanged.emit(self.index(min(rows), 0), self.index(max(rows), self.NOTE))

    def _on_corrected(self, *_: Any) -> None:
        self.dataChanged.emit(self.index(0, 0), self.index(len(self.errors) - 1, self.NOTE))

    def sort_value(self, row: int, column: int) -> Any:
        """Return what a row is sorted by in a column."""
        error = self.errors[row]
        if column == self.SEEN:
            return int(self.note_on(error).is_seen)
        return self.text(error, column).lower() if column == self.NOTE else self._columns[column].sort(error)


class ErrorsInView(QAbstractTableModel):
    """Sorts the errors and filters them; the selected one stays in view.

    Qt's own model for this compares cells one by one through Python, which takes seconds for thousands of errors.

    Attributes
    ----------
    kinds : set of ErrorKind
        The kinds to show.
    minimum_volume : float
        The smallest volume to show, in the unit of its column.
    pattern : str
        Text that a row must contain, in upper or lower case.
    only_unseen : bool
        Whether to leave out what was seen.
    """

    def __init__(self, errors: ErrorList, session: InspectionSession) -> None:
        super().__init__(errors)
        self.kinds = set(ErrorKind)
        self.minimum_volume, self.pattern, self.only_unseen = 0.0, "", False
        self._errors, self._session = errors, session
        self._sorted_by, self._descending = ErrorList.VOLUME, True
        self._listed: list[int] = []
        self._places: dict[int, int] = {}
        errors.modelAboutToBeReset.connect(self.beginResetModel)
        errors.modelReset.connect(self._on_reset)
        errors.dataChanged.connect(self._on_changed)

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Return the number of errors that are shown."""
        return 0 if parent.isValid() else len(self._listed)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Return the number of columns."""
        return self._errors.columnCount(parent)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the heading of a column, or what it means."""
        return self._errors.headerData(section, orientation, role)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        return self._errors.data(self._source(index), role)

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Set whether an error was seen, or its note."""
        return self._errors.setData(self._source(index), value, role)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Return what can be done with a cell."""
        return self._errors.flags(index)

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; the largest errors come first among equals."""
        self._sorted_by, self._descending = column, order == Qt.SortOrder.DescendingOrder
        self.invalidate()

    def invalidate(self) -> None:
        """Filter and sort again; what is selected stays so, if it is still shown."""
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        rows = [self._listed[index.row()] for index in before]
        self._order()
        after = [
            self.index(self._places[row], index.column()) if row in self._places else QModelIndex()
            for row, index in zip(rows, before, strict=True)
        ]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def in_order(self) -> list[SegmentationError]:
        """Return the errors that are shown, in the order of the table."""
        return [self._errors.errors[row] for row in self._listed]

    def at(self, row: int) -> SegmentationError:
        """Return the error in a row of the table."""
        return self._errors.errors[self._listed[row]]

    def row_of(self, error: SegmentationError | None) -> int | None:
        """Return the row of an error in the table, or None when it is not shown."""
        row = None if error is None else self._errors.row_of(error)
        return None if row is None else self._places.get(row)

    def _source(self, index: QModelIndex) -> QModelIndex:
        return self._errors.index(self._listed[index.row()], index.column())

    def _order(self) -> None:
        rows = [row for row, error in enumerate(self._errors.errors) if self._is_shown(error)]
        if self._sorted_by >= 0:
            rows.sort(key=lambda row: self._errors.sort_value(row, self._sorted_by), reverse=self._descending)
        self._listed, self._places = rows, {row: place for place, row in enumerate(rows)}

    def _is_shown(self, error: SegmentationError) -> bool:
        if error.kind not in self.kinds or error.volume < self.minimum_volume:
            return False
        if self.only_unseen and self._errors.note_on(error).is_seen and error != self._session.selection:
            return False
        if not self.pattern:
            return True
        cells = (self._errors.text(error, column) for column in range(self._errors.columnCount()))
        return self.pattern.lower() in " ".join(cells).lower()

    def _on_reset(self) -> None:
        self._order()
        self.endResetModel()

    def _on_changed(self, first: QModelIndex, last: QModelIndex) -> None:
        """Show notes, which may also change the order and what is shown."""
        if self.only_unseen or self.pattern or self._sorted_by in (ErrorList.SEEN, ErrorList.NOTE):
            self.invalidate()
        places = [self._places[row] for row in range(first.row(), last.row() + 1) if row in self._places]
        if places:
            self.dataChanged.emit(self.index(min(places), 0), self.index(max(places), ErrorList.NOTE))
