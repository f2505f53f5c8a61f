"""The lists of the dock *Dataset*: its volumes, what the check found, and what would be deleted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QStyle,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_unet3d.data.issues import Issue, Severity
from napari_unet3d.data.pairs import Pair
from napari_unet3d.data.series import list_time_points

_VISIBLE_ROWS = 7
_STRETCH, _AS_NEEDED = QHeaderView.ResizeMode.Stretch, QHeaderView.ResizeMode.ResizeToContents
_MAX_NAMED = 3


class PairList(QTreeWidget):
    """A row per volume: its name, its subset, and whether it has labels; a series can be opened to its time points.

    Attributes
    ----------
    delete_pressed : Signal()
        Emitted when the Delete key is pressed.
    """

    delete_pressed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderLabels(["Volume", "Subset", "Labels"])
        self.setToolTip("The volumes of the dataset; a double click opens one. Hold Ctrl or Shift to select several.")
        self.setIndentation(12)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setFixedHeight(self.fontMetrics().height() * (_VISIBLE_ROWS + 2) + 12)
        self.setMinimumWidth(200)
        if (header := self.header()) is not None:
            header.setStretchLastSection(False)
            for column, mode in enumerate((_STRETCH, _AS_NEEDED, _AS_NEEDED)):
                header.setSectionResizeMode(column, mode)

    @property
    def selected(self) -> Pair | None:
        """The selected volume, the first of several, or None."""
        items = self.selectedItems()
        return items[0].data(0, Qt.ItemDataRole.UserRole) if items else None

    @property
    def all_selected(self) -> list[Pair]:
        """The selected volumes, in the order of the list; of a time point, the whole series, whose files it shares."""
        items = {self.indexOfTopLevelItem(item.parent() or item) for item in self.selectedItems()}
        chosen = [self.topLevelItem(index) for index in sorted(items)]
        return [item.data(0, Qt.ItemDataRole.UserRole) for item in chosen if item is not None]

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Announce the Delete key."""
        if event is not None and event.key() == Qt.Key.Key_Delete:
            self.delete_pressed.emit()
        else:
            super().keyPressEvent(event)

    def show_pairs(self, pairs: Iterable[Pair]) -> None:
        """Add a row for each volume; that of a series has one for each time point below it."""
        has_series = False
        for pair in pairs:
            item = _item(pair)
            times = [each for each in list_time_points([pair]) if each is not pair]
            if times:
                item.setText(0, f"{pair.name} · {len(times)} time points")
                item.addChildren([_item(each) for each in times])
                has_series = True
            self.addTopLevelItem(item)
        self.setRootIsDecorated(has_series)


def _item(pair: Pair) -> QTreeWidgetItem:
    item = QTreeWidgetItem([pair.name, str(pair.subset.value), _state(pair)])
    item.setData(0, Qt.ItemDataRole.UserRole, pair)
    paths = (pair.image, pair.labels, pair.label_mask)
    item.setToolTip(0, "\n".join(str(path) for path in paths if path is not None))
    return item


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


def kept_text(folder: Path, kept: list[Path]) -> str:
    """Return a sentence that names what is kept because it is no volume, or an empty string."""
    if not kept:
        return ""
    names = ", ".join(str(path.relative_to(folder)) for path in kept[:_MAX_NAMED])
    others = f" and {len(kept) - _MAX_NAMED} more" if len(kept) > _MAX_NAMED else ""
    return f"Not moved, since no volume: {names}{others}."


class CleanDialog(QDialog):
    """Names every file that would go to the trash and what is kept; the caller moves them when it is accepted.

    Parameters
    ----------
    folder : Path
        The dataset.
    files, kept : list of Path
        What is moved, and what is not since it is no volume.
    parent : QWidget
        The dock.
    of : str
        Whose files they are, as in "the selected volume '3'"; by default those of all volumes.
    """

    def __init__(self, folder: Path, files: list[Path], kept: list[Path], parent: QWidget, of: str = "") -> None:
        super().__init__(parent)
        self.setWindowTitle("Move files to the trash?")
        stays = f"{kept_text(folder, kept)}\n\n" if kept else ""
        whose = of or "all volumes"
        text = QLabel(
            f"{stays}These {len(files)} files of {whose} in {folder} will be moved to the folder 'trash' in it:"
        )
        text.setWordWrap(True)
        names = QListWidget()
        names.addItems([str(path.relative_to(folder)) for path in files])
        self.move_button, self.cancel_button = QPushButton(f"Move {len(files)} files"), QPushButton("Cancel")
        self.move_button.setAutoDefault(False)
        self.cancel_button.setDefault(True)
        self.move_button.clicked.connect(self.accept)
        self.cancel_button.clicked.connect(self.reject)
        buttons = QDialogButtonBox()
        buttons.addButton(self.move_button, QDialogButtonBox.ButtonRole.DestructiveRole)
        buttons.addButton(self.cancel_button, QDialogButtonBox.ButtonRole.RejectRole)
        column = QVBoxLayout(self)
        for widget in (text, names, buttons):
            column.addWidget(widget)
        self.resize(480, 360)
