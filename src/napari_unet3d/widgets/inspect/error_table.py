"""The table of errors with its filters, and the line that counts them."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import CheckBox, FloatSpinBox, LineEdit
from qtpy.QtCore import QItemSelection, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QAbstractItemView, QTableView

from napari_unet3d.evaluation.errors.types import ErrorKind, SegmentationError
from napari_unet3d.formatting import format_count
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.widgets.components.containers import Panel, row, wrapping_label
from napari_unet3d.widgets.components.scores_table import ROW_HEIGHT, set_up_rows
from napari_unet3d.widgets.forms.choices import Menu
from napari_unet3d.widgets.inspect.error_model import ErrorList, ErrorsInView

_N_ROWS = 8
_WIDTHS = {ErrorList.SEEN: 24, ErrorList.KIND: 84, ErrorList.VOLUME: 52, ErrorList.DEPTH: 44, ErrorList.PLACE: 76}
_LEAST_WIDTHS = {ErrorList.WHAT: 64, ErrorList.NOTE: 48}  # they take what is left


class _View(QTableView):
    """Leaves to the columns with text the width that the others do not need."""

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


class ErrorTable(Panel):
    """Lists the errors of a session; the selected row is the selected error.

    Parameters
    ----------
    session : InspectionSession
        What is inspected.

    Attributes
    ----------
    rows : ErrorList
        All errors.
    in_view : ErrorsInView
        Those that are listed.
    view : QTableView
        Where they are listed.
    kind : Menu
        Only errors of this kind are listed; None for all.
    minimum_volume : FloatSpinBox
        Only errors of at least this volume are listed.
    text : LineEdit
        Only errors whose row contains this text are listed.
    only_unseen : CheckBox
        Whether only errors that nobody has seen are listed.
    """

    def __init__(self, session: InspectionSession) -> None:
        super().__init__(spacing=4)
        self._session = session
        self.rows = ErrorList(session, self.native)
        self.in_view = ErrorsInView(self.rows, session)
        self.view = _View()
        self.view.setToolTip("The errors of the prediction; click one to go to it, click a heading to sort.")
        self.counts = wrapping_label()
        self.kind = Menu(choices=self._kinds, tooltip="List only errors of this kind.")
        self.minimum_volume = FloatSpinBox(min=0, max=1e9, step=1, tooltip="List only errors of at least this volume.")
        self.text = LineEdit(
            tooltip="List only errors whose row contains this text: a class, an id, a word of your notes."
        )
        self.only_unseen = CheckBox(text="Only unseen", tooltip="List only what you have not seen yet.")
        self._set_up_view()
        self._lay_out()
        self._connect()

    def _show_errors(self, _errors: Any) -> None:
        comparison = self._session.comparison
        names = None if comparison is None else comparison.class_names
        self.rows.show_errors(names)
        if (errors := self._session.errors) is not None:
            self.minimum_volume.native.setSuffix(f" {errors.geometry.volume_unit}")
        self._list_kinds()
        self.view.setColumnHidden(ErrorList.WHAT, names is None and not any(each.is_whole for each in self.rows.errors))
        self.view.share_width()

    def _show_selection(self, error: SegmentationError | None) -> None:
        """Select the row of an error, which need not be listed."""
        if self.in_view.only_unseen:  # else all stay, and sorting thousands again takes time
            self._refilter()
        row = self.in_view.row_of(error)
        if row is not None:
            self.view.selectRow(row)
            self.view.scrollTo(self.in_view.index(row, 0))
        else:
            self.view.clearSelection()

    @property
    def is_all_seen(self) -> bool:
        """Whether every error in the list was seen, or there is none."""
        listed = (self.in_view.at(row) for row in range(self.in_view.rowCount()))
        return all(self.rows.note_on(error).is_seen for error in listed)

    def following(self, step: int) -> SegmentationError | None:
        """Return the error to go to from the selected one, or None when none is listed.

        Forwards it is the next one in the table that was not seen, from the top again after the last one; when all
        were seen, and backwards, it is the neighbour.
        """
        n_listed = self.in_view.rowCount()
        if not n_listed:
            return None
        here = self.in_view.row_of(self._session.selection)
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
            self._session.select(self.in_view.at(rows[0].row()))

    def _refilter(self) -> None:
        kind = self.kind.value
        self.in_view.kinds = set(ErrorKind) if kind is None else {ErrorKind(kind)}
        self.in_view.minimum_volume = self.minimum_volume.value
        self.in_view.pattern = self.text.value.strip()
        self.in_view.only_unseen = self.only_unseen.value
        self.in_view.invalidate()
        self._count()

    def _kinds(self, _menu: object) -> list[tuple[str, ErrorKind | None]]:
        counts = {kind: sum(error.kind is kind for error in self.rows.errors) for kind in ErrorKind}
        return [("All kinds", None), *((f"{kind.label} ({n})", kind) for kind, n in counts.items() if n)]

    def _list_kinds(self) -> None:
        chosen = self.kind.value
        with self.kind.changed.blocked():
            self.kind.native.clear()  # also for their order
            self.kind.reset_choices()
            self.kind.value = chosen if chosen in self.kind.choices else None
        self._refilter()

    def _count(self, *_: Any) -> None:
        errors = self._session.errors
        if errors is None:
            self.counts.value = ""
            return
        n_errors, n_listed = len(errors), self.in_view.rowCount()
        counts = f"{format_count(n_errors, 'error')}, {self.rows.n_seen} seen"
        if n_listed != n_errors:
            counts += f", {n_listed} listed"
        parts = [counts]
        if errors.n_hidden:
            parts.append(f"{errors.n_hidden} hidden as noise")
        if errors.n_left_out:
            parts.append(f"{errors.n_left_out} smaller ones are left out")
        self.counts.value = "; ".join(parts)

    def _set_up_view(self) -> None:
        view = self.view
        view.setModel(self.in_view)
        set_up_rows(view)
        view.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        view.setWordWrap(False)
        view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header = view.horizontalHeader()
        assert header is not None
        header.setMinimumSectionSize(22)
        for column, width in _WIDTHS.items():
            view.setColumnWidth(column, width)
        header.moveSection(ErrorList.PLACE, ErrorList.NOTE)  # where a narrow dock has to be scrolled to
        view.setSortingEnabled(True)
        view.sortByColumn(ErrorList.VOLUME, Qt.SortOrder.DescendingOrder)
        view.setFixedHeight(ROW_HEIGHT * (_N_ROWS + 1) + 6)

    def _lay_out(self) -> None:
        self.minimum_volume.native.setDecimals(2)
        self.minimum_volume.native.setPrefix("≥ ")
        self.text.native.setPlaceholderText("Search")
        self.text.native.setClearButtonEnabled(True)
        search = row(self.text, self.only_unseen, wide=(0,))
        self.lay_out(row(self.kind, self.minimum_volume), search, self.view, self.counts)

    def _connect(self) -> None:
        selection = self.view.selectionModel()
        assert selection is not None
        selection.selectionChanged.connect(self._on_selection)
        for widget in (self.kind, self.minimum_volume, self.only_unseen):
            widget.changed.connect(self._refilter)
        self.text.native.textEdited.connect(self._refilter)  # at once, not at the end of typing
        self.text.changed.connect(self._refilter)
        self._session.events.errors.connect(self._show_errors)
        self._session.events.selection.connect(self._show_selection)
        self._session.events.notes.connect(self._count)
