"""One box per kind of setting: whole and decimal numbers, choices, switches, text, and tuples of them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Protocol, get_args, get_origin

from magicgui.widgets import CheckBox, ComboBox, LineEdit, SpinBox
from psygnal import Signal, SignalInstance
from qtpy.QtCore import QEvent, QLocale, QObject, Qt
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QDoubleSpinBox, QHBoxLayout, QLineEdit, QSizePolicy, QWidget

_LARGEST_INT = 2**31 - 1  # of a Qt box
_NARROW = "QAbstractSpinBox { min-width: 0px; padding: 1px 4px; }"  # napari's style asks for 70 px and two buttons


class Box(Protocol):
    """What a form needs of a box: a widget, a value that can be read and set, and a signal for changes."""

    value: Any

    @property
    def native(self) -> QWidget:
        """The Qt widget."""

    @property
    def changed(self) -> SignalInstance:
        """Emitted with the new value when user or program changed it."""


def box_for(annotation: Any, bounds: Mapping[str, Any]) -> Box:
    """Make the box for one setting.

    Parameters
    ----------
    annotation : type
        `bool`, `int`, `float`, `str`, an enum, a tuple of fixed length of numbers, or a tuple of any length of
        members of an enum, of texts, of numbers, or of either one member of an enum or three numbers.
    bounds : mapping
        ``low``, ``high``, ``step`` and ``zero`` as in `napari_unet3d.configs.setting`; each may be missing or None.

    Raises
    ------
    TypeError
        For any other type.
    """
    if get_origin(annotation) is tuple:
        elements = get_args(annotation)
        if elements[-1] is Ellipsis:
            return _list_box(elements[0], bounds)
        return RowBox([box_for(element, bounds) for element in elements])
    if annotation is bool:
        return _magic(CheckBox())
    if annotation is float:
        return _zero_in_words(FloatBox(bounds.get("low"), bounds.get("high"), bounds.get("step")), bounds)
    if annotation is int:
        low, high = bounds.get("low"), bounds.get("high")
        least = -_LARGEST_INT if low is None else int(low)
        box = SpinBox(value=least, min=least, max=_LARGEST_INT if high is None else int(high))
        box.native.setKeyboardTracking(False)  # a number counts when it is typed to its end
        box.native.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        return _zero_in_words(_magic(box), bounds)
    if annotation is str:
        return _magic(LineEdit())
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ChoiceBox(tuple(annotation))
    raise TypeError(f"There is no box for settings of type {annotation}")


def _list_box(element: Any, bounds: Mapping[str, Any]) -> Box:
    if get_origin(element) is not None:  # a mode or three numbers
        modes, number = get_args(element)
        return ModeOrTripleBox(tuple(modes), [box_for(number, bounds) for _ in range(3)])
    return ListBox(element) if element in (str, float) else ChecksBox(tuple(element))


def _zero_in_words(box: Box, bounds: Mapping[str, Any]) -> Box:
    if isinstance(words := bounds.get("zero"), str) and isinstance(box.native, QAbstractSpinBox):
        box.native.setSpecialValueText(words)  # Qt shows it for the lowest value, which is 0
    return box


def _magic(box: Any) -> Box:
    _ignore_stray_wheel(box.native)
    return box  # type: ignore[no-any-return]


class _WheelNeedsFocus(QObject):
    """Lets the wheel scroll the dock instead of changing a box that the pointer happens to pass over."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is None or event.type() != QEvent.Type.Wheel or not isinstance(watched, QWidget):
            return False
        if watched.hasFocus():
            return False
        event.ignore()
        return True


def _ignore_stray_wheel(widget: QWidget) -> None:
    if isinstance(widget, QAbstractSpinBox | QComboBox):
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(_WheelNeedsFocus(widget))


class ChoiceBox:
    """A menu of an enum's members, shown by their `words`."""

    changed = Signal(object)

    def __init__(self, members: Sequence[Any]) -> None:
        self._members = tuple(members)
        # The menu holds positions, since Qt would hand back a plain string for a member of a StrEnum.
        self._combo = ComboBox(choices=[(member.words, index) for index, member in enumerate(self._members)])
        self._combo.changed.connect(lambda index: self.changed.emit(self._members[index]))
        self.native: QWidget = self._combo.native
        self.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.native.setMinimumWidth(90)
        _ignore_stray_wheel(self.native)

    @property
    def value(self) -> Any:
        """The chosen member."""
        return self._members[self._combo.value]

    @value.setter
    def value(self, member: Any) -> None:
        self._combo.value = self._members.index(member)


class PlainDoubleSpinBox(QDoubleSpinBox):
    """A box for decimal numbers that shows no trailing zeros and understands ``1e-5`` and ``0,01``."""

    def textFromValue(self, value: float) -> str:
        """Write a number without trailing zeros."""
        text = f"{value:.{self.decimals()}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text

    def valueFromText(self, text: str | None) -> float:
        """Read a number in any of Python's spellings."""
        return float((text or "0").replace(",", "."))

    def validate(self, text: str | None, position: int) -> tuple[QValidator.State, str, int]:
        """Accept numbers within the bounds, and let the beginnings of numbers be typed."""
        text = (text or "").replace(",", ".")
        try:
            fits = self.minimum() <= float(text) <= self.maximum()
        except ValueError:
            begun = re.fullmatch(r"[-+]?\d*\.?\d*(e[-+]?\d*)?", text, re.IGNORECASE)
            return (QValidator.State.Intermediate if begun else QValidator.State.Invalid), text, position
        return (QValidator.State.Acceptable if fits else QValidator.State.Intermediate), text, position


