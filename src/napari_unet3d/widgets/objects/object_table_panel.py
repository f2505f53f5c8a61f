"""The table of objects with its filter, linked with the view, and saved as CSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from magicgui.widgets import CheckBox, LineEdit
from qtpy.QtCore import QItemSelection, QItemSelectionModel, Qt
from qtpy.QtWidgets import QAbstractItemView, QTableView

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.object_table import ObjectTable, write_objects
from napari_unet3d.formatting import format_count
from napari_unet3d.session.proofreading import ProofreadingSession
from napari_unet3d.widgets.components.containers import Panel, button, row, show_text, wrapping_label
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dialogs import ask_for_file
from napari_unet3d.widgets.components.scores_table import ROW_HEIGHT, set_up_rows
from napari_unet3d.widgets.forms.choices import remembered
from napari_unet3d.widgets.objects.object_layers import ObjectLayers
from napari_unet3d.widgets.objects.table_model import REVIEWED, ObjectList

_N_ROWS, _WIDTH, _NARROW, _PADDING = 8, 50, 24, 18
_STALE = "QLabel { background-color: #6b4e00; color: white; border-radius: 3px; padding: 3px; }"
_MARK_KEY = "Shift-R"


class ObjectTablePanel(Panel):
    """Lists the objects; selected rows are the selected objects.

    Parameters
    ----------
    session : ProofreadingSession
        What is proofread.
    context : Context
        The message line.
    layers : ObjectLayers
        Whether the view zooms to an object.

    Attributes
    ----------
    rows : ObjectList
        What is listed.
    view : QTableView
        Where it is listed.
    filter : LineEdit
        Only objects that fulfil this condition are listed.
    select_button, reviewed_button, save_button : PushButton
        Select all that are listed; mark the selected objects as reviewed; save what is listed.
    zoom : CheckBox
        Whether the view zooms to an object.
    counts, stale, filter_error : Label
        How many there are; that the table is out of date; what is wrong with the filter.
    keys : dict of str to (str, callable)
        Keys to bind, what they do, and the action.
    """

    def __init__(self, session: ProofreadingSession, context: Context, layers: ObjectLayers) -> None:
        super().__init__(spacing=4)
        self._session, self._context, self._layers = session, context, layers
        self._is_following = False
        self.view = QTableView()
        self.rows = ObjectList(session, self.view)
        self.counts, self.stale, self.filter_error = wrapping_label(), wrapping_label(), wrapping_label()
        self._make_controls()
        self._set_up_view()
        self.lay_out(
            row(self.filter, self.select_button, wide=(0,)),
            self.filter_error,
            self.stale,
            self.view,
            self.counts,
            row(self.reviewed_button, self.save_button, self.zoom, wide=(0, 1)),
        )
        self._connect()
        self._show_table(None)

    def _make_controls(self) -> None:
        self.filter = LineEdit(
            tooltip="<qt>List only objects that fulfil a condition, such as <b>volume &lt; 50</b>, <b>border and "
            "neighbours = 0</b> or <b>pieces &gt; 1 or not reviewed</b>. The tooltip of each heading has its name.</qt>"
        )
        self.filter.native.setPlaceholderText("Filter: volume < 50 and not border")
        self.filter.native.setClearButtonEnabled(True)
        self.select_button = button(
            "Select listed", "Select all objects that are listed, to edit or to review them.", self.select_listed
        )
        self.reviewed_button = button(
            "Reviewed",
            f"<qt>Mark the selected objects as reviewed, or take the mark back. Key: {_MARK_KEY}, after a click into "
            "the image.</qt>",
            self.mark_reviewed,
        )
        self.save_button = button(
            "Save table…",
            "Save what is listed, in its order, as a table for spreadsheets (CSV) or programs (Parquet), with "
            "units in the headings.",
            self.save,
        )
        self.zoom = CheckBox(text="Zoom", tooltip="Whether the view also zooms to an object that is selected in here.")
        remembered(self.zoom, "objects-zoom")
        self.keys = {_MARK_KEY: ("Mark the selected objects as reviewed, or not", self.mark_reviewed)}

    def select_listed(self) -> None:
        """Select all objects that are listed."""
        self._session.select(self.rows.numbers.tolist())

    def mark_reviewed(self) -> None:
        """Mark the selected objects as reviewed, or take the mark back when all of them are."""
        with self._context.message.explaining():
            chosen = self._session.selection
            if not chosen:
                raise UserError("No object is selected. Click one in the view or in the table.")
            self._session.mark_reviewed(chosen, not set(chosen) <= self._session.reviewed)

    def save(self, path: Path | None = None) -> None:
        """Save what is listed as CSV or Parquet; asks for the file when no path is given."""
        table, labels = self._session.table, self._session.labels
        if table is None or labels is None:
            return
        with self._context.message.explaining():
            path = path or ask_for_file(
                self.native, "Save table of objects", f"{labels.name} objects", (".csv", ".parquet")
            )
            if path is not None:
                write_objects(path, table, self.rows.rows, self._session.reviewed)
                n_listed, n_all = self.rows.rowCount(), len(table)
                of = "" if n_listed == n_all else f" of {n_all}"
                note = " They were measured before the last changes." if self._session.done.is_stale else ""
                self._context.message.show_message(
                    f"{format_count(n_listed, 'object')}{of} saved in {path}.{note}", "warning" if note else "info"
                )

    def _show_table(self, table: ObjectTable | None) -> None:
        """List a table, with the filter and the order of the one before."""
        mask, error = None, ""
        if table is not None and self.filter.value.strip():
            try:
                mask = self._session.rows_matching(self.filter.value)
            except UserError as failure:
                error = str(failure)
        show_text(self.filter_error, error)
        n_columns = self.rows.columnCount()
        self.rows.show(table, mask)
        if self.rows.columnCount() != n_columns:
            for section in range(self.rows.columnCount()):
                lines = str(self.rows.headerData(section, Qt.Orientation.Horizontal)).splitlines()
                needed = max(map(self.view.fontMetrics().horizontalAdvance, lines)) + _PADDING
                self.view.setColumnWidth(section, _NARROW if section == REVIEWED else max(_WIDTH, needed))
        self._show_counts()
        self._show_selection(self._session.selection)

    def _show_counts(self, *_: Any) -> None:
        table = self._session.table
        for widget in (self.select_button, self.save_button, self.filter):
            widget.enabled = table is not None
        self.reviewed_button.enabled = bool(self._session.selection)
        if table is None:
            self.counts.value = "The objects are not measured yet." if self._session.labels is not None else ""
            return
        numbers, reviewed = set(table.numbers.tolist()), self._session.reviewed
        parts = [format_count(len(table), "object"), f"{len(numbers & reviewed)} reviewed"]
        if self.rows.rowCount() != len(table):
            parts.append(f"{self.rows.rowCount()} listed")
        if self._session.selection:
            parts.append(f"{len(self._session.selection)} selected")
        self.counts.value = ", ".join(parts)

    def _show_stale(self, is_stale: bool) -> None:
        show_text(self.stale, "The labels have changed since: what is affected is measured again." if is_stale else "")

    def _show_reviewed(self, reviewed: set[int]) -> None:
        self.rows.show_reviewed(reviewed)
        self._show_counts()

    def _show_selection(self, selection: Iterable[int]) -> None:
        """Select the rows of objects, as far as they are listed."""
        self._show_counts()
        if self._is_following:
            return
        self._is_following = True
        listed = np.flatnonzero(np.isin(self.rows.numbers, list(selection)))
        ranges = QItemSelection()
        for part in np.split(listed, np.flatnonzero(np.diff(listed) > 1) + 1) if listed.size else ():
            last = self.rows.index(int(part[-1]), max(0, self.rows.columnCount() - 1))
            ranges.select(self.rows.index(int(part[0]), 0), last)
        self._selection_model.select(ranges, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        if listed.size:
            self.view.scrollTo(self.rows.index(int(listed[-1]), 1))
        self._is_following = False

    def _on_rows(self, *_: Any) -> None:
        """Select the objects of the rows; those that are not listed stay as they are only while no row is chosen."""
        if self._is_following:
            return
        self._is_following = True
        chosen = self.rows.numbers[[index.row() for index in self._selection_model.selectedRows()]].tolist()
        current = self._selection_model.currentIndex().row()
        last = [int(self.rows.numbers[current])] if 0 <= current < self.rows.rowCount() else []
        before = [number for number in self._session.selection if number in chosen and number not in last]
        others = [number for number in chosen if number not in before and number not in last]
        self._session.select([*before, *others, *(number for number in last if number in chosen)], visit=True)
        self._is_following = False

    @property
    def _selection_model(self) -> QItemSelectionModel:
        model = self.view.selectionModel()
        assert model is not None
        return model

    def _refilter(self, *_: Any) -> None:
        self._show_table(self._session.table)

    def _on_sorted(self, *_: Any) -> None:
        self._show_selection(self._session.selection)

    def _set_up_view(self) -> None:
        view = self.view
        view.setModel(self.rows)
        set_up_rows(view)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setToolTip("The objects; click one to go to it, with Ctrl or Shift several; click a heading to sort.")
        view.setWordWrap(False)
        view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header = view.horizontalHeader()
        assert header is not None
        header.setMinimumSectionSize(_NARROW)
        view.setSortingEnabled(True)
        view.sortByColumn(1, Qt.SortOrder.AscendingOrder)
        view.setFixedHeight(ROW_HEIGHT * (_N_ROWS + 2) + 14)
        header.sortIndicatorChanged.connect(self._on_sorted)

    def _connect(self) -> None:
        self.stale.native.setStyleSheet(_STALE)
        self.filter_error.native.setStyleSheet(_STALE)
        self._selection_model.selectionChanged.connect(self._on_rows)
        self.filter.native.textEdited.connect(self._refilter)  # at once, not at the end of typing
        self.filter.changed.connect(self._refilter)
        self.zoom.changed.connect(self._set_zoom)
        self._set_zoom()
        events = self._session.events
        events.table.connect(self._show_table)
        events.is_stale.connect(self._show_stale)
        events.selection.connect(self._show_selection)
        events.reviewed.connect(self._show_reviewed)
        self._show_stale(False)

    def _set_zoom(self, *_: Any) -> None:
        self._layers.zooms = bool(self.zoom.value)
