"""Runs in TensorBoard: event files in the run folder, for ``tensorboard --logdir`` on it or a folder of runs."""

from __future__ import annotations

from collections.abc import Mapping

from torch.utils.tensorboard import SummaryWriter

from napari_unet3d.leftovers import remove_path
from napari_unet3d.training.tracking.tracker import TrackedRun

FOLDER = "tensorboard"


class TensorBoardTracker:
    """Writes event files.

    Parameters
    ----------
    run : TrackedRun
        The run.
    """

    run_id = FOLDER

    def __init__(self, run: TrackedRun) -> None:
        folder = run.folder / FOLDER
        if run.earlier is None:
            remove_path(folder)  # of a run that is replaced
            self._writer = SummaryWriter(str(folder))
            self._writer.add_hparams(dict(run.settings), {}, run_name=".")
        else:
            self._writer = SummaryWriter(str(folder), purge_step=run.n_epochs + 1)

    def log(self, epoch: int, scalars: Mapping[str, float]) -> None:
        """Write the numbers of an epoch to the disk."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def finish(self, *, is_complete: bool) -> None:
        """Close the file."""
        self._writer.close()


def start(run: TrackedRun) -> TensorBoardTracker:
    """Start or continue to record a run."""
    return TensorBoardTracker(run)
