"""Which of several volumes validate: named ones, or a draw with foreground of all kinds on both sides."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import floor, log
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.formats.registry import is_volume, volume_name
from napari_unet3d.data.ground_truth import is_foreground
from napari_unet3d.data.time_points import group_series, split_name
from napari_unet3d.errors import UserError

_MAX_RATIO = 4.0  # of the amounts of foreground per volume in training and validation; with less, scores are noise
_MAX_NAMED = 20  # volumes in a message


class HasName(Protocol):
    """A volume, such as a sample or the statistics of one."""

    @property
    def name(self) -> str:
        """Name of the volume."""


@dataclass(frozen=True, slots=True)
class LabelContent:
    """What is labelled in a volume.

    Attributes
    ----------
    classes : frozenset of int
        The label values for the task semantic; 1 for foreground of other tasks; empty without foreground.
    amount : float
        The number of objects for the task instance, else the fraction of the annotated voxels that is foreground.
    """

    classes: frozenset[int]
    amount: float

    @classmethod
    def of(cls, label_counts: Mapping[int, int], task: Task, ignore_label: int | None) -> LabelContent:
        """Return the content of a volume with these numbers of voxels of each label value."""
        counts = {value: count for value, count in label_counts.items() if is_foreground(value, ignore_label)}
        n_annotated = sum(count for value, count in label_counts.items() if value != ignore_label)
        classes = frozenset(counts) if task is Task.SEMANTIC else frozenset({1} if counts else ())
        amount = float(len(counts)) if task is Task.INSTANCE else sum(counts.values()) / max(1, n_annotated)
        return cls(classes, amount)

    @classmethod
    def united(cls, contents: Sequence[LabelContent]) -> LabelContent:
        """Return the content of several volumes together, with the mean of their amounts."""
        classes = frozenset[int]().union(*(each.classes for each in contents))
        return cls(classes, sum(each.amount for each in contents) / len(contents))


def name_validation(
    volumes: Sequence[HasName], names: Sequence[str], corrected: Collection[str], *, split_time_points: bool = False
) -> frozenset[int]:
    """Return the indices of the volumes that are named for validation.

    Parameters
    ----------
    volumes : sequence of Sample or VolumeStatistics
        The volumes that may validate.
    names : sequence of str
        Their names, or those of their files; that of a series stands for all of its time points.
    corrected : collection of str
        Names of the corrected volumes, which always train.
    split_time_points : bool
        Whether some time points of a series may validate while others train.

    Raises
    ------
    UserError
        If there is no volume of a name, it is a corrected one or a time point whose series would train, or none would
        be left for training.
    """
    indices = _indices_by_name(volumes)
    chosen: set[int] = set()
    for given in names:
        name = volume_name(given) if given not in indices and is_volume(given) else given
        if name in corrected:
            raise UserError(f"'{name}' is a corrected volume, which always trains; choose another validation volume.")
        if name not in indices:
            known = ", ".join(f"'{each}'" for each in list(indices)[:_MAX_NAMED]) or "none"
            more = f" and {len(indices) - _MAX_NAMED} more" if len(indices) > _MAX_NAMED else ""
            raise UserError(f"No training volume is named '{given}', so it cannot validate; there are {known}{more}.")
        chosen.update(indices[name])
    if not split_time_points:
        _check_whole_series(volumes, chosen)
    if len(chosen) == len(volumes):
        raise UserError(
            f"All {len(volumes)} volumes are named as validation volumes, so none is left for training; leave one out."
            if len(volumes) > 1
            else f"'{volumes[0].name}' is the only volume, so it cannot be the validation volume; name none, and a "
            "block of it is used."
        )
    return frozenset(chosen)


def _indices_by_name(volumes: Sequence[HasName]) -> dict[str, list[int]]:
    """Return the indices of the volumes that a name stands for: a volume, or all time points of a series."""
    indices: dict[str, list[int]] = {}
    for index, volume in enumerate(volumes):
        series, time = split_name(volume.name)
        if time is not None:
            indices.setdefault(series, []).append(index)
    return indices | {volume.name: [index] for index, volume in enumerate(volumes)}


def _check_whole_series(volumes: Sequence[HasName], chosen: Collection[int]) -> None:
    for group in group_series([volume.name for volume in volumes]):
        named = [index for index in group if index in chosen]
        if named and len(named) < len(group):
            name = volumes[named[0]].name
            raise UserError(
                f"'{name}' is a time point of a series, whose other time points would train on nearly the same volume. "
                f"Name the whole series '{split_name(name)[0]}' for validation, or set split time points."
            )


def draw_time_points(
    names: Sequence[str],
    contents: Sequence[LabelContent],
    val_fraction: float,
    seed: int,
    *,
    split_time_points: bool = False,
) -> frozenset[int]:
    """Draw the indices of validation volumes as `draw_validation` does, series as a whole.

    Parameters
    ----------
    names : sequence of str
        Names of the volumes, in natural order.
    contents, val_fraction, seed
        As for `draw_validation`.
    split_time_points : bool
        Draw among the time points of series, too.
    """
    groups = [[index] for index in range(len(names))] if split_time_points else group_series(names)
    united = [LabelContent.united([contents[index] for index in group]) for group in groups]
    return frozenset(index for drawn in draw_validation(united, val_fraction, seed) for index in groups[drawn])


def draw_validation(contents: Sequence[LabelContent], val_fraction: float, seed: int) -> frozenset[int]:
    """Draw the indices of validation volumes among two or more volumes in natural order of their names.

    The volumes are drawn at random. Then volumes are exchanged as long as that makes the two sides more alike, in this
    order of importance: fewer classes (or foreground at all) are missing in training, fewer are missing in validation,
    fewer validation volumes have no foreground, and the mean amount of foreground, or number of objects, of validation
    volumes is not below a quarter of that of training volumes.

    Parameters
    ----------
    contents : sequence of LabelContent
        What is labelled in each volume.
    val_fraction : float
        Fraction for validation, from 0 to below 1.
    seed : int
        Seed of the draw.
    """
    if val_fraction == 0:
        return frozenset()
    n_volumes = len(contents)
    exact = val_fraction * n_volumes
    n_val = min(max(1, floor(exact + 1e-9)), n_volumes - 1)  # 0.29 × 100 is 28.999… in binary
    order = np.random.default_rng(seed).permutation(n_volumes)
    return frozenset(_exchange(_Balance(contents), order[:n_val], order[n_val:]).tolist())


class _Balance:
    """How alike validation and training are, for many possible choices at once."""

    def __init__(self, contents: Sequence[LabelContent]) -> None:
        classes = sorted(frozenset().union(*(each.classes for each in contents)))
        has_class = [[value in each.classes for value in classes] for each in contents]
        has_any = [[bool(each.classes)] for each in contents]
        amounts = [[each.amount if each.classes else 0.0] for each in contents]
        # Per volume: whether it has each class, whether it has any, and the amount. Sums of rows describe a side.
        self.rows = np.hstack([np.reshape(has_class, (len(contents), len(classes))), has_any, amounts]).astype(float)
        self._total = self.rows.sum(axis=0)

    def rank(self, val: NDArray[np.float64], n_val: int) -> NDArray[np.float64]:
        """Return four numbers for each choice, the most important first, lower is better; shape (choice, 4).

        Parameters
        ----------
        val : ndarray, shape (choice, column)
            Sums of the rows of the validation volumes.
        n_val : int
            Number of validation volumes.
        """
        train = self._total - val
        with np.errstate(divide="ignore", invalid="ignore"):
            means = [side[:, -1] / side[:, -2] for side in (val, train)]
            ratio = np.log(means[1] / means[0])
        imbalance = np.where(np.isfinite(ratio), np.maximum(0, ratio - log(_MAX_RATIO)), 0)
        missing = [(side[:, :-2] < 0.5).sum(axis=1) for side in (train, val)]
        return np.column_stack([*missing, n_val - val[:, -2], imbalance.round(9)])


def _exchange(balance: _Balance, val: NDArray[np.int64], train: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return validation volumes after exchanging one for one as long as that improves the balance."""
    val, train, rows = val.copy(), train.copy(), balance.rows
    best = tuple(balance.rank(rows[val].sum(axis=0)[None], len(val))[0])
    improves = True
    while improves and any(best):
        improves = False
        for place in reversed(range(len(val))):  # the volume that was drawn last goes first
            options = balance.rank(rows[val].sum(axis=0) - rows[val[place]] + rows[train], len(val))
            other = int(np.lexsort(options.T[::-1])[0])
            if tuple(options[other]) < best:
                best, improves = tuple(options[other]), True
                val[place], train[other] = train[other], val[place]
    return val


def validation_without_foreground(
    volumes: Sequence[HasName], contents: Sequence[LabelContent], chosen: Collection[int]
) -> str | None:
    """Return a message if there are validation volumes and none has foreground, else None.

    Parameters
    ----------
    volumes : sequence of Sample or VolumeStatistics
        All volumes of the draw.
    contents : sequence of LabelContent
        What is labelled in them.
    chosen : collection of int
        Indices of the validation volumes.
    """
    if not chosen or any(contents[i].classes for i in chosen):
        return None
    names = ", ".join(f"'{volumes[i].name}'" for i in sorted(chosen))
    return (
        f"No validation volume has foreground ({names}), so the best epoch cannot be determined and the model of the "
        "last epoch is saved. Label objects in another volume, so that both training and validation have some."
    )
