"""Matching of images, labels and masks in a dataset folder ``train|test/images|labels|annotated``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.formats.registry import format_of, is_volume, readable_suffixes, volume_name
from napari_unet3d.data.formats.tiff_content import file_of_part, is_ome_tiff
from napari_unet3d.data.layout import (
    KINDS,
    Subset,
    check_is_dataset,
    dataset_of,
    kind_folder,
    shown_folder,
    unused_folders,
)
from napari_unet3d.data.matching import (
    bare_name,
    match,
    match_by_number,
    match_time_points,
    other_channels,
    plain_name,
)
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import explain_os_errors
from napari_unet3d.paths import is_folder

__all__ = ["KINDS", "Pair", "Subset", "check_is_dataset"]


@dataclass(frozen=True, slots=True)
class Pair:
    """An image file and its labels file; None for a missing file.

    Attributes
    ----------
    name : str
        File name of the image without suffix, or of the labels if there is no image.
    subset : Subset
        Train or test.
    image, labels : Path or None
        The two files.
    matched_by_order : bool
        Whether the names differ and the files were matched by sorted order.
    label_mask : Path or None
        The mask of annotated voxels in the folder ``annotated``; most volumes have none.
    time : int or None
        The time point of the image that it is, if the image is a series and one of its time points is meant.
    """

    name: str
    subset: Subset
    image: Path | None
    labels: Path | None
    matched_by_order: bool = False
    label_mask: Path | None = None
    time: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether there are both an image and labels."""
        return self.image is not None and self.labels is not None


def provenance_file(mask: Path) -> Path:
    """Return the file with the provenance of a corrected volume: ``NAME.json`` next to its mask."""
    return mask.with_name(f"{volume_name(mask)}.json")


def files_beside(volume: Path) -> list[Path]:
    """Return the JSON files that may belong to a volume: its voxel size, and the provenance of a corrected volume."""
    geometry_file = format_of(volume).geometry_file
    files = [] if geometry_file is None else [geometry_file(volume)]
    return [*files, provenance_file(volume)] if volume.parent.name == "annotated" else files


def list_pairs(folder: Path | str, subset: Subset | None = None) -> list[Pair]:
    """Return the volumes of a dataset, training volumes first, complete or not.

    Image and labels have the same name, apart from words such as ``image``, ``label``, ``mask`` or ``seg``, leading
    zeros, and the number of a channel that nnU-Net appends. If no names match, those with the same numbers do. If there
    are no numbers and as many images as labels, they are matched by sorted order. Of both, `pairing_notice` returns a
    message. A mask in the folder ``annotated`` belongs to the volume with its name.

    Parameters
    ----------
    folder : Path or str
        The dataset.
    subset : Subset, optional
        Only this subset; without it, both.

    Returns
    -------
    list of Pair
        In natural order of the names (2 before 10).

    Raises
    ------
    UserError
        If the folder is not a dataset or cannot be read.
    """
    folder = check_is_dataset(folder)
    subsets = list(Subset) if subset is None else [subset]
    return [pair for each in subsets for pair in _pairs_of(folder, each)]


def _pairs_of(folder: Path, subset: Subset) -> list[Pair]:
    if not os.path.isdir(kind_folder(folder, subset, "labels")) and _has_no_labels_in_nnunet(folder, subset):
        return []  # `folder_notices` says so
    images, labels, masks = (_whole_volumes(kind_folder(folder, subset, kind))[0] for kind in KINDS)
    matched, is_by_name = match(images, labels), True
    if not matched and images and labels:
        is_by_name = False
        by_number = match_by_number(images, labels)
        if match_time_points(images, labels):
            matched = []
        elif by_number is not None:  # numbers that do not fit are not matched by order
            matched = by_number
        elif len(images) == len(labels):
            matched = list(zip(images, labels, strict=True))
    of_first, matched_images = other_channels(images), {image for image, _ in matched}
    unused = {path for first, others in of_first.items() if first in matched_images for path in others}
    pairs = [
        Pair(volume_name(image), subset, image, partner, matched_by_order=not is_by_name) for image, partner in matched
    ]
    matched_labels = {path for _, path in matched}
    of_times = match_time_points(images, [path for path in labels if path not in matched_labels])
    pairs += [Pair(f"{volume_name(image)} t={time}", subset, image, path, time=time) for image, path, time in of_times]
    paired = {path for pair in [*matched, *(each[:2] for each in of_times)] for path in pair} | unused
    pairs += [Pair(volume_name(image), subset, image, None) for image in images if image not in paired]
    pairs += [Pair(volume_name(path), subset, None, path) for path in labels if path not in paired]
    return _with_masks(pairs, masks, subset)


