"""Cleaning a dataset of its volumes, and of nothing else; they go to its trash."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from napari_unet3d.data.formats.content import is_volume_content
from napari_unet3d.data.formats.registry import is_volume, readable_suffixes
from napari_unet3d.data.layout import KINDS, Subset, check_is_dataset, kind_folder
from napari_unet3d.data.pairs import files_beside
from napari_unet3d.data.trash import TrashedVolumes, move_files_to_trash
from napari_unet3d.errors import UserError, explain_os_errors


def files_to_clean(folder: Path | str) -> list[Path]:
    """Return what `clean_dataset` may move: the volumes directly in ``train|test/images|labels|annotated``.

    Volumes are files with the suffix and the first bytes of a format, and Zarr folders. The JSON files that belong to
    them are included. A link is included if it points to a volume or is broken. Folders of the dataset that are links
    are not followed.

    Raises
    ------
    UserError
        If the folder is not a dataset.
    """
    return [path for path in _entries(folder) if is_volume_file(path)]


def files_to_keep(folder: Path | str) -> list[Path]:
    """Return the other files in these folders, except hidden ones."""
    return [path for path in _entries(folder) if not is_volume_file(path) and not path.name.startswith(".")]


def _entries(folder: Path | str) -> list[Path]:
    folder = check_is_dataset(folder)
    with explain_os_errors(folder, "read"):
        return [path for each in _volume_folders(folder) for path in sorted(each.iterdir())]


def _volume_folders(folder: Path) -> Iterator[Path]:
    """Yield the folders of volumes that are really in the dataset, without links and Windows junctions."""
    for subset in Subset:
        for kind in KINDS:
            path = kind_folder(folder, subset, kind)
            if os.path.isdir(path) and path.resolve() == folder.resolve() / path.relative_to(folder):
                yield path


def is_volume_file(path: Path) -> bool:
    """Return whether a path really is a volume, a JSON file that belongs to one, or a broken link to one."""
    if path.name.endswith(".json"):
        return os.path.isfile(path) and _belongs_to_volume(path)
    is_broken_link = path.is_symlink() and not os.path.exists(path)
    return is_volume(path) if is_broken_link else is_volume_content(path)


def _belongs_to_volume(path: Path) -> bool:
    """Return whether a JSON file has the voxel size or the provenance of a volume."""
    name = path.name.removesuffix(".json")
    candidates = (path.with_name(name + suffix) for suffix in ("", *readable_suffixes()))
    return any(is_volume_content(each) and path in files_beside(each) for each in candidates)


def _is_link(path: Path) -> bool:
    return path.is_symlink() or path.resolve() != path.parent.resolve() / path.name


def clean_dataset(folder: Path | str, files: Sequence[Path]) -> TrashedVolumes:
    """Move the given files of a dataset to its trash, all of them or none; links are moved, but not their targets.

    Parameters
    ----------
    folder : Path or str
        The dataset.
    files : sequence of Path
        One or more of `files_to_clean`.

    Returns
    -------
    TrashedVolumes
        What was moved; `restore` puts it back.

    Raises
    ------
    UserError
        If one is not in `files_to_clean`, or cannot be moved; then all are where they were.
    """
    return move_files_to_trash(Path(folder), _check_files(folder, files))


def delete_volumes(folder: Path | str, files: Sequence[Path]) -> None:
    """Delete the given files of a dataset for good, such as those that were just written; see `clean_dataset`."""
    for path in _check_files(folder, files):
        with explain_os_errors(path, "delete"):
            delete: Callable[[Path], None] = shutil.rmtree if path.is_dir() and not _is_link(path) else os.unlink
            delete(path)


def _check_files(folder: Path | str, files: Sequence[Path]) -> list[Path]:
    known = {_real_path(path): path for path in files_to_clean(folder)}
    for path in files:
        if _real_path(Path(path)) not in known:
            raise UserError(
                f"{path} is not a volume of the dataset {folder}, so nothing was removed. List the files again."
            )
    return [known[_real_path(Path(path))] for path in files]


def _real_path(path: Path) -> str:
    return os.path.normcase(path.parent.resolve() / path.name)
