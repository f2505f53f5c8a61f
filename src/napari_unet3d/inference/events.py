"""Events of `predict` and `evaluate`; the last one is the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.boxes import Box
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import Geometry, PartialVoxelSize, VoxelSize
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.intensities import WholeIntensities
from napari_unet3d.data.seen_content import SeenIn
from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.model.plan import Plan


@dataclass(frozen=True, slots=True)
class ModelLoaded:
    """The model is on its device; `device` is a description such as ``"CPU (2 threads), fp32"``."""

    device: str


@dataclass(frozen=True, slots=True)
class TilesPredicted:
    """Another batch of tiles is predicted.

    Attributes
    ----------
    n_done, n_total : int
        Tiles of this volume, each counted once per mirror image; both start over if the tiles become smaller.
    n_finished, n_volumes : int
        Finished volumes, and all volumes.
    n_times_done, n_times : int
        Finished time points of this volume, and all of them, if it is a series.
    """

    n_done: int
    n_total: int
    n_finished: int = 0
    n_volumes: int = 1
    n_times_done: int = 0
    n_times: int = 1

    @property
    def n_volumes_done(self) -> float:
        """Finished volumes plus the finished fraction of this one."""
        return self.n_finished + (self.n_times_done + self.n_done / self.n_total) / self.n_times


@dataclass(frozen=True, slots=True)
class BlockDone:
    """A step is done with another block of a volume that is predicted block by block.

    Attributes
    ----------
    step : str
        ``"read"`` for the statistics of the intensities, ``"predicted"``, and for labels that are connected across
        blocks ``"separated"`` and ``"labelled"``. All but the first are on disk. Of an evaluation, ``"counted"`` and
        ``"measured"`` for scores, ``"searched"``, ``"compared"`` and so on for errors, and ``"written"``.
    n_done, n_total : int
        Blocks with which this was done, including those of an earlier start, and all blocks.
    box : tuple of slice
        The block, along z, y, x.
    """

    step: str
    n_done: int
    n_total: int
    box: Box


@dataclass(frozen=True, slots=True)
class Prediction:
    """The output of a model for one volume.

    Attributes
    ----------
    name : str
        Name of the volume.
    labels : ndarray of unsigned integers, shape (z, y, x)
        0 is background. Foreground is 1, a class has its label value, or a single object its id.
    probability : ndarray of float32, shape (z, y, x)
        Probability of foreground (anything but background), from 0 to 1.
    geometry : Geometry
        Voxel size, orientation and origin of the image.
    plan : Plan or None
        Task and classes of the model; None means binary.
    maps : ndarray of float16, shape (channel, z, y, x), or None
        The other outputs that labels are computed from, from 0 to 1: the probability of each class except background,
        or boundary and distance for single objects; None for binary.
    uncertainty : ndarray of float32, shape (z, y, x), or None
        Entropy of the mean prediction over mirror images in bits, from 0 to 1: of foreground, or of background and
        classes divided by the maximum possible entropy; None unless requested.
    intensities : IntensityStatistics or None
        Intensities of the whole volume, if a part of it was predicted.
    seen_in : SeenIn
        Whether the model has seen the volume in training or validation; unknown unless it was looked for.
    """

    name: str
    labels: NDArray[np.unsignedinteger[Any]]
    probability: NDArray[np.float32]
    geometry: Geometry
    plan: Plan | None = None
    maps: NDArray[np.float16] | None = None
    uncertainty: NDArray[np.float32] | None = None
    intensities: WholeIntensities | None = None
    seen_in: SeenIn = SeenIn.UNKNOWN

    @property
    def task(self) -> Task:
        """The meaning of the labels."""
        return Task.BINARY if self.plan is None else self.plan.task

    @property
    def voxel_size_um(self) -> PartialVoxelSize | None:
        """Size of a voxel along z, y, x in µm, None where it is unknown; None if it is unknown along all axes."""
        return self.geometry.voxel_size_um

    @property
    def spacing(self) -> VoxelSize:
        """Size of a voxel along z, y, x to compute with, in ``geometry.unit``; see `Geometry.spacing`."""
        return self.geometry.spacing


@dataclass(frozen=True, slots=True)
class PredictionWritten:
    """Another prediction is on disk.

    Attributes
    ----------
    prediction : Prediction or None
        The output of the model; None if it was written block by block, since it need not fit into memory.
    files : tuple of Path
        Its labels and, if requested, its probability and uncertainty; of single objects that were written block by
        block, also their table.
    n_written, n_volumes : int
        Predictions on disk, and all volumes.
    source : Path or None
        The file of the image.
    n_failed : int
        Volumes so far that could not be predicted.
    n_times : int or None
        Number of time points, if the volume is a series; the prediction is then that of the last one.
    """

    prediction: Prediction | None
    files: tuple[Path, ...]
    n_written: int
    n_volumes: int
    source: Path | None = None
    n_failed: int = 0
    n_times: int | None = None

    @property
    def n_done(self) -> int:
        """Volumes that are finished, with those that failed."""
        return self.n_written + self.n_failed


@dataclass(frozen=True, slots=True)
class PredictionFailed:
    """A volume could not be read or predicted; the next one follows.

    Attributes
    ----------
    source : Path
        The file of the image.
    message : str
        What is wrong, and what to do.
    n_done, n_volumes : int
        Volumes that are finished, with those that failed, and all volumes.
    """

    source: Path
    message: str
    n_done: int
    n_volumes: int


@dataclass(frozen=True, slots=True)
class VolumeEvaluated:
    """Another test volume is predicted, scored and written.

    Attributes
    ----------
    scores : Scores
        Metrics of the prediction.
    image : ndarray of any real number type, shape (z, y, x) or (channel, z, y, x)
        The image with all its channels, augmented if requested.
    truth : GroundTruth
        Its ground truth, augmented together with the image.
    prediction : Prediction
        The output of the model.
    n_evaluated, n_volumes : int
        Finished volumes, and all volumes.
    ignores_border : bool
        Whether the scores of objects leave out those that touch the border.
    channel_names : tuple of str
        Names of the channels of the image; empty for a single one without a name.
    """

    scores: Scores
    image: NDArray[Any]
    truth: GroundTruth
    prediction: Prediction
    n_evaluated: int
    n_volumes: int
    ignores_border: bool = False
    channel_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LargeVolumeEvaluated:
    """Another test volume, which does not fit into memory, is predicted and scored block by block.

    Attributes
    ----------
    scores : Scores
        Metrics of the prediction.
    labels : Path or None
        The file of the predicted labels; None if no results are written.
    n_evaluated, n_volumes : int
        Finished volumes, and all volumes.
    """

    scores: Scores
    labels: Path | None
    n_evaluated: int
    n_volumes: int


@dataclass(frozen=True, slots=True)
class EvaluationFinished:
    """All test volumes are evaluated; `metrics_file` is None and `figures` is empty if nothing was written."""

    volumes: tuple[Scores, ...]
    mean: Scores
    metrics_file: Path | None
    figures: tuple[Path, ...]


PredictEvent = ModelLoaded | Notice | TilesPredicted | Prediction
PredictFilesEvent = ModelLoaded | Notice | TilesPredicted | BlockDone | PredictionWritten | PredictionFailed
EvaluateEvent = (
    ModelLoaded | Notice | TilesPredicted | BlockDone | VolumeEvaluated | LargeVolumeEvaluated | EvaluationFinished
)
