"""Boxes for several values: numbers side by side, a word or three numbers, a list, and checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from magicgui.widgets import CheckBox, ComboBox
from psygnal import Signal
from qtpy.QtWidgets import QAbstractSpinBox, QHBoxLayout, QLineEdit, QSizePolicy, QWidget

from napari_unet3d.widgets.forms.editors import FieldEditor, ignore_stray_wheel

_NARROW = "QAbstractSpinBox { min-width: 0px; padding: 1px 4px; }"  # napari's style asks for 70 px and two buttons


class RowEditor:
    """Small boxes side by side, for (z, y, x) or (from, to)."""

    changed = Signal(tuple)

    def __init__(self, boxes: Sequence[FieldEditor]) -> None:
        self._boxes = tuple(boxes)
        self.native = QWidget()
        layout = QHBoxLayout(self.native)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for box in self._boxes:
            if isinstance(box.native, QAbstractSpinBox):
                box.native.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
                box.native.setStyleSheet(_NARROW)
                box.native.setMinimumWidth(30)
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


class ModeOrTripleEditor:
    """A menu of modes and, while its last entry is chosen, three small boxes for z, y, x.

    The value is a tuple of one mode or of three numbers, as the settings have it.
    """

    changed = Signal(tuple)

    def __init__(self, modes: Sequence[Any], boxes: Sequence[FieldEditor]) -> None:
        self._modes = tuple(modes)
        self._row = RowEditor(boxes)
        texts = [*(mode.label for mode in self._modes), "z y x"]
        self._combo = ComboBox(choices=[(text, index) for index, text in enumerate(texts)])
        self.native = QWidget()
        layout = QHBoxLayout(self.native)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self._combo.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._combo.native.setMinimumWidth(82)
        ignore_stray_wheel(self._combo.native)
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

    @property
    def numbers(self) -> tuple[Any, ...]:
        """The three numbers, also while a mode is chosen."""
        return self._row.value

    @numbers.setter
    def numbers(self, numbers: Sequence[Any]) -> None:
        self._row.value = numbers

    def _on_mode(self, index: int) -> None:
        self._row.native.setVisible(index == len(self._modes))
        self.changed.emit(self.value)


class ListEditor:
    """A line of texts or numbers with commas between them; the value is the tuple of them."""

    changed = Signal(tuple)

    def __init__(self, element: Callable[[str], Any]) -> None:
        self._element = element
        self._value: tuple[Any, ...] = ()
        self._line = QLineEdit()
        self._line.setPlaceholderText("a, b, …" if element is str else "1, 2, …")
        self._line.setMinimumWidth(60)
        self._line.textEdited.connect(self._on_typed)  # at once, as a click on a button need not take the focus away
        self._line.editingFinished.connect(self._show)
        self.native: QWidget = self._line

    @property
    def value(self) -> tuple[Any, ...]:
        """What the line says; what cannot be understood is left out of account, and goes away with Enter."""
        return self._value

    @value.setter
    def value(self, value: Sequence[Any]) -> None:
        self._value = tuple(value)
        self._show()

    def _show(self) -> None:
        self._line.setText(", ".join(f"{part:g}" if isinstance(part, float) else str(part) for part in self._value))

    def _on_typed(self, text: str) -> None:
        try:
            value = tuple(self._element(part.strip()) for part in text.split(",") if part.strip())
        except ValueError:
            return
        if value != self._value:
            self._value = value
            self.changed.emit(value)


class CheckListEditor:
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
