"""What napari's style sheet does not show: where the focus of the keyboard is, and the main button of a dock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtWidgets import QAbstractSpinBox, QWidget

from napari_unet3d.widgets.viewer.connections import connect_while_alive

_NO_BUTTONS = """
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { width: 0px; height: 0px; border: none; }
QAbstractSpinBox::up-arrow, QAbstractSpinBox::down-arrow { image: none; width: 0px; height: 0px; }
"""
_PRIMARY = "primary"  # a property of the main button of a dock
# Napari's style sheet shows neither the focus of the keyboard nor a default button. The border is there without the
# focus, too, so that nothing moves when it comes.
_STYLE = """
QPushButton, QComboBox, QAbstractSpinBox, QCheckBox, QRadioButton, QSlider, QAbstractItemView {{
    border: 1px solid transparent;
}}
QPushButton {{ padding: 3px; }}
QLineEdit {{ border: 1px solid transparent; padding: 1px; font-size: {font_size}pt; }}
QComboBox {{ padding: 2px 10px 2px 7px; }}
QComboBox QLineEdit, QAbstractSpinBox QLineEdit {{ border: none; }}
QAbstractItemView {{ outline: none; }}
QPushButton:disabled {{ border: 1px solid {primary}; }}
QPushButton[primary="true"] {{ background-color: {current}; font-weight: bold; padding: 6px; }}
QPushButton[primary="true"]:hover {{ background-color: {highlight}; }}
QPushButton[primary="true"]:disabled {{ background-color: {primary}; }}
QPushButton:focus, QComboBox:focus, QAbstractSpinBox:focus, QCheckBox:focus, QRadioButton:focus, QSlider:focus,
QAbstractItemView:focus, QLineEdit:focus {{ border: 1px solid {text}; }}
QComboBox QLineEdit:focus, QAbstractSpinBox QLineEdit:focus {{ border: none; }}
"""


def mark_as_primary(button: QWidget, *, is_primary: bool = True) -> None:
    """Mark the button that starts what a dock is for, or take the mark away when another one does next."""
    button.setProperty(_PRIMARY, is_primary)
    style = button.style()
    if style is not None:  # Qt looks at properties of a widget once
        style.unpolish(button)
        style.polish(button)


def style_for(viewer: Any) -> str:
    """Return the style sheet of a dock in the theme of a viewer and the font size of napari's preferences."""
    theme = get_theme(viewer.theme)
    names = ("primary", "current", "highlight", "text")
    colours = {name: getattr(theme, name).as_hex() for name in names}
    return _STYLE.format(font_size=font_size(), **colours)


def font_size() -> int:
    """Return the font size of napari's preferences in points."""
    return int(get_settings().appearance.font_size)


def follow_style(viewer: Any, widget: QWidget, slot: Callable[[Any], None]) -> None:
    """Connect a slot to changes of theme and font size for as long as a widget exists."""
    connect_while_alive(widget, viewer.events.theme, slot)
    connect_while_alive(widget, get_settings().appearance.events.font_size, slot)


def style_without_buttons(box: QAbstractSpinBox, style: str) -> None:
    """Set the style of a number box without buttons.

    With ``NoButtons``, Qt 6.11.3 leaves a pixel for the number where a style sheet places the buttons, as in napari.
    """
    box.setStyleSheet(f"{style} {_NO_BUTTONS}")