def _has_no_labels_in_nnunet(folder: Path, subset: Subset) -> bool:
    return subset is Subset.TEST and kind_folder(folder, subset, "images").name == "imagesTs"


def _with_masks(pairs: list[Pair], masks: list[Path], subset: Subset) -> list[Pair]:
    """Return pairs with their masks; a mask without a volume is an incomplete pair, so that it is reported."""
    for key in (volume_name, plain_name, bare_name) if masks else ():
        waiting = {key(path): path for path in reversed(masks)}
        for number, pair in enumerate(pairs):
            names = [] if pair.label_mask else [key(path) for path in (pair.image, pair.labels) if path is not None]
            mask = next((waiting.pop(name) for name in names if name in waiting), None)
            if mask is not None:
                pairs[number] = replace(pair, label_mask=mask)
                masks.remove(mask)
    pairs += [Pair(volume_name(path), subset, None, None, label_mask=path) for path in masks]
    return sorted(pairs, key=lambda pair: natural_order(pair.name))


def match_to_pairs(files: Sequence[Path], pairs: Sequence[Pair]) -> dict[str, Path]:
    """Return the file of each pair that has one, by the name of the pair: a prediction of it, for example.

    A file belongs to the pair whose image or labels have its name, apart from endings such as ``_labels``.

    Parameters
    ----------
    files : sequence of Path
        Volumes.
    pairs : sequence of Pair
        The pairs.
    """
    matched: dict[str, Path] = {}
    for key in (volume_name, plain_name, bare_name):
        used = set(matched.values())
        waiting = {key(path): path for path in reversed(files) if path not in used}
        for pair in pairs:
            names = [key(path) for path in (pair.image, pair.labels) if path is not None]
            if pair.name not in matched and (name := next((each for each in names if each in waiting), None)):
                matched[pair.name] = waiting.pop(name)
    return matched


def volumes_in(folder: Path) -> list[Path]:
    """Return the volumes of a folder in natural order; none if the folder does not exist."""
    if not is_folder(folder):
        return []
    with explain_os_errors(folder, "read"):
        return sorted(filter(is_volume, folder.iterdir()), key=lambda path: natural_order(path.name))


def _whole_volumes(folder: Path) -> tuple[list[Path], dict[str, list[str]]]:
    """Return the volumes of a folder without files that are parts of another one, and the names of these by its name.

    Microscopes save an OME-TIFF in several files.
    """
    volumes = volumes_in(folder)
    candidates = [path for path in volumes if is_ome_tiff(path)]
    parts = {path: whole for path in candidates if len(candidates) > 1 and (whole := file_of_part(path))}
    named: dict[str, list[str]] = {}
    for path, whole in parts.items():
        named.setdefault(whole, []).append(path.name)
    return [path for path in volumes if path not in parts], named


