"""The output folder of an evaluation: an earlier evaluation in it is replaced as a whole, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.formats.registry import is_volume, volume_name
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.evaluation.reports.error_files import PICTURES
from napari_unet3d.files import EVALUATION_FILE, atomic_write, put_back
from napari_unet3d.inference.write import KINDS, names
from napari_unet3d.paths import exists, is_folder
from napari_unet3d.runs.run_files import is_evaluation, names_of_evaluation

_TABLES = frozenset({"metrics.csv", "metrics.json", "errors.csv", EVALUATION_FILE})
PREDICTIONS, DIFFERENCES, FIGURES = "predictions", "differences", "figures"
_FOLDERS = (PREDICTIONS, DIFFERENCES, FIGURES, PICTURES)


@contextmanager
def evaluation_folder(out: Path) -> Iterator[Path]:
    """Yield the folder to write an evaluation to, which is `out` at the end of the block.

    Where `out` contains an evaluation, the new one is written beside it and takes its place at the end of the block; if
    the block raises, the earlier one stays as it is. Files that no evaluation has written are kept.

    Parameters
    ----------
    out : Path
        A folder that does not exist, is empty, contains an evaluation, or only predictions.

    Raises
    ------
    UserError
        Before the block, if `out` is a file or contains anything else; nothing in it is changed.
    """
    folder = out.resolve()  # of a link, what it leads to is replaced, not the link
    put_back(folder)
    _check(out, folder)
    if not is_evaluation(folder):
        yield out
        return
    written = {file_name(name) for name in names_of_evaluation(folder)}
    with atomic_write(folder) as temporary:
        temporary.mkdir()
        shutil.copymode(folder, temporary)
        yield temporary
        _keep_others(folder, temporary, written)


def _check(out: Path, folder: Path) -> None:
    with explain_os_errors(out, "read"):
        if exists(folder) and not is_folder(folder):
            raise UserError(f"{out} is a file. Choose the name of a folder for the evaluation.")
        entries = sorted(folder.iterdir()) if is_folder(folder) else []
    if is_evaluation(folder):
        if os.path.ismount(folder):
            raise UserError(
                f"{out} is a mounted disk, which cannot be replaced as a whole. Choose a folder inside it, or remove "
                "the evaluation there."
            )
        return
    others = [path for path in entries if not _is_prediction(path)]
    if others:
        raise UserError(
            f"{out} is no folder of an evaluation: it contains {names(others)}. Choose a new or an empty folder; "
            "nothing was changed."
        )


def _is_prediction(path: Path) -> bool:
    """Return whether `predict` may have written a file."""
    name = path.name.removesuffix(".json")  # the voxel size beside a .npy
    return is_volume(name) and volume_name(name).endswith(tuple(f"_{kind}" for kind in KINDS))


def _is_written(path: Path, folder: str, written: Collection[str]) -> bool:
    """Return whether a file of a folder in the folder of an evaluation was written by the evaluation."""
    name = path.name.removesuffix(".json")
    if folder == FIGURES:
        return path.name.removesuffix(".png") in written
    if folder == PICTURES:
        return path.suffix == ".png" and path.stem.rpartition("-")[0] in written
    if folder == PREDICTIONS and path.name.removesuffix("_objects.csv") in written:
        return True
    kinds = KINDS if folder == PREDICTIONS else ("difference",)
    return is_volume(name) and any(volume_name(name) == f"{each}_{kind}" for each in written for kind in kinds)


def _keep_others(old: Path, new: Path, written: Collection[str]) -> None:
    """Link what an evaluation has not written from its folder into the new one."""
    for path in old.iterdir():
        if path.name in _FOLDERS and is_folder(path):
            for inside in path.iterdir():
                if not _is_written(inside, path.name, written):
                    _link(inside, new / path.name / inside.name)
        elif path.name not in _TABLES:
            _link(path, new / path.name)


def _link(source: Path, target: Path) -> None:
    """Link a file or the files of a folder, without following links; what exists already is newer and stays."""
    if is_folder(source) and not source.is_symlink():
        target.mkdir(parents=True, exist_ok=True)
        for inside in source.iterdir():
            _link(inside, target / inside.name)
        return
    if os.path.lexists(target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except (OSError, NotImplementedError):  # the file system has no hard links
        shutil.copy2(source, target, follow_symlinks=False)
