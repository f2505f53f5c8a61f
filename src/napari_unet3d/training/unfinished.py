"""How far a run has come that can go on: read without loading PyTorch, so that a dock can offer it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import safetensors

from napari_unet3d.files import MODEL_FILE, RESUME_FILE


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Whole epochs that are done, and those that the run was to have."""

    n_done: int
    n_epochs: int


def run_progress(run_folder: Path) -> RunProgress | None:
    """Tell how far a run has come.

    Parameters
    ----------
    run_folder : Path
        The folder of a run.

    Returns
    -------
    RunProgress or None
        None when there is nothing that `train` could resume. Whether the file is whole, only resuming will tell.
    """
    state = run_folder / RESUME_FILE
    if not (run_folder / MODEL_FILE).is_file() or not state.is_file():
        return None
    try:
        with safetensors.safe_open(state, framework="np") as file:
            card = json.loads((file.metadata() or {})["card"])
        return RunProgress(int(card["epoch"]), int(card["config"]["epochs"]))
    except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError):
        return None
