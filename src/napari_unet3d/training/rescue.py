"""What a training does when its run folder was removed or renamed: it writes the weights elsewhere and ends."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from napari_unet3d.errors import UserError


def rescue(run_folder: Path, epoch: int, write: Callable[[Path], None]) -> UserError:
    """Write the weights of a run to a new folder, and return the error that says where they are.

    Parameters
    ----------
    run_folder : Path
        The folder of the run, which is not in place.
    epoch : int
        Finished epochs.
    write : callable
        Writes weights and settings to a folder that does not exist yet.

    Returns
    -------
    UserError
        The folder is ``RUN-rescued`` beside the run folder, or in the temporary folder if that cannot be written to.
    """
    what = f"The run folder {run_folder} was removed, renamed or emptied during the training."
    reason = ""
    for folder in _candidates(run_folder):
        try:
            write(folder)
        except UserError as error:
            reason = str(error)
            continue
        return UserError(
            f"{what} The weights after epoch {epoch} and the settings are in {folder}; start a new run from them. If "
            "it was renamed, it can be resumed under its new name."
        )
    return UserError(f"{what} The weights after epoch {epoch} are lost: {reason}")


def _candidates(run_folder: Path) -> Iterator[Path]:
    for parent in (run_folder.absolute().parent, Path(tempfile.gettempdir())):
        if os.path.isdir(parent):  # unlike Path.is_dir, it never raises
            names = (f"{run_folder.name}-rescued{'' if n == 1 else f'-{n}'}" for n in count(1))
            yield next(parent / name for name in names if not os.path.lexists(parent / name))
