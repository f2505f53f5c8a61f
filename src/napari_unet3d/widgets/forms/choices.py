"""Choices: menus of enums and of layers, radio buttons, check boxes, a word or numbers, and lists of values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from magicgui.type_map import register_type
from magicgui.types import Undefined
from magicgui.widgets import CheckBox, ComboBox, LineEdit, RadioButtons
from magicgui.widgets.bases import ValuedContainerWidget
from qtpy.QtWidgets import QComboBox, QRadioButton, QSizePolicy

from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.widgets.forms.numbers import NumberEdit, ignore_stray_wheel

_LEAST_LETTERS = 12  # as wide as an X, that a menu shows: about 14 of a name
_MOST_LETTERS_IN_A_ROW = 12  # of the texts of check boxes, so that a dock does not become wider
WidgetT = TypeVar("WidgetT", bound=Any)
_NO_FRAME = "QGroupBox { border: none; margin: 0px; padding: 0px; }"


def remembered(widget: WidgetT, key: str) -> WidgetT:
    """Set a widget to the value that it had last, and remember each value that it gets from now on.

    Parameters
    ----------
    widget : ValueWidget
        A widget of magicgui; its value is one that `json` writes.
    key : str
        Name under which the value is kept; what is kept there and is no value of the widget is left out.
    """
    if (known := load_preference(key)) is not None:
        with suppress(ValueError, TypeError):
            widget.value = known
    widget.changed.connect(lambda value: save_preference(key, value))
    return widget


class Menu(ComboBox):
    """A menu whose longest entry does not widen the dock, and which stray turns of the wheel do not change."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        narrow(self)
        ignore_stray_wheel(self.native)


def narrow(menu: ComboBox, n_letters: int = _LEAST_LETTERS) -> None:
    """Keep long entries of a menu from widening the dock, and the dock from cutting off short ones."""
    menu.native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    menu.native.setMinimumContentsLength(n_letters)
    menu.native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


class EnumMenu(Menu):
    """A menu of the members of an enum, shown by their labels."""

    def __init__(self, *, annotation: type[ChoiceEnum], **options: Any) -> None:
        options.update(choices=[(member.label, member) for member in annotation], nullable=False)
        super().__init__(annotation=annotation, **options)
        self.native.setMinimumContentsLength(min(_LEAST_LETTERS, max(len(member.label) for member in annotation)))

    def get_value(self) -> Any:
        """Return the member; Qt hands back a plain string for it."""
        return self.annotation(super().get_value())

    def _on_value_change(self, value: Any = None) -> None:
        super()._on_value_change(None if value is None else self.annotation(value))


register_type(ChoiceEnum, widget_type=EnumMenu)  # and all that inherit from it


class _Row(ValuedContainerWidget[Any]):
    """Widgets, by default side by side, that have one value together."""

    def __init__(self, *widgets: Any, value: Any = Undefined, **options: Any) -> None:
        super().__init__(widgets=widgets, value=value, **{"layout": "horizontal", **options, "labels": False})
        self.margins = (0, 0, 0, 0)
        self.native.layout().setSpacing(4)
        for widget in widgets:
            widget.changed.connect(lambda: self.changed.emit(self.value))


class CheckList(_Row):
    """A check box for each of some members of an enum; the value is the tuple of those that are checked."""

    def __init__(self, members: Sequence[ChoiceEnum], **options: Any) -> None:
        self._boxes = {member: CheckBox(text=str(member.value)) for member in members}
        is_wide = sum(len(member.value) for member in members) > _MOST_LETTERS_IN_A_ROW
        super().__init__(*self._boxes.values(), **{"layout": "vertical" if is_wide else "horizontal", **options})
        self.native.layout().addStretch(1)

    def get_value(self) -> tuple[ChoiceEnum, ...]:
        """Return the members whose boxes are checked."""
        return tuple(member for member, box in self._boxes.items() if box.value)

    def set_value(self, value: Sequence[ChoiceEnum]) -> None:
        """Check the boxes of these members and of no other."""
        for member, box in self._boxes.items():
            box.value = member in value


class WordOrNumbers(_Row):
    """A menu of words and, while its last entry is chosen, another widget, whose value is then that of the whole.

    Parameters
    ----------
    words : sequence of (str, value)
        The first entries of the menu, and the value that each stands for.
    last : str
        The last entry.
    editor : Widget
        What is shown for the last entry.
    **options : Any
        As of every container of magicgui.
    """

    def __init__(self, words: Sequence[tuple[str, Any]], last: str, editor: Any, **options: Any) -> None:
        self._values, texts = [value for _, value in words], [*(text for text, _ in words), last]
        self.menu: Any = Menu(choices=[(text, index) for index, text in enumerate(texts)])
        self.menu.native.setMinimumContentsLength(min(_LEAST_LETTERS, max(map(len, texts))))  # leaves space for numbers
        self.editor = editor
        self.menu.changed.connect(self._show_editor)
        super().__init__(self.menu, editor, **options)
        for index, stretch in enumerate((1, 2)):
            self.native.layout().setStretch(index, stretch)
        self._show_editor()

    def get_value(self) -> Any:
        """Return what the word stands for, or the value of the editor."""
        return self.editor.value if self.menu.value == len(self._values) else self._values[self.menu.value]

    def set_value(self, value: Any) -> None:
        """Choose the word that stands for a value (``"auto"`` is taken for ``("auto",)``), or else set the editor."""
        value = (value,) if isinstance(value, str) else value
        is_word = value in self._values
        if not is_word:
            self.editor.value = value
        self.menu.value = self._values.index(value) if is_word else len(self._values)

    def _show_editor(self) -> None:
        self.editor.visible = self.menu.value == len(self._values)


def optional_int(minimum: int, maximum: int) -> WordOrNumbers:
    """Return a widget for a whole number or None."""
    return WordOrNumbers([("none", None)], "value", NumberEdit(annotation=int, min=minimum, max=maximum))


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


class RadioChoice(RadioButtons):
    """A radio button per member, side by side; the member that was chosen last is chosen at first.

    Parameters
    ----------
    tooltips : dict of ChoiceEnum to str
        The members and their tooltips; the first member is chosen where nothing is remembered.
    remember_as : str
        Name under which the choice is kept.
    **options : Any
        As of `magicgui.widgets.RadioButtons`.

    Attributes
    ----------
    is_chosen : bool
        Whether it was chosen here, rather than remembered or preferred.
    """

    def __init__(self, tooltips: Mapping[Any, str], remember_as: str, **options: Any) -> None:
        choices = [(member.label, member) for member in tooltips]
        super().__init__(choices=choices, orientation="horizontal", **options)
        self.value = next(iter(tooltips))
        remembered(self, remember_as)
        self.is_chosen = False
        self.changed.connect(self._on_chosen)
        self.native.setStyleSheet(_NO_FRAME)
        layout = self.native.layout()
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addStretch(1)
        for member, tooltip in tooltips.items():
            self.button(member).setToolTip(tooltip)

    def button(self, member: ChoiceEnum) -> QRadioButton:
        """Return the button of a member."""
        buttons: list[QRadioButton] = self.native.findChildren(QRadioButton)
        return next(button for button in buttons if button.text() == member.label)

    def _on_chosen(self) -> None:
        self.is_chosen = True

    def prefer(self, member: ChoiceEnum) -> None:
        """Choose a member without remembering it, and without `changed`."""
        with self.changed.blocked():
            self.value = member

    def reset_choices(self, *_: Any) -> None:
        """Keep the buttons: the members of an enum do not change."""
        if not self.choices:
            super().reset_choices()
