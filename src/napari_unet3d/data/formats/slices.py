"""Folders of slices, one 2D image per file, in the order of the numbers in their names."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.base import Format, StoredVolume
from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.geometry import UNKNOWN, Geometry
from napari_unet3d.errors import UserError

_TIFF = (".tif", ".tiff")
_JPEG = (".jpg", ".jpeg")
_SUFFIXES = (*_TIFF, ".png", ".bmp", *_JPEG)
_KIND = {".tiff": ".tif", ".jpeg": ".jpg"}
_N_LISTED = 9


def is_slice_folder(path: Path) -> bool:
    """Return whether a folder holds several 2D images."""
    if not os.path.isdir(path):
        return False
    try:
        files = _files(path)
        return len(files) > 1 and len(_read_slice(files[0], header_only=True).shape) in (2, 3)
    except Exception:  # noqa: BLE001 - a file that is no image is explained when the folder is read
        return False


def _files(path: Path) -> list[Path]:
    """Return the slices of a folder in natural order."""
    entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    files = [entry for entry in entries if entry.suffix.lower() in _SUFFIXES and os.path.isfile(entry)]
    return sorted(files, key=lambda file: (natural_order(file.name), file.name))


def list_file(path: Path, _stack: ExitStack) -> list[StoredVolume]:
    """Return the slices of a folder as one volume.

    Raises
    ------
    UserError
        If a number is missing or comes twice, names have several numbers that differ, or formats are mixed.
    """
    files = _files(path)
    kinds = Counter(_KIND.get(file.suffix.lower(), file.suffix.lower()) for file in files)
    if len(kinds) > 1:
        counts = " and ".join(f"{number} {suffix}" for suffix, number in kinds.items())
        raise UserError(f"The slices in {path} have several formats ({counts}). Keep one format in the folder.")
    notices = [*_check_numbers(path, files), *_left_out(path, files)]
    first = _read_slice(files[0], header_only=True)
    axes = "zyx" if len(first.shape) == 2 else "zyxs"
    geometry = _geometry(files[0])

    def load(index: tuple[int | slice, ...]) -> NDArray[Any]:
        return _read_slices(path, files, first)[index]

    return [
        StoredVolume(
            shape=(len(files), *first.shape),
            dtype=first.dtype,
            load=load,
            axes=axes,
            geometry_of=lambda zyx: geometry,
            notices=tuple(notices),
            is_lossy=files[0].suffix.lower() in _JPEG,
        )
    ]


def _read_slices(path: Path, files: list[Path], first: NDArray[Any]) -> NDArray[Any]:
    volume = np.empty((len(files), *first.shape), first.dtype)
    for number, file in enumerate(files):
        try:
            values = _read_slice(file)
        except UserError:
            raise
        except FORMAT.read_errors() as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"Cannot read {file}: it is damaged or no image ({reason}). Copy or export it again."
            ) from error
        if values.shape != first.shape or values.dtype != first.dtype:
            raise UserError(
                f"The slices in {path} differ: {files[0].name} has shape {first.shape} and type {first.dtype}, "
                f"{file.name} has shape {values.shape} and type {values.dtype}. Export all slices alike."
            )
        volume[number] = values
    return volume


def _read_slice(file: Path, *, header_only: bool = False) -> NDArray[Any]:
    """Read a 2D image; only its shape and type matter if `header_only`."""
    if file.suffix.lower() in _TIFF:
        import tifffile

        from napari_unet3d.data.formats.tiff_content import upright
        from napari_unet3d.data.formats.tiff_files import check_description

        with tifffile.TiffFile(file) as tif:
            check_description(file, tif)
            page, series = tif.pages.first, tif.series[0]
            if len(tif.pages) > 1 or series.ndim > 2 + (page.samplesperpixel > 1):
                raise UserError(f"{file} is a stack, not a slice. Choose the file instead of its folder.")
            if header_only:
                return np.broadcast_to(np.zeros((), page.dtype), page.shape)
            return upright(tif, page.asarray())
    from PIL import Image

    with Image.open(file) as image:
        return np.asarray(image)


def _check_numbers(path: Path, files: list[Path]) -> list[str]:
    """Raise a `UserError` if a number in the names is missing; return notices of what was assumed."""
    names = [file.name.removesuffix(file.suffix) for file in files]
    numbers = [tuple(map(int, re.findall(r"\d+", name))) for name in names]
    if len({re.sub(r"\d+", "#", name) for name in names}) > 1:
        if all(numbers) and len({len(each) for each in numbers}) == 1:
            patterns = Counter(re.sub(r"\d+", "#", name) for name in names)
            listed = ", ".join(pattern for pattern, _ in patterns.most_common(3))
            raise UserError(
                f"The files in {path} have different names ({listed}), so they may be of several volumes or channels. "
                "Keep the slices of one volume in a folder."
            )
        return [f"The slices in {path} are not numbered alike; they are used in the order {names[0]}, {names[1]}, …"]
    varying = [place for place in range(len(numbers[0])) if len({each[place] for each in numbers}) > 1]
    if not varying:
        raise UserError(f"The names of {files[0]} and {files[1].name} have the same number. Rename one of them.")
    if len(varying) > 1:
        raise UserError(
            f"The names in {path} have {len(varying)} numbers that differ, such as {files[0].name} and "
            f"{files[-1].name}, so they may be of several channels, time points or volumes. Keep the slices "
            "of one volume in a folder."
        )
    found = [each[varying[0]] for each in numbers]
    if twice := [number for number, count in Counter(found).items() if count > 1]:
        raise UserError(f"{path} has several slices with the number {twice[0]}. Keep one of each.")
    steps = {after - before for before, after in itertools.pairwise(found)}
    if steps == {1}:
        return []
    if len(steps) == 1 and len(found) > 2:
        return [f"The slices in {path} are numbered in steps of {steps.pop()}; they are used as neighbours."]
    missing = sorted({*range(found[0], found[-1])} - {*found})
    others = f" and {len(missing) - _N_LISTED} more" if len(missing) > _N_LISTED else ""
    listed = ", ".join(map(str, missing[:_N_LISTED]))
    raise UserError(
        f"Slices are missing in {path}: it has {files[0].name} to {files[-1].name}, but not {listed}{others}. "
        "Export them again, or number the slices without gaps if they are neighbours."
    )


def _left_out(path: Path, files: list[Path]) -> list[str]:
    left = sorted({entry.name for entry in path.iterdir() if not entry.name.startswith(".")} - {f.name for f in files})
    if not left:
        return []
    return [f"{path} also has {left[0]}{f' and {len(left) - 1} more' if len(left) > 1 else ''}, which is left out."]


def _geometry(file: Path) -> Geometry:
    """Return the voxel size along y and x of a TIFF file; a slice does not tell the distance to the next."""
    if file.suffix.lower() not in _TIFF:
        return UNKNOWN
    import tifffile

    from napari_unet3d.data.formats.tiff_geometry import geometry_of

    with tifffile.TiffFile(file) as tif:
        geometry = geometry_of(tif, 0)
    _, y, x = geometry.sizes
    return Geometry((None, y, x)) if geometry.is_um else UNKNOWN


FORMAT = Format(
    name="Folder of slices",
    suffixes=(),
    volumes=list_file,
    voxel_size="along y and x, in TIFF files",
    read_errors=lambda: (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError),
    holds=lambda path: frozenset(),
    written_as={"": ".tif"},
)
