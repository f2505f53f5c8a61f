"""One of the first steps: a heading with a tick, a sentence and a button."""

from __future__ import annotations

from collections.abc import Callable

from napari_unet3d.session.tour import TourStep
from napari_unet3d.widgets.components.containers import Panel, button, heading, wrapping_label

_TICK = "✓"
_NEXT = "QPushButton { border: 2px solid #e69f00; }"


class StepPanel(Panel):
    """Shows a step and whether it was done.

    Parameters
    ----------
    number : int
        Its place among the steps, from 1.
    step : TourStep
        The step.
    action : callable
        Called without arguments by its button.

    Attributes
    ----------
    is_done : bool
        Whether it shows the tick.
    heading : Label
        Number or tick, and the title.
    button : PushButton
        Does it.
    """

    def __init__(self, number: int, step: TourStep, action: Callable[[], object]) -> None:
        self._number, self._step = number, step
        self.is_done = False
        self.heading, self.sentence = heading(""), wrapping_label(step.value.sentence)
        self.button = button(step.value.action, step.value.tooltip, action)
        super().__init__(self.heading, self.sentence, self.button, spacing=2)
        self.show_state(is_done=False, is_next=False)

    def show_state(self, *, is_done: bool, is_next: bool) -> None:
        """Show whether the step was done, and whether it is the next one."""
        self.is_done = is_done
        self.heading.value = f"{_TICK if is_done else f'{self._number}.'}  {self._step.value.title}"
        self.heading.tooltip = "Done." if is_done else "Not done yet."
        self.button.native.setStyleSheet(_NEXT if is_next else "")
