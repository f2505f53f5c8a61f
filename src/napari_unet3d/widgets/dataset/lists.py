"""The lists of the dock *Dataset*: the volumes of the folder, and what its check found."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QTreeWidget,
    QTreeWidgetItem,
)

from napari_unet3d.data.checks import Issue, Severity
from napari_unet3d.data.pairs import Pair

_VISIBLE_ROWS = 7
_STRETCH, _AS_NEEDED = QHeaderView.ResizeMode.Stretch, QHeaderView.ResizeMode.ResizeToContents


class PairList(QTreeWidget):
    """A row per volume: its name, its subset, and whether it has labels."""

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderLabels(["Volume", "Subset", "Labels"])
        self.setToolTip("The volumes of the dataset; a double click opens one.")
        self.setRootIsDecorated(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setFixedHeight(self.fontMetrics().height() * (_VISIBLE_ROWS + 2) + 12)
        self.setMinimumWidth(200)
        if (header := self.header()) is not None:
            header.setStretchLastSection(False)
            for column, mode in enumerate((_STRETCH, _AS_NEEDED, _AS_NEEDED)):
                header.setSectionResizeMode(column, mode)

    @property
    def selected(self) -> Pair | None:
        """The selected volume, or None."""
        items = self.selectedItems()
        return items[0].data(0, Qt.ItemDataRole.UserRole) if items else None

    def show_pairs(self, pairs: Iterable[Pair]) -> None:
        """Add a row for each volume."""
        for pair in pairs:
            item = QTreeWidgetItem([pair.name, str(pair.subset.value), _state(pair)])
            item.setData(0, Qt.ItemDataRole.UserRole, pair)
            paths = (pair.image, pair.labels, pair.label_mask)
            item.setToolTip(0, "\n".join(str(path) for path in paths if path is not None))
            self.addTopLevelItem(item)


class IssueList(QListWidget):
    """What a check found, with an icon for how serious it is."""

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip("What the check found, and what to do about it.")
        self.setWordWrap(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumHeight(120)

    def add(self, issue: Issue) -> None:
        """Add an issue, and show the list."""
        is_error = issue.severity is Severity.ERROR
        pixmap = QStyle.StandardPixmap.SP_MessageBoxCritical if is_error else QStyle.StandardPixmap.SP_MessageBoxWarning
        style = self.style()
        assert style is not None  # every widget has one
        item = QListWidgetItem(style.standardIcon(pixmap), issue.message)
        item.setToolTip(issue.message)
        self.addItem(item)
        self.show()


def _state(pair: Pair) -> str:
    if pair.image is None:
        return "no image"
    if pair.labels is None:
        return "missing"
    if pair.label_mask is not None:
        return "✓ in part"
    return "by order" if pair.matched_by_order else "✓"