class FloatBox:
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
        _ignore_stray_wheel(box)

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


class RowBox:
    """Small boxes side by side, for (z, y, x) or (from, to)."""

    changed = Signal(tuple)

    def __init__(self, boxes: Sequence[Box]) -> None:
        self._boxes = tuple(boxes)
        self.native = QWidget()
        layout = QHBoxLayout(self.native)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for box in self._boxes:
            if isinstance(box.native, QAbstractSpinBox):
                box.native.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
                box.native.setStyleSheet(_NARROW)
                box.native.setMinimumWidth(36)
                # The widest value must not decide about the width of the dock.
                box.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            layout.addWidget(box.native, 1)
            box.changed.connect(lambda *_: self.changed.emit(self.value))

    @property
    def value(self) -> tuple[Any, ...]:
        """The values of the boxes from left to right."""
        return tuple(box.value for box in self._boxes)

    @value.setter
    def value(self, values: Sequence[Any]) -> None:
        for box, value in zip(self._boxes, values, strict=True):
            box.value = value


class ModeOrTripleBox:
    """A menu of modes and, while its last entry is chosen, three small boxes for z, y, x.

    The value is a tuple of one mode or of three numbers, as the settings have it.
    """

    changed = Signal(tuple)

    def __init__(self, modes: Sequence[Any], boxes: Sequence[Box]) -> None:
        self._modes = tuple(modes)
        self._row = RowBox(boxes)
        texts = [*(mode.words for mode in self._modes), "z, y, x"]
        self._combo = ComboBox(choices=[(text, index) for index, text in enumerate(texts)])
        self.native = QWidget()
        layout = QHBoxLayout(self.native)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self._combo.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._combo.native.setMinimumWidth(70)
        _ignore_stray_wheel(self._combo.native)
        layout.addWidget(self._combo.native, 1)
        layout.addWidget(self._row.native, 2)
        self._row.native.hide()
        self._combo.changed.connect(self._on_mode)
        self._row.changed.connect(lambda *_: self.changed.emit(self.value))

    @property
    def value(self) -> tuple[Any, ...]:
        """One mode, or the three numbers."""
        index = self._combo.value
        return self._row.value if index == len(self._modes) else (self._modes[index],)

    @value.setter
    def value(self, value: Sequence[Any]) -> None:
        is_mode = len(value) == 1
        if not is_mode:
            self._row.value = value
        self._combo.value = self._modes.index(value[0]) if is_mode else len(self._modes)
        self._row.native.setVisible(not is_mode)

    def _on_mode(self, index: int) -> None:
        self._row.native.setVisible(index == len(self._modes))
        self.changed.emit(self.value)


class ListBox:
    """A line of texts or numbers with commas between them; the value is the tuple of them."""

    changed = Signal(tuple)

    def __init__(self, element: Callable[[str], Any]) -> None:
        self._element = element
        self._value: tuple[Any, ...] = ()
        self._line = QLineEdit()
        self._line.setPlaceholderText("a, b, …" if element is str else "1, 2, …")
        self._line.editingFinished.connect(self._on_edited)
        self.native: QWidget = self._line

    @property
    def value(self) -> tuple[Any, ...]:
        """What the line says; a line that cannot be understood goes back to what it was."""
        return self._value

    @value.setter
    def value(self, value: Sequence[Any]) -> None:
        self._value = tuple(value)
        self._line.setText(", ".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value))

    def _on_edited(self) -> None:
        parts = [part.strip() for part in self._line.text().split(",") if part.strip()]
        try:
            value = tuple(self._element(part) for part in parts)
        except ValueError:
            value = self._value
        changed = value != self._value
        self.value = value
        if changed:
            self.changed.emit(value)


class ChecksBox:
    """A check box per member of an enum; the value are the checked members in their order."""

    changed = Signal(tuple)

    def __init__(self, members: Sequence[Any]) -> None:
        self._members = tuple(members)
        self._checks = [CheckBox(text=str(member.value)) for member in self._members]
        self.native = QWidget()
        layout = QHBoxLayout(self.native)
        layout.setContentsMargins(0, 0, 0, 0)
        for check in self._checks:
            layout.addWidget(check.native)
            check.changed.connect(lambda *_: self.changed.emit(self.value))
        layout.addStretch(1)

    @property
    def value(self) -> tuple[Any, ...]:
        """The members whose boxes are checked."""
        return tuple(member for member, check in zip(self._members, self._checks, strict=True) if check.value)

    @value.setter
    def value(self, members: Sequence[Any]) -> None:
        for member, check in zip(self._members, self._checks, strict=True):
            check.value = member in members
