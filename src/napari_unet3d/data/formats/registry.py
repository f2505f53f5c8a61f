"""The file formats by the suffixes of their files.

The modules of the formats import their libraries at first use, so that listing formats costs nothing.
"""

from __future__ import annotations

from pathlib import Path

from napari_unet3d.data.formats import itk, nifti, npy, ome_zarr, tiff
from napari_unet3d.data.formats.base import Format
from napari_unet3d.errors import UserError

FORMATS: list[Format] = [tiff.FORMAT, nifti.FORMAT, npy.FORMAT, ome_zarr.FORMAT, itk.FORMAT]
"""All formats, in the order in which they are listed to users."""


def readable_suffixes() -> tuple[str, ...]:
    """Return the suffixes of all formats, in the order of `FORMATS`.

    >>> ".ome.tif" in readable_suffixes()
    True
    """
    return tuple(suffix for each in FORMATS for suffix in each.suffixes)


def volume_suffix(path: Path | str) -> str:
    """Return the suffix that determines the format, in lower case; the longest that fits.

    >>> volume_suffix("brain.v2.OME.TIF")
    '.ome.tif'

    Raises
    ------
    UserError
        If the format is unknown.
    """
    name = Path(path).name.lower()
    fitting = [suffix for suffix in readable_suffixes() if name.endswith(suffix) and name != suffix]
    if not fitting:
        raise UserError(f"{path} has no format that can be read; use one of {' '.join(readable_suffixes())}.")
    return max(fitting, key=len)


def volume_name(path: Path | str) -> str:
    """Return the name of a volume: its file name without the suffix of the format.

    >>> volume_name("scans/brain.v2.nii.gz")
    'brain.v2'
    """
    return Path(path).name[: -len(volume_suffix(path))]


def is_volume(path: Path | str) -> bool:
    """Return whether a path has the suffix of a format and is not hidden.

    >>> is_volume("brain.tif"), is_volume("notes.txt"), is_volume(".brain.tif")
    (True, False, False)
    """
    name = Path(path).name
    return not name.startswith(".") and name.lower().endswith(readable_suffixes())


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
    return next(each for each in FORMATS if suffix in each.suffixes)


def writable_suffix(path: Path | str) -> str:
    """Return the suffix for results in the format of a file.

    >>> writable_suffix("brain.tif"), writable_suffix("brain.mhd")
    ('.tif', '.mha')
    """
    suffix = volume_suffix(path)
    return format_of(path).written_as.get(suffix, suffix)


def file_filter() -> str:
    """Return the filter of a Qt file dialog: all volumes, then those of each format, then all files."""
    groups = [("Volumes", readable_suffixes()), *((each.name, each.suffixes) for each in FORMATS if not each.is_folder)]
    return ";;".join([*(f"{name} ({' '.join(f'*{each}' for each in of)})" for name, of in groups), "All files (*)"])


def formats_table() -> str:
    """Return the table of formats for the documentation, in Markdown."""
    rows = ["| format | files | voxel size | |", "| --- | --- | --- | --- |"]
    for each in FORMATS:
        extra = f"; needs `pip install 'napari-unet3d[{each.extra}]'`" if each.extra else ""
        suffixes = " ".join(f"`{suffix}`" for suffix in each.suffixes)
        rows.append(f"| {each.name} | {suffixes} | {each.voxel_size} | read, write{extra} |")
    return "\n".join(rows)
