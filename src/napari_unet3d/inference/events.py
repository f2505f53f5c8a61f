"""What `predict` and `evaluate` report; the result is the last event."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.events import Notice
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import VoxelSize
from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.model.plan import Plan


@dataclass(frozen=True, slots=True)
class ModelLoaded:
    """The model is on its device; `device` names it and the precision in words."""

    device: str


@dataclass(frozen=True, slots=True)
class TilesPredicted:
    """One more batch of tiles is predicted.

    Attributes
    ----------
    n_done, n_total : int
        Tiles of this volume, each counted once for every mirror image; both start again when tiles become smaller.
    n_finished, n_volumes : int
        Volumes that are finished already, and all.
    """

    n_done: int
    n_total: int
    n_finished: int = 0
    n_volumes: int = 1

    @property
    def n_volumes_done(self) -> float:
        """Volumes that are finished, and the finished part of this one."""
        return self.n_finished + self.n_done / self.n_total


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer of a model for one volume.

    Attributes
    ----------
    name : str
        Name of the volume.
    labels : ndarray of unsigned integers, shape (z, y, x)
        0 is background; 1 is foreground, or the values are those of the classes, or ids of single objects.
    probability : ndarray of float32, shape (z, y, x)
        Probability of foreground (of anything but background), from 0 to 1.
    voxel_size_um : tuple of float
        Voxel size of the image along z, y, x in µm.
    plan : Plan or None
        Task and classes of the model; None means foreground.
    maps : ndarray of float16, shape (channel, z, y, x), or None
        What else labels are made of, from 0 to 1: the probability of each class without background, or boundary and
        distance for single objects; None for foreground.
    uncertainty : ndarray of float32, shape (z, y, x), or None
        Entropy of the mean prediction over mirror images in bits, from 0 to 1: of foreground, or of background and
        classes, divided by the largest possible one; None when it was not asked for.
    """

    name: str
    labels: NDArray[np.unsignedinteger[Any]]
    probability: NDArray[np.float32]
    voxel_size_um: VoxelSize
    plan: Plan | None = None
    maps: NDArray[np.float16] | None = None
    uncertainty: NDArray[np.float32] | None = None

    @property
    def task(self) -> Task:
        """What the labels are."""
        return Task.BINARY if self.plan is None else self.plan.task


@dataclass(frozen=True, slots=True)
class PredictionWritten:
    """One more prediction is on disk; `files` are its labels and, if asked for, its probability and uncertainty."""

    prediction: Prediction
    files: tuple[Path, ...]
    n_written: int
    n_volumes: int


@dataclass(frozen=True, slots=True)
class VolumeEvaluated:
    """One more test volume is predicted, compared and written.

    Attributes
    ----------
    scores : Scores
        How well it was predicted.
    image : ndarray of any real number type, shape (z, y, x)
        Its grey values, augmented if that was asked for.
    truth : Truth
        What its labels mean, augmented together with the image.
    prediction : Prediction
        The answer of the model.
    n_evaluated, n_volumes : int
        How many volumes are done, and how many there are.
    """

    scores: Scores
    image: NDArray[Any]
    truth: GroundTruth
    prediction: Prediction
    n_evaluated: int
    n_volumes: int


@dataclass(frozen=True, slots=True)
class EvaluationFinished:
    """All test volumes are done; `metrics_file` and `figures` are None and empty when nothing was written."""

    volumes: tuple[Scores, ...]
    mean: Scores
    metrics_file: Path | None
    figures: tuple[Path, ...]


PredictEvent = ModelLoaded | Notice | TilesPredicted | Prediction
PredictFilesEvent = ModelLoaded | Notice | TilesPredicted | PredictionWritten
EvaluateEvent = ModelLoaded | Notice | TilesPredicted | VolumeEvaluated | EvaluationFinished
