"""The folders of a dataset: ``train|test/images|labels|annotated``, or those of nnU-Net and other tools."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.data.formats.registry import is_volume
from napari_unet3d.data.replacing import finish_replacing
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.text_files import read_json

KINDS = ("images", "labels", "annotated")
"""The folders of a subset: images, labels, and masks of annotated voxels."""

_ALIASES = {
    "images": ("images", "image", "imgs", "img", "raw"),
    "labels": ("labels", "label", "masks", "mask", "annotations", "segmentations", "gt"),
    "annotated": ("annotated",),
}


class Subset(ChoiceEnum):
    """The subset of a dataset that a volume belongs to."""

    TRAIN = "train"
    TEST = "test"


_NNUNET = {Subset.TRAIN: "Tr", Subset.TEST: "Ts"}


def kind_folder(dataset: Path, subset: Subset, kind: str) -> Path:
    """Return the folder of images, labels or masks of a subset.

    That is ``train/images`` and so on. If it does not exist, it is the first that does of ``train/masks`` and other
    names for the same, and ``imagesTr``, ``labelsTr``, ``imagesTs`` and ``labelsTs`` of nnU-Net.

    Parameters
    ----------
    dataset : Path
        The dataset.
    subset : Subset
        Train or test.
    kind : str
        One of `KINDS`.
    """
    standard = dataset / subset / kind
    others = [dataset / subset / name for name in _ALIASES[kind]] + [dataset / f"{kind}{_NNUNET[subset]}"]
    if os.path.isdir(standard):
        return standard
    return next((folder for folder in others if os.path.isdir(folder)), _standard(dataset, subset, kind))


def _standard(dataset: Path, subset: Subset, kind: str) -> Path:
    """Return where a folder that does not exist would be: beside the others of nnU-Net, else in that of the subset."""
    is_nnunet = os.path.isdir(dataset / f"images{_NNUNET[subset]}") and not os.path.isdir(dataset / subset)
    return dataset / f"{kind}{_NNUNET[subset]}" if is_nnunet else dataset / subset / kind


def role_of_folder(name: str) -> str:
    """Return whether a folder of a dataset has images or labels, by its name; empty if it is neither.

    >>> role_of_folder("masks"), role_of_folder("imagesTr"), role_of_folder("2024")
    ('labels', 'images', '')
    """
    for kind, aliases in list(_ALIASES.items())[:2]:
        if name in aliases or name in [f"{kind}{end}" for end in _NNUNET.values()]:
            return kind
    return ""


def dataset_of(volume: Path) -> Path:
    """Return the dataset that has a volume in one of its folders."""
    folder = volume.parent
    is_nnunet = any(folder.name == f"{kind}{end}" for kind in KINDS for end in _NNUNET.values())
    return folder.parent if is_nnunet else folder.parent.parent


def shown_folder(dataset: Path, subset: Subset, kind: str) -> str:
    """Return the path of a folder inside its dataset, for messages."""
    return kind_folder(dataset, subset, kind).relative_to(dataset).as_posix()


def check_is_dataset(folder: Path | str) -> Path:
    """Return a folder if it has ``train/images`` or ``test/images``, or the same as other tools call it.

    Raises
    ------
    UserError
        If it has neither; the message suggests a dataset nearby, or how to make one. Or if volumes were replaced by a
        process that was killed, and that cannot be finished.
    """
    folder = Path(folder)
    if is_dataset(folder):
        finish_replacing(folder)
        return folder
    with explain_os_errors(folder, "read"):
        inside = [entry for entry in sorted(folder.iterdir()) if is_dataset(entry)]
        beside = _with_masks_beside(folder)
    near = [near for near in (*list(folder.absolute().parents)[:2], *inside) if is_dataset(near)]
    hint = f"Did you mean {near[0]}?" if near else "Choose another folder, or create a dataset there first."
    if beside:
        hint = (
            f"{beside[0].parent} has images with labels beside them, such as {beside[0].name} and {beside[1].name}. "
            "Move the images to train/images and the labels to train/labels; their names may stay as they are."
        )
    elif not near:
        hint = _describe_layout(folder) or hint
    raise UserError(f"{folder} is not a dataset: it has neither train/images nor test/images. {hint}")


def is_dataset(folder: Path) -> bool:
    """Return whether a folder has images for training or for testing."""
    # Path.is_dir raises without permission
    return any(os.path.isdir(kind_folder(folder, subset, "images")) for subset in Subset)


def _describe_layout(folder: Path) -> str:
    """Return how to make a dataset of a folder that other tools use for training; empty if it is none."""
    images, labels = (
        next((name for name in _ALIASES[kind] if os.path.isdir(folder / name)), "") for kind in ("images", "labels")
    )
    if images and labels:
        return f"It has the folders {images} and {labels}: move both into {folder / Subset.TRAIN}."
    for each in (folder, *(folder / subset for subset in Subset)):
        files = sorted(file for file in each.iterdir() if is_volume(file)) if os.path.isdir(each) else []
        if files:
            return (
                f"{each} has volumes such as {files[0].name}: put the images into {folder / Subset.TRAIN}/images and "
                f"the labels into {folder / Subset.TRAIN}/labels. A file with both, such as raw and label, goes into "
                "both."
            )
    return ""


def _with_masks_beside(folder: Path) -> tuple[Path, Path] | None:
    """Return an image and its labels if they are in one folder, as ``a.tif`` and ``a_masks.tif``."""
    for each in (folder, *(folder / subset for subset in Subset)):
        files = sorted(each.iterdir()) if os.path.isdir(each) else []
        names = {unicodedata.normalize("NFC", file.name.casefold()): file for file in files if os.path.isfile(file)}
        for name, file in names.items():
            stem, dot, suffix = name.partition(".")
            ends = ("_masks", "_mask", "_labels", "_label", "_seg", "_gt", "_cp_masks")
            found = next((names[s] for end in ends if (s := f"{stem}{end}{dot}{suffix}") in names), None)
            images = (f"{stem.removesuffix(end)}{role}" for end in ("_image", "_img", "_raw") for role in ends)
            found = found or next((names[s] for stem_ in images if (s := f"{stem_}{dot}{suffix}") in names), None)
            if found is not None and found is not file:
                return file, found
    return None


def _nnunet_notices(dataset: Path) -> list[str]:
    """Return a message if the description of a dataset of nnU-Net names an ignore label."""
    try:
        ignored = int(read_json(dataset / "dataset.json")["labels"]["ignore"])
    except (UserError, ValueError, LookupError, TypeError):
        return []
    return [
        f"dataset.json names {ignored} as the label of voxels to ignore, which is not used by itself. Set the ignore "
        f"label to {ignored}."
    ]


def unused_folders(dataset: Path) -> list[str]:
    """Return messages for folders that look like a part of a dataset and are not used."""
    if not os.path.isdir(dataset):
        return []
    messages = _nnunet_notices(dataset)
    if os.path.isdir(dataset / "imagesTs") and not os.path.isdir(dataset / "labelsTs"):
        messages.append(
            "imagesTs is left out, since there is no labelsTs: without labels, these volumes cannot be used as a test "
            "set. Predict them instead."
        )
    for subset in Subset:
        standard, nnunet = dataset / subset / "images", dataset / f"images{_NNUNET[subset]}"
        if os.path.isdir(standard) and os.path.isdir(nnunet):
            messages.append(f"{nnunet.name} is left out, since there is {subset}/images. Keep one of the two.")
    for entry in sorted(dataset.iterdir()):
        if entry.name not in [*Subset] and os.path.isdir(entry / "images"):
            messages.append(
                f"{entry.name}/images is left out: only train and test are used, and validation volumes are chosen "
                "from train. Move its volumes to train or test to use them."
            )
    return messages
