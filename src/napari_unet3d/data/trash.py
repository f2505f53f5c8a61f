"""The trash of a dataset: volumes that were removed from it and can be put back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.formats.registry import is_volume, volume_name
from napari_unet3d.data.layout import KINDS, Subset, check_is_dataset, dataset_of, role_of_folder
from napari_unet3d.data.pairs import Pair, files_beside
from napari_unet3d.errors import UserError, explain_os_errors

TRASH = "trash"
"""The folder in a dataset that volumes are moved to."""


@dataclass(frozen=True, slots=True)
class TrashedVolumes:
    """Volumes that were removed from a dataset together.

    Attributes
    ----------
    folder : Path
        Their folder in the trash; it has the folders that the volumes were in, such as ``train/images``.
    files : tuple of Path
        The files and folders of the volumes, relative to it.
    """

    folder: Path
    files: tuple[Path, ...]

    @property
    def dataset(self) -> Path:
        """The dataset."""
        return self.folder.parent.parent

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the volumes, in natural order."""
        images = [path for path in self.files if role_of_folder(path.parent.name) == "images" and is_volume(path)]
        return tuple(sorted({volume_name(path) for path in images or self.files}, key=natural_order))


def files_of(pair: Pair) -> list[Path]:
    """Return the files and folders of a volume: image, labels, mask, and the JSON files that belong to them."""
    volumes = [path for path in (pair.image, pair.labels, pair.label_mask) if path is not None]
    return [path for volume in volumes for path in (volume, *files_beside(volume)) if os.path.lexists(path)]


def move_to_trash(pairs: Sequence[Pair]) -> TrashedVolumes:
    """Move volumes of a dataset to a new folder ``trash/DATE_TIME`` in it; all of them or none.

    Parameters
    ----------
    pairs : sequence of Pair
        One or more volumes of one dataset.

    Raises
    ------
    UserError
        If a file cannot be moved; then all are where they were.
    """
    files = list(dict.fromkeys(path for pair in pairs for path in files_of(pair)))
    if not files:
        raise UserError("The files of this volume are not there any more. Read the folder again.")
    return move_files_to_trash(dataset_of(files[0]), files)


def move_files_to_trash(dataset: Path, files: Sequence[Path]) -> TrashedVolumes:
    """Move files of a dataset to a new folder in its trash; see `move_to_trash`.

    Parameters
    ----------
    dataset : Path
        The dataset.
    files : sequence of Path
        Files, folders or links in its folders; of a link, what it points to stays.
    """
    trash = dataset / TRASH
    if trash.is_symlink():
        raise UserError(f"{trash} is a link, which is not followed. Remove it, or rename it.")
    folder = _new_folder(trash)
    relative = tuple(path.relative_to(dataset) for path in files)
    _move_all([(dataset / path, folder / path) for path in relative])
    return TrashedVolumes(folder, relative)


def list_trash(dataset: Path) -> list[TrashedVolumes]:
    """Return what was removed from a dataset and is still in its trash, the latest first."""
    trash = dataset / TRASH
    if not os.path.isdir(trash):
        return []
    with explain_os_errors(trash, "read"):
        folders = sorted((each for each in trash.iterdir() if os.path.isdir(each)), reverse=True)
        found = [TrashedVolumes(folder, tuple(_files_in(folder))) for folder in folders]
    return [each for each in found if each.files]


def restore(trashed: TrashedVolumes) -> None:
    """Put volumes back from the trash; all of them or none.

    Raises
    ------
    UserError
        If there is a file of that name by now, or a file cannot be moved; then all stay in the trash.
    """
    check_is_dataset(trashed.dataset)
    moves = [(trashed.folder / path, trashed.dataset / path) for path in trashed.files]
    for _, target in moves:
        if os.path.lexists(target):
            raise UserError(
                f"{target} exists already, so nothing was restored from {trashed.folder}. Rename that file, or move it "
                "away, then restore again."
            )
    _move_all(moves)
    for folder in sorted((each for each in trashed.folder.rglob("*") if os.path.isdir(each)), reverse=True):
        with suppress(OSError):
            folder.rmdir()
    for folder in (trashed.folder, trashed.folder.parent):
        with suppress(OSError):  # it holds something else
            folder.rmdir()


def _move_all(moves: Sequence[tuple[Path, Path]]) -> None:
    done: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            with explain_os_errors(source, "move"):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(source, target)
            done.append((source, target))
    except UserError:
        for source, target in reversed(done):
            shutil.move(target, source)
        raise


def _new_folder(trash: Path) -> Path:
    name = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    names = (name if n == 1 else f"{name}_{n:03}" for n in range(1, 1_000_000))
    return next(trash / each for each in names if not os.path.exists(trash / each))


def _files_in(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Yield what is in the folders of a dataset, which are two levels deep, or one as in nnU-Net, relative to it."""
    for path in sorted(folder.iterdir()):
        is_subset = depth == 0 and path.name in [*Subset]
        if os.path.isdir(path) and (is_subset or role_of_folder(path.name) or path.name == KINDS[2]):
            yield from (Path(path.name) / each for each in _files_in(path, depth + 1))
        else:
            yield Path(path.name)
