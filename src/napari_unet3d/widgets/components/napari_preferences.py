"""The plugin's page in napari's Preferences, from napari 0.9 on: it shows the preferences that the docks share."""

from __future__ import annotations

import logging
from typing import Any

from napari_unet3d.configs.preferences import PreferencesConfig
from napari_unet3d.errors import UserError
from napari_unet3d.session.shared_preferences import SharedPreferences, shared_preferences

logger = logging.getLogger(__name__)

_PLUGIN, _GENERAL = "napari-unet3d", "general"


class PreferencesLink:
    """Keeps napari's settings of the plugin and the shared preferences the same, whichever of them is changed.

    At first, napari's are taken if its file exists, since they may have been changed while no dock was open; else they
    get the values that the docks had.

    Parameters
    ----------
    settings : napari.settings.PluginSettings
        Napari's.
    preferences : SharedPreferences
        Those of the docks.
    """

    def __init__(self, settings: Any, preferences: SharedPreferences) -> None:
        self.settings, self._preferences = settings, preferences
        path = settings.config_path
        if path is not None and path.exists():
            self._take({name: getattr(self._section(name), name) for name in PreferencesConfig.model_fields})
        for name in PreferencesConfig.model_fields:
            self._show(name, getattr(preferences.value, name))
            getattr(self._section(name).events, name).connect(self._on_napari)
        preferences.changed.connect(self._show)

    def disconnect(self) -> None:
        """Follow these settings no longer; napari has others after a plugin was installed or disabled."""
        self._preferences.changed.disconnect(self._show)
        for name in PreferencesConfig.model_fields:
            getattr(self._section(name).events, name).disconnect(self._on_napari)

    def _section(self, name: str) -> Any:
        return getattr(self.settings, section_of(name))

    def _show(self, name: str, value: Any) -> None:
        shown = getattr(value, "value", value)  # of an enum
        if getattr(self._section(name), name) != shown:
            setattr(self._section(name), name, shown)

    def _on_napari(self, event: Any) -> None:
        self._take({event.type: event.value})

    def _take(self, values: dict[str, Any]) -> None:
        try:
            self._preferences.set(**values)
        except UserError as error:
            logger.info("A preference of napari is not used: %s", error)


def section_of(name: str) -> str:
    """Return the part of napari's page that a preference is in."""
    extra = PreferencesConfig.model_fields[name].json_schema_extra
    group = extra.get("group") if isinstance(extra, dict) else None
    return group if isinstance(group, str) else _GENERAL


_links: list[PreferencesLink] = []


def link_preferences() -> None:
    """Follow napari's Preferences from now on, if it has a page for the plugin; a second call does nothing."""
    settings, preferences = _napari_settings(), shared_preferences()
    if _links and _links[-1].settings is settings:
        return
    while _links:
        _links.pop().disconnect()
    if settings is not None:
        _links.append(PreferencesLink(settings, preferences))


def _napari_settings() -> Any:
    try:
        from napari.settings import get_plugin_settings
    except ImportError:  # before napari 0.9
        return None
    try:
        return get_plugin_settings(_PLUGIN)
    except KeyError:  # the plugin is disabled, or its docks were made without it
        return None
