"""Small boxes for numbers that stand in a sentence."""

from __future__ import annotations

from qtpy.QtWidgets import QAbstractSpinBox, QHBoxLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

# Napari's style sheet gives such boxes room for buttons and 70 pixels at least.
_STYLE = "QSpinBox { min-width: 38px; max-width: 38px; padding-left: 4px; padding-right: 4px; }"


def number_box(tooltip: str, low: int, high: int, value: int) -> QSpinBox:
    """Make a box for a whole number that is no wider than its digits; wheel and arrow keys change it."""
    box = QSpinBox()
    box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
    box.setStyleSheet(_STYLE)
    box.setRange(low, high)
    box.setValue(value)
    box.setToolTip(tooltip)
    return box


def add_words(column: QVBoxLayout, *items: QWidget | str) -> None:
    """Add a row of words and boxes to a column, one after the other like a sentence."""
    row = QHBoxLayout()
    row.setSpacing(6)
    for item in items:
        row.addWidget(QLabel(item) if isinstance(item, str) else item)
    row.addStretch(1)
    column.addLayout(row)
