"""The volumes of a dataset as cases of nnU-Net: read one by one, with their names and channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from napari_unet3d.data.channel_choice import ChannelChoice
from napari_unet3d.data.corrected_regions import mask_corrected
from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.dataset_voxel_size import read_given_voxel_size
from napari_unet3d.data.layout import kind_folder
from napari_unet3d.data.pairs import Pair, Subset, list_pairs, missing_partner, unique_name
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.series import read_time_points
from napari_unet3d.data.volumes import read_sample
from napari_unet3d.data.voxel_size import with_dataset_voxel_size
from napari_unet3d.errors import UserError


class Case(NamedTuple):
    """A volume, the name of its files in nnU-Net, its subset, and how many files were read with it."""

    sample: Sample
    name: str
    subset: Subset
    n_read: int


def pairs_to_export(dataset: Path) -> list[Pair]:
    """Return the files of a dataset; test volumes need no labels.

    Raises
    ------
    UserError
        If there is no training volume, a file has no partner, or the dataset is one of nnU-Net already.
    """
    pairs = list_pairs(dataset)
    for subset, end in ((Subset.TRAIN, "Tr"), (Subset.TEST, "Ts")):
        if kind_folder(dataset, subset, "images").name == f"images{end}":
            raise UserError(f"{dataset} has the layout of nnU-Net already. Use it there as it is.")
    if not any(pair.subset is Subset.TRAIN for pair in pairs):
        raise UserError(f"{dataset} has no training volumes. Add images to train/images and labels to train/labels.")
    for pair in pairs:
        if pair.image is None or (pair.labels is None and pair.subset is Subset.TRAIN):
            raise UserError(missing_partner(pair))
    return pairs


def read_cases(pairs: Sequence[Pair], corrected: Sequence[Sample] = ()) -> Iterator[Case]:
    """Read volumes one by one, all with the channels of the first; each time point of a series is a case.

    Parameters
    ----------
    pairs : sequence of Pair
        What `pairs_to_export` returns.
    corrected : sequence of Sample
        The corrected training volumes; what they annotate is not annotated in the volumes that they were cropped from.

    Raises
    ------
    UserError
        If a file cannot be read, or does not have these channels.
    """
    channels, taken = ChannelChoice(), {subset: list[str]() for subset in Subset}
    for n_read, pair in enumerate(pairs, start=1):
        for sample in _samples(pair):
            sample = channels.apply(sample)
            if pair.subset is Subset.TRAIN and corrected:
                sample = mask_corrected([sample, *corrected])[0]
            name = unique_name(file_name(sample.name), taken[pair.subset])
            taken[pair.subset].append(name)
            yield Case(sample, name, pair.subset, n_read)


def _samples(pair: Pair) -> Iterator[Sample]:
    if pair.labels is not None:
        yield from read_time_points(pair)
    elif pair.image is not None:
        given = read_given_voxel_size(pair.image.parents[1].parent)
        yield with_dataset_voxel_size(read_sample(pair.image), given)
