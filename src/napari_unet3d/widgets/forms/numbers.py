"""Number boxes: magicgui's, but with text for 0, without trailing zeros, and without rounding."""

from __future__ import annotations

import math
import re
from typing import Any

from magicgui.backends._qtpy.widgets import QBaseRangedWidget  # there is no public way to another box of Qt
from magicgui.widgets.bases import RangedWidget
from qtpy.QtCore import QEvent, QLocale, QObject, Qt
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QDoubleSpinBox, QSizePolicy, QSpinBox, QWidget

_LARGEST_INT = 2**31 - 1  # of a Qt box
_LARGEST_FLOAT = 1e12
_COMPACT = "QAbstractSpinBox { min-width: 0px; padding: 1px 4px; }"  # napari's style asks for 70 px and two buttons


class _WheelNeedsFocus(QObject):
    """Leaves the wheel to the dock, which scrolls, unless a box has the focus."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is None or event.type() != QEvent.Type.Wheel or not isinstance(watched, QWidget):
            return False
        if watched.hasFocus():
            return False
        event.ignore()
        return True


def ignore_stray_wheel(widget: QWidget) -> None:
    """Make a number box or a menu follow the wheel only while it has the focus."""
    if isinstance(widget, QAbstractSpinBox | QComboBox):
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(_WheelNeedsFocus(widget))


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
        """Accept numbers within the bounds, and what may become one while it is typed."""
        text = (text or "").replace(",", ".")
        if text and text == self.specialValueText():
            return QValidator.State.Acceptable, text, position
        try:
            fits = self.minimum() <= float(text) <= self.maximum()
        except ValueError:
            begun = re.fullmatch(r"[-+]?\d*\.?\d*(e[-+]?\d*)?", text, re.IGNORECASE)
            return (QValidator.State.Intermediate if begun else QValidator.State.Invalid), text, position
        return (QValidator.State.Acceptable if fits else QValidator.State.Intermediate), text, position


class _IntBackend(QBaseRangedWidget):
    def __init__(self, **options: Any) -> None:
        super().__init__(QSpinBox, **options)

    def _pre_set_hook(self, value: Any) -> int:
        return int(value)


class _FloatBackend(QBaseRangedWidget):
    def __init__(self, decimals: int, **options: Any) -> None:
        super().__init__(PlainDoubleSpinBox, **options)
        box: Any = self._qwidget
        box.setDecimals(decimals)
        box.setLocale(QLocale.c())


class IntEdit(RangedWidget[int]):
    """A whole number.

    Parameters
    ----------
    zero_text : str
        What the box shows for 0, where 0 is the smallest value and means something else, such as ``auto``.
    compact : bool
        Whether the box is one of several side by side.
    **options : Any
        As of `magicgui.widgets.SpinBox`.
    """

    def __init__(self, *, zero_text: str = "", compact: bool = False, **options: Any) -> None:
        options["widget_type"] = _IntBackend
        super().__init__(**{"min": -_LARGEST_INT, "max": _LARGEST_INT, **options, "step": None})
        _dress(self.native, zero_text, compact)


class FloatEdit(RangedWidget[float]):
    """A decimal number; a value that a program has set is kept exactly until the user changes it.

    Parameters
    ----------
    zero_text, compact : str, bool
        As of `IntEdit`.
    step : float
        The smallest difference that matters; it sets the number of decimals.
    **options : Any
        As of `magicgui.widgets.FloatSpinBox`.
    """

    def __init__(self, *, zero_text: str = "", compact: bool = False, step: float = 0.01, **options: Any) -> None:
        self._exact = math.nan
        self._decimals = max(_decimals(step), _decimals(options.get("min")))
        options.update(widget_type=_FloatBackend, backend_kwargs={"decimals": self._decimals})
        super().__init__(**{"min": -_LARGEST_FLOAT, "max": _LARGEST_FLOAT, **options, "step": None})
        _dress(self.native, zero_text, compact)

    def get_value(self) -> float:
        """Return the number; not rounded to what the box shows when a program has set it."""
        shown = super().get_value()
        return self._exact if round(self._exact, self._decimals) == shown else shown

    def set_value(self, value: float) -> None:
        """Set the number.

        Raises
        ------
        ValueError
            When it is out of bounds.
        """
        self._exact = float(value)
        super().set_value(value)


def _decimals(number: float | None) -> int:
    return max(0, math.ceil(-math.log10(abs(number)))) if number else 0


def _dress(box: Any, zero_text: str, compact: bool) -> None:
    box.setSpecialValueText(zero_text)  # Qt shows it for the smallest value
    box.setKeyboardTracking(False)  # a number counts when it is typed to its end
    ignore_stray_wheel(box)
    if compact:
        box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        box.setStyleSheet(_COMPACT)
        box.setMinimumWidth(30)
        # The widest value must not decide about the width of the dock.
        box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
