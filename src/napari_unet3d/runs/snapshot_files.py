"""Snapshots of a run in its folder ``snapshots``: the prediction of validation volumes after each epoch.

``snapshots.json``
    A `SnapshotManifest`: the task, and which validation volumes have snapshots and where they are located.
``volume-1.npz``, ``volume-2.npz``, …
    Image, ground truth and label mask of a volume; written once.
``epoch-0012.npz``
    The predictions of all volumes after epoch 12, compressed, foreground as bits. Written last: an epoch has a
    snapshot if this file exists.
``epoch-0012.safetensors``
    The model of that epoch.

Every file is written under a temporary name and renamed, so that snapshots can be read while another process trains.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from napari_unet3d.configs import Task
from napari_unet3d.data.geometry import UNKNOWN, Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.errors import explain_os_errors
from napari_unet3d.files import atomic_write, write_json
from napari_unet3d.paths import is_folder

SNAPSHOT_FOLDER = "snapshots"
MANIFEST_FILE = "snapshots.json"
_EPOCH_FILE = re.compile(r"epoch-(\d+)\.npz")
_FORMAT = 2
_FAST = 1  # compression level: higher ones take several times longer for hardly smaller files

_Side = Annotated[int, Field(ge=1, le=2**20)]


class SnapshotVolume(BaseModel):
    """A volume with snapshots, and where its grid is located.

    Attributes
    ----------
    name : str
        Name of the validation sample.
    volume : str
        Name of the volume that it is, or is a part of.
    volume_shape_zyx : tuple of int
        Shape of that volume.
    geometry : Geometry
        Voxel size, orientation and origin of that volume, as far as they are known.
    shape_zyx : tuple of int
        Shape of the grid of the snapshots, which is that of the network.
    first_zyx : tuple of float
        Position of the centre of its first voxel, in voxels of the volume.
    step_zyx : tuple of float
        Size of its voxels, in voxels of the volume; not 1 if the run resamples volumes to another voxel size.
    channel_names : tuple of str
        Names of the channels of the image; empty for a single one without a name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    volume: str
    volume_shape_zyx: tuple[_Side, _Side, _Side]
    geometry: Geometry = UNKNOWN
    shape_zyx: tuple[_Side, _Side, _Side]
    first_zyx: tuple[float, float, float] = (0.0, 0.0, 0.0)
    step_zyx: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (1.0, 1.0, 1.0)
    channel_names: tuple[str, ...] = ()


class SnapshotManifest(BaseModel):
    """The contents of a folder of snapshots.

    Attributes
    ----------
    task : Task
        Task of the run; snapshots of instances have only the foreground.
    volumes : tuple of SnapshotVolume
        The volumes with snapshots, in the order of their files.
    left_out : tuple of str
        Validation samples that are too large for snapshots.
    version : int
        Version of the file format.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    volumes: tuple[SnapshotVolume, ...]
    left_out: tuple[str, ...] = ()
    version: int = _FORMAT


@dataclass(frozen=True, slots=True)
class SnapshotData:
    """Image and ground truth of a volume with snapshots.

    Attributes
    ----------
    info : SnapshotVolume
        Its name and location.
    image : ndarray of any real number type, shape (z, y, x), or (channel, z, y, x) for several channels
        Intensities on the grid of the network.
    truth : GroundTruth
        Ground truth: 1 is foreground, or the values are those of the classes.
    """

    info: SnapshotVolume
    image: NDArray[Any]
    truth: GroundTruth


@dataclass(frozen=True, slots=True)
class SnapshotPrediction:
    """The prediction for a volume after an epoch.

    Attributes
    ----------
    labels : ndarray of unsigned integers, shape (z, y, x)
        1 for foreground, or the values of the classes; 0 where nothing was predicted.
    predicted : ndarray of bool, shape (z, y, x), or None
        Where validation made predictions; None if it did everywhere.
    """

    labels: NDArray[np.unsignedinteger[Any]]
    predicted: NDArray[np.bool_] | None = None

    def mask_truth(self, truth: GroundTruth) -> GroundTruth:
        """Return the ground truth in which voxels without prediction are not annotated."""
        if self.predicted is None:
            return truth
        annotated = self.predicted if truth.label_mask is None else self.predicted & truth.label_mask
        return GroundTruth(truth.labels, annotated)


def write_manifest(folder: Path, manifest: SnapshotManifest) -> None:
    """Write the manifest of a folder of snapshots."""
    write_json(folder / MANIFEST_FILE, json.loads(manifest.model_dump_json()))


def write_volume(folder: Path, number: int, volume: SnapshotData) -> None:
    """Write image and ground truth of a volume, numbered from 0."""
    truth = volume.truth
    arrays = {"image": np.asarray(volume.image), "truth": truth.labels}
    if truth.label_mask is not None:
        arrays["annotated"] = np.packbits(truth.label_mask)
    _write_arrays(volume_file(folder, number), arrays)


def write_predictions(folder: Path, epoch: int, predictions: Sequence[SnapshotPrediction], task: Task) -> None:
    """Write the predictions of all volumes after an epoch, foreground as bits."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, prediction in enumerate(predictions):
        labels = prediction.labels
        arrays[f"labels_{number}"] = labels if task is Task.SEMANTIC else np.packbits(labels.astype(bool, copy=False))
        if prediction.predicted is not None:
            arrays[f"predicted_{number}"] = np.packbits(prediction.predicted)
    _write_arrays(epoch_file(folder, epoch), arrays)


def volume_file(folder: Path, number: int) -> Path:
    """Return the file of a volume, numbered from 0."""
    return folder / f"volume-{number + 1}.npz"


def epoch_file(folder: Path, epoch: int) -> Path:
    """Return the file of the predictions after an epoch."""
    return folder / f"epoch-{epoch:04d}.npz"


def model_file(folder: Path, epoch: int) -> Path:
    """Return the file of the model of an epoch."""
    return folder / f"epoch-{epoch:04d}.safetensors"


def saved_epochs(folder: Path) -> tuple[int, ...]:
    """Return the epochs with predictions in a folder of snapshots, in order; none if there is no such folder."""
    if not is_folder(folder):
        return ()
    with explain_os_errors(folder, "read"):
        names = [_EPOCH_FILE.fullmatch(path.name) for path in folder.iterdir()]
    return tuple(sorted(int(match[1]) for match in names if match))


def remove_snapshots(run_folder: Path) -> None:
    """Remove the snapshots of a run."""
    folder = run_folder / SNAPSHOT_FOLDER
    if is_folder(folder) and not folder.is_symlink():
        with explain_os_errors(folder, "remove"):
            shutil.rmtree(folder)


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    with (
        atomic_write(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=_FAST) as archive,
    ):
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
