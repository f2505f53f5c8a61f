"""What is shown of an epoch of a run, and the copy of an epoch's model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.differences import difference_labels
from napari_unet3d.files import atomic_write
from napari_unet3d.runs.snapshot_files import SnapshotData
from napari_unet3d.runs.snapshots import SnapshotRun
from napari_unet3d.session.training_run import TrainingRun

MODEL_SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class EpochView:
    """What is shown of an epoch.

    Attributes
    ----------
    epoch : int
        The epoch.
    volume : SnapshotData
        Its image and ground truth.
    labels : ndarray of unsigned integers, shape (z, y, x)
        The prediction.
    difference : ndarray of uint8, shape (z, y, x)
        1 where the prediction is extra, 2 where it missed something, 3 where it is of another class.
    predicted : float
        Part of the volume that was predicted, above 0 to 1.
    """

    epoch: int
    volume: SnapshotData
    labels: NDArray[np.unsignedinteger[Any]]
    difference: NDArray[np.uint8]
    predicted: float = 1.0


def load_epoch(run: SnapshotRun, epoch: int, number: int, known: SnapshotData | None) -> Iterator[EpochView]:
    """Read what is shown of an epoch; the only event is the view.

    Parameters
    ----------
    run : SnapshotRun
        The run.
    epoch, number : int
        The epoch, and the number of the volume, from 0.
    known : SnapshotData, optional
        The volume, when it was read before.
    """
    volume = known or run.volume(number)
    snapshot = run.prediction(epoch, number)
    task = Task.SEMANTIC if run.manifest.task is Task.SEMANTIC else Task.BINARY
    yield EpochView(
        epoch=epoch,
        volume=volume,
        labels=snapshot.labels,
        difference=difference_labels(snapshot.labels, snapshot.mask_truth(volume.truth), task),
        predicted=1.0 if snapshot.predicted is None else float(snapshot.predicted.mean()),
    )


def keep_model(run: SnapshotRun, epoch: int, target: Path) -> None:
    """Copy the model of an epoch.

    Raises
    ------
    UserError
        If the epoch was not kept, the name does not end in .safetensors, or the file cannot be written.
    """
    if target.suffix.lower() != MODEL_SUFFIX:
        raise UserError(f"A model cannot be saved as '{target.name}'; choose a name that ends in {MODEL_SUFFIX}.")
    source = run.model(epoch)
    if not os.path.isfile(source):
        raise UserError(f"The model of epoch {epoch} is no longer kept. Choose another epoch.")
    with atomic_write(target) as beside:
        shutil.copyfile(source, beside)


def describe_epoch(run: TrainingRun, epoch: int, view: EpochView | None) -> str:
    """Return which epoch is shown, such as ``Epoch 12 · Dice 0.831 · best``."""
    dice = run.history.dice_of(epoch)
    f1 = run.history.f1_of(epoch)
    text = f"Epoch {epoch}" + ("" if dice is None else f" · Dice {dice:.3f}")
    text += "" if f1 is None else f" · object F1 {f1:.3f}"
    if run.history.best is not None and run.history.best[0] == epoch:
        text += " · best"
    if view is not None and view.epoch == epoch and view.predicted < 1:
        text += f" · {view.predicted:.0%} predicted"
    return text
