"""The file formats by the suffixes of their files.

The modules of the formats import their libraries at first use, so that listing formats costs nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from napari_unet3d.data.formats import hdf5, itk, microscopes, nifti, npy, npz, ome_zarr, slices, tiff
from napari_unet3d.data.formats.base import Format
from napari_unet3d.data.formats.not_read import describe_unread
from napari_unet3d.errors import UserError

FORMATS: list[Format] = [
    tiff.FORMAT,
    nifti.FORMAT,
    npy.FORMAT,
    npz.FORMAT,
    ome_zarr.FORMAT,
    hdf5.FORMAT,
    microscopes.CZI,
    microscopes.LIF,
    microscopes.ND2,
    slices.FORMAT,
    itk.FORMAT,
]
"""All formats, in the order in which they are listed to users."""


def readable_suffixes() -> tuple[str, ...]:
    """Return the suffixes of all formats, in the order of `FORMATS`.

    >>> ".ome.tif" in readable_suffixes()
    True
    """
    return tuple(suffix for each in FORMATS for suffix in each.suffixes)


def split_path(path: Path | str) -> tuple[Path, str]:
    """Split a path into a file, or the folder of a volume, and the path of a volume inside it.

    Parameters
    ----------
    path : Path or str
        Such as ``cells.zarr/volumes/raw``, ``data.h5/raw``, ``file.lif/Series 3``, or a file.

    Returns
    -------
    Path, str
        The second is empty if the path is that of the file.

    Examples
    --------
    >>> split_path("a/brain.tif")[1]
    ''
    """
    path = Path(path)
    if os.path.isfile(path) or (_own_suffix(path) and os.path.lexists(path)):
        return path, ""
    for parent in path.parents:
        if suffix := _own_suffix(parent):
            is_volume_folder = next(each for each in FORMATS if suffix in each.suffixes).is_folder
            if os.path.isdir(parent) if is_volume_folder else os.path.isfile(parent):
                return parent, path.relative_to(parent).as_posix()
    return path, ""


def _own_suffix(path: Path) -> str:
    name = path.name.lower()
    return max((each for each in readable_suffixes() if name.endswith(each) and name != each), key=len, default="")


def volume_suffix(path: Path | str) -> str:
    """Return the suffix that determines the format, in lower case; the longest that fits, empty for a folder of slices.

    >>> volume_suffix("brain.v2.OME.TIF")
    '.ome.tif'

    Raises
    ------
    UserError
        If the format is unknown.
    """
    file, _ = split_path(path)
    suffix = _own_suffix(file)
    if not suffix and slices.is_slice_folder(file):
        return ""
    if not suffix:
        raise UserError(describe_unread(Path(path), readable_suffixes()))
    return suffix


def volume_name(path: Path | str) -> str:
    """Return the name of a volume: its file name without the suffix of the format, and its path inside the file.

    >>> volume_name("scans/brain.v2.nii.gz")
    'brain.v2'
    """
    file, inner = split_path(path)
    return "_".join([file.name[: len(file.name) - len(volume_suffix(file))], *filter(None, inner.split("/"))])


def is_volume(path: Path | str) -> bool:
    """Return whether a path has the suffix of a format, or is a folder of slices, and is not hidden.

    >>> is_volume("brain.tif"), is_volume("notes.txt"), is_volume(".brain.tif")
    (True, False, False)
    """
    name = Path(path).name
    if name.startswith("."):
        return False
    return name.lower().endswith(readable_suffixes()) or slices.is_slice_folder(Path(path))


def format_of(path: Path | str) -> Format:
    """Return the format of a file by its suffix.

    >>> format_of("brain.nii.gz").name
    'NIfTI'

    Raises
    ------
    UserError
        If the format is unknown.
    """
    suffix = volume_suffix(path)
    return next((each for each in FORMATS if suffix in each.suffixes), slices.FORMAT)


def writable_suffix(path: Path | str) -> str:
    """Return the suffix for results in the format of a file.

    >>> writable_suffix("brain.tif"), writable_suffix("brain.mhd")
    ('.tif', '.mha')
    """
    suffix = volume_suffix(path)
    return format_of(path).written_as.get(suffix, suffix)


def file_filter() -> str:
    """Return the filter of a Qt file dialog: all volumes, then those of each format, then all files."""
    groups = [
        ("Volumes", readable_suffixes()),
        *((each.name, each.suffixes) for each in FORMATS if each.suffixes and not each.is_folder),
    ]
    return ";;".join([*(f"{name} ({' '.join(f'*{each}' for each in of)})" for name, of in groups), "All files (*)"])


def formats_table() -> str:
    """Return the table of formats for the documentation, in Markdown."""
    rows = ["| format | files | voxel size | |", "| --- | --- | --- | --- |"]
    for each in FORMATS:
        extra = f"; needs `pip install 'napari-unet3d[{each.extra}]'`" if each.extra else ""
        suffixes = " ".join(f"`{suffix}`" for suffix in each.suffixes) or "2D images, one file per slice"
        written = f"read; results are `{next(iter(each.written_as.values()))}`" if each.write is None else "read, write"
        rows.append(f"| {each.name} | {suffixes} | {each.voxel_size} | {written}{extra} |")
    return "\n".join(rows)
