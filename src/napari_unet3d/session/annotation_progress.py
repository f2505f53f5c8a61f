"""How much of a volume is annotated, and what to paint next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.session.annotation_classes import BACKGROUND, LARGEST_VALUE, AnnotationClasses

_ENOUGH_VOXELS = 100  # of each class, to begin with
_ENOUGH_SLICES = 2
AXES = "zyx"


@dataclass(frozen=True, slots=True)
class AnnotationProgress:
    """How much is annotated.

    Attributes
    ----------
    n_voxels : int
        All voxels of the volume.
    voxels : dict of int to int
        Annotated voxels of each label value that occurs.
    n_slices : tuple of int
        Slices along z, y, x that are painted over an area; lines in which other slices cross them do not count.
    """

    n_voxels: int
    voxels: dict[int, int]
    n_slices: tuple[int, int, int]

    @property
    def n_annotated(self) -> int:
        """Annotated voxels."""
        return sum(self.voxels.values())

    def describe(self, value: int) -> str:
        """Return how much is annotated with a label value, as text."""
        n = self.voxels.get(value, 0)
        return f"{n:,}".replace(",", "\u202f") + f" voxels · {format_share(n, self.n_voxels)}"


def format_share(n: int, total: int) -> str:
    """Return a share in percent, with two digits.

    >>> format_share(0, 1000), format_share(3, 100_000), format_share(1, 10**9), format_share(500, 1000)
    ('0 %', '0.003 %', '< 0.001 %', '50 %')
    """
    share = 100 * n / total if total else 0.0
    return "< 0.001 %" if 0 < share < 0.001 else f"{share:.2g} %" if share < 99.5 else f"{share:.3g} %"


def describe_progress(progress: AnnotationProgress, classes: AnnotationClasses, axis: int) -> str:
    """Return in how many slices something is annotated, and what is missing before a training can begin.

    Parameters
    ----------
    progress : AnnotationProgress
        How much is annotated.
    classes : AnnotationClasses
        The classes.
    axis : int
        The axis of the slices in view.
    """
    n = progress.n_slices[axis]
    slices = f"{n} slice{'' if n == 1 else 's'} along {AXES[axis]} painted. " if progress.n_annotated else ""
    return slices + hint(progress, classes)


def hint(progress: AnnotationProgress, classes: AnnotationClasses) -> str:
    """Return what to paint next, or that it is enough to begin with."""
    names, voxels = classes.values, progress.voxels
    if unknown := sorted(value for value in voxels if value not in names):
        return f"Label {unknown[0]} has no class and cannot be trained on: add a class, or paint over it."
    if not progress.n_annotated:
        return f"Paint some '{classes.names[0]}' in one slice, then some background around it."
    if missing := [names[value] for value in names if value not in voxels]:
        what = "background" if missing[0] == names[BACKGROUND] else f"'{missing[0]}'"
        return f"Paint some {what} too."
    if scarce := [names[value] for value in names if voxels[value] < _ENOUGH_VOXELS]:
        return f"Paint a little more '{scarce[0]}': {_ENOUGH_VOXELS} voxels or more."
    if max(progress.n_slices) < _ENOUGH_SLICES:
        return "Enough to start. A second slice, far from this one, makes the model better and lets it be checked."
    return "Enough to start training."


def describe_missing(progress: AnnotationProgress, classes: AnnotationClasses) -> str:
    """Return why a training cannot begin, or an empty text."""
    names, voxels = classes.values, progress.voxels
    has_foreground = any(value > BACKGROUND for value in voxels)
    is_ready = BACKGROUND in voxels and has_foreground and all(value in names for value in voxels)
    return "" if is_ready else f"This is not enough for a training yet. {hint(progress, classes)}"


class AnnotationCounter:
    """Counts an annotation slice by slice, a few slices at a time, so that it never stops the painting.

    Parameters
    ----------
    labels : ndarray of uint8, shape (z, y, x)
        The annotation, which is painted in place.
    """

    def __init__(self, labels: NDArray[np.uint8]) -> None:
        self._labels = labels
        n_z, n_y, n_x = labels.shape
        self._voxels = np.zeros((n_z, LARGEST_VALUE + 1), np.int64)
        self._areas = np.zeros(n_z, bool), np.zeros((n_z, n_y), bool), np.zeros((n_z, n_x), bool)
        self._next = 0

    @property
    def is_complete(self) -> bool:
        """Whether every slice was counted since the last change."""
        return self._next >= len(self._labels)

    def invalidate(self) -> None:
        """Count again from the first slice."""
        self._next = 0

    def count(self, max_voxels: int) -> bool:
        """Count the next slices, about as many voxels as given; return whether all are counted."""
        n_planes = max(1, max_voxels // max(1, self._labels[0].size))
        for z in range(self._next, min(len(self._labels), self._next + n_planes)):
            self._count_plane(z)
        self._next += n_planes
        return self.is_complete

    @property
    def progress(self) -> AnnotationProgress:
        """What was counted."""
        voxels = self._voxels.sum(axis=0)
        known = {int(value): int(voxels[value]) for value in np.flatnonzero(voxels)}
        planes, rows, columns = self._areas
        n_slices = int(planes.sum()), int(rows.any(axis=0).sum()), int(columns.any(axis=0).sum())
        return AnnotationProgress(int(self._labels.size), known, n_slices)

    def _count_plane(self, z: int) -> None:
        plane = self._labels[z]
        planes, rows, columns = self._areas
        self._voxels[z], planes[z], rows[z], columns[z] = 0, False, False, False
        if not plane.any():
            return
        there = plane != 0
        self._voxels[z] = np.bincount(plane[there], minlength=LARGEST_VALUE + 1)
        along_y, along_x = there[1:] & there[:-1], there[:, 1:] & there[:, :-1]
        planes[z] = (along_y[:, 1:] & along_y[:, :-1]).any()
        if z:  # an area across slices: two voxels beside each other, here and in the slice before
            before = self._labels[z - 1] != 0
            rows[z] = (along_x & before[:, 1:] & before[:, :-1]).any(axis=1)
            columns[z] = (along_y & before[1:] & before[:-1]).any(axis=0)
