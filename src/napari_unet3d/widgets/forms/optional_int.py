"""An editor for a whole number that may be left out."""

from __future__ import annotations

from magicgui.widgets import ComboBox
from psygnal import Signal
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from napari_unet3d.widgets.forms.editors import IntEditor, ignore_stray_wheel


class OptionalIntEditor:
    """A menu of none and value and, while value is chosen, a box for the number; its value is None or the number.

    Parameters
    ----------
    minimum, maximum : float, optional
        Smallest and largest number.
    """

    changed = Signal(object)

    def __init__(self, minimum: float | None, maximum: float | None) -> None:
        self._combo = ComboBox(choices=[("none", False), ("value", True)])
        self._number = IntEditor(minimum, maximum)
        self.native = QWidget()
        layout = QHBoxLayout(self.native)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in (self._combo.native, self._number.native):
            part.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            part.setMinimumWidth(70)
            layout.addWidget(part, 1)
        ignore_stray_wheel(self._combo.native)
        self._number.native.hide()
        self._combo.changed.connect(self._on_choice)
        self._number.changed.connect(lambda *_: self.changed.emit(self.value))

    @property
    def value(self) -> int | None:
        """The number, or None."""
        return self._number.value if self._combo.value else None

    @value.setter
    def value(self, value: int | None) -> None:
        if value is not None:
            self._number.value = value
        self._combo.value = value is not None

    def _on_choice(self, has_number: bool) -> None:
        self._number.native.setVisible(has_number)
        self.changed.emit(self.value)
