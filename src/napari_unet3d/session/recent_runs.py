"""Recent run folders and model files, and where new ones are placed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from platformdirs import user_data_path

from napari_unet3d.files import MODEL_FILE
from napari_unet3d.session.preferences import load_preference, save_preference

_MOST_RECENT = 10
_KEY = "recent-runs"


def recent_runs() -> list[Path]:
    """Return the run folders and model files used or made last, newest first, as far as they still exist."""
    known = load_preference(_KEY)
    paths = [Path(path) for path in known if isinstance(path, str)] if isinstance(known, list) else []
    return [path for path in paths if path.is_file() or (path / MODEL_FILE).is_file()]


def remember_run(run: Path) -> None:
    """Record a run folder or model file as the most recent one."""
    others = [path for path in recent_runs() if path != run]
    save_preference(_KEY, [str(path) for path in [run, *others][:_MOST_RECENT]])


def new_run_folder(dataset: Path | None) -> Path:
    """Return a run folder that does not exist yet: ``runs/DATE_TIME`` next to a dataset folder.

    Parameters
    ----------
    dataset : Path, optional
        The dataset folder; without one, runs are placed in the plugin's folder among the user's data.
    """
    runs = (plugin_data_folder() if dataset is None else dataset.parent) / "runs"
    return free_folder(runs, datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))


def free_folder(parent: Path, name: str) -> Path:
    """Return a folder that does not exist yet: of that name, or else with ``_2``, ``_3``, … after it."""
    names = (f"{name}{'' if n == 1 else f'_{n}'}" for n in range(1, 1_000_000))
    return next(parent / name for name in names if not (parent / name).exists())


def plugin_data_folder() -> Path:
    """Return the plugin's folder among the user's data, for sample datasets and runs without a dataset folder."""
    return user_data_path("napari-unet3d", appauthor=False)
