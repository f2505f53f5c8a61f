"""The dataset folder of the tutorial: ``train|test/images|labels``, one file per volume in each."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_unet3d.configs.base import Choice
from napari_unet3d.data.sample import Sample, whole_numbers
from napari_unet3d.data.volumes import is_volume, read_sample, volume_name, write_volume
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.files import written_beside

# What people append to a name to tell image from labels; it is ignored when partners are looked for.
_ROLE = re.compile(r"[_\-. ](images?|img|raw|vol|volume|labels?|masks?|seg|segmentation|gt)$", re.IGNORECASE)
_NOT_IN_FILE_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]+')


class Part(Choice):
    """The part of a dataset that a volume belongs to."""

    TRAIN = "train"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Pair:
    """An image file and its labels file; None stands for a missing partner.

    Attributes
    ----------
    name : str
        The image's file name without suffix, or that of the labels when there is no image.
    part : Part
        Train or test.
    image, labels : Path or None
        The two files.
    matched_by_order : bool
        True when the names differ and the two only stand at the same place in sorted order.
    """

    name: str
    part: Part
    image: Path | None
    labels: Path | None
    matched_by_order: bool = False


def create_dataset(folder: Path | str) -> Path:
    """Make the folders ``train|test/images|labels``; those that exist are left as they are.

    Raises
    ------
    UserError
        If the folder cannot be made.
    """
    folder = Path(folder)
    with explain_os_errors(folder, "create"):
        for part in Part:
            for kind in ("images", "labels"):
                (folder / part / kind).mkdir(parents=True, exist_ok=True)
    return folder


def check_is_dataset(folder: Path | str) -> Path:
    """Give the folder back if it holds ``train/images`` or ``test/images``.

    Raises
    ------
    UserError
        If it does not; the message names a folder nearby that does.
    """
    folder = Path(folder)
    if _is_dataset(folder):
        return folder
    with explain_os_errors(folder, "read"):
        inside = [entry for entry in sorted(folder.iterdir()) if _is_dataset(entry)]
    near = [near for near in (*list(folder.absolute().parents)[:2], *inside) if _is_dataset(near)]
    hint = f"Did you mean {near[0]}?" if near else "Choose another folder, or create a dataset there first."
    raise UserError(f"{folder} is no dataset: it holds neither train/images nor test/images. {hint}")


def _is_dataset(folder: Path) -> bool:
    return any((folder / part / "images").is_dir() for part in Part)


def natural_order(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key in which ``vol2`` comes before ``vol10``."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)


def list_pairs(folder: Path | str, part: Part | None = None) -> list[Pair]:
    """List the volumes of a dataset, train first, each with its partner or without one.

    Partners have the same name; a word such as ``_image``, ``_label``, ``_mask`` or ``_seg`` at its end does not
    count. If not one name fits and there are as many images as labels, they are matched in sorted order;
    `pairing_notice` says so.

    Parameters
    ----------
    folder : Path or str
        The dataset.
    part : Part, optional
        Only this part; without it both.

    Returns
    -------
    list of Pair
        In natural order of the names (2 before 10).

    Raises
    ------
    UserError
        If the folder is no dataset or cannot be read.
    """
    folder = check_is_dataset(folder)
    parts = list(Part) if part is None else [part]
    return [pair for each in parts for pair in _pairs_of(folder, each)]


def _pairs_of(folder: Path, part: Part) -> list[Pair]:
    images, labels = (_volumes_in(folder / part / kind) for kind in ("images", "labels"))
    matched: list[tuple[Path, Path]] = []
    for key in (volume_name, _bare_name):
        for image in list(images):
            partner = next((path for path in labels if key(path) == key(image)), None)
            if partner is not None:
                matched.append((image, partner))
                images.remove(image)
                labels.remove(partner)
    pairs = [Pair(volume_name(image), part, image, partner) for image, partner in matched]
    if not matched and len(images) == len(labels):
        return [Pair(volume_name(i), part, i, j, matched_by_order=True) for i, j in zip(images, labels, strict=True)]
    pairs += [Pair(volume_name(image), part, image, None) for image in images]
    pairs += [Pair(volume_name(path), part, None, path) for path in labels]
    return sorted(pairs, key=lambda pair: natural_order(pair.name))


def _bare_name(path: Path) -> str:
    return _ROLE.sub("", volume_name(path)).casefold()


def _volumes_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    with explain_os_errors(folder, "read"):
        return sorted(filter(is_volume, folder.iterdir()), key=lambda path: natural_order(path.name))


def pairing_notice(folder: Path | str, part: Part | None = None) -> str | None:
    """Give a sentence that names a pair which was matched by sorted order, or None when all names fit."""
    by_order = [pair for pair in list_pairs(folder, part) if pair.matched_by_order]
    if not by_order:
        return None
    first = by_order[0]
    image, labels = (path.name for path in (first.image, first.labels) if path is not None)
    return (
        f"{len(by_order)} volumes were matched by sorted order, since names of images and labels differ: "
        f"{first.part}/images/{image} with {labels}, and so on. Check them, or give partners the same name."
    )


def read_pair(pair: Pair) -> Sample:
    """Read an image with its labels.

    Raises
    ------
    UserError
        If a partner is missing, or one of the files cannot be read or does not fit the other.
    """
    if pair.image is None or pair.labels is None:
        raise UserError(missing_partner(pair))
    return read_sample(pair.image, pair.labels)


def missing_partner(pair: Pair) -> str:
    """Say which file a pair lacks and what to do."""
    found, folder = (pair.labels, "images") if pair.image is None else (pair.image, "labels")
    name = found.name if found else pair.name
    return (
        f"{pair.part}/{folder} has no partner for {name}. Add {pair.part}/{folder}/{name} or remove the file "
        "that stands alone."
    )


def read_samples(folder: Path | str, part: Part = Part.TRAIN) -> list[Sample]:
    """Read all volumes of one part, in natural order of their names.

    Raises
    ------
    UserError
        If there are none, a partner is missing, or a file cannot be read; the first problem is named.
    """
    pairs = list_pairs(folder, part)
    if not pairs:
        raise UserError(
            f"{Path(folder) / part} holds no volumes. Add images to {part}/images and their labels to {part}/labels."
        )
    for pair in pairs:
        if pair.image is None or pair.labels is None:  # found before hours of reading
            raise UserError(missing_partner(pair))
    return [read_pair(pair) for pair in pairs]


def add_sample(folder: Path | str, sample: Sample, part: Part, *, overwrite: bool = False) -> Pair:
    """Write a sample into a dataset as ``images/NAME.tif`` and ``labels/NAME.tif``; the folders are made if missing.

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
        The two files.

    Raises
    ------
    UserError
        If the sample has no labels, the name is taken, or the files cannot be written.
    """
    if sample.labels is None:
        raise UserError(f"'{sample.name}' has no labels. Choose a Labels layer for it.")
    folder, name = create_dataset(folder), file_name(sample.name)
    image, labels = (folder / part / kind / f"{name}.tif" for kind in ("images", "labels"))
    taken = [
        path
        for target in (image, labels)
        for path in _volumes_in(target.parent)
        if volume_name(path).casefold() == name.casefold()
    ]
    if taken and not overwrite:
        raise UserError(f"{taken[0]} exists already. Choose another name, or allow overwriting.")
    # Both files are complete before either takes its place, so that a full disk leaves no half pair.
    with written_beside(image) as new_image, written_beside(labels) as new_labels:
        write_volume(new_image, sample.image, sample.voxel_size_um)
        write_volume(new_labels, whole_numbers(sample.name, sample.labels), sample.voxel_size_um)
    for path in taken:
        if path not in (image, labels):
            _remove(path)
    return Pair(name, part, image, labels)


def file_name(name: str) -> str:
    """Turn the name of a layer or volume into one that every file system takes."""
    clean = _NOT_IN_FILE_NAMES.sub("_", name).strip(" .")
    return clean or "volume"


def files_to_clean(folder: Path | str) -> list[Path]:
    """List what `clean_dataset` may delete: all that stands directly in ``train|test/images|labels``.

    Hidden files and subfolders that are no OME-Zarr volumes are left out. A link is listed as itself. Folders
    of the dataset that are links to somewhere else are not entered.

    Raises
    ------
    UserError
        If the folder is no dataset.
    """
    folder = check_is_dataset(folder)
    return [path for own in _own_folders(folder) for path in sorted(own.iterdir()) if _may_be_cleaned(path)]


def _own_folders(folder: Path) -> Iterator[Path]:
    """Yield those of the four folders that really stand inside the dataset; this also keeps out Windows' junctions."""
    for part in Part:
        for kind in ("images", "labels"):
            own = folder / part / kind
            if own.is_dir() and own.resolve() == folder.resolve() / part / kind:
                yield own


def _may_be_cleaned(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return _is_link(path) or path.is_file() or is_volume(path)


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
