"""Annotations that are saved while they are painted, in files of their own, and found again by the image."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.array_archive import DAMAGE, open_arrays
from napari_unet3d.data.dataset import file_name
from napari_unet3d.errors import UserError
from napari_unet3d.files import atomic_write
from napari_unet3d.session import recent_runs
from napari_unet3d.session.annotation import AnnotationSession
from napari_unet3d.session.annotation_classes import AnnotationClasses
from napari_unet3d.text_files import parse_json

_LABELS, _INFO = "labels", "info"
_N_PLANES, _MOST_PER_SIDE = 5, 256  # of the image, to recognise it
_MAX_INFO_BYTES = 2**20
_UNREADABLE: tuple[type[Exception], ...] = (UserError, *DAMAGE)


@dataclass(frozen=True, slots=True)
class SavedAnnotation:
    """What is known of a saved annotation.

    Attributes
    ----------
    file : Path
        The file.
    name : str
        Name of the image.
    classes : AnnotationClasses
        Its classes.
    saved : datetime
        When it was saved, in local time.
    n_annotated : int
        Annotated voxels.
    """

    file: Path
    name: str
    classes: AnnotationClasses
    saved: datetime
    n_annotated: int

    @property
    def when(self) -> str:
        """When it was saved, as text: the time of today, or the date."""
        pattern = "%H:%M" if self.saved.date() == datetime.now().date() else "%d %B %Y, %H:%M"
        return self.saved.strftime(pattern)


def annotations_folder() -> Path:
    """Return the folder of the plugin that annotations are saved in."""
    return recent_runs.plugin_data_folder() / "annotations"


def image_key(image: Any) -> str:
    """Return a short text that is the same for the same image, whatever it is called and wherever it lies.

    Parameters
    ----------
    image : array-like, shape (z, y, x)
        The intensities, of which a few slices are read.
    """
    shape = np.shape(image)
    step = tuple(max(1, side // _MOST_PER_SIDE) for side in shape[1:])
    digest = hashlib.blake2b(repr(shape).encode(), digest_size=6)
    for z in np.unique(np.linspace(0, shape[0] - 1, _N_PLANES).astype(int)):
        digest.update(np.ascontiguousarray(np.asarray(image[int(z)])[:: step[0], :: step[1]]).tobytes())
    return digest.hexdigest()


def new_annotation_file(name: str, key: str) -> Path:
    """Return a file that does not exist yet for a new annotation of an image.

    Parameters
    ----------
    name : str
        Name of the image.
    key : str
        As `image_key` returns it.
    """
    folder = annotations_folder() / f"{file_name(name)}-{key}"
    stem = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    names = (f"{stem}{'' if number == 1 else f'_{number}'}.npz" for number in range(1, 1_000_000))
    return next(folder / each for each in names if not os.path.exists(folder / each))


@dataclass(frozen=True, slots=True, eq=False)
class AnnotationSnapshot:
    """An annotation as it was at one moment.

    Attributes
    ----------
    number : int
        Later ones have larger numbers.
    file : Path
        As `new_annotation_file` returned it.
    name : str
        Name of the image.
    labels : ndarray of uint8, shape (z, y, x)
        The annotation.
    classes : AnnotationClasses
        Its classes.
    """

    number: int
    file: Path
    name: str
    labels: NDArray[np.uint8]
    classes: AnnotationClasses


class AnnotationWriter:
    """Writes annotations from several threads, so that an earlier state never replaces a later one."""

    def __init__(self) -> None:
        self._lock, self._numbers, self._written = Lock(), count(1), 0

    def snapshot(self, session: AnnotationSession) -> AnnotationSnapshot:
        """Copy the annotation of a session as it is now."""
        return AnnotationSnapshot(
            next(self._numbers), session.file, session.name, session.labels.copy(), session.classes
        )

    def write(self, snapshot: AnnotationSnapshot) -> None:
        """Save an annotation atomically, unless a later state was saved already.

        A reader finds the file of before, or the whole of the new one.

        Raises
        ------
        UserError
            If the disk is full or the folder cannot be written to.
        """
        with self._lock:
            if snapshot.number > self._written:
                save_annotation(snapshot)
                self._written = snapshot.number


def save_annotation(snapshot: AnnotationSnapshot) -> None:
    """Save an annotation; raises as `AnnotationWriter.write`."""
    info = {
        "name": snapshot.name,
        "classes": list(snapshot.classes.names),
        "saved": datetime.now().isoformat(timespec="seconds"),
        "annotated": int(np.count_nonzero(snapshot.labels)),
    }
    with atomic_write(snapshot.file) as temporary:
        np.savez_compressed(temporary, labels=snapshot.labels, info=np.array(json.dumps(info)))


def saved_annotation(key: str) -> SavedAnnotation | None:
    """Return the annotation of an image that was saved last; None without one, or if all are damaged or empty."""
    files = sorted(annotations_folder().glob(f"*-{key}/*.npz"), key=_time, reverse=True)
    known = (_read_info(file) for file in files)
    return next((each for each in known if each is not None and each.n_annotated), None)


def _time(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # removed meanwhile
        return 0.0


def _read_info(file: Path) -> SavedAnnotation | None:
    try:
        with open_arrays(file) as arrays:
            if arrays.zip.getinfo(f"{_INFO}.npy").file_size > _MAX_INFO_BYTES:
                return None
            info = parse_json(str(arrays[_INFO]))
        classes = AnnotationClasses(tuple(map(str, info["classes"])))
        saved = datetime.fromisoformat(info["saved"])
        return SavedAnnotation(file, str(info["name"]), classes, saved, int(info["annotated"]))
    except _UNREADABLE:
        return None


def read_annotation(saved: SavedAnnotation, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Read a saved annotation.

    Parameters
    ----------
    saved : SavedAnnotation
        As `saved_annotation` returned it.
    shape : sequence of int
        Shape (z, y, x) of the image.

    Returns
    -------
    ndarray of uint8, shape (z, y, x)
        The annotation.

    Raises
    ------
    UserError
        If the file is damaged or of another volume.
    """
    try:
        with open_arrays(saved.file, prod(shape) + _MAX_INFO_BYTES) as arrays:
            labels = np.array(arrays[_LABELS])
    except DAMAGE:
        raise UserError(f"The saved annotation {saved.file} is damaged. Begin a new one.") from None
    if labels.shape != tuple(shape) or labels.dtype != np.uint8:
        raise UserError(
            f"The saved annotation {saved.file} has shape {labels.shape}, and the image {tuple(shape)}. Begin a new "
            "one."
        )
    return labels
