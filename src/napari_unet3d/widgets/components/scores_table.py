"""A table of volumes with the scores of their predictions."""

from __future__ import annotations

import html
from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QTableWidget, QTableWidgetItem

from napari_unet3d.data.seen_content import SeenIn
from napari_unet3d.evaluation.metrics.metric import Metric, Table
from napari_unet3d.evaluation.metrics.table import narrow_columns
from napari_unet3d.evaluation.metrics.types import ClassScores, Scores, unit_notice

_SEEN_TOOLTIP = (
    "<qt>Whether the model has seen the volume, or a part of it: in training, in validation, never, or ? where that is "
    "not known. Scores of volumes that it was trained on are too good.</qt>"
)
ROW_HEIGHT = 22
"""Pixels of a row of a table."""


class ScoresTable(QTableWidget):
    """One row per volume, below it one per class, and the mean last when there are several; hidden while empty.

    `cellDoubleClicked` has the row of the volume that the user wants to see.

    Parameters
    ----------
    most_rows : int
        Maximum number of rows that are visible without scrolling.

    Attributes
    ----------
    names : list of str
        The name of the volume of each row.
    """

    def __init__(self, most_rows: int = 6) -> None:
        super().__init__(0, 0)
        self._most_rows = most_rows
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # names of volumes often differ at the end
        self.setWordWrap(False)
        set_up_rows(self)
        self._columns: list[Metric] = []
        self._unit = ""
        self._set_columns(with_instances=False)
        self.names: list[str] = []
        self._scores: dict[str, Scores] = {}
        self.hide()

    @property
    def volumes(self) -> list[Scores]:
        """The scores in the table, without their mean."""
        return list(self._scores.values())

    def clear_rows(self) -> None:
        """Remove every row."""
        self.names = []
        self._scores = {}
        self.setRowCount(0)
        self._set_columns(with_instances=False)
        self.hide()

    def show_scores(self, scores: Scores, *, bold: bool = False) -> None:
        """Add a row and one for each class, or replace those of the same volume."""
        if not bold:
            self._scores[scores.name] = scores
        if scores.instances is not None:  # computed last; until then their columns stay, with dashes
            self._set_columns(with_instances=True)
        self._show_unit()
        first = self._rows_for(scores.name, 1 + len(scores.classes))
        self._fill(first, scores.name, scores, bold=bold, unit=scores.distance_unit)
        self._fill_seen(first, scores.seen_in, bold=bold)
        for row, of_class in enumerate(scores.classes, start=first + 1):
            self._fill(row, f"   {of_class.title}", of_class, bold=bold, unit=scores.distance_unit)
        if bold and (notice := unit_notice(self.volumes)) and (item := self.item(first, 0)) is not None:
            item.setToolTip(f"<qt>{html.escape(notice)}</qt>")

    def show_name(self, name: str) -> None:
        """Add a row for a volume without ground truth."""
        self._fill(self._rows_for(name, 1), name, None)

    def show_mean(self, scores: Scores) -> None:
        """Add or replace the row of the mean, which cannot be opened."""
        self.show_scores(scores, bold=True)

    def _set_columns(self, *, with_instances: bool) -> None:
        columns = narrow_columns(Table.DOCK, with_instances=with_instances)
        if columns == self._columns:
            return
        self._columns = columns
        self.setColumnCount(2 + len(columns))
        self._label_columns()
        for number, column in enumerate(columns, start=1):
            item = self.horizontalHeaderItem(number)
            assert item is not None
            item.setToolTip(column.tooltip)
        if (item := self.horizontalHeaderItem(1 + len(columns))) is not None:
            item.setToolTip(_SEEN_TOOLTIP)
        if (item := self.horizontalHeaderItem(0)) is not None:
            item.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header = self.horizontalHeader()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(30)

    def _show_unit(self) -> None:
        """Show the unit of distances in their headings, as long as it is the same for all volumes."""
        units = {scores.distance_unit for scores in self._scores.values()}
        unit = units.pop() if len(units) == 1 else ""
        if unit != self._unit:
            self._unit = unit
            self._label_columns()

    def _label_columns(self) -> None:
        headings = [
            f"{column.short_heading or column.heading}\n{self._unit if column.has_unit else ''}".strip()
            for column in self._columns
        ]
        self.setHorizontalHeaderLabels(["Name", *headings, "Seen"])

    def _rows_for(self, name: str, n_rows: int) -> int:
        """Make as many rows for a volume as it needs, at the end if it has none yet; return the first."""
        first = self.names.index(name) if name in self.names else len(self.names)
        n_before = self.names.count(name)
        for _ in range(n_before, n_rows):
            self.insertRow(first + n_before)
        for _ in range(n_rows, n_before):
            self.removeRow(first + n_rows)
        self.names[first : first + n_before] = [name] * n_rows
        header = self.horizontalHeader()
        assert header is not None
        self.setFixedHeight(header.sizeHint().height() + ROW_HEIGHT * min(self._most_rows, len(self.names)) + 6)
        self.show()
        return first

    def _fill_seen(self, row: int, seen_in: SeenIn, *, bold: bool) -> None:
        """Write whether the model has seen the volume, which its score depends on."""
        item = QTableWidgetItem(seen_in.short_label)
        font = item.font()
        font.setBold(bold or seen_in is SeenIn.TRAINING)
        item.setFont(font)
        item.setToolTip(f"<qt>{seen_in.label.capitalize()}. {html.escape(seen_in.explanation)}</qt>")
        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.setItem(row, self.columnCount() - 1, item)

    def _fill(
        self, row: int, name: str, scores: Scores | ClassScores | None, *, bold: bool = False, unit: str = ""
    ) -> None:
        own_unit = "" if self._unit else unit  # beside each number where volumes have different ones
        cells: Sequence[str] = [_cell(column, scores, own_unit) for column in self._columns]
        for number, text in enumerate([name, *cells]):
            item = QTableWidgetItem(text)
            font = item.font()
            font.setBold(bold)
            item.setFont(font)
            if number:
                metric = self._columns[number - 1]
                left_out = metric.explain_left_out(0 if scores is None else scores.n_left_out(metric))
                with_unit = "" if scores is None else _cell(metric, scores, unit)
                item.setToolTip(left_out or (with_unit if metric.has_unit else ""))
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            else:
                item.setToolTip(text.strip())
            self.setItem(row, number, item)
        self.setItem(row, self.columnCount() - 1, QTableWidgetItem())  # see `_fill_seen`


def set_up_rows(table: QTableView) -> None:
    """Make a table one of low rows without a grid, of which one can be selected."""
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setShowGrid(False)
    table.setStyleSheet("QHeaderView::section { padding: 1px; }")  # leaves space for the names
    rows, header = table.verticalHeader(), table.horizontalHeader()
    assert rows is not None
    assert header is not None
    rows.hide()
    rows.setDefaultSectionSize(ROW_HEIGHT)
    header.setHighlightSections(False)


def _cell(metric: Metric, scores: Scores | ClassScores | None, unit: str) -> str:
    value = None if scores is None else scores.of(metric)
    if scores is None or value is None or not metric.out_of:
        text = metric.short_text(value, 0 if scores is None else scores.n_left_out(metric))
        return f"{text} {unit}".strip() if metric.has_unit and value is not None else text
    assert isinstance(scores, Scores)
    assert scores.instances is not None
    return f"{metric.short_text(value)}/{metric.short_text(scores.instances.values[metric.out_of])}"
