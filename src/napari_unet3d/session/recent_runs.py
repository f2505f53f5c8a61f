"""Run folders as the docks meet in them: the recent ones, and where a new one lies."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from platformdirs import user_data_path

from napari_unet3d.files import MODEL_FILE
from napari_unet3d.session.preferences import load_preference, save_preference

_MOST_RECENT = 10
_KEY = "recent-runs"


def recent_runs() -> list[Path]:
    """Return the models used or made last, newest first; those that are gone are left out."""
    known = load_preference(_KEY)
    paths = [Path(path) for path in known if isinstance(path, str)] if isinstance(known, list) else []
    return [path for path in paths if path.is_file() or (path / MODEL_FILE).is_file()]


def remember_run(run: Path) -> None:
    """Put a run folder or model file first among the recent ones."""
    others = [path for path in recent_runs() if path != run]
    save_preference(_KEY, [str(path) for path in [run, *others][:_MOST_RECENT]])


def new_run_folder(dataset: Path | None) -> Path:
    """Name a run folder that does not exist yet: ``runs/DATE_TIME`` beside a dataset folder.

    Parameters
    ----------
    dataset : Path, optional
        The dataset folder; without one the runs lie in the plugin's folder among the user's data.
    """
    runs = (plugin_data_folder() if dataset is None else dataset.parent) / "runs"
    return free_folder(runs, datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))


def free_folder(parent: Path, name: str) -> Path:
    """Return a folder that does not exist yet: of that name, or else with ``_2``, ``_3``, … after it."""
    names = (f"{name}{'' if n == 1 else f'_{n}'}" for n in range(1, 1_000_000))
    return next(parent / name for name in names if not (parent / name).exists())


def plugin_data_folder() -> Path:
    """Return the plugin's folder among the user's data, where samples and runs lie without a better place."""
    return user_data_path("napari-unet3d", appauthor=False)
