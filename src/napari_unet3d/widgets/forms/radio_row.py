"""A choice by radio buttons, which is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QRadioButton, QWidget

from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.session.preferences import load_preference, save_preference

Kind = TypeVar("Kind", bound=ChoiceEnum)


class RadioRow(QWidget, Generic[Kind]):
    """One radio button for each kind, side by side; at first the one that a person chose last.

    Parameters
    ----------
    kinds : dict of Choice to str
        What can be chosen, with a tooltip; the first is chosen where nothing is remembered.
    remember_as : str
        Name under which the choice is kept.

    Attributes
    ----------
    chosen : Signal()
        A person has chosen, which is remembered; what a program sets is neither told nor remembered.
    buttons : dict of Choice to QRadioButton
    """

    chosen = Signal()

    def __init__(self, kinds: Mapping[Kind, str], remember_as: str) -> None:
        super().__init__()
        self._remember_as = remember_as
        self.buttons = {kind: QRadioButton(kind.label) for kind in kinds}
        row, group = QHBoxLayout(self), QButtonGroup(self)
        row.setContentsMargins(0, 0, 0, 0)
        for kind, button in self.buttons.items():
            button.setToolTip(kinds[kind])
            group.addButton(button)
            row.addWidget(button)
        row.addStretch(1)
        group.buttonClicked.connect(self._on_click)
        known = load_preference(remember_as)
        self.value = next((kind for kind in kinds if kind == known), next(iter(kinds)))

    @property
    def value(self) -> Kind:
        """What is chosen."""
        return next(kind for kind, button in self.buttons.items() if button.isChecked())

    @value.setter
    def value(self, kind: Kind) -> None:
        self.buttons[kind].setChecked(True)

    def keep(self) -> None:
        """Remember what is chosen."""
        save_preference(self._remember_as, self.value.value)

    def _on_click(self) -> None:
        self.keep()
        self.chosen.emit()
