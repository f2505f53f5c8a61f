"""Choices in a form: a menu of an enum, a check box per member, a word or numbers, and a list of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from magicgui.type_map import register_type
from magicgui.types import Undefined
from magicgui.widgets import CheckBox, ComboBox, LineEdit, Widget
from magicgui.widgets.bases import ValuedContainerWidget
from qtpy.QtWidgets import QSizePolicy

from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.widgets.forms.numbers import ignore_stray_wheel

_LEAST_WIDTH = 82


class EnumMenu(ComboBox):
    """A menu of the members of an enum, shown by their labels."""

    def __init__(self, *, annotation: type[ChoiceEnum], **options: Any) -> None:
        choices = [(member.label, member) for member in annotation]
        super().__init__(annotation=annotation, **{**options, "choices": choices, "nullable": False})
        narrow(self)

    def get_value(self) -> Any:
        """Return the member; Qt hands back a plain string for it."""
        return self.annotation(super().get_value())

    def _on_value_change(self, value: Any = None) -> None:
        super()._on_value_change(None if value is None else self.annotation(value))


register_type(ChoiceEnum, widget_type=EnumMenu)  # all our enums


class CheckList(ValuedContainerWidget[tuple[Any, ...]]):
    """A check box for each member of an enum; the value is the tuple of those that are checked, in their order.

    Parameters
    ----------
    members : sequence of ChoiceEnum
        What can be checked.
    **options : Any
        As of every container of magicgui.
    """

    def __init__(self, members: Sequence[ChoiceEnum], value: Any = Undefined, **options: Any) -> None:
        self._members = tuple(members)
        self._boxes = [CheckBox(text=str(member.value)) for member in self._members]
        super().__init__(widgets=self._boxes, labels=False, layout="horizontal", value=value, **options)
        self.margins = (0, 0, 0, 0)
        self.native.layout().addStretch(1)
        for box in self._boxes:
            box.changed.connect(lambda: self.changed.emit(self.value))

    def get_value(self) -> tuple[Any, ...]:
        """Return the members whose boxes are checked."""
        return tuple(member for member, box in zip(self._members, self._boxes, strict=True) if box.value)

    def set_value(self, value: Sequence[ChoiceEnum]) -> None:
        """Check the boxes of these members and of no other."""
        for member, box in zip(self._members, self._boxes, strict=True):
            box.value = member in value


class WordOrNumbers(ValuedContainerWidget[Any]):
    """A menu of words and, while its last entry is chosen, boxes for numbers at its right.

    Parameters
    ----------
    words : sequence of (str, value)
        The first entries of the menu, and the value that each stands for.
    last : str
        The last entry.
    editor : Widget
        What is shown for the last entry; its value is then that of the whole.
    **options : Any
        As of every container of magicgui.
    """

    def __init__(
        self, words: Sequence[tuple[str, Any]], last: str, editor: Any, value: Any = Undefined, **options: Any
    ) -> None:
        self._values = [each for _, each in words]
        texts = [*(text for text, _ in words), last]
        self.menu: Any = ComboBox(choices=[(text, index) for index, text in enumerate(texts)])
        self.numbers = editor
        narrow(self.menu)
        super().__init__(widgets=[self.menu, editor], labels=False, layout="horizontal", **options)
        self.margins = (0, 0, 0, 0)
        self.native.layout().setSpacing(4)
        self.native.layout().setStretch(0, 1)
        self.native.layout().setStretch(1, 2)
        self._show_numbers()
        self.menu.changed.connect(self._on_menu)
        editor.changed.connect(lambda: self.changed.emit(self.value))
        if value is not Undefined:
            self.value = value

    def get_value(self) -> Any:
        """Return what the word stands for, or the numbers."""
        return self._values[self.menu.value] if self.menu.value < len(self._values) else self.numbers.value

    def set_value(self, value: Any) -> None:
        """Choose a word by what it stands for, a mode such as ``"auto"`` alone or in a tuple, or numbers."""
        if isinstance(value, str):
            value = (value,)
        if value in self._values:
            self.menu.value = self._values.index(value)
        else:
            self.numbers.value = value
            self.menu.value = len(self._values)

    def _on_menu(self) -> None:
        self._show_numbers()
        self.changed.emit(self.value)

    def _show_numbers(self) -> None:
        self.numbers.visible = self.menu.value == len(self._values)


class ListLine(LineEdit):
    """A line of texts or numbers with commas between them; the value is the tuple of them.

    Parameters
    ----------
    element : callable
        Makes a value of a text; it raises a `ValueError` for a text that is none.
    **options : Any
        As of `magicgui.widgets.LineEdit`.
    """

    def __init__(self, element: Callable[[str], Any], **options: Any) -> None:
        self._element = element
        self._values: tuple[Any, ...] = ()
        super().__init__(**options)
        self.native.setPlaceholderText("a, b, …" if element is str else "1, 2, …")
        self.native.setMinimumWidth(60)
        self.native.textEdited.connect(self._on_typed)  # at once, as a click on a button need not take the focus away
        self.native.editingFinished.connect(self._show)

    def get_value(self) -> Any:
        """Return the values; what could not be understood is left out, and disappears with Enter."""
        return self._values

    def set_value(self, value: Sequence[Any]) -> None:
        """Show these values."""
        self._values = tuple(value)
        self._show()
        self.changed.emit(self._values)

    def _on_value_change(self, value: Any = None) -> None:
        """Leave it to `_on_typed`: the text may show numbers with fewer digits than they have."""

    def _on_typed(self, text: str) -> None:
        try:
            values = tuple(self._element(part.strip()) for part in text.split(",") if part.strip())
        except ValueError:
            return
        if values != self._values:
            self._values = values
            self.changed.emit(values)

    def _show(self) -> None:
        super().set_value(", ".join(f"{part:g}" if isinstance(part, float) else str(part) for part in self._values))


def narrow(menu: Widget) -> None:
    """Keep the longest entry of a menu from widening the dock, and stray turns of the wheel from changing it."""
    menu.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    menu.native.setMinimumWidth(_LEAST_WIDTH)
    ignore_stray_wheel(menu.native)
