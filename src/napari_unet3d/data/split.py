"""Divide samples into those that train and those that validate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

import numpy as np

from napari_unet3d.data.pairs import natural_order
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError


@dataclass(frozen=True, slots=True)
class Split:
    """Which samples train and which validate, each in natural order of the names."""

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]


def split_samples(samples: Sequence[Sample], val_fraction: float, seed: int) -> Split:
    """Draw the validation volumes; the same names and seed give the same split, in whatever order they come.

    Parameters
    ----------
    samples : sequence of Sample
        All samples.
    val_fraction : float
        Part for validation, from 0 to below 1: at least one volume, rounded down, and none for 0.
    seed : int
        Seed of the draw.

    Returns
    -------
    Split
        At least one sample trains.

    Raises
    ------
    UserError
        If there is no sample, or only one when a fraction is to be validated.
    """
    if not samples:
        raise UserError("There is no volume to train on. Add at least one.")
    ordered = sorted(samples, key=lambda sample: (natural_order(sample.name), sample.name))
    if val_fraction == 0:
        return Split(tuple(ordered), ())
    if len(ordered) == 1:
        raise UserError(
            f"1 volume cannot be divided by a validation fraction of {val_fraction:g}. "
            "Add a second volume, or set the validation fraction to 0."
        )
    exact = val_fraction * len(ordered)
    n_val = min(max(1, floor(exact + 1e-9)), len(ordered) - 1)  # 0.29 × 100 is 28.999… in binary
    chosen = set(np.random.default_rng(seed).permutation(len(ordered))[:n_val].tolist())
    return Split(
        train=tuple(sample for i, sample in enumerate(ordered) if i not in chosen),
        val=tuple(sample for i, sample in enumerate(ordered) if i in chosen),
    )
