"""The voxel size of TIFF files: ImageJ, OME-TIFF, and the resolution of other files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_unet3d.data.formats.base import geometry_in_units
from napari_unet3d.data.formats.units import seconds_per_unit, um_per_unit
from napari_unet3d.data.geometry import UNKNOWN, Geometry, make_geometry

if TYPE_CHECKING:
    import tifffile

_IMAGEJ_OF_TIFFFILE = "1.11a"  # the version of ImageJ that tifffile writes into its files
_UM_PER_INCH = 25_400.0
_UM_PER_RESOLUTION_UNIT = {2: _UM_PER_INCH, 3: 10_000.0}  # the second is the centimetre
_FOR_PRINTING_DPI = {1, 72, 75, 90, 96, 100, 120, 144, 150, 200, 240, 250, 300, 360, 400, 600, 720, 1200, 2400}


def geometry_of(tif: tifffile.TiffFile, index: int) -> Geometry:
    """Return the geometry of a series of a file; TIFF has neither orientation nor origin."""
    if tif.is_ome and tif.ome_metadata:
        return _ome_geometry(tif.ome_metadata, index)
    header = (tif.is_imagej and tif.imagej_metadata) or (tif.shaped_metadata or ({},))[0]
    return _imagej_geometry(tif, header)


def channel_names_of(tif: tifffile.TiffFile, index: int) -> tuple[str, ...]:
    """Return the names of the channels of a series as far as an OME-TIFF or ImageJ stack has them."""
    if tif.is_ome and tif.ome_metadata:
        channels = (_pixels(tif.ome_metadata, index) or {}).get("Channel", [])
        channels = channels if isinstance(channels, list) else [channels]
        return tuple(str(channel.get("Name", "")) for channel in channels)
    header = (tif.is_imagej and tif.imagej_metadata) or {}
    labels = header.get("Labels") or []
    n_channels = header.get("channels", 1)
    return tuple(str(label).split("\n")[0] for label in labels[:n_channels]) if n_channels > 1 else ()


def time_step_of(tif: tifffile.TiffFile, index: int) -> float | None:
    """Return the seconds from one time point of a series to the next, if the file has them."""
    if tif.is_ome and tif.ome_metadata:
        pixels = _pixels(tif.ome_metadata, index) or {}
        step, unit = _number(pixels.get("TimeIncrement")), seconds_per_unit(pixels.get("TimeIncrementUnit", "s"))
        return None if step is None or unit is None or step <= 0 else step * unit
    step = _number(((tif.is_imagej and tif.imagej_metadata) or {}).get("finterval"))
    return step if step is not None and step > 0 else None


def _pixels(xml: str, index: int) -> Mapping[str, Any] | None:
    import tifffile

    images = tifffile.xml2dict(xml)["OME"].get("Image", [])
    images = images if isinstance(images, list) else [images]
    pixels: Mapping[str, Any] | None = images[index]["Pixels"] if index < len(images) else None
    return pixels


def _ome_geometry(xml: str, index: int) -> Geometry:
    pixels = _pixels(xml, index)
    if pixels is None:
        return UNKNOWN
    lengths = [_number(pixels.get(f"PhysicalSize{axis}")) for axis in "ZYX"]
    units = [um_per_unit(pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "ZYX"]  # the default of the schema
    return geometry_in_units(lengths, units)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _imagej_geometry(tif: tifffile.TiffFile, header: Mapping[str, Any]) -> Geometry:
    spacing = _number(header.get("spacing"))
    z = None if spacing is None else abs(spacing)  # ImageJ writes the distance of slices with a sign
    tags = tif.pages.first.tags
    y, x = (_length_per_pixel(tags.valueof(f"{axis}Resolution")) for axis in "YX")
    um, um_of_tag = um_per_unit(header.get("unit")), _UM_PER_RESOLUTION_UNIT.get(tags.valueof("ResolutionUnit"))
    if um is not None and z is None:
        # ImageJ writes no spacing if it is 1; tifffile writes stacks of ImageJ without one if it is not given.
        z = None if header.get("ImageJ") == _IMAGEJ_OF_TIFFFILE else 1.0
    if um is not None:
        z_um = None if z is None else z * um
        return make_geometry([z_um, *(_likely(side, um, um_of_tag, z_um) for side in (y, x))])
    if um_of_tag is not None and x is not None and not _is_for_printing(x, um_of_tag):
        return make_geometry([None, y and y * um_of_tag, x * um_of_tag])
    return UNKNOWN if z is None else make_geometry([z, y, x], is_um=False)


def _length_per_pixel(resolution: object) -> float | None:
    match resolution:
        case (int(pixels), int(length)) if pixels > 0 and length > 0:
            return length / pixels
    return None


def _likely(side: float | None, um: float, um_of_tag: float | None, z_um: float | None) -> float | None:
    """Return the length of a side in µm, with the unit that makes it most similar to the distance of slices.

    Some programs write resolutions in the unit of the ImageJ header, others in that of the TIFF tag.
    """
    if side is None:
        return None
    lengths = [side * um] if um_of_tag is None else [side * um_of_tag, side * um]
    expected = z_um if z_um and math.isfinite(z_um) else 1.0
    return min(lengths, key=lambda length: abs(math.log(length / expected)))


def _is_for_printing(side: float, um_of_tag: float) -> bool:
    dots_per_inch = _UM_PER_INCH / (side * um_of_tag)
    return any(math.isclose(dots_per_inch, dpi, rel_tol=0.01) for dpi in _FOR_PRINTING_DPI)
