"""Read the snapshots of a run; `snapshot_files` describes the files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.array_archive import DAMAGE, open_arrays
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.errors import UserError
from napari_unet3d.paths import is_file
from napari_unet3d.runs.snapshot_files import (
    MANIFEST_FILE,
    SNAPSHOT_FOLDER,
    SnapshotData,
    SnapshotManifest,
    SnapshotPrediction,
    SnapshotVolume,
    epoch_file,
    model_file,
    saved_epochs,
    volume_file,
)
from napari_unet3d.text_files import parse_json, read_limited


class SnapshotRun:
    """Reads the snapshots of a run, which another process may still be writing; returned by `open_snapshots`.

    Parameters
    ----------
    folder : Path
        The folder ``snapshots`` of a run.
    manifest : SnapshotManifest
        Its manifest.
    """

    def __init__(self, folder: Path, manifest: SnapshotManifest) -> None:
        self.folder, self.manifest = folder, manifest

    def epochs(self) -> tuple[int, ...]:
        """Return the epochs with snapshots, in order."""
        return saved_epochs(self.folder)

    def model(self, epoch: int) -> Path:
        """Return the file of the model of an epoch."""
        return model_file(self.folder, epoch)

    def volume(self, number: int) -> SnapshotData:
        """Read image and ground truth of a volume, numbered from 0.

        Raises
        ------
        UserError
            If the file is missing or damaged.
        """
        info = self.manifest.volumes[number]
        arrays = _read_arrays(volume_file(self.folder, number), _max_bytes([info]))
        with _explaining(volume_file(self.folder, number)):
            annotated = _unpacked(arrays.get("annotated"), info.shape_zyx)
            n_channels = len(info.channel_names)
            image_shape = (n_channels, *info.shape_zyx) if n_channels > 1 else info.shape_zyx
            image, labels = _of_shape(arrays["image"], image_shape), _of_shape(arrays["truth"], info.shape_zyx)
            return SnapshotData(info, image, GroundTruth(labels, annotated))

    def prediction(self, epoch: int, number: int) -> SnapshotPrediction:
        """Read the prediction for a volume, numbered from 0, after an epoch.

        Raises
        ------
        UserError
            If the epoch has no snapshot, or its file is damaged.
        """
        path, shape = epoch_file(self.folder, epoch), self.manifest.volumes[number].shape_zyx
        arrays = _read_arrays(path, _max_bytes(self.manifest.volumes), f"labels_{number}", f"predicted_{number}")
        with _explaining(path):
            labels = arrays[f"labels_{number}"]
            is_packed = self.manifest.task is not Task.SEMANTIC
            labels = _unpacked(labels, shape).view(np.uint8) if is_packed else _of_shape(labels, shape)
            return SnapshotPrediction(labels, _unpacked(arrays.get(f"predicted_{number}"), shape))


def open_snapshots(run_folder: Path) -> SnapshotRun | None:
    """Open the snapshots of a run.

    Parameters
    ----------
    run_folder : Path
        The folder of the run.

    Returns
    -------
    SnapshotRun or None
        None if there are no snapshots.

    Raises
    ------
    UserError
        If the files are damaged, or of a newer version of this program.
    """
    folder = run_folder / SNAPSHOT_FOLDER
    path = folder / MANIFEST_FILE
    if not is_file(path):
        return None
    text = read_limited(path)
    try:
        parse_json(text)  # within limits that pydantic does not have
        return SnapshotRun(folder, SnapshotManifest.model_validate_json(text))
    except ValueError:  # pydantic's errors are ValueErrors
        raise UserError(
            f"{path} is damaged, or was written by a newer version. The run itself is not affected."
        ) from None


def _max_bytes(volumes: Sequence[SnapshotVolume]) -> int:
    """Return the size that the arrays of volumes cannot exceed: eight bytes per channel, ground truth and mask."""
    n_values = sum((2 + max(1, len(each.channel_names))) * prod(each.shape_zyx) for each in volumes)
    return 8 * n_values + 2**20


def _read_arrays(path: Path, max_bytes: int, *names: str) -> dict[str, NDArray[Any]]:
    """Return the named arrays that a file has, or all without names."""
    with _explaining(path), open_arrays(path, max_bytes) as archive:
        return {name: archive[name] for name in archive.files if not names or name in names}


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    """Raise a `UserError` instead of the exceptions of a damaged file."""
    try:
        yield
    except DAMAGE as error:
        raise UserError(
            f"{path} is damaged and cannot be shown. Other epochs and the run itself are not affected."
        ) from error


def _of_shape(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if array.shape != shape:
        raise ValueError(f"shape {array.shape} instead of {shape}")
    return array


def _unpacked(bits: NDArray[np.uint8] | None, shape: Shape3D) -> Any:
    if bits is None:
        return None
    return np.unpackbits(bits, count=prod(shape)).astype(bool).reshape(shape)
