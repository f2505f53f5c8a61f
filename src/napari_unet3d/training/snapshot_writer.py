"""Saves the predictions on validation volumes after each validated epoch, so that one can see how the network learns.

Nothing is computed for this: the labels are those of the network outputs that validation has scored.
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

from napari_unet3d.configs import Augmentation, TrainingConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.split import Split
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.files import atomic_write
from napari_unet3d.model.plan import Plan
from napari_unet3d.runs.history import EpochRecord
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
from napari_unet3d.training.events import Busy, SnapshotSaved
from napari_unet3d.training.loading.patch_sampler import Tile
from napari_unet3d.training.prepare import TrainingData
from napari_unet3d.training.run_folder import LAST_FILE
from napari_unet3d.training.snapshot_grid import SnapshotGrid, choose_grids

MAX_BYTES = 2**30
"""Largest size of all snapshots of a run on disk; beyond it, only every 2nd, 4th, … epoch is kept."""
_MIN_EPOCHS = 8


def saves_snapshots(config: TrainingConfig, split: Split) -> bool:
    """Return whether snapshots are wanted and possible; augmented validation volumes do not align with the image."""
    return config.save_snapshots and bool(split.val) and config.val_augmentation is Augmentation.NONE


class SnapshotWriter:
    """Writes the folder ``snapshots`` of a run.

    When writing fails, for example on a full disk, it yields a notice and stops saving; the training continues.

    Parameters
    ----------
    run_folder : Path
        The folder of the run.
    validate_every : int
        Number of epochs from one validation to the next.
    """

    def __init__(self, run_folder: Path, validate_every: int = 1) -> None:
        self.folder = run_folder / SNAPSHOT_FOLDER
        self._validate_every = validate_every
        self._grids: list[SnapshotGrid] = []
        self._manifest: SnapshotManifest
        self._left_out: tuple[str, ...] = ()
        self._has_failed = False

    def prepare(self, data: TrainingData, n_epochs_done: int) -> Iterator[Busy | Notice]:
        """Write image and ground truth of the validation volumes; snapshots of the same run and grids are kept.

        Parameters
        ----------
        data : TrainingData
            Its validation volumes and its plan.
        n_epochs_done : int
            Finished epochs; snapshots of later ones belong to an epoch that was interrupted.

        Yields
        ------
        Busy
            While large volumes are written.
        Notice
            If a volume is too large, or the folder cannot be written to.
        """
        if self._has_failed:
            return
        try:
            yield from self._prepare(data, n_epochs_done)
        except UserError as error:
            yield self._fail(error)
            return
        if self._manifest.left_out not in ((), self._left_out):
            self._left_out = self._manifest.left_out
            yield Notice(f"Too large for snapshots: {', '.join(self._left_out)}. Validation uses them all the same.")

    def _prepare(self, data: TrainingData, n_epochs_done: int) -> Iterator[Busy]:
        self._grids, left_out = choose_grids(data)
        self._manifest = SnapshotManifest(
            task=data.plan.task, volumes=tuple(grid.info for grid in self._grids), left_out=left_out
        )
        if self._is_continued():
            for epoch in saved_epochs(self.folder):
                if epoch > n_epochs_done:
                    self._remove(epoch)
            return
        remove_snapshots(self.folder.parent)
        for number, grid in enumerate(self._grids):
            write = partial(write_volume, self.folder, number, grid.volume(data.plan))
            yield from run_in_background(write, f"Writing {grid.info.name} for the snapshots")
        write_manifest(self.folder, self._manifest)

    def _is_continued(self) -> bool:
        """Return whether the folder holds snapshots of the same volumes and grids."""
        with suppress(UserError):
            earlier = open_snapshots(self.folder.parent)
            return earlier is not None and earlier.manifest == self._manifest
        return False

    def reset(self) -> None:
        """Discard the predictions of the previous validation."""
        for grid in self._grids:
            grid.reset()

    def add(self, number: int, tiles: Sequence[Tile], labels: NDArray[np.uint8]) -> None:
        """Add predicted labels of some tiles of a validation volume.

        Parameters
        ----------
        number : int
            Index of the volume among the validation volumes.
        tiles : sequence of Tile
            Their places; where tiles overlap, the first one counts.
        labels : ndarray of uint8, shape (n, z, y, x)
            Class numbers, or 1 for foreground.
        """
        for grid in self._grids:
            if grid.number == number:
                for tile, predicted in zip(tiles, labels, strict=True):
                    grid.add(tile, predicted)

    def lacks(self, history: Sequence[EpochRecord]) -> bool:
        """Return whether there is no snapshot of the last epoch of a run, although it was validated."""
        is_validated = bool(history) and history[-1].val_loss is not None
        return is_validated and bool(self._grids) and history[-1].epoch not in saved_epochs(self.folder)

    def save(self, epoch: int, best_epoch: int, plan: Plan) -> Iterator[SnapshotSaved | Notice]:
        """Write the predictions since `reset` and the last model, and thin out the snapshots of other epochs.

        Parameters
        ----------
        epoch : int
            The epoch that was validated; `LAST_FILE` of the run is its model.
        best_epoch : int
            The best epoch so far, which stays.
        plan : Plan
            Task and classes.

        Yields
        ------
        SnapshotSaved or Notice
            A notice if the folder cannot be written to.
        """
        if self._has_failed:
            return
        try:
            self._save(epoch, best_epoch, plan)
        except UserError as error:
            yield self._fail(error)
            return
        yield SnapshotSaved(self.folder.parent, epoch, len(self._grids))

    def _save(self, epoch: int, best_epoch: int, plan: Plan) -> None:
        _link(self.folder.parent / LAST_FILE, model_file(self.folder, epoch))
        write_predictions(self.folder, epoch, [grid.prediction(plan) for grid in self._grids], plan.task)
        size = sum(file(self.folder, epoch).stat().st_size for file in (epoch_file, model_file))
        epochs = saved_epochs(self.folder)
        kept = epochs_to_keep(epochs, max(_MIN_EPOCHS, MAX_BYTES // size), best_epoch, self._validate_every)
        for other in set(epochs) - kept:
            self._remove(other)

    def _remove(self, epoch: int) -> None:
        for file in (epoch_file(self.folder, epoch), model_file(self.folder, epoch)):
            with explain_os_errors(file, "remove"):
                file.unlink(missing_ok=True)

    def _fail(self, error: UserError) -> Notice:
        self._has_failed, self._grids = True, []
        return Notice(f"{error} Training continues without further snapshots.")


def epochs_to_keep(epochs: Sequence[int], most: int, best_epoch: int, validate_every: int = 1) -> frozenset[int]:
    """Choose which snapshots stay on disk: those of every 2nd, 4th, 8th, … epoch, the newest and the best.

    The choice depends on the epochs only and not on earlier choices. So a resumed run makes the same one, and the
    snapshots cover the whole run evenly.

    Parameters
    ----------
    epochs : sequence of int
        Epochs with a snapshot, in ascending order.
    most : int
        How many may stay, at least 3: the first, the newest and the best always do.
    best_epoch : int
        The best epoch.
    validate_every : int
        Number of epochs from one validation to the next.
    """
    if not epochs:
        return frozenset()
    first, newest = epochs[0], epochs[-1]
    step = validate_every
    while (newest - first) // step + 1 > max(1, most - 2):
        step *= 2
    return frozenset(epoch for epoch in epochs if (epoch - first) % step == 0 or epoch in (newest, best_epoch))


def _link(source: Path, target: Path) -> None:
    """Create a hard link to a file, which needs no space; copy the file if the file system has no hard links."""
    with atomic_write(target, ".part") as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
