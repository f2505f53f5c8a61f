"""What a run has kept so that one can see it learn, read from its folder ``snapshots``; see `snapshot_files`."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.runs.snapshot_files import (
    MANIFEST_FILE,
    SNAPSHOT_FOLDER,
    SnapshotData,
    SnapshotManifest,
    SnapshotPrediction,
    epoch_file,
    model_file,
    saved_epochs,
    volume_file,
)


class SnapshotRun:
    """Reads what a run has kept; made by `open_snapshots`. It may still be written by another process.

    Parameters
    ----------
    folder : Path
        The folder ``snapshots`` of a run.
    card : SnapshotManifest
        What is watched.
    """

    def __init__(self, folder: Path, card: SnapshotManifest) -> None:
        self.folder, self.manifest = folder, card

    def epochs(self) -> tuple[int, ...]:
        """List the epochs that are kept, in order."""
        return saved_epochs(self.folder)

    def model(self, epoch: int) -> Path:
        """Return the file of the model of an epoch."""
        return model_file(self.folder, epoch)

    def volume(self, number: int) -> SnapshotData:
        """Read a volume, counted from 0.

        Raises
        ------
        UserError
            If the file is gone or damaged.
        """
        card = self.manifest.volumes[number]
        arrays = _read_arrays(volume_file(self.folder, number))
        with _explaining(volume_file(self.folder, number)):
            annotated = _unpacked(arrays.get("annotated"), card.shape_zyx)
            image, labels = (_of_shape(arrays[name], card.shape_zyx) for name in ("image", "truth"))
            return SnapshotData(card, image, GroundTruth(labels, annotated))

    def prediction(self, epoch: int, number: int) -> SnapshotPrediction:
        """Read what the network answered for a volume, counted from 0, after an epoch.

        Raises
        ------
        UserError
            If the epoch is not kept, or its file is damaged.
        """
        path, shape = epoch_file(self.folder, epoch), self.manifest.volumes[number].shape_zyx
        arrays = _read_arrays(path, f"labels_{number}", f"predicted_{number}")
        with _explaining(path):
            labels = arrays[f"labels_{number}"]
            is_packed = self.manifest.task is not Task.SEMANTIC
            whole = _unpacked(labels, shape).view(np.uint8) if is_packed else _of_shape(labels, shape)
            return SnapshotPrediction(whole, _unpacked(arrays.get(f"predicted_{number}"), shape))


def open_snapshots(run_folder: Path) -> SnapshotRun | None:
    """Find what a run has kept.

    Parameters
    ----------
    run_folder : Path
        The folder of the run.

    Returns
    -------
    SnapshotRun or None
        None when nothing is kept.

    Raises
    ------
    UserError
        If the files are damaged, or of a newer version of this program.
    """
    folder = run_folder / SNAPSHOT_FOLDER
    path = folder / MANIFEST_FILE
    if not path.is_file():
        return None
    with explain_os_errors(path, "read"):
        text = path.read_bytes()
    try:
        return SnapshotRun(folder, SnapshotManifest.model_validate_json(text))
    except ValidationError:
        raise UserError(f"{path} is damaged, or was written by a newer version. The run itself is whole.") from None


def _read_arrays(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """Read the named arrays of a file, those that it has; all without names."""
    with (
        _explaining(path),
        explain_os_errors(path, "read"),
        path.open("rb") as file,  # numpy leaves a file open that it cannot read
        np.load(file, allow_pickle=False) as archive,
    ):
        return {name: archive[name] for name in archive.files if not names or name in names}


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    """Turn what a damaged file raises into a `UserError`."""
    try:
        yield
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is damaged and cannot be shown. Other epochs, and the run itself, do not need it."
        ) from error


def _of_shape(array: NDArray[Any], shape: Shape3D) -> NDArray[Any]:
    if array.shape != shape:
        raise ValueError(f"shape {array.shape} instead of {shape}")
    return array


def _unpacked(bits: NDArray[np.uint8] | None, shape: Shape3D) -> Any:
    if bits is None:
        return None
    return np.unpackbits(bits, count=prod(shape)).astype(bool).reshape(shape)
