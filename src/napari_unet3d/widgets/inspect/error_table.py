"""The table of errors with what filters it, and the words that count them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QItemSelection, Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_unet3d.evaluation.errors.types import ErrorKind, ErrorSet, SegmentationError
from napari_unet3d.widgets.inspect.error_model import ErrorList, ErrorsInView, Notes

_ROW_HEIGHT = 22
_N_ROWS = 8
_WIDTHS = {ErrorList.SEEN: 24, ErrorList.KIND: 84, ErrorList.VOLUME: 52, ErrorList.DEPTH: 44, ErrorList.PLACE: 76}
_LEAST_WIDTHS = {ErrorList.WHAT: 64, ErrorList.NOTE: 48}  # they take what is left


class _View(QTableView):
    """Gives the columns with words the width that the others leave."""

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self.share_width()

    def share_width(self) -> None:
        left = self.width() - 2 * self.frameWidth() - sum(_WIDTHS.values())
        if (bar := self.verticalScrollBar()) is not None and bar.isVisible():
            left -= bar.width()
        shown = [column for column in _LEAST_WIDTHS if not self.isColumnHidden(column)]
        least = sum(_LEAST_WIDTHS[column] for column in shown)
        for column in shown:
            self.setColumnWidth(column, max(_LEAST_WIDTHS[column], left * _LEAST_WIDTHS[column] // least))


class ErrorTable(QWidget):
    """Lists errors, lets a person choose which are listed, and one of them.

    Attributes
    ----------
    chosen : Signal(object)
        The `SegmentationError` that was chosen, or None when none is any more.
    rows : ErrorList
        All errors.
    in_view : ErrorsInView
        Those that are listed.
    view : QTableView
        Where they are listed.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.rows = ErrorList(self)
        self.in_view = ErrorsInView(self.rows)
        self.view = _View()
        self.view.setToolTip("The errors of the prediction; a click goes to one, a click on a heading sorts.")
        self.count = QLabel()
        self.count.setWordWrap(True)
        self.kind_box = QComboBox()
        self.kind_box.setToolTip("List errors of this kind only.")
        self.least_box = QDoubleSpinBox()
        self.least_box.setRange(0, 1e9)
        self.least_box.setDecimals(2)
        self.least_box.setPrefix("≥ ")
        self.least_box.setSuffix(" µm³")
        self.least_box.setToolTip("List errors of at least this volume only.")
        self.text_box = QLineEdit()
        self.text_box.setPlaceholderText("Search")
        self.text_box.setClearButtonEnabled(True)
        self.text_box.setToolTip("List errors whose row holds this text only: a class, an id, a word of your notes.")
        self.unseen_box = QCheckBox("Only unseen")
        self.unseen_box.setToolTip("List only what you have not seen yet.")
        self._errors: ErrorSet | None = None
        self._set_up_view()
        self._lay_out()
        self._connect()

    @property
    def selected(self) -> SegmentationError | None:
        """The error that is chosen."""
        return self.in_view.looked_at

    def show_errors(self, errors: ErrorSet, remarks: Mapping[int, Notes], names: Mapping[int, str] | None) -> None:
        """Replace the rows; none is chosen.

        Parameters
        ----------
        errors : ErrorSet
            The errors.
        remarks : mapping of int to Remarks
            What is known about them, by their numbers.
        names : mapping of int to str, or None
            What values are called that are not called by their number; None when foreground is all there is.
        """
        self._errors = errors
        self.in_view.looked_at = None
        self.rows.show_errors(errors.errors, remarks, names)
        self._list_kinds()
        self.view.setColumnHidden(ErrorList.WHAT, names is None and not any(each.is_whole for each in self.rows.errors))
        self.view.share_width()

    def choose(self, error: SegmentationError | None) -> None:
        """Choose an error, which need not be listed."""
        if error == self.in_view.looked_at:
            return
        self.in_view.looked_at = error
        if self.in_view.only_unseen:  # else all stay, and sorting thousands again takes time
            self._refilter()
        row = self.in_view.row_of(error)
        if row is not None:
            self.view.selectRow(row)
            self.view.scrollTo(self.in_view.index(row, 0))
        else:
            self.view.clearSelection()
        self.chosen.emit(error)

    def following(self, step: int) -> SegmentationError | None:
        """Return the error to go to from the chosen one, or None when none is listed.

        Forwards it is the next one in the table that was not seen, from the top again after the last one; when all
        were seen, and backwards, it is the neighbour.
        """
        n_listed = self.in_view.rowCount()
        if not n_listed:
            return None
        here = self.in_view.row_of(self.selected)
        if here is None:
            here = -1 if step > 0 else 0
        if step > 0:
            around = (self.in_view.at((here + n) % n_listed) for n in range(1, n_listed + 1))
            unseen = next((error for error in around if not self.rows.note_on(error).is_seen), None)
            if unseen is not None:
                return unseen
        return self.in_view.at((here + step) % n_listed)

    def _on_selection(self, selected: QItemSelection, _deselected: QItemSelection) -> None:
        rows = selected.indexes()
        if rows:
            self.choose(self.in_view.at(rows[0].row()))

    def _refilter(self, *_: Any) -> None:
        self.in_view.kinds = set(ErrorKind) if self.kind_box.currentData() is None else {self.kind_box.currentData()}
        self.in_view.least_um3 = self.least_box.value()
        self.in_view.text = self.text_box.text().strip()
        self.in_view.only_unseen = self.unseen_box.isChecked()
        self.in_view.invalidate()
        self._count()

    def _list_kinds(self) -> None:
        known = self.kind_box.currentData()
        self.kind_box.blockSignals(True)
        self.kind_box.clear()
        self.kind_box.addItem("All kinds", None)
        for kind in ErrorKind:
            n_errors = sum(error.kind is kind for error in self.rows.errors)
            if n_errors:
                self.kind_box.addItem(f"{kind.label} ({n_errors})", kind)
        self.kind_box.setCurrentIndex(max(0, self.kind_box.findData(known)))
        self.kind_box.blockSignals(False)
        self._refilter()

    def _count(self) -> None:
        errors = self._errors
        if errors is None:
            self.count.setText("")
            return
        n_errors, n_listed = len(errors.errors), self.in_view.rowCount()
        words = f"{n_errors} error{'' if n_errors == 1 else 's'}, {self.rows.n_seen} seen"
        if n_listed != n_errors:
            words += f", {n_listed} listed"
        parts = [words]
        if errors.n_hidden:
            parts.append(f"{errors.n_hidden} hidden as noise")
        if errors.n_left_out:
            parts.append(f"{errors.n_left_out} smaller ones are left out")
        self.count.setText("; ".join(parts))

    def _set_up_view(self) -> None:
        view = self.view
        view.setModel(self.in_view)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        view.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        view.setShowGrid(False)
        view.setWordWrap(False)
        view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.setStyleSheet("QHeaderView::section { padding: 1px 2px; }")
        rows, header = view.verticalHeader(), view.horizontalHeader()
        assert rows is not None
        assert header is not None
        rows.hide()
        rows.setDefaultSectionSize(_ROW_HEIGHT)
        header.setMinimumSectionSize(22)
        for column, width in _WIDTHS.items():
            view.setColumnWidth(column, width)
        header.setHighlightSections(False)
        header.moveSection(ErrorList.PLACE, ErrorList.NOTE)  # where a narrow dock has to be scrolled to
        view.setSortingEnabled(True)
        view.sortByColumn(ErrorList.VOLUME, Qt.SortOrder.DescendingOrder)
        view.setFixedHeight(_ROW_HEIGHT * (_N_ROWS + 1) + 6)

    def _lay_out(self) -> None:
        column, filters, more = QVBoxLayout(self), QHBoxLayout(), QHBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        filters.addWidget(self.kind_box, 1)
        filters.addWidget(self.least_box, 1)
        more.addWidget(self.text_box, 1)
        more.addWidget(self.unseen_box)
        for row in (filters, more):
            column.addLayout(row)
        column.addWidget(self.view)
        column.addWidget(self.count)

    def _connect(self) -> None:
        selection = self.view.selectionModel()
        assert selection is not None
        selection.selectionChanged.connect(self._on_selection)
        self.kind_box.currentIndexChanged.connect(self._refilter)
        self.least_box.valueChanged.connect(self._refilter)
        self.text_box.textChanged.connect(self._refilter)
        self.unseen_box.toggled.connect(self._refilter)
        self.rows.note_changed.connect(self._count)
