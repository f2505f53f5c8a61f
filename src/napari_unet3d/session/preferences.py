"""What the docks remember from one session to the next: settings and folders, one small JSON file each."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from napari_unet3d.errors import UserError
from napari_unet3d.files import write_json

logger = logging.getLogger(__name__)


def preferences_folder() -> Path:
    """Return the folder that belongs to the plugin among the user's settings; it need not exist yet."""
    return user_config_path("napari-unet3d", appauthor=False)


def save_preference(key: str, value: Any) -> None:
    """Keep a JSON value under a key; a folder that cannot be written to costs the memory, not the work.

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
        logger.info("Settings are not remembered: %s", error)


def load_preference(key: str) -> Any:
    """Return what was remembered under a key, or None when there is nothing or the file is broken."""
    try:
        return json.loads((preferences_folder() / f"{key}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # ValueError: no JSON, or no UTF-8
        return None
