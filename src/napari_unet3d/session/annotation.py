"""An annotation that is painted from scratch: its classes, its progress, and what is filled in between slices."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal, SignalGroup

from napari_unet3d.data.shape_interpolation import FilledGap, gaps_around, interpolate_gap
from napari_unet3d.errors import UserError
from napari_unet3d.session.annotation_classes import AnnotationClasses
from napari_unet3d.session.annotation_progress import AXES, AnnotationCounter, AnnotationProgress


class AnnotationEvents(SignalGroup):
    """The signals of an `AnnotationSession`.

    Attributes
    ----------
    classes : Signal(AnnotationClasses)
        A class was added or renamed.
    progress : Signal(AnnotationProgress)
        The annotation was counted again.
    """

    classes = Signal(object)
    progress = Signal(object)


class AnnotationSession:
    """One annotation that is painted.

    Parameters
    ----------
    name : str
        Name of the image.
    labels : ndarray of uint8, shape (z, y, x)
        The annotation, which is painted in place: 0 is not annotated, 1 is background, classes begin with 2.
    spacing : tuple of float
        Size of a voxel along z, y, x.
    classes : AnnotationClasses
        Its classes.
    file : Path
        Where it is saved.

    Attributes
    ----------
    events : AnnotationEvents
        The signals.
    progress : AnnotationProgress
        How much is annotated, when it was counted last.
    is_saved : bool
        Whether the file holds the annotation as it is.
    """

    def __init__(
        self,
        name: str,
        labels: NDArray[np.uint8],
        spacing: tuple[float, float, float],
        classes: AnnotationClasses,
        file: Path,
    ) -> None:
        self.events = AnnotationEvents()
        self.name, self.labels, self.spacing, self.file = name, labels, spacing, file
        self._classes = classes
        self._counter = AnnotationCounter(labels)
        self.progress = self._counter.progress
        self.is_saved = True

    @property
    def classes(self) -> AnnotationClasses:
        """The classes."""
        return self._classes

    @classes.setter
    def classes(self, classes: AnnotationClasses) -> None:
        if classes != self._classes:
            self._classes, self.is_saved = classes, False
            self.events.classes.emit(classes)

    @property
    def is_worth_saving(self) -> bool:
        """Whether anything is annotated, or was when it was saved last."""
        return bool(self.labels.any()) or os.path.exists(self.file)

    def invalidate(self, *, is_changed: bool = True) -> None:
        """Count again, and save if something was painted."""
        self._counter.invalidate()
        self.is_saved = self.is_saved and not is_changed

    def count(self, max_voxels: int) -> bool:
        """Count a part of the annotation; when all is counted, announce the progress and return True."""
        if not self._counter.count(max_voxels):
            return False
        self.progress = self._counter.progress
        self.events.progress.emit(self.progress)
        return True

    def count_all(self) -> AnnotationProgress:
        """Count the whole annotation at once."""
        self._counter.invalidate()
        self.count(self.labels.size)
        return self.progress

    def fill_gaps(self, axis: int, index: int) -> Iterator[FilledGap]:
        """Interpolate what is painted in the slices around one, see `gaps_around` and `interpolate_gap`.

        Raises
        ------
        UserError
            If there are no two painted slices around it with unpainted ones between them.
        """
        gaps = gaps_around(self.labels, axis, index)
        if not gaps:
            raise UserError(
                f"There is no gap to fill at slice {index} along {AXES[axis]}: paint the same shapes in a slice "
                "before and in a slice after it, with unpainted slices between them."
            )
        for first, last in gaps:
            yield interpolate_gap(self.labels, axis, first, last, self.spacing)
