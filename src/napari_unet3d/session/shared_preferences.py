"""The preferences that all docks share: one value each, kept from one session to the next."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from psygnal import Signal

from napari_unet3d.configs import EvaluationConfig
from napari_unet3d.configs.preferences import PreferencesConfig
from napari_unet3d.errors import UserError
from napari_unet3d.session.preferences import load_preference, save_preference

_KEY = "preferences"


class SharedPreferences:
    """Holds the preferences, saves each change, and tells everything that shows one.

    Attributes
    ----------
    changed : Signal(str, object)
        Emitted with the name of a preference and its new value.
    value : PreferencesConfig
        All of them.
    """

    changed = Signal(str, object)

    def __init__(self) -> None:
        saved = load_preference(_KEY)
        try:
            self.value = PreferencesConfig(**saved) if isinstance(saved, dict) else PreferencesConfig()
        except UserError:  # written by another version
            self.value = PreferencesConfig()

    def set(self, **values: Any) -> None:
        """Change preferences.

        Raises
        ------
        UserError
            When one has a value that it cannot have; then none is changed.
        """
        before, self.value = self.value, PreferencesConfig(**self.value.model_dump() | values)
        changed = [name for name in values if getattr(before, name) != getattr(self.value, name)]
        if changed:
            save_preference(_KEY, self.value.model_dump(mode="json"))
        for name in changed:
            self.changed.emit(name, getattr(self.value, name))

    @property
    def runs_folder(self) -> Path | None:
        """The folder for new runs; None if none is given."""
        return _folder(self.value.runs_folder)

    @property
    def results_folder(self) -> Path | None:
        """The folder for predictions; None if none is given."""
        return _folder(self.value.results_folder)


@cache
def shared_preferences() -> SharedPreferences:
    """Return the preferences of this session."""
    return SharedPreferences()


def load_evaluation_config() -> EvaluationConfig:
    """Return the settings that were used last in the Predict dock, with the device of the preferences."""
    values: dict[str, Any] = {}
    for key in ("test", "labels"):
        known = load_preference(key)
        values |= known if isinstance(known, dict) else {}
    values["device"] = shared_preferences().value.device
    fields = EvaluationConfig.model_fields.keys() - {"test_augmentation"}
    try:
        return EvaluationConfig(**{name: value for name, value in values.items() if name in fields})
    except UserError:  # written by another version
        return EvaluationConfig(device=values["device"])


def _folder(text: str) -> Path | None:
    """Return the folder of a text; a relative one is in the home folder."""
    return Path.home() / Path(text.strip()).expanduser() if text.strip() else None
