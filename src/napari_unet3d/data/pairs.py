"""Matching of images, labels and masks in a dataset folder ``train|test/images|labels|annotated``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.formats.registry import format_of, is_volume, volume_name
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError, explain_os_errors

KINDS = ("images", "labels", "annotated")
"""The folders of a subset: images, labels, and masks of annotated voxels."""

# Suffixes that distinguish images from labels; they are ignored when names are compared.
_ROLE = re.compile(r"[_\-. ](images?|img|raw|vol|volume|labels?|masks?|annotated|seg|segmentation|gt)$", re.IGNORECASE)


class Subset(ChoiceEnum):
    """The subset of a dataset that a volume belongs to."""

    TRAIN = "train"
    TEST = "test"


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
    """

    name: str
    subset: Subset
    image: Path | None
    labels: Path | None
    matched_by_order: bool = False
    label_mask: Path | None = None

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


def check_is_dataset(folder: Path | str) -> Path:
    """Return a folder if it has ``train/images`` or ``test/images``.

    Raises
    ------
    UserError
        If it has neither; the message suggests a dataset nearby.
    """
    folder = Path(folder)
    if _is_dataset(folder):
        return folder
    with explain_os_errors(folder, "read"):
        inside = [entry for entry in sorted(folder.iterdir()) if _is_dataset(entry)]
    near = [near for near in (*list(folder.absolute().parents)[:2], *inside) if _is_dataset(near)]
    hint = f"Did you mean {near[0]}?" if near else "Choose another folder, or create a dataset there first."
    raise UserError(f"{folder} is not a dataset: it has neither train/images nor test/images. {hint}")


def _is_dataset(folder: Path) -> bool:
    return any(os.path.isdir(folder / part / "images") for part in Subset)  # Path.is_dir raises without permission


def list_pairs(folder: Path | str, subset: Subset | None = None) -> list[Pair]:
    """Return the volumes of a dataset, training volumes first, complete or not.

    Image and labels have the same name, apart from a suffix such as ``_image``, ``_label``, ``_mask`` or ``_seg``. If
    no names match and there are as many images as labels, they are matched by sorted order, and `pairing_notice`
    returns a message. A mask in the folder ``annotated`` belongs to the volume with its name.

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
    images, labels = (volumes_in(folder / subset / kind) for kind in ("images", "labels"))
    matched: list[tuple[Path, Path]] = []
    for key in (volume_name, _bare_name):
        waiting = {key(path): path for path in reversed(labels)}  # of two with the same name, the first
        for image in list(images):
            partner = waiting.pop(key(image), None)
            if partner is not None:
                matched.append((image, partner))
                images.remove(image)
                labels.remove(partner)
    pairs = [Pair(volume_name(image), subset, image, partner) for image, partner in matched]
    if not matched and len(images) == len(labels):
        by_order = [
            Pair(volume_name(i), subset, i, j, matched_by_order=True) for i, j in zip(images, labels, strict=True)
        ]
        return _with_masks(by_order, volumes_in(folder / subset / "annotated"), subset)
    pairs += [Pair(volume_name(image), subset, image, None) for image in images]
    pairs += [Pair(volume_name(path), subset, None, path) for path in labels]
    return _with_masks(pairs, volumes_in(folder / subset / "annotated"), subset)


def _with_masks(pairs: list[Pair], masks: list[Path], subset: Subset) -> list[Pair]:
    """Return pairs with their masks; a mask without a volume is an incomplete pair, so that it is reported."""
    for key in (volume_name, _bare_name):
        waiting = {key(path): path for path in reversed(masks)}
        for number, pair in enumerate(pairs):
            names = [] if pair.label_mask else [key(path) for path in (pair.image, pair.labels) if path is not None]
            mask = next((waiting.pop(name) for name in names if name in waiting), None)
            if mask is not None:
                pairs[number] = replace(pair, label_mask=mask)
                masks.remove(mask)
    pairs += [Pair(volume_name(path), subset, None, None, label_mask=path) for path in masks]
    return sorted(pairs, key=lambda pair: natural_order(pair.name))


def _bare_name(path: Path) -> str:
    return _ROLE.sub("", volume_name(path)).casefold()


def volumes_in(folder: Path) -> list[Path]:
    """Return the volumes of a folder in natural order; none if the folder does not exist."""
    if not os.path.isdir(folder):
        return []
    with explain_os_errors(folder, "read"):
        return sorted(filter(is_volume, folder.iterdir()), key=lambda path: natural_order(path.name))


def pairing_notice(folder: Path | str, subset: Subset | None = None) -> str | None:
    """Return a message if pairs were matched by sorted order, else None."""
    by_order = [pair for pair in list_pairs(folder, subset) if pair.matched_by_order]
    if not by_order:
        return None
    first = by_order[0]
    image, labels = (path.name for path in (first.image, first.labels) if path is not None)
    return (
        f"{len(by_order)} volumes were matched by sorted order, since the names of images and labels differ: "
        f"{first.subset}/images/{image} with {labels}, and so on. Check them, or give image and labels the same name."
    )


def missing_partner(pair: Pair) -> str:
    """Return the message for an incomplete pair."""
    if pair.label_mask is not None and pair.image is None and pair.labels is None:
        return (
            f"{pair.subset}/annotated/{pair.label_mask.name} is a mask without a volume. Add {pair.subset}/images/"
            f"{pair.label_mask.name} and its labels, or remove the mask."
        )
    found, folder = (pair.labels, "images") if pair.image is None else (pair.image, "labels")
    name = found.name if found else pair.name
    return (
        f"{pair.subset}/{folder} has no partner for {name}. Add {pair.subset}/{folder}/{name}, or remove the file "
        "without a partner."
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
