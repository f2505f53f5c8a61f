"""A small table of volumes and how well they were predicted."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_unet3d.evaluation.metrics import Scores

_COLUMNS = ("Volume", "Dice", "IoU", "Precision", "Recall")
_MOST_ROWS = 6


class ScoresTable(QTableWidget):
    """One row per volume, and the mean below when there are several; it is hidden while it is empty.

    `cellDoubleClicked` tells the row that the user wants to see.
    """

    def __init__(self) -> None:
        super().__init__(0, len(_COLUMNS))
        self.setHorizontalHeaderLabels(_COLUMNS)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setShowGrid(False)
        for rows in (self.verticalHeader(),):
            assert rows is not None
            rows.hide()
            rows.setDefaultSectionSize(22)
        columns = self.horizontalHeader()
        assert columns is not None
        columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        columns.setMinimumSectionSize(30)
        self.names: list[str] = []
        self.hide()

    def clear_rows(self) -> None:
        """Remove every row."""
        self.names = []
        self.setRowCount(0)
        self.hide()

    def show_scores(self, scores: Scores) -> None:
        """Add a row, or replace that of the same volume."""
        self._show_row(scores.name, [scores.dice, scores.iou, scores.precision, scores.recall])

    def show_name(self, name: str) -> None:
        """Add a row for a volume that there is no truth for."""
        self._show_row(name, [None] * (len(_COLUMNS) - 1))

    def show_mean(self, scores: Scores) -> None:
        """Add or replace the row of the mean, which cannot be opened."""
        self.show_scores(scores)
        for column in range(len(_COLUMNS)):
            item = self.item(self.names.index(scores.name), column)
            assert item is not None
            font = item.font()
            font.setBold(True)
            item.setFont(font)

    def _show_row(self, name: str, numbers: Sequence[float | None]) -> None:
        if name not in self.names:
            self.names.append(name)
            self.setRowCount(len(self.names))
        row = self.names.index(name)
        first = QTableWidgetItem(name)
        first.setToolTip(name)
        self.setItem(row, 0, first)
        for column, number in enumerate(numbers, start=1):
            item = QTableWidgetItem("–" if number is None else f"{number:.3f}")
            item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(row, column, item)
        header = self.horizontalHeader()
        assert header is not None
        self.setFixedHeight(header.sizeHint().height() + 22 * min(_MOST_ROWS, len(self.names)) + 6)
        self.show()
