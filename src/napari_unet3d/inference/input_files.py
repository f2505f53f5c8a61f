"""The files that `predict_files` predicts: files, folders and wildcards become a list, before any of them is read."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.formats.registry import is_volume, split_path, volume_name, volume_suffix
from napari_unet3d.data.pairs import volumes_in
from napari_unet3d.errors import UserError, web_address
from napari_unet3d.inference.write import KINDS, names
from napari_unet3d.paths import why_missing

_MOST_PROBLEMS = 10


@dataclass(slots=True)
class InputFiles:
    """The volumes to predict, and what was left out.

    Attributes
    ----------
    files : list of Path
        The volumes; those of folders and wildcards only where they are not in it already.
    notices : list of str
        What was found in folders or by wildcards and is not predicted.
    """

    files: list[Path] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def find_input_files(images: Iterable[Path | str]) -> InputFiles:
    """Return the volumes that files, folders and wildcards stand for.

    A folder stands for the volumes in it, in natural order, but not for those in its subfolders. A wildcard (``*``,
    ``?``, ``[…]``, and ``**`` for folders of any depth) stands for the volumes that it matches; a path that exists is
    taken as it is, whatever its characters. Of folders and wildcards, labels and probabilities beside
    their image (``NAME_labels`` beside ``NAME``) are left out, and so are files of other kinds.

    Parameters
    ----------
    images : iterable of Path or str
        Files, folders and wildcards.

    Raises
    ------
    UserError
        If one of them does not exist, matches or contains no volume, or is a file of an unknown format. The message
        names all of them.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("scan10.tif", "scan2.tif", "scan2_labels.tif", "notes.txt"):
    ...         Path(folder, name).touch()
    ...     [file.name for file in find_input_files([Path(folder, "*.tif")]).files]
    ['scan2.tif', 'scan10.tif']
    """
    found, problems = InputFiles(), list[str]()
    # Files first: one that is named twice is reported as two of one name, unless a folder or a wildcard found it again.
    for each in sorted(images, key=lambda each: not (is_volume(each) and os.path.exists(each))):
        path = Path(each)
        if not os.path.lexists(path) and str(path).startswith("~"):
            path = path.expanduser()  # a quoted path, which no shell has expanded
        if split_path(path)[1]:
            found.files.append(path)  # a volume inside a file; reading tells whether it is there
        elif os.path.exists(path):
            problems += _add_existing(path, found)
        elif glob.has_magic(str(path)):
            problems += _add_matches(path, found)
        else:
            problems.append(web_address(path).rstrip(".") or f"{path} {why_missing(path)}")
    if problems:
        raise UserError(f"{_joined(problems)}. Check these paths; nothing was predicted.")
    if not found.files:
        raise UserError("No image was given. Name at least one volume, a folder of volumes, or a wildcard.")
    return found


def _add_existing(path: Path, found: InputFiles) -> list[str]:
    """Add a file or the volumes of a folder; return what is wrong with it."""
    if is_volume(path):
        found.files.append(path)
        return []
    if not os.path.isdir(path):
        try:
            volume_suffix(path)
        except UserError as error:
            return [str(error).rstrip(".")]
        found.files.append(path)  # a hidden file that was named
        return []
    volumes = volumes_in(path)
    if not volumes:
        test_images = path / "test" / "images"
        hint = f"; did you mean {test_images}?" if os.path.isdir(test_images) else ""
        return [f"the folder {path} contains no volumes{hint}"]
    _add(volumes, found)
    return []


def _add_matches(pattern: Path, found: InputFiles) -> list[str]:
    """Add the volumes that a wildcard matches, or those of the folders that it matches; return what is wrong."""
    matches = sorted(map(Path, glob.glob(str(pattern), recursive=True)), key=lambda path: natural_order(str(path)))
    volumes = [path for path in matches if is_volume(path)]
    inside = [path for path in volumes if not _is_in_any(path, volumes)]  # not the arrays in a Zarr folder
    if not inside:
        inside = [volume for folder in matches for volume in volumes_in(folder)]
    if not inside:
        what = f"matches {len(matches)} path(s), but no volume" if matches else "matches nothing"
        return [f"{pattern} {what}"]
    others = [
        path for path in matches if os.path.isfile(path) and not is_volume(path) and not _is_in_any(path, volumes)
    ]
    if others:
        found.notices.append(f"{pattern} also matches files that are not volumes, which are left out: {names(others)}.")
    _add(inside, found)
    return []


def _is_in_any(path: Path, folders: Sequence[Path]) -> bool:
    return any(parent in folders for parent in path.parents)


def _add(volumes: Sequence[Path], found: InputFiles) -> None:
    """Add volumes without the results of an earlier prediction of others among them."""
    sources = {(path.parent, volume_name(path)) for path in volumes}
    results = [path for path in volumes if _is_result(path, sources)]
    if results:
        found.notices.append(f"Labels and probabilities beside their image are left out: {names(results)}.")
    known = set(map(os.path.abspath, found.files))
    found.files += [path for path in volumes if path not in results and os.path.abspath(path) not in known]


def _is_result(path: Path, sources: set[tuple[Path, str]]) -> bool:
    name = volume_name(path)
    endings = [f"_{kind}" for kind in KINDS if name.endswith(f"_{kind}")]
    return any((path.parent, name.removesuffix(ending)) in sources for ending in endings)


def _joined(problems: Sequence[str]) -> str:
    text = "; ".join(problems[:_MOST_PROBLEMS])
    n_more = len(problems) - _MOST_PROBLEMS
    return text + (f"; and {n_more} more" if n_more > 0 else "")
