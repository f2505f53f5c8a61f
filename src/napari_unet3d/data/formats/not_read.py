"""Paths that are no volume: what they are, and how to get one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from napari_unet3d.errors import UserError, web_address
from napari_unet3d.text_files import read_start

_FIJI = "Open it in Fiji and save it as TIFF"
_KINDS = {
    ".n5": ("an N5 container", "Export it as OME-Zarr or HDF5"),
    ".am": ("a file of Amira or Avizo", "Save it as TIFF or NRRD there"),
    ".raw": (
        "a file of bare values, without shape and voxel size",
        "Write an .mhd header for it, or import it in Fiji and save it as TIFF",
    ),
    ".dcm": ("a DICOM file", "Convert the series to NIfTI with dcm2niix, or to NRRD with 3D Slicer"),
    ".hdr": ("a part of an Analyze or NIfTI pair", "Save it as one .nii file"),
    ".img": ("a part of an Analyze or NIfTI pair", "Save it as one .nii file"),
    ".xml": ("a description of other files", "Choose the .h5 file beside it"),
    ".st": ("a tilt series", "Reconstruct it, and choose the .rec or .mrc file of the tomogram"),
    ".mat": ("a file of MATLAB", "Save the array as HDF5 or TIFF there"),
    ".zip": ("an archive", "Unpack it"),
    ".png": ("a single image", "Choose the folder of the slices instead"),
    ".jpg": ("a single image", "Choose the folder of the slices instead"),
    **dict.fromkeys((".lsm", ".oib", ".oir", ".vsi", ".stk", ".dv", ".ics", ".ids"), ("a file of a microscope", _FIJI)),
}
_N_SEEN = 1000  # entries of a folder
_DICOM_AT, _DICOM = 128, b"DICM"


def describe_unread(path: Path, suffixes: Sequence[str]) -> str:
    """Return a message for a path without a format: what it is and what to do.

    Parameters
    ----------
    path : Path
        A file or folder.
    suffixes : sequence of str
        Those that can be read.
    """
    if address := web_address(path):
        return address
    if os.path.isdir(path) and path.suffix.lower() not in _KINDS:
        return _describe_folder(path, suffixes)
    if _is_dicom(path):
        kind, advice = _KINDS[".dcm"]
    elif (suffix := path.suffix.lower()) in _KINDS:
        kind, advice = _KINDS[suffix]
    else:
        return f"{path} has no format that can be read; use one of {' '.join(suffixes)}."
    return f"{path} is {kind}, which is not read. {advice}."


def _describe_folder(path: Path, suffixes: Sequence[str]) -> str:
    try:
        names = sorted(islice((entry.name for entry in path.iterdir() if not entry.name.startswith(".")), _N_SEEN))
    except OSError:
        names = []
    if not names:
        return f"{path} is an empty folder. Choose a volume, or a folder of slices."
    if any(_is_dicom(path / name) for name in names[:2]):
        kind, advice = _KINDS[".dcm"]
        return f"{path} is a folder of slices of which each is {kind}, which is not read. {advice}."
    volumes = [name for name in names if name.lower().endswith(tuple(suffixes))]
    if volumes:
        return f"{path} is a folder with volumes, not slices. Choose one of them, such as {path / volumes[0]}."
    return f"{path} is a folder without slices; it has {names[0]}. Choose a volume, or a folder of TIFF or PNG slices."


def _is_dicom(path: Path) -> bool:
    try:
        return read_start(path, _DICOM_AT + len(_DICOM))[_DICOM_AT:] == _DICOM
    except UserError:
        return False
