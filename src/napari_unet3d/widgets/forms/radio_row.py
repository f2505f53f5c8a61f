"""A choice by radio buttons, which is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magicgui.widgets import RadioButtons
from psygnal import Signal
from qtpy.QtWidgets import QRadioButton

from napari_unet3d.session.preferences import load_preference, save_preference


class RadioRow(RadioButtons):
    """Radio buttons side by side; at first the one is chosen that the user chose last.

    Parameters
    ----------
    tooltips : dict of ChoiceEnum to str
        What can be chosen, with a tooltip; the first is chosen where nothing is remembered.
    remember_as : str
        Name under which the choice is kept.
    **options : Any
        As of `magicgui.widgets.RadioButtons`.

    Attributes
    ----------
    chosen : Signal(object)
        Emitted when the user has chosen, which is remembered; `changed` is also emitted when a program has.
    buttons : dict of ChoiceEnum to QRadioButton
    """

    chosen = Signal(object)

    def __init__(self, tooltips: Mapping[Any, str], remember_as: str, **options: Any) -> None:
        self._remember_as = remember_as
        super().__init__(choices=[(kind.label, kind) for kind in tooltips], orientation="horizontal", **options)
        self.native.setStyleSheet("QGroupBox { border: none; margin: 0; padding: 0; }")
        self.native.layout().setContentsMargins(0, 0, 0, 0)
        self.native.layout().addStretch(1)
        self.buttons: dict[Any, QRadioButton] = dict(zip(tooltips, self.native.findChildren(QRadioButton), strict=True))
        for kind, button in self.buttons.items():
            button.setToolTip(tooltips[kind])
            button.clicked.connect(self._on_click)
        known = load_preference(remember_as)
        self.value = next((kind for kind in tooltips if kind == known), next(iter(tooltips)))

    def reset_choices(self, *_: Any) -> None:
        """Keep the buttons, once there are any; magicgui makes new ones whenever the layers change."""
        if len(self) == 0:
            super().reset_choices()

    def keep(self) -> None:
        """Remember what is chosen."""
        save_preference(self._remember_as, self.value.value)

    def _on_click(self) -> None:
        self.keep()
        self.chosen.emit(self.value)
