"""The dataset folder of the tutorial: ``train|test/images|labels``, one file per volume in each.

A third, optional folder ``train|test/annotated`` holds masks that say where labels hold, and beside the mask of a
corrected volume ``NAME.json``, which says where it comes from.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from napari_unet3d.data.formats.registry import format_of, is_volume, readable_suffixes, volume_name
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.pairs import (
    Pair,
    Subset,
    check_is_dataset,
    files_beside,
    list_pairs,
    missing_partner,
    pairing_notice,
    provenance_file,
    unique_name,
    volumes_in,
)
from napari_unet3d.data.provenance import read_provenance
from napari_unet3d.data.sample import Sample, to_label_dtype
from napari_unet3d.data.volumes import read_sample, write_volume
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.files import atomic_write

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
]

_KINDS = ("images", "labels", "annotated")
_NOT_IN_FILE_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]+')


def create_dataset(folder: Path | str) -> Path:
    """Make the folders ``train|test/images|labels``; those that exist are left as they are.

    Raises
    ------
    UserError
        If the folder cannot be made.
    """
    folder = Path(folder)
    with explain_os_errors(folder, "create"):
        for part in Subset:
            for kind in _KINDS[:2]:  # masks are rare, and the third folder comes with the first of them
                (folder / part / kind).mkdir(parents=True, exist_ok=True)
    return folder


def read_pair(pair: Pair) -> Sample:
    """Read an image with its labels and, if there is one, the mask of what is annotated.

    Raises
    ------
    UserError
        If a partner is missing, or one of the files cannot be read or does not fit the other.
    """
    if pair.image is None or pair.labels is None:
        raise UserError(missing_partner(pair))
    origin = None if pair.label_mask is None else read_provenance(provenance_file(pair.label_mask))
    return read_sample(pair.image, pair.labels, pair.label_mask, origin)


def read_samples(folder: Path | str, subset: Subset = Subset.TRAIN, shelf: MemmapStore | None = None) -> list[Sample]:
    """Read all volumes of one part, one after another, in natural order of their names.

    Parameters
    ----------
    folder : Path or str
        The dataset.
    part : Part
        Train or test.
    shelf : MemmapStore, optional
        Where those volumes go that do not fit into memory together; without it all stay in memory.

    Raises
    ------
    UserError
        If there are none, a partner is missing, or a file cannot be read; the first problem is named.
    """
    return list(iter_samples(folder, subset, shelf))


def iter_samples(
    folder: Path | str, subset: Subset = Subset.TRAIN, shelf: MemmapStore | None = None
) -> Iterator[Sample]:
    """Read the volumes of one part as they are asked for; see `read_samples`."""
    pairs = list_pairs(folder, subset)
    if not pairs:
        raise UserError(
            f"{Path(folder) / subset} holds no volumes. Add images to {subset}/images and their labels to {subset}/labels."
        )
    for pair in pairs:
        if pair.image is None or pair.labels is None:  # found before hours of reading
            raise UserError(missing_partner(pair))
    for pair in pairs:
        yield read_pair(pair) if shelf is None else shelf.store_sample(read_pair(pair))


def add_sample(folder: Path | str, sample: Sample, subset: Subset, *, overwrite: bool = False) -> Pair:
    """Write a sample into a dataset as ``images/NAME.tif`` and ``labels/NAME.tif``; the folders are made if missing.

    A mask of what is annotated goes into ``annotated/NAME.tif``, and the origin of a corrected volume into
    ``annotated/NAME.json``.

    Parameters
    ----------
    folder : Path or str
        The dataset.
    sample : Sample
        Image and labels; characters of its name that no file name may have become ``_``.
    part : Part
        Train or test.
    overwrite : bool
        Replace volumes of that name, in whatever format they are.

    Returns
    -------
    Pair
        The files.

    Raises
    ------
    UserError
        If the sample has no labels, the name is taken, or the files cannot be written.
    """
    if sample.labels is None:
        raise UserError(f"'{sample.name}' has no labels. Choose a Labels layer for it.")
    folder, name = create_dataset(folder), file_name(sample.name)
    image, labels, mask = (folder / subset / kind / f"{name}.tif" for kind in _KINDS)
    taken = [path for target in (image, labels, mask) for path in _namesakes(target.parent, name)]
    if taken and not overwrite:
        raise UserError(f"{taken[0]} exists already. Choose another name, or allow overwriting.")
    for path in taken:
        if not _may_be_cleaned(path):
            raise UserError(f"{path} is no volume, so it is not replaced. Move it elsewhere, or choose another name.")
    arrays = {image: sample.image, labels: to_label_dtype(sample.name, sample.labels)}
    if sample.label_mask is not None:
        arrays[mask] = sample.label_mask.astype(np.uint8)
    # All files are complete before one takes its place, so that a full disk leaves no half pair.
    with ExitStack() as places:
        for path, array in arrays.items():
            write_volume(places.enter_context(atomic_write(path)), array, sample.voxel_size_um)
        if sample.provenance is not None:
            beside = places.enter_context(atomic_write(provenance_file(mask)))
            beside.write_text(sample.provenance.model_dump_json(indent=2), encoding="utf-8")
    for path in taken:
        if path not in arrays and not (sample.provenance is not None and path == provenance_file(mask)):
            _remove(path)
    return Pair(name, subset, image, labels, label_mask=mask if mask in arrays else None)


def _namesakes(folder: Path, name: str) -> list[Path]:
    """List what a volume of a name has in a folder, whatever its format, with the origin that stands beside a mask."""
    found = [path for path in volumes_in(folder) if volume_name(path).casefold() == name.casefold()]
    if folder.name == "annotated":
        found += [provenance_file(path) for path in found if provenance_file(path).exists()]
    return found


def file_name(name: str) -> str:
    """Turn the name of a layer or volume into one that every file system takes."""
    clean = _NOT_IN_FILE_NAMES.sub("_", name).strip(" .")
    return clean or "volume"


def files_to_clean(folder: Path | str) -> list[Path]:
    """List what `clean_dataset` may delete: the volumes directly in ``train|test/images|labels|annotated``.

    A volume is a file with the ending of a format, a folder only if it is a zarr store. The JSON files that belong to
    volumes are listed with them. A link is listed as itself if it points to a volume, or to nothing. Folders of the
    dataset that are links to somewhere else are not entered.

    Raises
    ------
    UserError
        If the folder is no dataset.
    """
    return [path for path in _entries(folder) if _may_be_cleaned(path)]


def files_to_keep(folder: Path | str) -> list[Path]:
    """List what stands beside the `files_to_clean` and is no volume, but for hidden files."""
    return [path for path in _entries(folder) if not _may_be_cleaned(path) and not path.name.startswith(".")]


def _entries(folder: Path | str) -> list[Path]:
    folder = check_is_dataset(folder)
    with explain_os_errors(folder, "read"):
        return [path for own in _own_folders(folder) for path in sorted(own.iterdir())]


def _own_folders(folder: Path) -> Iterator[Path]:
    """Yield those of the six folders that really stand inside the dataset; this also keeps out Windows' junctions."""
    for part in Subset:
        for kind in _KINDS:
            own = folder / part / kind
            if own.is_dir() and own.resolve() == folder.resolve() / part / kind:
                yield own


