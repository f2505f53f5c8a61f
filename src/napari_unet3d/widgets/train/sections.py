"""Which of the three sections of the Train dock are open, before, during and after a run."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import partial

from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.widgets.components.containers import Section

_KEY = "train-sections"  # of the preference
SETTINGS, PROGRESS, RESULT = "settings", "progress", "result"


class Phase(Enum):
    """What the Train dock is used for at the moment.

    Attributes
    ----------
    SETTING_UP
        There is no run to show.
    RUNNING
        A run is training.
    ENDED
        A run that has ended, or was opened, is shown.
    """

    SETTING_UP = "setting up"
    RUNNING = "running"
    ENDED = "ended"


_OPEN = {
    Phase.SETTING_UP: {SETTINGS: True, PROGRESS: True, RESULT: True},
    Phase.RUNNING: {SETTINGS: False, PROGRESS: True, RESULT: True},
    Phase.ENDED: {SETTINGS: True, PROGRESS: True, RESULT: True},
}


class TrainSections:
    """Opens and closes the sections when the phase changes, as the user has left them in that phase.

    Parameters
    ----------
    sections : mapping of str to Section
        The sections `SETTINGS`, `PROGRESS` and `RESULT`.

    Attributes
    ----------
    phase : Phase
        The present phase.
    """

    def __init__(self, sections: Mapping[str, Section]) -> None:
        self._sections = dict(sections)
        self.phase = Phase.SETTING_UP
        for name, section in self._sections.items():
            section.toggled.connect(partial(self._remember, name))
        self.enter(Phase.SETTING_UP)

    def enter(self, phase: Phase) -> None:
        """Change the phase."""
        self.phase = phase
        # Without a run there is nothing but the settings, which are always open then.
        chosen = {} if phase is Phase.SETTING_UP else _remembered().get(phase.value, {})
        for name, section in self._sections.items():
            section.expand(bool(chosen.get(name, _OPEN[phase][name])))

    def _remember(self, name: str, is_open: bool) -> None:
        if self.phase is not Phase.SETTING_UP:
            known = _remembered()
            save_preference(_KEY, {**known, self.phase.value: {**known.get(self.phase.value, {}), name: is_open}})


def _remembered() -> dict[str, dict[str, bool]]:
    known = load_preference(_KEY)
    known = known if isinstance(known, dict) else {}
    return {phase: chosen for phase, chosen in known.items() if isinstance(chosen, dict)}
