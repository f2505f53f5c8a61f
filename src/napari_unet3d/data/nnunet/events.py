"""Events of writing and reading datasets of nnU-Net; the last one is the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_unet3d.data.events import Notice


@dataclass(frozen=True, slots=True)
class VolumeDone:
    """`n_done` of `n_volumes` volumes were ``"checked"`` or ``"written"``, as `doing` says."""

    doing: str
    n_done: int
    n_volumes: int


@dataclass(frozen=True, slots=True)
class DatasetExported:
    """The dataset of nnU-Net is on disk.

    Attributes
    ----------
    folder : Path
        Its folder, such as ``Dataset501_cells``.
    n_train, n_test : int
        Number of cases.
    labels : dict of str to int
        The labels of its ``dataset.json``.
    """

    folder: Path
    n_train: int
    n_test: int
    labels: dict[str, int]


@dataclass(frozen=True, slots=True)
class DatasetImported:
    """The dataset is on disk.

    Attributes
    ----------
    folder : Path
        Its folder.
    n_train, n_test, n_without_labels : int
        Number of volumes for training and for testing, and of those without labels.
    settings_file : Path
        Task and names of the classes, for the training.
    """

    folder: Path
    n_train: int
    n_test: int
    n_without_labels: int
    settings_file: Path


ExportDatasetEvent = Notice | VolumeDone | DatasetExported
ImportDatasetEvent = Notice | VolumeDone | DatasetImported
