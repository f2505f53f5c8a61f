"""The number box of the forms: exact, without trailing zeros, and with a text for 0."""

from __future__ import annotations

import math
import re
from typing import Any

from magicgui.backends._qtpy.widgets import QBaseRangedWidget  # there is no public way to another box of Qt
from magicgui.widgets import SpinBox
from magicgui.widgets.bases import RangedWidget
from qtpy.QtCore import QEvent, QLocale, QObject, Qt
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QDoubleSpinBox, QSizePolicy, QWidget

from napari_unet3d.widgets.components.style import style_without_buttons

_LARGEST = 1e12
_COMPACT = "QAbstractSpinBox { min-width: 34px; padding: 1px 4px; }"  # napari's style asks for 70 px and two buttons
# Napari's style sheet leaves space for buttons in such boxes and makes them 70 pixels wide at least.
_STYLE = "QAbstractSpinBox { min-width: 38px; max-width: 38px; padding-left: 4px; padding-right: 4px; }"


class _WheelNeedsFocus(QObject):
    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        is_stray = isinstance(watched, QWidget) and not watched.hasFocus()
        if event is None or event.type() != QEvent.Type.Wheel or not is_stray:
            return False
        event.ignore()  # so that the dock scrolls
        return True


def ignore_stray_wheel(widget: QWidget) -> None:
    """Make a number box or a menu follow the wheel only while it has the focus."""
    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    widget.installEventFilter(_WheelNeedsFocus(widget))


class NumberBox(QDoubleSpinBox):
    """A box that shows no trailing zeros and understands ``1e-5`` and ``0,01``."""

    def textFromValue(self, value: float) -> str:
        """Write a number without trailing zeros."""
        text = f"{value:.{self.decimals()}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text

    def valueFromText(self, text: str | None) -> float:
        """Read a number in any of Python's spellings."""
        is_text_for_zero = text and text == self.specialValueText()
        return float(self.minimum()) if is_text_for_zero else float((text or "0").replace(",", "."))

    def validate(self, text: str | None, position: int) -> tuple[QValidator.State, str, int]:
        """Accept numbers within the bounds, and what may become one while it is typed."""
        text = (text or "").replace(",", ".")
        try:
            is_valid = text == self.specialValueText() != "" or self.minimum() <= float(text) <= self.maximum()
            state = QValidator.State.Acceptable if is_valid else QValidator.State.Intermediate
        except ValueError:
            is_begun = re.fullmatch(r"[-+]?\d*\.?\d*(e[-+]?\d*)?", text, re.IGNORECASE)
            state = QValidator.State.Intermediate if is_begun else QValidator.State.Invalid
        return state, text, position


class _Backend(QBaseRangedWidget):
    def __init__(self, decimals: int, **options: Any) -> None:
        super().__init__(NumberBox, **options)
        box: Any = self._qwidget
        box.setDecimals(decimals)
        box.setLocale(QLocale.c())
        box.setKeyboardTracking(False)  # a number counts when it is typed to its end
        ignore_stray_wheel(box)


class NumberEdit(RangedWidget[float]):
    """An `int` or a `float`; a value that a program has set is kept exactly until the user changes it.

    Parameters
    ----------
    annotation : type
        ``int`` or ``float``.
    step : float, optional
        The smallest difference that matters; it sets the number of decimals.
    zero_text : str, optional
        What the box shows for 0, where 0 is the smallest value and means something else, such as ``auto``.
    compact : bool
        Whether the box is one of several side by side.
    **options : Any
        As of `magicgui.widgets.FloatSpinBox`.
    """

    def __init__(
        self,
        *,
        annotation: Any,
        step: float | None = None,
        zero_text: str | None = None,
        compact: bool = False,
        **options: Any,
    ) -> None:
        self._type, self._exact, self._shown = annotation, math.nan, math.nan
        decimals = 0 if annotation is int else max(map(_decimals, (step or 0.01, options.get("min"))))
        options.update(widget_type=_Backend, backend_kwargs={"decimals": decimals}, step=None)
        super().__init__(annotation=annotation, **{"min": -_LARGEST, "max": _LARGEST, **options})
        self.native.setSpecialValueText(zero_text or "")
        if compact:
            style_without_buttons(self.native, _COMPACT)
            # The widest value must not decide about the width of the dock.
            self.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def get_value(self) -> Any:
        """Return the number; not rounded to what the box shows when a program has set it."""
        shown = super().get_value()
        return self._type(self._exact if shown == self._shown else shown)

    def set_value(self, value: float) -> None:
        """Set the number; one that is out of bounds raises a `ValueError`."""
        self._exact = value
        super().set_value(value)
        self._shown = super().get_value()


def _decimals(number: float | None) -> int:
    return max(0, math.ceil(-math.log10(abs(number)))) if number else 0


def number_box(tooltip: str, low: int, high: int, value: int) -> SpinBox:
    """Return a box for an integer that is as wide as its digits; wheel and arrow keys change it."""
    box = SpinBox(value=value, min=low, max=high, tooltip=tooltip)
    style_without_buttons(box.native, _STYLE)
    return box
