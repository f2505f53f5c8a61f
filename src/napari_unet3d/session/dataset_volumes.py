"""Volumes and series of a dataset: opened, added or replaced."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from napari_unet3d.data.dataset import add_sample, file_name, read_pair
from napari_unet3d.data.layout import kind_folder
from napari_unet3d.data.opening import open_volume
from napari_unet3d.data.pairs import Pair, Subset, list_pairs, provenance_file
from napari_unet3d.data.provenance import read_provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.series import read_time_points, time_points_of
from napari_unet3d.data.time_points import split_name, time_point_name


@dataclass(frozen=True, slots=True, eq=False)
class SeriesRead:
    """All time points of a series of a dataset.

    Attributes
    ----------
    name : str
        Name of the series, which ends in the subset.
    samples : tuple of Sample
        The time points, of the same shape.
    time_step_s : float or None
        Seconds from one time point to the next, if they are known.
    """

    name: str
    samples: tuple[Sample, ...]
    time_step_s: float | None = None


def open_pair(pair: Pair) -> Iterator[Sample | SeriesRead]:
    """Read a volume, or all time points of a series; the name of the only event ends in the subset: ``1 (train)``."""
    # Both subsets may have a volume of the same name; the name of its layer tells them apart.
    name = f"{pair.name} ({pair.subset})"
    if len(time_points_of(pair)) > 1:
        assert pair.image is not None, "a series has an image"
        with open_volume(pair.image, "images") as image:
            time_step_s = image.stored.time_step_s
        yield SeriesRead(name, tuple(read_time_points(pair)), time_step_s)
    else:
        yield replace(read_pair(pair), name=name)


def named_for(subset: Subset, sample: Sample) -> Sample:
    """Return the sample without the subset in its name, so that it replaces the volume that it was opened from."""
    series, time = split_name(sample.name)
    name = series.removesuffix(f" ({subset})")
    return replace(sample, name=name if time is None else time_point_name(name, time))


def add_time_points(
    folder: Path, read: Callable[[int], Sample], n_times: int, subset: Subset, overwrite: bool
) -> Iterator[Pair]:
    """Write each time point of a series to a subset of a dataset; the events are their files.

    Parameters
    ----------
    folder : Path
        The dataset.
    read : callable
        Returns a time point with its labels; its name says which one it is.
    n_times : int
        Number of time points.
    subset : Subset
        Train or test.
    overwrite : bool
        Replace volumes of these names.
    """
    for time in range(n_times):
        sample = named_for(subset, read(time))
        yield from add_or_replace(folder, sample, subset, overwrite and has_volume(folder, subset, sample.name))


def add_or_replace(folder: Path, sample: Sample, subset: Subset, overwrite: bool) -> Iterator[Pair]:
    """Write a volume to a subset of a dataset; the only event is its files."""
    if overwrite and sample.label_mask is not None:  # a corrected volume stays one
        name = file_name(sample.name).casefold()
        old = next(pair for pair in list_pairs(folder, subset) if pair.name.casefold() == name)
        known = None if old.label_mask is None else read_provenance(provenance_file(old.label_mask))
        sample = replace(sample, provenance=known)
    yield add_sample(folder, sample, subset, overwrite=overwrite)


def has_volume(folder: Path, subset: Subset, name: str) -> bool:
    """Return whether a subset of a dataset has a volume of a name."""
    if not os.path.isdir(kind_folder(folder, subset, "images")):
        return False
    return any(pair.name.casefold() == file_name(name).casefold() for pair in list_pairs(folder, subset))
