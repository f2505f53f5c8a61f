"""Label values as nnU-Net has them: background 0, the classes 1, 2, … without gaps, then the ignore label."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.nnunet.description import BACKGROUND, IGNORE
from napari_unet3d.errors import UserError

MAX_CLASSES = 100


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a dataset and their numbers in nnU-Net.

    Attributes
    ----------
    task : Task
        Binary, where all foreground is one class, or semantic.
    values : tuple of int
        The label values of the classes; the first has the number 1.
    names : tuple of str
        Their names; of the task binary, one.
    has_ignored : bool
        Whether there are voxels that are not annotated.
    """

    task: Task
    values: tuple[int, ...]
    names: tuple[str, ...]
    has_ignored: bool

    @property
    def labels(self) -> dict[str, int]:
        """The labels of ``dataset.json``."""
        names = (BACKGROUND, *self.names, *(IGNORE,) * self.has_ignored)
        return {name: number for number, name in enumerate(names)}

    @property
    def notice(self) -> str:
        """What is not kept, for the user; empty if all is."""
        if self.task is Task.BINARY and len(self.values) > 1:
            return "All label values become one foreground; ids of single objects are not kept."
        if self.task is Task.SEMANTIC and self.values != tuple(range(1, len(self.values) + 1)):
            moved = [(value, number) for number, value in enumerate(self.values, start=1) if value != number]
            listed = ", ".join(f"{value} becomes {number}" for value, number in moved)
            return (
                f"Label values are numbered without gaps, as nnU-Net demands it: {listed}. Its predictions have the "
                "new numbers; score them with the exported dataset."
            )
        return ""

    def encode(self, truth: GroundTruth) -> NDArray[Any]:
        """Return labels with the numbers of nnU-Net.

        Parameters
        ----------
        truth : GroundTruth
            Decoded for the task, of shape (z, y, x).

        Examples
        --------
        >>> classes = Classes(Task.SEMANTIC, (1, 5), ("wall", "lumen"), True)
        >>> truth = GroundTruth(np.array([[[0, 1, 5, 0]]]), np.array([[[True, True, True, False]]]))
        >>> classes.encode(truth)
        array([[[0, 1, 2, 3]]], dtype=uint8)
        """
        known = np.array([0, *self.values] if self.task is Task.SEMANTIC else [0, 1])
        highest = len(self.labels) - 1
        numbers = np.searchsorted(known, truth.labels).astype(np.min_scalar_type(highest))
        if truth.label_mask is not None:
            numbers[~truth.label_mask] = highest
        return numbers


def find_classes(
    values: Collection[int], task: Task | None, names: Sequence[str] = (), *, has_ignored: bool = False
) -> Classes:
    """Return the classes for the label values that occur.

    Parameters
    ----------
    values : collection of int
        The values of foreground in all volumes.
    task : Task or None
        Binary makes one class of all values; semantic one of each. Without it, there must be one value only.
    names : sequence of str
        Names of the classes in the order of their values.
    has_ignored : bool
        Whether there are voxels that are not annotated.

    Raises
    ------
    UserError
        If there is no foreground, the values may be ids of objects, or the names do not fit.
    """
    found = tuple(sorted(values))
    if not found:
        raise UserError("No training or test volume has foreground, so there is nothing to learn. Check the labels.")
    is_many = len(found) > MAX_CLASSES
    n_values = f"more than {MAX_CLASSES} values" if is_many else f"{len(found)} values above background"
    if task is Task.INSTANCE or (task is Task.SEMANTIC and is_many):
        raise UserError(
            f"The labels hold {n_values}, which are ids of single objects, and nnU-Net has classes only. Export all of "
            "them as one foreground with the task binary."
        )
    if task is None and len(found) > 1:
        listed = ", ".join(map(str, found[:5])) + (", …" if len(found) > 5 else "")
        raise UserError(
            f"The labels hold {n_values} ({listed}). Say what they are with the task: semantic if each is a class, or "
            "binary to export all of them as one foreground, where they are ids of objects."
        )
    task = task or Task.BINARY
    own = ("foreground",) if task is Task.BINARY else tuple(f"class {value}" for value in found)
    names = tuple(name.strip() for name in names) or own
    if len(names) != len(own):
        raise UserError(f"The class names are {', '.join(names)}, for {len(own)} classes. Give each class one name.")
    if len({*names, BACKGROUND, IGNORE, ""}) < len(names) + 3:
        raise UserError(
            f"The class names are {', '.join(names)}. Give each class a name of its own, other than {BACKGROUND} and "
            f"{IGNORE}."
        )
    return Classes(task, found, names, has_ignored)