def pairing_notice(folder: Path | str, subset: Subset | None = None) -> str | None:
    """Return a message if pairs were matched by sorted order, else None."""
    by_order = [pair for pair in list_pairs(folder, subset) if pair.matched_by_order]
    if not by_order:
        return None
    first = by_order[0]
    image, labels = (path for path in (first.image, first.labels) if path is not None)
    is_by_number = match_by_number([image], [labels]) is not None
    return (
        f"{len(by_order)} volumes were matched by sorted order{' of the numbers in their names' * is_by_number}, "
        f"since the names of images and labels differ: {first.subset}/{image.parent.name}/{image.name} with "
        f"{labels.name}, and so on. Check them, or give image and labels the same name."
    )


def folder_notices(folder: Path | str, subset: Subset | None = None) -> list[str]:
    """Return messages about a dataset: volumes that were not matched by name, and what is left out.

    Parameters
    ----------
    folder : Path or str
        The dataset.
    subset : Subset, optional
        Only this subset; without it, both.
    """
    folder = Path(folder)
    notices = [notice for notice in (pairing_notice(folder, subset),) if notice]
    for each in list(Subset) if subset is None else [subset]:
        for kind in KINDS:
            notices += _left_out(kind_folder(folder, each, kind), shown_folder(folder, each, kind))
            for whole, parts in _whole_volumes(kind_folder(folder, each, kind))[1].items():
                notices.append(f"{shown_folder(folder, each, kind)}/{whole} is a volume in {len(parts) + 1} files.")
        for first, others in other_channels(volumes_in(kind_folder(folder, each, "images"))).items():
            names = ", ".join(path.name for path in others)
            notices.append(
                f"{first.name} is used and {names} is left out: they are channels of one volume in separate files, as "
                "in nnU-Net. To use them all, import the dataset with napari-unet3d dataset import or save them as one "
                "file."
            )
    return [*notices, *unused_folders(folder)]


def _left_out(folder: Path, name: str) -> list[str]:
    with explain_os_errors(folder, "read"):
        entries = sorted(entry.name for entry in folder.iterdir()) if os.path.isdir(folder) else []
    volumes = [entry for entry in entries if is_volume(folder / entry)]
    ours = {path.name for entry in volumes for path in files_beside(folder / entry)}
    ignored = [entry for entry in entries if not (entry.startswith(".") or entry in volumes or entry in ours)]
    if not ignored:
        return []
    others = f" and {len(ignored) - 1} more files are" if len(ignored) > 1 else " is"
    return [f"{name}/{ignored[0]}{others} ignored; the supported formats are {' '.join(readable_suffixes())}."]


def missing_partner(pair: Pair) -> str:
    """Return the message for an incomplete pair."""
    if pair.label_mask is not None and pair.image is None and pair.labels is None:
        return (
            f"{pair.subset}/annotated/{pair.label_mask.name} is a mask without a volume. Add {pair.subset}/images/"
            f"{pair.label_mask.name} and its labels, or remove the mask."
        )
    found, kind = (pair.labels, "images") if pair.image is None else (pair.image, "labels")
    assert found is not None, "a pair has a file"
    folder = shown_folder(dataset_of(found), pair.subset, kind)
    is_there = volumes_in(dataset_of(found) / folder)
    numbers = f" ({folder} has {', '.join(path.name for path in is_there[:9])})" if is_there else ""
    return (
        f"{folder} has no partner for {found.name}. Add {folder}/{found.name}, since {volume_name(found)} has no "
        f"{kind if kind == 'labels' else 'image'}{numbers}, or remove the file without a partner."
    )


def unique_name(name: str, taken: Sequence[str]) -> str:
    """Return the first of ``NAME``, ``NAME 2``, ``NAME 3``, … that is not taken; case is ignored.

    >>> unique_name("brain", ["Brain", "brain 2"])
    'brain 3'
    """
    lower = {each.casefold() for each in taken}
    return next(each for each in _numbered(name) if each.casefold() not in lower)


def with_unique_name(sample: Sample, taken: Sequence[str]) -> Sample:
    """Return a sample with a name that is not taken."""
    return replace(sample, name=unique_name(sample.name, taken))


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name} {number}"
        number += 1
