"""A choice between the members of an enum by radio buttons, which is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magicgui.widgets import RadioButtons
from qtpy.QtWidgets import QRadioButton

from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.session.preferences import load_preference, save_preference

_NO_FRAME = "QGroupBox { border: none; margin: 0px; padding: 0px; }"


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
    """

    def __init__(self, tooltips: Mapping[Any, str], remember_as: str, **options: Any) -> None:
        self._remember_as, known = remember_as, load_preference(remember_as)
        chosen: ChoiceEnum = next((member for member in tooltips if member == known), next(iter(tooltips)))
        choices = [(member.label, member) for member in tooltips]
        super().__init__(choices=choices, orientation="horizontal", **options)
        self.value = chosen
        self.native.setStyleSheet(_NO_FRAME)
        layout = self.native.layout()
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addStretch(1)
        for member, tooltip in tooltips.items():
            self.button(member).setToolTip(tooltip)
        self.changed.connect(self._keep)

    def button(self, member: ChoiceEnum) -> QRadioButton:
        """Return the button of a member."""
        buttons: list[QRadioButton] = self.native.findChildren(QRadioButton)
        return next(button for button in buttons if button.text() == member.label)

    def prefer(self, member: ChoiceEnum) -> None:
        """Choose a member without remembering it, and without `changed`."""
        with self.changed.blocked():
            self.value = member

    def reset_choices(self, *_: Any) -> None:
        """Keep the buttons: the members of an enum do not change."""
        if not self.choices:
            super().reset_choices()

    def _keep(self, member: ChoiceEnum) -> None:
        save_preference(self._remember_as, member.value)
