"""Preferences that are kept from one session to the next: settings and folders, one small JSON file each."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from napari_unet3d.errors import UserError
from napari_unet3d.files import write_json
from napari_unet3d.text_files import read_json

logger = logging.getLogger(__name__)


def preferences_folder() -> Path:
    """Return the folder that belongs to the plugin among the user's settings; it need not exist yet."""
    return user_config_path("napari-unet3d", appauthor=False)


def save_preference(key: str, value: Any) -> None:
    """Save a JSON value under a key; that a folder cannot be written to is logged only.

    Parameters
    ----------
    key : str
        Name of the file without its suffix, such as ``"train"``.
    value : Any
        Anything that `json` writes.
    """
    try:
        write_json(preferences_folder() / f"{key}.json", value)
    except UserError as error:
        logger.info("Preferences are not saved: %s", error)


def load_preference(key: str) -> Any:
    """Return what was saved under a key, or None when there is nothing or the file is damaged."""
    try:
        return read_json(preferences_folder() / f"{key}.json")
    except UserError:
        return None
