"""Series of volumes in time: each time point of a file is a volume of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from napari_unet3d.configs.training_enums import FourthAxis
from napari_unet3d.data.dataset_voxel_size import read_given_voxel_size
from napari_unet3d.data.formats.registry import format_of
from napari_unet3d.data.layout import dataset_of
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.opening import OpenVolume, open_volume
from napari_unet3d.data.pairs import Pair, missing_partner, provenance_file
from napari_unet3d.data.provenance import read_provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.streamed_samples import open_sample
from napari_unet3d.data.time_points import check_same_times, several_time_points, time_point_name
from napari_unet3d.data.volumes import sample_of
from napari_unet3d.data.voxel_size import with_dataset_voxel_size
from napari_unet3d.errors import UserError


def read_time_points(
    pair: Pair, fourth_axis: FourthAxis = FourthAxis.AUTO, store: MemmapStore | None = None
) -> Iterator[Sample]:
    """Read the volumes of an image with labels, one after another: one, or one for each time point.

    Parameters
    ----------
    pair : Pair
        The files of image, labels and mask. Labels of a series have as many time points, or belong to a single one.
    fourth_axis : FourthAxis
        What the axis beside z, y and x is; by default what the file says.
    store : MemmapStore, optional
        With it, a volume that does not fit into memory stays in its files if they can be read in parts; such a volume
        can be used until the store is closed.

    Yields
    ------
    Sample
        Named like the image; those of a series end in ``t=0``, ``t=1`` and so on.

    Raises
    ------
    UserError
        If a file is missing or cannot be read, or image and labels do not match.
    """
    with _opened(pair, fourth_axis) as (image, n_times, notices):
        times = range(n_times or 0) if pair.time is None else [pair.time]
        for time in times if n_times is not None else [None]:
            streamed = None if store is None or time is not None else open_sample(pair, image, fourth_axis, store)
            sample = _read(pair, image, time) if streamed is None else _with_given_voxel_size(pair, streamed)
            yield replace(sample, notices=(*notices, *sample.notices)) if notices else sample


def read_pair(pair: Pair, fourth_axis: FourthAxis = FourthAxis.AUTO) -> Sample:
    """Read an image with its labels and, if there is one, its mask of annotated voxels: one volume or time point.

    The voxel size is that of the files, or that given in ``voxel_size.json`` of the dataset where they have none.

    Raises
    ------
    UserError
        If image or labels are missing, a file cannot be read or does not match the others, or is a series of which no
        time point is chosen.
    """
    with _opened(pair, fourth_axis) as (image, n_times, notices):
        if n_times is not None and pair.time is None:
            raise several_time_points(image)
        sample = _read(pair, image, pair.time)
        return replace(sample, notices=(*notices, *sample.notices)) if notices else sample


def list_time_points(pairs: Iterable[Pair], fourth_axis: FourthAxis = FourthAxis.AUTO) -> list[Pair]:
    """Return a pair for each time point of series, and other pairs as they are, without reading their voxels.

    Parameters
    ----------
    pairs : iterable of Pair
        Such as those of `list_pairs`; what is wrong with a file is explained when it is read.
    fourth_axis : FourthAxis
        What the axis beside z, y and x is; by default what the file says.
    """
    found: list[Pair] = []
    for pair in pairs:
        try:
            found += time_points_of(pair, fourth_axis)
        except UserError:
            found.append(pair)
    return found


def time_points_of(pair: Pair, fourth_axis: FourthAxis = FourthAxis.AUTO) -> list[Pair]:
    """Return a pair for each time point of a series; the pair alone if it is none, or a single one of its time points.

    Raises
    ------
    UserError
        If a file cannot be read, or image and labels have other time points.
    """
    if not pair.is_complete or pair.time is not None:
        return [pair]
    with _opened(pair, fourth_axis) as (_, n_times, _):
        pass
    if n_times is None:
        return [pair]
    return [replace(pair, name=time_point_name(pair.name, time), time=time) for time in range(n_times)]


@contextmanager
def _opened(pair: Pair, fourth_axis: FourthAxis) -> Iterator[tuple[OpenVolume, int | None, tuple[str, ...]]]:
    """Open the image of a pair; yield it, the number of its time points if it is a series, and what was assumed."""
    if pair.image is None or pair.labels is None:
        raise UserError(missing_partner(pair))
    with ExitStack() as files:
        axis = fourth_axis if pair.time is None else FourthAxis.TIME_POINTS
        image = files.enter_context(open_volume(pair.image, "images", axis))
        if image.roles.is_guessed and _have_labels_time(image, pair):
            notice = (
                f"{image.path} does not name its axes; the {image.stored.shape[0]} volumes along the first one are "
                "taken as time points, since its labels have as many."
            )
            image = files.enter_context(open_volume(pair.image, "images", FourthAxis.TIME_POINTS))
            yield image, image.n_times, (notice,)
            return
        is_series = image.n_times is not None and (pair.time is not None or _is_series(image, pair.labels, fourth_axis))
        yield image, image.n_times if is_series else None, ()


def _have_labels_time(image: OpenVolume, pair: Pair) -> bool:
    """Return whether labels have as many volumes as the first axis of an image without names of axes."""
    assert pair.labels is not None, "a complete pair has labels"
    with open_volume(pair.labels, "labels", FourthAxis.TIME_POINTS) as labels:
        return labels.n_times == image.stored.shape[0]


def _is_series(image: OpenVolume, labels: Path, fourth_axis: FourthAxis) -> bool:
    """Return whether the time points of an image are volumes of their own, and check that its labels have as many.

    One volume of labels for all of them is that of an image with channels where a format has no other axis for these.
    """
    with open_volume(labels, "labels", FourthAxis.TIME_POINTS) as opened:
        says_so = fourth_axis is FourthAxis.TIME_POINTS or format_of(image.path).names_time
        if opened.n_times is None and not says_so and image.roles.c is None:
            return False
        check_same_times(image, opened)
    return True


def _read(pair: Pair, image: OpenVolume, time: int | None) -> Sample:
    provenance = None if pair.label_mask is None else read_provenance(provenance_file(pair.label_mask))
    sample = sample_of(image, pair.labels, pair.label_mask, provenance, times_as_channels=True, time=time)
    return _with_given_voxel_size(pair, sample)


def _with_given_voxel_size(pair: Pair, sample: Sample) -> Sample:
    assert pair.image is not None, "it is open"
    return with_dataset_voxel_size(sample, read_given_voxel_size(dataset_of(pair.image)))
