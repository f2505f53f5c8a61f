"""Where the values that tifffile returns are not those that a file means: missing slices, inverted values, JPEG."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from numpy.typing import NDArray

from napari_unet3d.errors import UserError
from napari_unet3d.text_files import check_is_regular

if TYPE_CHECKING:
    import tifffile

_PART = re.compile(r'<(?:\w+:)?BinaryOnly\b[^>]*\bMetadataFile="([^"]*)"')
_FILE_NAME = re.compile(r'\bFileName="([^"]+)"')
_JPEG = (6, 7)  # of the tag Compression
_WRITER = "tifffile"


def is_ome_tiff(path: Path) -> bool:
    """Return whether the name of a file is that of an OME-TIFF."""
    return path.name.lower().endswith((".ome.tif", ".ome.tiff"))


def file_of_part(path: Path) -> str:
    """Return the name of the file that stands for a volume in several files, if it is another one than the given.

    That is the file with the description, or the first one if all have it; it is in the same folder. Empty for a file
    that stands for itself, and for one that cannot be read.
    """
    import tifffile

    try:
        check_is_regular(path)
        with tifffile.TiffFile(path) as tif:
            description = str(tif.pages.first.description)
    except Exception:  # noqa: BLE001 - a damaged file is explained when it is read
        return ""
    part = _PART.search(description)
    names = [part[1]] if part else _FILE_NAME.findall(description)
    first = next((name for name in names if os.path.isfile(path.parent / name)), "")
    return first if first != path.name and (part or path.name in names) else ""


def check_is_whole(path: Path, tif: tifffile.TiffFile) -> None:
    """Raise a `UserError` for a part of an OME-TIFF that another file describes; tifffile reads the part alone."""
    part = _PART.search(tif.pages.first.description or "")
    if part is None:
        return
    whole = part[1]
    if not os.path.isfile(path.parent / whole):
        advice = f"That file is missing: copy all files of the volume into the folder of {path.name}."
    elif whole.lower().endswith((".tif", ".tiff")):
        advice = f"Choose {path.parent / whole} instead."
    else:
        advice = "Open it in Fiji and save it as one TIFF file."
    raise UserError(f"{path} is a part of a volume in several files, which {whole} describes. {advice}")


def check_length(path: Path, tif: tifffile.TiffFile) -> None:
    """Refuse an ImageJ stack with a single page that was cut short; tifffile would read its first slice."""
    header = tif.imagej_metadata if tif.is_imagej else None
    n_declared = 0 if header is None else header.get("images", 1)
    n_present = sum(len(series.pages) if series.kind != "imagej" else n_declared for series in tif.series)
    if n_present < n_declared and len(tif.pages) == 1:
        raise UserError(
            f"{path} is cut short: it declares {n_declared} slices and holds fewer. Copy or export it again."
        )


def upright(tif: tifffile.TiffFile, array: NDArray[Any]) -> NDArray[Any]:
    """Return values that increase with brightness; in some files 0 is white, except where only the display says so.

    ImageJ inverts the display of such images only, and tifffile writes masks so without inverting them.
    """
    page = tif.pages.first
    is_inverted = page.photometric == 0 and not tif.is_imagej
    is_own_mask = page.bitspersample == 1 and (tif.is_shaped or str(page.software).startswith(_WRITER))
    return ~array if is_inverted and not is_own_mask and array.dtype.kind in "bu" else array


def is_lossy(tif: tifffile.TiffFile) -> bool:
    """Return whether values were changed by compression."""
    return tif.pages.first.compression in _JPEG


def missing_planes(path: Path, tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> int:
    """Return how many slices at the end of an OME-TIFF do not exist, which tifffile would read as zeros.

    Raises
    ------
    UserError
        If files of the volume or slices in between are missing.
    """
    planes = list(series) if series.kind == "ome" else []
    missing = [number for number, page in enumerate(planes) if page is None]
    if not missing:
        return 0
    gone = [name for name in _ome_files(tif.ome_metadata or "") if not os.path.isfile(path.parent / name)]
    if gone:
        others = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        raise UserError(
            f"{path} is a part of a volume in several files; {gone[0]}{others} ({len(missing)} of {len(planes)} "
            "slices) cannot be found in its folder. Copy all files of the volume into one folder."
        )
    is_end = missing[0] > 1 and missing == list(range(missing[0], len(planes)))
    if is_end and len(planes) == series.get_shape(squeeze=True)[0]:
        return len(missing)
    raise UserError(
        f"{path} declares {len(planes)} slices, but {_describe_numbers(missing)} (counted from 0) cannot be read. "
        "Export the volume again, or save the existing slices as a stack."
    )


def _ome_files(xml: str) -> list[str]:
    """Return the names of the files of an OME-TIFF in the order of their first planes."""
    elements = (element for element in ElementTree.fromstring(xml).iter() if element.tag.endswith("}UUID"))
    names = (element.get("FileName") for element in elements)
    return list(dict.fromkeys(name for name in names if name))


def _describe_numbers(numbers: list[int]) -> str:
    is_run = len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1
    return f"{numbers[0]} to {numbers[-1]}" if is_run else ", ".join(map(str, numbers[:9])) + ", …" * (len(numbers) > 9)
