"""Files of microscopes: CZI of Zeiss, LIF of Leica and ND2 of Nikon, through packages that are optional."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.base import Format, StoredVolume, geometry_in_units
from napari_unet3d.data.formats.czi import list_scenes, list_subblocks
from napari_unet3d.data.formats.units import um_per_unit
from napari_unet3d.data.geometry import UNKNOWN, Geometry, make_geometry
from napari_unet3d.errors import UserError

_UM_PER_METRE = 1e6
_PLAIN = "tczyx"


def _missing(path: Path, package: str) -> UserError:
    return UserError(
        f"Reading {path.suffix} needs {package}. Install it with: pip install 'napari-unet3d[microscopes]', or export "
        "the volume as OME-TIFF."
    )


def _letters(dimensions: Sequence[str]) -> str:
    return "".join(each.lower() if each.lower() in (*_PLAIN, "s") else "?" for each in dimensions)


def _geometry(um_per_axis: Mapping[str, float | None]) -> Callable[[Sequence[int]], Geometry]:
    geometry = make_geometry([um_per_axis.get(axis) for axis in "zyx"])
    return lambda zyx: geometry


def list_lif(path: Path, _stack: ExitStack) -> list[StoredVolume]:
    """Return the images of a LIF file that are volumes."""
    try:
        import liffile
    except ImportError:
        raise _missing(path, "liffile") from None
    with liffile.LifFile(path) as file:
        images = [image for image in file.images if sum(length > 1 for length in image.sizes.values()) >= 3]
        names = _unique_names([image.path for image in images])
        return [_lif_volume(path, image, name) for image, name in zip(images, names, strict=True)]


def _lif_volume(path: Path, image: Any, name: str) -> StoredVolume:
    import liffile

    inner = image.path
    same = [each.path for each in image.parent.images].index(inner)

    def load(index: tuple[int | slice, ...]) -> NDArray[Any]:
        with liffile.LifFile(path) as file:
            stored = file.images[same]
            if _time_in(index, stored.dims) is not None and "S" not in stored.dims:  # only this time point is read
                return np.array(stored.asarray(out="memmap")[index])
            return np.asarray(stored.asarray())[index]

    sizes: dict[str, float | None] = {}
    for element in image.xml_element.iterfind("./Data/Image/ImageDescription/Dimensions/DimensionDescription"):
        axis = {"1": "x", "2": "y", "3": "z"}.get(element.get("DimID", ""))
        n_steps = int(element.get("NumberOfElements", "1")) - 1
        um = um_per_unit(element.get("Unit"))
        if axis and n_steps > 0 and um is not None:  # the length is that from the first to the last voxel
            sizes[axis] = abs(float(element.get("Length", "0"))) / n_steps * um
    return StoredVolume(
        shape=tuple(image.shape),
        dtype=np.dtype(image.dtype),
        load=load,
        axes=_letters(image.dims),
        name=name,
        geometry_of=_geometry(sizes),
        channel_names=_lif_channels(image),
    )


def _lif_channels(image: Any) -> tuple[str, ...]:
    """Return the names of the dyes where a file has one for each channel."""
    channels = image.xml_element.findall("./Data/Image/ImageDescription/Channels/ChannelDescription")
    names = []
    for channel in channels:
        found = {each.findtext("Key", ""): each.findtext("Value", "") for each in channel.iter("ChannelProperty")}
        names.append(found.get("DyeName") or channel.get("LUTName") or "")
    return tuple(names)


def list_nd2(path: Path, _stack: ExitStack) -> list[StoredVolume]:
    """Return the volumes of an ND2 file, one for each position."""
    try:
        import nd2
    except ImportError:
        raise _missing(path, "nd2") from None
    with nd2.ND2File(path) as file:
        sizes = dict(file.sizes)
        n_positions = sizes.pop("P", 1)
        dtype = np.dtype(file.dtype)
        _check_frames(path, file)
        channels, notices = _nd2_channels(path, file)
    um: dict[str, float | None] = {}
    if channels and (calibration := channels[0].volume) is not None:  # of what is not known, nd2 returns 1
        known = zip("xyz", calibration.axesCalibration, calibration.axesCalibrated, strict=True)
        um = {axis: size for axis, size, is_known in known if is_known}
    names = tuple(str(channel.channel.name) for channel in channels)

    def volume(position: int) -> StoredVolume:
        def load(index: tuple[int | slice, ...]) -> NDArray[Any]:
            with nd2.ND2File(path) as file:
                if (time := _time_in(index, list(sizes))) is not None:
                    return _nd2_time_point(file, position, time, sizes)[_without_time(index, list(sizes))]
                return np.asarray(file.asarray(position if n_positions > 1 else None)).reshape(tuple(sizes.values()))[
                    index
                ]

        return StoredVolume(
            shape=tuple(sizes.values()),
            dtype=dtype,
            load=load,
            axes=_letters(list(sizes)),
            name=f"position {position}" if n_positions > 1 else "",
            geometry_of=_geometry(um),
            channel_names=names,
            notices=notices,
        )

    return [volume(position) for position in range(n_positions)]


def _time_in(index: Sequence[int | slice], dimensions: Sequence[str]) -> int | None:
    """Return the time point that an index chooses; None if it chooses none."""
    return next((i for i, axis in zip(index, dimensions, strict=True) if axis == "T" and isinstance(i, int)), None)


def _without_time(index: Sequence[int | slice], dimensions: Sequence[str]) -> tuple[int | slice, ...]:
    return tuple(0 if axis == "T" else i for i, axis in zip(index, dimensions, strict=True))


def _nd2_time_point(file: Any, position: int, time: int, sizes: Mapping[str, int]) -> NDArray[Any]:
    """Read the frames of a time point of a position; its axis T has length 1."""
    loops = {axis: length for axis, length in file.sizes.items() if axis not in "CYXS"}
    chosen = {"P": [position], "T": [time]}
    places = np.ix_(*(chosen.get(axis, range(length)) for axis, length in loops.items()))
    frames = np.arange(math.prod(loops.values())).reshape(tuple(loops.values()))[places].ravel()
    values = np.stack([file.read_frame(number) for number in frames.tolist()])
    return values.reshape(tuple(1 if axis == "T" else length for axis, length in sizes.items()))


def _nd2_channels(path: Path, file: Any) -> tuple[list[Any], tuple[str, ...]]:
    """Return the metadata of the channels; none, with a notice, if nd2 cannot read them."""
    try:
        metadata = file.metadata
        return list(() if isinstance(metadata, dict) else metadata.channels or ()), ()
    except _metadata_errors() as error:  # nd2 uses an undefined variable where optics are not described
        return [], (f"The metadata of {path} cannot be read ({error}), so its voxel size is unknown.",)


def _metadata_errors() -> tuple[type[Exception], ...]:
    return NameError, *_read_errors()


def _check_frames(path: Path, file: Any) -> None:
    """Raise a `UserError` if an acquisition was stopped early: nd2 returns zeros for frames that do not exist."""
    n_expected = math.prod(length for axis, length in file.sizes.items() if axis not in ("Y", "X", "C", "S"))
    n_stored = file.attributes.sequenceCount
    if n_stored < n_expected:
        raise UserError(
            f"{path} declares {n_expected} frames and holds {n_stored}, so the acquisition was stopped early or the "
            "file is cut short. Export the complete part as OME-TIFF."
        )


def list_czi(path: Path, _stack: ExitStack) -> list[StoredVolume]:
    """Return the volumes of a CZI file, one for each scene; of a pyramid the highest resolution."""
    try:
        import czifile
    except ImportError:
        raise _missing(path, "czifile") from None
    with czifile.CziFile(path) as file:
        metadata = file.metadata()
    root = ElementTree.fromstring(metadata) if metadata else None
    geometry, names = _czi_geometry(root), _czi_channels(root)
    scenes = list_scenes(path) if hasattr(czifile.CziFile, "scenes") else list_subblocks(path)
    return [
        StoredVolume(
            shape=scene.shape,
            dtype=scene.dtype,
            load=scene.load,
            axes=_letters(scene.axes),
            name=f"scene {scene.number}" if len(scenes) > 1 else "",
            geometry_of=lambda zyx: geometry,
            channel_names=names,
        )
        for scene in scenes
    ]


def _czi_geometry(root: ElementTree.Element | None) -> Geometry:
    if root is None:
        return UNKNOWN
    lengths: list[float | None] = []
    for axis in "ZYX":  # always in metres
        found = root.find(f".//Scaling/Items/Distance[@Id='{axis}']/Value")
        lengths.append(float(found.text) if found is not None and found.text else None)
    return geometry_in_units(lengths, [_UM_PER_METRE] * 3)


def _czi_channels(root: ElementTree.Element | None) -> tuple[str, ...]:
    channels = () if root is None else root.findall(".//Information/Image/Dimensions/Channels/Channel")
    return tuple(channel.get("Name") or channel.get("Id") or "" for channel in channels)


def _unique_names(names: Sequence[str]) -> list[str]:
    """Return the names of images; those that come twice get the number of the image."""
    plain = [re.sub(r"/+", "/", name).strip("/") for name in names]
    return [
        name if plain.count(name) == 1 and name else f"{name} ({number})".strip()
        for number, name in enumerate(plain, start=1)
    ]


def _read_errors() -> tuple[type[Exception], ...]:
    return (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        AssertionError,
        RuntimeError,
        ElementTree.ParseError,
    )


CZI, LIF, ND2 = (
    Format(
        name=name,
        suffixes=(suffix,),
        volumes=volumes,
        read_errors=_read_errors,
        extra="microscopes",
        signature=signature,
        holds=lambda path: frozenset(),
        written_as={suffix: ".ome.tif"},
    )
    for name, suffix, volumes, signature in (
        ("Zeiss CZI", ".czi", list_czi, rb"ZISRAWFILE"),
        ("Leica LIF", ".lif", list_lif, rb"\x70\0\0\0"),
        ("Nikon ND2", ".nd2", list_nd2, rb"\xda\xce\xbe\x0a|\0\0\0\x0cjP"),
    )
)
