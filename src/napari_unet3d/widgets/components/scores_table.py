"""A small table of volumes and how well they were predicted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_unet3d.evaluation.metrics.types import Scores

_ROW_HEIGHT = 22


class _Column(NamedTuple):
    heading: str
    explanation: str
    words: Callable[[Any], str]  # of a Scores or ClassScores


def _part(attribute: str) -> Callable[[Any], str]:
    def words(scores: Any) -> str:
        number = getattr(scores, attribute)
        return "–" if number is None else f"{number:.3f}"

    return words


def _length(scores: Any) -> str:
    if scores.hd95_um is None:
        return "–"
    decimals = 2 if scores.hd95_um < 10 else 1 if scores.hd95_um < 100 else 0
    return f"{scores.hd95_um:.{decimals}f}"


def _number(number: float) -> str:
    return f"{number:.0f}" if number == round(number) else f"{number:.1f}"  # a mean


def _of_objects(words: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda scores: "–" if scores.objects is None else words(scores.objects)


_DICE = _Column(
    "Dice", "Twice the shared foreground divided by the sum of both: 0 is no agreement, 1 is full.", _part("dice")
)
_FOREGROUND = (
    _DICE,
    _Column("IoU", "Shared foreground divided by the foreground of either (intersection over union).", _part("iou")),
    _Column("Prec.", "Precision: the part of the predicted foreground that is right.", _part("precision")),
    _Column("Recall", "The part of the true foreground that was found.", _part("recall")),
    _Column(
        "HD95",
        "Hausdorff distance: 95 % of each surface is at most this far from the other one, in µm.",
        _length,
    ),
    _Column(
        "NSD", "Normalised surface Dice: the part of both surfaces that agrees within the tolerance.", _part("nsd")
    ),
)
_OBJECTS = (
    _DICE,
    _Column(
        "F1", "Objects: 2 found / (true + predicted), found with an IoU of at least 0.5.", _of_objects(_part("f1"))
    ),
    _Column(
        "AP",
        "Objects: found / (found + extra + missed), averaged over the IoU thresholds 0.5, 0.55, … 0.95.",
        _of_objects(_part("ap")),
    ),
    _Column(
        "Found",
        "How many of the true objects were found, with an IoU of at least 0.5.",
        _of_objects(lambda objects: f"{_number(objects.n_found)}/{_number(objects.n_true)}"),
    ),
    _Column(
        "Split",
        "True objects that were predicted as two or more.",
        _of_objects(lambda each: _number(each.n_split)),
    ),
    _Column(
        "Merg.",
        "Predicted objects that are two or more true ones.",
        _of_objects(lambda objects: _number(objects.n_merged)),
    ),
)


class ScoresTable(QTableWidget):
    """One row per volume, below it one per class, and the mean last when there are several; hidden while empty.

    `cellDoubleClicked` tells the row that the user wants to see.

    Parameters
    ----------
    most_rows : int
        How many rows are in view without scrolling.

    Attributes
    ----------
    names : list of str
        The volume that each row belongs to.
    """

    def __init__(self, most_rows: int = 6) -> None:
        super().__init__(0, 0)
        self._most_rows = most_rows
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setShowGrid(False)
        self.setStyleSheet("QHeaderView::section { padding: 1px 2px; }")  # room for the names
        for rows in (self.verticalHeader(),):
            assert rows is not None
            rows.hide()
            rows.setDefaultSectionSize(_ROW_HEIGHT)
        self._columns: tuple[_Column, ...] = ()
        self._set_columns(_FOREGROUND)
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
        self._set_columns(_FOREGROUND)
        self.hide()

    def show_scores(self, scores: Scores, *, bold: bool = False) -> None:
        """Add a row and one for each class, or replace those of the same volume."""
        if not bold:
            self._scores[scores.name] = scores
        if scores.instances is not None:  # they are measured last: until then their columns stay, with dashes
            self._set_columns(_OBJECTS)
        first = self._rows_for(scores.name, 1 + len(scores.classes))
        self._fill(first, scores.name, scores, bold=bold)
        for row, of_class in enumerate(scores.classes, start=first + 1):
            self._fill(row, f"   {of_class.name}", of_class, bold=bold)

    def show_name(self, name: str) -> None:
        """Add a row for a volume that there is no truth for."""
        self._fill(self._rows_for(name, 1), name, None)

    def show_mean(self, scores: Scores) -> None:
        """Add or replace the row of the mean, which cannot be opened."""
        self.show_scores(scores, bold=True)

    def _set_columns(self, columns: tuple[_Column, ...]) -> None:
        if columns == self._columns:
            return
        self._columns = columns
        self.setColumnCount(1 + len(columns))
        self.setHorizontalHeaderLabels(["Name", *(column.heading for column in columns)])
        for number, column in enumerate(columns, start=1):
            item = self.horizontalHeaderItem(number)
            assert item is not None
            item.setToolTip(column.explanation)
        if (item := self.horizontalHeaderItem(0)) is not None:
            item.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header = self.horizontalHeader()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(30)
        header.setHighlightSections(False)

    def _rows_for(self, name: str, n_rows: int) -> int:
        """Make as many rows for a volume as it needs, at the end if it has none yet, and give the first."""
        first = self.names.index(name) if name in self.names else len(self.names)
        n_before = self.names.count(name)
        for _ in range(n_before, n_rows):
            self.insertRow(first + n_before)
        for _ in range(n_rows, n_before):
            self.removeRow(first + n_rows)
        self.names[first : first + n_before] = [name] * n_rows
        header = self.horizontalHeader()
        assert header is not None
        self.setFixedHeight(header.sizeHint().height() + _ROW_HEIGHT * min(self._most_rows, len(self.names)) + 6)
        self.show()
        return first

    def _fill(self, row: int, words: str, scores: Any, *, bold: bool = False) -> None:
        cells: Sequence[str] = ["–" if scores is None else column.words(scores) for column in self._columns]
        for number, text in enumerate([words, *cells]):
            item = QTableWidgetItem(text)
            font = item.font()
            font.setBold(bold)
            item.setFont(font)
            if number:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            else:
                item.setToolTip(text.strip())
            self.setItem(row, number, item)
