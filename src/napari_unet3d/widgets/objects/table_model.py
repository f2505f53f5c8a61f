"""The rows of the table of objects: which are listed, in what order, and what their cells show."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from napari_unet3d.evaluation.object_table import ObjectColumn, ObjectTable
from napari_unet3d.session.proofreading import ProofreadingSession

REVIEWED = 0
"""The first column, with the check boxes; the others are those of the table."""
_TOOLTIP = "Whether you have reviewed the object: what was edited is, and a click changes it."
# Made once: Qt asks for them for every cell of thousands of rows when a selection changes.
_PLAIN = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
_CHECKABLE = _PLAIN | Qt.ItemFlag.ItemIsUserCheckable
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class ObjectList(QAbstractTableModel):
    """The measured objects, sorted and filtered with numpy, so that many thousands are listed at once.

    Parameters
    ----------
    session : ProofreadingSession
        What is proofread.
    parent : QObject
        The view.
    """

    def __init__(self, session: ProofreadingSession, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._table: ObjectTable | None = None
        self._listed: NDArray[np.int64] = np.zeros(0, np.int64)
        self._mask: NDArray[np.bool_] | None = None
        self._sorted_by, self._descending = 1, False
        self._reviewed: set[int] = set()

    @property
    def rows(self) -> NDArray[np.int64]:
        """The rows of the table that are listed, in their order."""
        return self._listed

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The numbers of the objects that are listed, in their order."""
        return np.zeros(0, np.int64) if self._table is None else self._table.numbers[self._listed]

    def show(self, table: ObjectTable | None, mask: NDArray[np.bool_] | None) -> None:
        """List the rows of a table; with a mask, only those in it."""
        self.beginResetModel()
        self._table, self._mask, self._reviewed = table, mask, self._session.reviewed
        self._order()
        self.endResetModel()

    def show_reviewed(self, reviewed: set[int]) -> None:
        """Check the objects that are reviewed."""
        self._reviewed = reviewed
        if self.rowCount():
            self.dataChanged.emit(self.index(0, REVIEWED), self.index(self.rowCount() - 1, REVIEWED))

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; what is not defined comes last."""
        self._sorted_by, self._descending = column, order == Qt.SortOrder.DescendingOrder
        self.beginResetModel()
        self._order()
        self.endResetModel()

    def _order(self) -> None:
        if self._table is None:
            self._listed = np.zeros(0, np.int64)
            return
        if self._sorted_by == REVIEWED:
            keys = np.isin(self._table.numbers, list(self._reviewed)).astype(float)
        else:
            keys = self._table.cells[:, min(self._sorted_by - 1, len(self._table.columns) - 1)]
        order = np.argsort(-keys if self._descending else keys, kind="stable")
        self._listed = order if self._mask is None else order[self._mask[order]]

    def column_at(self, section: int) -> ObjectColumn | None:
        """Return the column of the table at a column of the list; None for the check boxes."""
        return None if self._table is None or section == REVIEWED else self._table.columns[section - 1]

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Return the number of objects that are listed."""
        return 0 if parent.isValid() else len(self._listed)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Return the number of columns."""
        return 0 if parent.isValid() or self._table is None else 1 + len(self._table.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the heading of a column with its unit, or what it means."""
        if orientation is not Qt.Orientation.Horizontal or self._table is None:
            return None
        column = self.column_at(section)
        if role == Qt.ItemDataRole.DisplayRole:
            return "✓" if column is None else f"{column.heading.replace(' of ', chr(10))}\n{column.unit}".strip()
        if role == Qt.ItemDataRole.ToolTipRole:
            name = "" if column is None else f" In a filter: <b>{column.key}</b>."
            return f"<qt>{_TOOLTIP if column is None else column.explanation}{name}</qt>"
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        if self._table is None:
            return None
        row, column = int(self._listed[index.row()]), self.column_at(index.column())
        match role:
            case Qt.ItemDataRole.DisplayRole if column is not None:
                return column.text(float(self._table.cells[row, index.column() - 1]))
            case Qt.ItemDataRole.CheckStateRole if column is None:
                is_reviewed = int(self._table.cells[row, 0]) in self._reviewed
                return Qt.CheckState.Checked if is_reviewed else Qt.CheckState.Unchecked
            case Qt.ItemDataRole.TextAlignmentRole if column is not None:
                return _RIGHT
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Set whether an object is reviewed."""
        if role != Qt.ItemDataRole.CheckStateRole or index.column() != REVIEWED:
            return False
        number = int(self.numbers[index.row()])
        self._session.mark_reviewed([number], Qt.CheckState(value) is Qt.CheckState.Checked)
        return True

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Return what can be done with a cell."""
        return _CHECKABLE if index.column() == REVIEWED else _PLAIN
