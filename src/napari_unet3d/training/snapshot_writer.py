"""Keeps what validation has seen after each epoch, so that one can watch how the network learns.

It computes nothing of its own: the labels are those of the very answers whose Dice is in the curve.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.files import atomic_write
from napari_unet3d.model.plan import Plan
from napari_unet3d.runs.snapshot_files import (
    SNAPSHOT_FOLDER,
    SnapshotManifest,
    epoch_file,
    model_file,
    remove_snapshots,
    saved_epochs,
    write_manifest,
    write_predictions,
    write_volume,
)
from napari_unet3d.runs.snapshots import open_snapshots
from napari_unet3d.training.background import run_in_background
from napari_unet3d.training.events import Busy
from napari_unet3d.training.loading.patch_sampler import Tile
from napari_unet3d.training.prepare import TrainingData
from napari_unet3d.training.snapshot_grid import SnapshotGrid, choose_grids

MOST_BYTES = 2**30
"""On the disk, of the epochs of a run; with more, every 2nd, 4th, … epoch is kept."""
_LEAST_EPOCHS = 8


class SnapshotWriter:
    """Writes the folder ``snapshots`` of a run.

    Parameters
    ----------
    run_folder : Path
        The folder of the run.
    every : int
        How many epochs lie between two evaluations.
    """

    def __init__(self, run_folder: Path, every: int = 1) -> None:
        self.folder = run_folder / SNAPSHOT_FOLDER
        self._every = every
        self._grids: list[SnapshotGrid]
        self._card: SnapshotManifest

    def prepare(self, work: TrainingData, n_epochs_done: int) -> Iterator[Busy]:
        """Write what is watched; epochs that are there already stay when they are of this run and of these grids.

        Parameters
        ----------
        work : TrainingData
            Its validation volumes and its plan.
        n_epochs_done : int
            Epochs of earlier sittings; later ones in the folder were begun and left.

        Yields
        ------
        Busy
            While large volumes are written.

        Raises
        ------
        UserError
            If the folder cannot be written to.
        """
        self._grids, left_out = choose_grids(work)
        self._card = SnapshotManifest(
            task=work.plan.task,
            volumes=tuple(grid.card for grid in self._grids),
            left_out=left_out,
        )
        if self._is_going_on():
            for epoch in saved_epochs(self.folder):
                if epoch > n_epochs_done:
                    self._remove(epoch)
            return
        remove_snapshots(self.folder.parent)
        for number, grid in enumerate(self._grids):
            write = partial(write_volume, self.folder, number, grid.volume(work.plan))
            yield from run_in_background(write, f"Keeping {grid.card.name} to be watched")
        write_manifest(self.folder, self._card)

    def _is_going_on(self) -> bool:
        with suppress(UserError):
            earlier = open_snapshots(self.folder.parent)
            return earlier is not None and earlier.manifest == self._card
        return False

    def reset(self) -> None:
        """Begin with another evaluation."""
        for grid in self._grids:
            grid.reset()

    def add(self, number: int, tiles: Sequence[Tile], labels: NDArray[np.uint8]) -> None:
        """Take in what the network answered at some places of a validation volume.

        Parameters
        ----------
        number : int
            Place of the volume among those that validate, from 0.
        tiles : sequence of Tile
            Where; of each only the fresh part counts.
        labels : ndarray of uint8, shape (n, z, y, x)
            Numbers of the classes, or 1 for foreground.
        """
        for grid in self._grids:
            if grid.number == number:
                for tile, part in zip(tiles, labels, strict=True):
                    grid.add(tile, part)

    def save(self, epoch: int, best: int, model: Path, plan: Plan) -> None:
        """Write what was seen since `forget`, and the model; make room by leaving out other epochs.

        Parameters
        ----------
        epoch : int
            The epoch that was evaluated.
        best : int
            The best epoch so far.
        model : Path
            The file of its model, which nobody writes into any more.
        plan : Plan
            Task and classes.

        Raises
        ------
        UserError
            If the disk is full or the folder cannot be written to.
        """
        _link(model, model_file(self.folder, epoch))
        write_predictions(self.folder, epoch, [grid.prediction(plan) for grid in self._grids], plan.task)
        size = sum(file(self.folder, epoch).stat().st_size for file in (epoch_file, model_file))
        epochs = saved_epochs(self.folder)
        stay = thinned(epochs, max(_LEAST_EPOCHS, MOST_BYTES // size), best, self._every)
        for other in set(epochs) - stay:
            self._remove(other)

    def _remove(self, epoch: int) -> None:
        for file in (epoch_file(self.folder, epoch), model_file(self.folder, epoch)):
            with explain_os_errors(file, "remove"):
                file.unlink(missing_ok=True)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Validation samples that are too large to be kept."""
        return self._card.left_out

    @property
    def n_volumes(self) -> int:
        """How many volumes are watched."""
        return len(self._grids)


def thinned(epochs: Sequence[int], most: int, best: int, every: int = 1) -> frozenset[int]:
    """Choose which epochs stay when there is no room for all: every 2nd, 4th, 8th, …, the newest and the best.

    It looks at the epochs alone and not at what was chosen before, so that a run that goes on chooses the same, and
    the whole length of the run stays evenly covered.

    Parameters
    ----------
    epochs : sequence of int
        Those that are there, in order.
    most : int
        How many may stay, at least 3: the first, the newest and the best always do.
    best : int
        The best epoch.
    every : int
        How many epochs lie between two evaluations.
    """
    if not epochs:
        return frozenset()
    first, newest = epochs[0], epochs[-1]
    step = every
    while (newest - first) // step + 1 > max(1, most - 2):
        step *= 2
    return frozenset(each for each in epochs if (each - first) % step == 0 or each in (newest, best))


def _link(source: Path, target: Path) -> None:
    """Return a file a second name, which costs nothing; where the disk knows no such links, copy it."""
    with atomic_write(target, ".part") as beside:
        try:
            os.link(source, beside)
        except OSError:
            shutil.copyfile(source, beside)
