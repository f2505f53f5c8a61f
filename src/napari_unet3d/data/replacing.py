"""Several files of a dataset that are replaced together: a process that is killed leaves all old ones or all new ones.

All files are written under temporary names first. Then a list of them is written to the dataset, from which on the new
files count: whoever lists the volumes after a kill finishes what the list says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_unet3d.data.formats.content import is_volume_content
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.files import put_back, replace_folder
from napari_unet3d.leftovers import TOGETHER, is_left, is_own, remove_leftovers, remove_path, temporary_name
from napari_unet3d.text_files import read_json_object

_MAX_FOLDERS = 2  # between the dataset and its volumes: train/images, or imagesTr of nnU-Net
_active: set[Path] = set()  # lists that a thread of this process is working on


class _FileList(BaseModel):
    """What is replaced; all paths are relative to the dataset, with slashes.

    Attributes
    ----------
    written : dict of str to str
        Final paths by their temporary ones.
    removed : tuple of str
        What is removed, since the new files take its place.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    written: dict[str, str]
    removed: tuple[str, ...] = ()


class FileGroup:
    """The files that are replaced together; see `replacing`.

    Attributes
    ----------
    temporary : dict of Path to Path
        The temporary path of each file.
    removed : list of Path
        What is removed when all files are written.
    """

    def __init__(self) -> None:
        self.temporary: dict[Path, Path] = {}
        self.removed: list[Path] = []

    def add(self, path: Path) -> Path:
        """Return the temporary path to write a file or folder to, which has the name of `path`.

        It is in a folder of its own, from which other files that are written there go along.
        """
        folder = path.with_name(temporary_name(path.name.split(".")[0], TOGETHER))
        _active.add(folder)
        folder.mkdir(parents=True)
        self.temporary[path] = folder / path.name
        return self.temporary[path]

    def moves(self) -> Iterator[tuple[Path, Path]]:
        """Yield the temporary and the final path of each file."""
        for path, temporary in self.temporary.items():
            yield from ((each, path.with_name(each.name)) for each in sorted(temporary.parent.iterdir()))


@contextmanager
def replacing(dataset: Path) -> Iterator[FileGroup]:
    """Yield a group, whose files take their places together at the end of the block.

    If the block raises, or the process is killed in it, the old files stay as they are.

    Parameters
    ----------
    dataset : Path
        The dataset that all files of the group are in.

    Raises
    ------
    UserError
        If the disk is full, or a folder cannot be written to.
    """
    group = FileGroup()
    names = dataset / temporary_name("volumes", TOGETHER)
    try:
        with explain_os_errors(dataset, "write to"), _final_names(group):
            yield group
            relative = {_inside(dataset, new): _inside(dataset, path) for new, path in group.moves()}
            removed = tuple(_inside(dataset, path) for path in group.removed)
            _active.add(names)
            _write_list(names, _FileList(written=relative, removed=removed))
        _finish(names)
    finally:
        folders = {each.parent for each in group.temporary.values()}
        if not names.exists():  # else the list still refers to them
            for folder in folders:
                remove_path(folder)
        _active.difference_update({names, *folders})


@contextmanager
def _final_names(group: FileGroup) -> Iterator[None]:
    """Name the final files in errors, not the temporary ones."""
    try:
        yield
    except UserError as error:
        text = str(error)
        for path, temporary in group.temporary.items():
            text = text.replace(str(temporary), str(path))
        raise UserError(text) from error


def _inside(dataset: Path, path: Path) -> str:
    return path.relative_to(dataset).as_posix()


def _write_list(path: Path, files: _FileList) -> None:
    """Write a list completely or not at all, and have the disk keep it before the first file is replaced."""
    beside = path.with_name(temporary_name("volumes", ".part"))
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(files.model_dump_json())
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    finally:
        remove_path(beside)


def finish_replacing(dataset: Path) -> None:
    """Finish what processes that have ended were about to replace in a dataset, and remove what they left unfinished.

    Raises
    ------
    UserError
        If that is not possible, since the dataset would be half old and half new.
    """
    remove_leftovers(dataset)
    for names in _left_in(dataset):
        if names.is_file():
            _finish(names)
    for folder in _volume_folders(dataset):
        for left in _left_in(folder):
            if left.is_dir() and not left.is_symlink():
                remove_path(left)


def _left_in(folder: Path) -> Sequence[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        found = [folder / entry.name for entry in entries if entry.name.endswith(TOGETHER)]
        return [path for path in found if path not in _active and (is_own(path) or is_left(path))]
    return ()


def _volume_folders(dataset: Path) -> Iterator[Path]:
    """Yield the folders that volumes can be in, without links."""
    level = [dataset]
    for _ in range(_MAX_FOLDERS):
        inside: list[Path] = []
        for folder in level:
            with suppress(OSError), os.scandir(folder) as entries:
                inside += [folder / each.name for each in entries if each.is_dir(follow_symlinks=False)]
        level = [each for each in inside if not each.name.startswith(".")]
        yield from level


def _finish(names: Path) -> None:
    """Replace the files of a list, of which some may have been replaced already, and remove the list."""
    dataset = names.parent
    files = _read_list(names)
    with explain_os_errors(dataset, "finish replacing volumes in"):
        for path in files.removed:
            if _is_volume(dataset / path):
                remove_path(dataset / path)
        for temporary, path in files.written.items():
            _replace(dataset / temporary, dataset / path)
        names.unlink(missing_ok=True)


def _replace(temporary: Path, path: Path) -> None:
    if os.path.lexists(temporary):
        put_back(path)
        if temporary.is_dir() and path.is_dir() and not path.is_symlink():
            replace_folder(temporary, path)
        else:
            os.replace(temporary, path)
    with suppress(OSError):
        temporary.parent.rmdir()


def _read_list(names: Path) -> _FileList:
    """Read a list; one that this package has not written is an empty one."""
    try:
        files = _FileList.model_validate(read_json_object(names))
    except (ValidationError, UserError):
        return _FileList(written={})
    is_ours = all(map(_is_move, files.written.items())) and all(map(_is_volume_path, files.removed))
    return files if is_ours else _FileList(written={})


def _is_volume(path: Path) -> bool:
    """Return whether a path is a volume, a link, or a JSON file: nothing else is ever in a list."""
    return path.is_symlink() or (path.suffix == ".json" and path.is_file()) or is_volume_content(path)


def _is_move(paths: tuple[str, str]) -> bool:
    temporary, path = map(PurePosixPath, paths)
    beside = temporary.parent
    return (
        _is_volume_path(paths[1])
        and beside.name.startswith(".")
        and beside.name.endswith(TOGETHER)
        and beside.parent == path.parent
        and temporary.name == path.name
    )


def _is_volume_path(path: str) -> bool:
    parts = PurePosixPath(path).parts
    is_plain = all(part not in ("..", "/") and not part.startswith(".") and "\\" not in part for part in parts)
    return is_plain and 1 < len(parts) <= _MAX_FOLDERS + 1
