"""The dataset folder of the tutorial: ``train|test/images|labels`` with one file per volume.

The optional folder ``train|test/annotated`` has masks of the annotated voxels and, next to the mask of a corrected
volume, ``NAME.json`` with its provenance.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from napari_unet3d.configs.training_enums import FourthAxis
from napari_unet3d.data.cleaning import clean_dataset, files_to_clean, files_to_keep, is_volume_file
from napari_unet3d.data.formats.registry import volume_name
from napari_unet3d.data.label_values import to_label_dtype
from napari_unet3d.data.layout import KINDS, Subset, kind_folder
from napari_unet3d.data.lazy_array import is_lazy
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.pairs import (
    Pair,
    list_pairs,
    missing_partner,
    pairing_notice,
    provenance_file,
    unique_name,
    volumes_in,
)
from napari_unet3d.data.replacing import finish_replacing, replacing
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.series import read_pair, read_time_points
from napari_unet3d.data.volumes import suffix_for, write_volume
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.paths import exists

__all__ = [
    "Pair",
    "Subset",
    "add_sample",
    "clean_dataset",
    "create_dataset",
    "file_name",
    "files_to_clean",
    "files_to_keep",
    "iter_samples",
    "list_pairs",
    "pairing_notice",
    "read_pair",
    "read_samples",
    "read_time_points",
]

_NOT_IN_FILE_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]+')


def create_dataset(folder: Path | str) -> Path:
    """Create the folders ``train|test/images|labels`` that do not exist.

    Raises
    ------
    UserError
        If a folder cannot be created.
    """
    folder = Path(folder)
    with explain_os_errors(folder, "create"):
        for subset in Subset:
            for kind in KINDS[:2]:  # the third folder is created with the first mask
                kind_folder(folder, subset, kind).mkdir(parents=True, exist_ok=True)
    finish_replacing(folder)
    return folder


def read_samples(
    folder: Path | str,
    subset: Subset = Subset.TRAIN,
    store: MemmapStore | None = None,
    fourth_axis: FourthAxis = FourthAxis.AUTO,
) -> list[Sample]:
    """Read all volumes of a subset in natural order of their names; each time point of a series is a volume.

    Parameters
    ----------
    folder : Path or str
        The dataset.
    subset : Subset
        Train or test.
    store : MemmapStore, optional
        Store for volumes that do not fit into memory; without it, all are in memory.
    fourth_axis : FourthAxis
        What the axis beside z, y and x is; by default what the file says.

    Raises
    ------
    UserError
        If there are none, image or labels are missing, or a file cannot be read.
    """
    return list(iter_samples(folder, subset, store, fourth_axis))


def iter_samples(
    folder: Path | str,
    subset: Subset = Subset.TRAIN,
    store: MemmapStore | None = None,
    fourth_axis: FourthAxis = FourthAxis.AUTO,
    *,
    opens: MemmapStore | None = None,
) -> Iterator[Sample]:
    """Yield the volumes of a subset one by one; see `read_samples`.

    With a store that opens files, volumes that do not fit into memory stay in them where possible.
    """
    pairs = list_pairs(folder, subset)
    if not pairs:
        raise UserError(
            f"{Path(folder) / subset} has no volumes. Add images to {subset}/images and labels to {subset}/labels."
        )
    for pair in pairs:
        if pair.image is None or pair.labels is None:  # before reading, which may take long
            raise UserError(missing_partner(pair))
    for pair in pairs:
        for sample in read_time_points(pair, fourth_axis, opens):
            yield sample if store is None else store.store_sample(sample)


def add_sample(
    folder: Path | str, sample: Sample, subset: Subset, *, overwrite: bool = False, replaces: Sequence[Path] = ()
) -> Pair:
    """Write a sample to a dataset as ``images/NAME.tif`` and ``labels/NAME.tif``; missing folders are created.

    Its files take their places together, even if the process is killed: a volume is the old or the new one.

    A mask of annotated voxels is written to ``annotated/NAME.tif``, and the provenance of a corrected volume to
    ``annotated/NAME.json``.

    Parameters
    ----------
    folder : Path or str
        The dataset.
    sample : Sample
        Image and labels; characters of its name that are not allowed in file names become ``_``.
    subset : Subset
        Train or test.
    overwrite : bool
        Replace volumes with this name, in any format.
    replaces : sequence of Path
        Files of other volumes of the dataset that it takes the place of; they are removed.

    Returns
    -------
    Pair
        The files.

    Raises
    ------
    UserError
        If the sample has no labels, the name is taken, or the files cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> image = np.zeros((4, 5, 6), np.uint8)
    >>> with TemporaryDirectory() as folder:
    ...     pair = add_sample(folder, Sample("brain", image, labels=image + 1), Subset.TRAIN)
    ...     pair.name, pair.image.name, read_samples(folder)[0].shape
    ('brain', 'brain.tif', (4, 5, 6))
    """
    if sample.labels is None:
        raise UserError(f"'{sample.name}' has no labels. Choose a Labels layer for it.")
    folder, name, suffix = create_dataset(folder), file_name(sample.name), suffix_for(sample.geometry)
    image, labels, mask = (kind_folder(folder, subset, kind) / f"{name}{suffix}" for kind in KINDS)
    taken = [path for target in (image, labels, mask) for path in _namesakes(target.parent, name)]
    taken = [path for path in taken if path not in replaces]
    if taken and not overwrite:
        raise UserError(f"{taken[0]} exists already. Choose another name, or allow overwriting.")
    for path in (*taken, *replaces):
        if os.path.lexists(path) and not is_volume_file(path):
            raise UserError(
                f"{path} is not a volume, so it is not replaced. Move it elsewhere, or choose another name."
            )
    arrays = {image: sample.image, labels: to_label_dtype(sample.name, sample.labels)}
    if sample.label_mask is not None:
        arrays[mask] = sample.label_mask.astype(np.uint8)
    with replacing(folder) as group:
        for path, array in arrays.items():
            names = sample.channel_names if path == image else ()
            write_volume(group.add(path), array, geometry=sample.geometry, channel_names=names)
        if sample.provenance is not None:
            text = sample.provenance.model_dump_json(indent=2)
            group.add(provenance_file(mask)).write_text(text, encoding="utf-8")
        group.removed += [path for path in dict.fromkeys((*taken, *replaces)) if path not in group.temporary]
    return Pair(name, subset, image, labels, label_mask=mask if mask in arrays else None)


def _namesakes(folder: Path, name: str) -> list[Path]:
    """Return the files of a volume in a folder, in any format, including the provenance next to a mask."""
    found = [path for path in volumes_in(folder) if volume_name(path).casefold() == name.casefold()]
    if folder.name == "annotated":
        found += [provenance_file(path) for path in found if exists(provenance_file(path))]
    return found


def file_name(name: str) -> str:
    """Return the name of a layer or volume as a valid file name.

    >>> file_name("a/b: c")
    'a_b_ c'
    """
    clean = _NOT_IN_FILE_NAMES.sub("_", name).strip(" .")
    return clean or "volume"


def write_lossless(folder: Path, samples: Sequence[Sample]) -> None:
    """Write training volumes of a dataset with unchanged values, data types and voxel sizes.

    Parameters
    ----------
    folder : Path
        A new folder.
    samples : sequence of Sample
        With labels.

    Raises
    ------
    UserError
        If a volume has no labels or is not in memory, or the disk is full.
    """
    if lazy := [sample.name for sample in samples if is_lazy(sample.image)]:
        raise UserError(
            f"'{lazy[0]}' is read in parts from its layers, which another process cannot do. Run the training on this "
            "viewer, or save image and labels as OME-Zarr to a dataset folder and train on that."
        )
    train = create_dataset(folder) / Subset.TRAIN.value
    taken: list[str] = []
    for sample in samples:
        if sample.labels is None:
            raise UserError(f"The volume '{sample.name}' has no labels; label it, or leave it out of training.")
        name = unique_name(file_name(sample.name), taken)
        taken.append(name)
        arrays = {"images": sample.image, "labels": sample.labels, "annotated": sample.label_mask}
        for kind, array in arrays.items():
            if array is not None:
                names_of_channels = sample.channel_names if kind == "images" else ()
                file = train / kind / f"{name}.npy"
                write_volume(file, array, geometry=sample.geometry, channel_names=names_of_channels)
