"""Boxes for one value: a choice, and a decimal number; and what every box of a form must have."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Protocol

from magicgui.widgets import ComboBox
from psygnal import Signal, SignalInstance
from qtpy.QtCore import QEvent, QLocale, QObject, Qt
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QDoubleSpinBox, QSizePolicy, QSpinBox, QWidget

_LARGEST_INT = 2**31 - 1  # of a Qt box


class FieldEditor(Protocol):
    """What a form needs of a box: a widget, a value that can be read and set, and a signal for changes."""

    value: Any

    @property
    def native(self) -> QWidget:
        """The Qt widget."""

    @property
    def changed(self) -> SignalInstance:
        """Emitted with the new value when user or program changed it."""


class _WheelNeedsFocus(QObject):
    """Lets the wheel scroll the dock instead of changing a box that the pointer happens to pass over."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is None or event.type() != QEvent.Type.Wheel or not isinstance(watched, QWidget):
            return False
        if watched.hasFocus():
            return False
        event.ignore()
        return True


def ignore_stray_wheel(widget: QWidget) -> None:
    """Let a number box or menu turn with the wheel only while it has the focus."""
    if isinstance(widget, QAbstractSpinBox | QComboBox):
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(_WheelNeedsFocus(widget))


class ChoiceEditor:
    """A menu of an enum's members, shown by their `words`."""

    changed = Signal(object)

    def __init__(self, members: Sequence[Any]) -> None:
        self._members = tuple(members)
        # The menu holds positions, since Qt would hand back a plain string for a member of a StrEnum.
        self._combo = ComboBox(choices=[(member.label, index) for index, member in enumerate(self._members)])
        self._combo.changed.connect(lambda index: self.changed.emit(self._members[index]))
        self.native: QWidget = self._combo.native
        self.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.native.setMinimumWidth(90)
        ignore_stray_wheel(self.native)

    @property
    def value(self) -> Any:
        """The chosen member."""
        return self._members[self._combo.value]

    @value.setter
    def value(self, member: Any) -> None:
        self._combo.value = self._members.index(member)


class IntEditor:
    """A whole number, in a box of Qt: the one of magicgui has no words for 0."""

    changed = Signal(int)

    def __init__(self, low: float | None, high: float | None) -> None:
        box = QSpinBox()
        box.setRange(-_LARGEST_INT if low is None else int(low), _LARGEST_INT if high is None else int(high))
        box.setKeyboardTracking(False)  # a number counts when it is typed to its end
        box.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        box.valueChanged.connect(self.changed.emit)
        self._box = box
        self.native: QWidget = box
        ignore_stray_wheel(box)

    @property
    def value(self) -> int:
        """The number."""
        return int(self._box.value())

    @value.setter
    def value(self, number: int) -> None:
        self._box.setValue(number)


class PlainDoubleSpinBox(QDoubleSpinBox):
    """A box for decimal numbers that shows no trailing zeros and understands ``1e-5`` and ``0,01``."""

    def textFromValue(self, value: float) -> str:
        """Write a number without trailing zeros."""
        text = f"{value:.{self.decimals()}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text

    def valueFromText(self, text: str | None) -> float:
        """Read a number in any of Python's spellings."""
        if text and text == self.specialValueText():
            return float(self.minimum())
        return float((text or "0").replace(",", "."))

    def validate(self, text: str | None, position: int) -> tuple[QValidator.State, str, int]:
        """Accept numbers within the bounds, and let the beginnings of numbers be typed."""
        text = (text or "").replace(",", ".")
        if text and text == self.specialValueText():
            return QValidator.State.Acceptable, text, position
        try:
            fits = self.minimum() <= float(text) <= self.maximum()
        except ValueError:
            begun = re.fullmatch(r"[-+]?\d*\.?\d*(e[-+]?\d*)?", text, re.IGNORECASE)
            return (QValidator.State.Intermediate if begun else QValidator.State.Invalid), text, position
        return (QValidator.State.Acceptable if fits else QValidator.State.Intermediate), text, position


class FloatEditor:
    """A decimal number; it keeps the exact value that it was given until the user changes it."""

    changed = Signal(float)

    def __init__(self, low: float | None, high: float | None, step: float | None) -> None:
        box = PlainDoubleSpinBox()
        box.setLocale(QLocale.c())
        box.setDecimals(max(_decimals(step or 0.01), _decimals(low)))
        box.setRange(-1e12 if low is None else low, 1e12 if high is None else high)
        box.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        box.setKeyboardTracking(False)
        box.valueChanged.connect(self._on_change)
        self._exact = box.value()
        self._box = box
        self.native: QWidget = box
        ignore_stray_wheel(box)

    @property
    def value(self) -> float:
        """The number; not rounded to what the box shows when it was set by the program."""
        return self._exact

    @value.setter
    def value(self, number: float) -> None:
        self._box.setValue(number)
        self._exact = float(number)

    def _on_change(self, number: float) -> None:
        self._exact = number
        self.changed.emit(number)


def _decimals(number: float | None) -> int:
    return max(0, math.ceil(-math.log10(abs(number)))) if number else 0
