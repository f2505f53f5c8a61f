"""Checks of what a TIFF says of itself before tifffile follows it: other files, and the number of slices."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from napari_unet3d.data.formats.beside import file_beside

if TYPE_CHECKING:
    import tifffile

_MAX_SLICES = 2**22  # of all channels and time points; tifffile makes a list of them
_NDTIFF_INDEX = "NDTiff.index"
_MMSTACK = "*_MMStack*.tif"


def check_description(path: Path, tif: tifffile.TiffFile) -> None:
    """Check the other files of a volume in several files, and how many slices an OME-TIFF declares.

    Raises
    ------
    UserError
        If another file is outside the folder of this one, or is no regular file.
    ValueError
        If the number of slices is not possible.
    """
    for name in _other_files(path, tif):
        file_beside(path, name)
    if tif.is_ome and not tif.is_mmstack:
        for element in _elements(tif.ome_metadata or ""):
            _check_slices(element)


def _other_files(path: Path, tif: tifffile.TiffFile) -> Iterator[str]:
    import tifffile

    if tif.is_ome:
        yield from (name for element in _elements(tif.ome_metadata or "") if (name := element.get("FileName")))
    if tif.is_mmstack:
        yield from (file.name for file in path.parent.glob(_MMSTACK))
    if tif.is_ndtiff and os.path.isfile(file_beside(path, _NDTIFF_INDEX)):
        yield from {str(entry[1]) for entry in tifffile.read_ndtiff_index(path.parent / _NDTIFF_INDEX)}


def _elements(xml: str) -> Iterator[ElementTree.Element]:
    try:
        return ElementTree.fromstring(xml).iter()
    except ElementTree.ParseError:  # tifffile does without the description then
        return iter(())


def _check_slices(element: ElementTree.Element) -> None:
    name = element.tag.rpartition("}")[2]
    if name == "Pixels":
        n_slices = math.prod(int(element.get(f"Size{axis}", 1)) for axis in "CZT")
    elif name == "TiffData":
        n_slices = max(int(element.get(count, 0)) for count in ("NumPlanes", "PlaneCount", "IFD"))
    else:
        return
    if not 0 <= n_slices <= _MAX_SLICES:
        raise ValueError(f"its description says {n_slices} slices")