def _may_be_cleaned(path: Path) -> bool:
    if path.name.endswith(".json"):
        return path.is_file() and _belongs_to_volume(path)
    if not is_volume(path):
        return False
    names = format_of(path).folder_files
    is_there = path.is_dir() and any((path / name).is_file() for name in names) if names else path.is_file()
    return is_there or (path.is_symlink() and not path.exists())


def _belongs_to_volume(path: Path) -> bool:
    """Return whether a JSON file is the voxel size of a volume, or the provenance of a corrected one."""
    name = path.name.removesuffix(".json")
    candidates = (path.with_name(name + suffix) for suffix in ("", *readable_suffixes()))
    return any(is_volume(each) and each.exists() and path in files_beside(each) for each in candidates)


def _is_link(path: Path) -> bool:
    return path.is_symlink() or path.resolve() != path.parent.resolve() / path.name


def clean_dataset(folder: Path | str, files: Sequence[Path]) -> None:
    """Delete exactly the named files of a dataset; of a link only the link.

    Parameters
    ----------
    folder : Path or str
        The dataset.
    files : sequence of Path
        Some or all of `files_to_clean`.

    Raises
    ------
    UserError
        If one of them is not among `files_to_clean` (then nothing is deleted), or cannot be deleted.
    """
    known = {_place(path): path for path in files_to_clean(folder)}
    for path in files:
        if _place(Path(path)) not in known:
            raise UserError(
                f"{path} is no volume of the dataset {folder}, so nothing was deleted. List the files again."
            )
    for path in files:
        _remove(known[_place(Path(path))])


def _place(path: Path) -> str:
    return os.path.normcase(path.parent.resolve() / path.name)


def _remove(path: Path) -> None:
    with explain_os_errors(path, "delete"):
        delete: Callable[[Path], None] = shutil.rmtree if path.is_dir() and not _is_link(path) else os.unlink
        delete(path)


def write_lossless(folder: Path, samples: Sequence[Sample]) -> None:
    """Write volumes as the training part of a dataset, with their very values, number types and voxel sizes.

    Parameters
    ----------
    folder : Path
        A new folder.
    samples : sequence of Sample
        With labels.

    Raises
    ------
    UserError
        If a volume has no labels, or the disk is full.
    """
    part = create_dataset(folder) / Subset.TRAIN.value
    taken: list[str] = []
    for sample in samples:
        if sample.labels is None:
            raise UserError(f"The volume '{sample.name}' has no labels; label it, or leave it out of training.")
        name = unique_name(file_name(sample.name), taken)
        taken.append(name)
        arrays = {"images": sample.image, "labels": sample.labels, "annotated": sample.label_mask}
        for kind, array in arrays.items():
            if array is not None:
                write_volume(part / kind / f"{name}.npy", array, sample.voxel_size_um)
