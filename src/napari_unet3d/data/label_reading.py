"""Reading of labels and masks: as integers, and turned onto their image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_unet3d.configs.training_enums import FourthAxis
from napari_unet3d.data.cropped_labels import is_cropped, place_labels
from napari_unet3d.data.formats.base import VolumeData
from napari_unet3d.data.formats.registry import volume_name
from napari_unet3d.data.geometry import Geometry, different_orientation, grid_notices, turn_onto
from napari_unet3d.data.label_values import round_labels, to_label_dtype
from napari_unet3d.data.matching import bare_name
from napari_unet3d.data.opening import OpenVolume, open_volume
from napari_unet3d.data.sample import Shape3D, format_shape
from napari_unet3d.data.time_points import check_same_times, split_name
from napari_unet3d.errors import UserError


def read_labels(
    path: Path | str, name: str = "", *, time: int | None = None, image: OpenVolume | None = None
) -> VolumeData:
    """Read labels in the smallest integer type.

    Parameters
    ----------
    path : Path or str
        The file.
    name : str
        Its name in messages; by default that of the volume.
    time : int, optional
        The time point to read of several.
    image : OpenVolume, optional
        The image of the labels, which must have as many time points.

    Raises
    ------
    UserError
        As `read_volume`, and if the values are not integers or were changed by compression, or the labels have other
        time points than the image.
    """
    name = name or volume_name(path)
    axis = FourthAxis.AUTO if time is None else FourthAxis.TIME_POINTS  # labels have no channels
    with open_volume(path, "labels", axis) as opened:
        is_whole = time is None or (opened.n_times is None and split_name(bare_name(Path(path)))[1] == time)
        if not is_whole and image is not None:
            check_same_times(image, opened)
        volume = opened.read(whole=False, time=None if is_whole else time)
    if volume.is_lossy:
        raise UserError(
            f"The labels of '{name}' are compressed as JPEG, which changes their values. Save them as TIFF or PNG from "
            "where they were drawn."
        )
    array, notices = volume.array, volume.notices
    if array.dtype.kind == "f":
        array, notice = round_labels(name, array)
        notices += (notice,) if notice else ()
    return replace(volume, array=to_label_dtype(name, array), notices=notices)


def read_labels_like(  # noqa: PLR0913 - the labels, and what they belong to
    path: Path | str,
    image_name: str,
    image: Geometry,
    name: str = "",
    *,
    shape: Shape3D | None = None,
    time: int | None = None,
    series: OpenVolume | None = None,
) -> VolumeData:
    """Read labels or a mask and turn them onto their image, where the axes of one are swapped or flipped.

    Parameters
    ----------
    path : Path or str
        The file.
    image_name, image : str, Geometry
        Name and geometry of the image.
    name : str
        Name of the labels in messages; by default the path.
    time, series : int, OpenVolume, optional
        The time point to read, and the image with the same time points.
    shape : tuple of int, optional
        Shape of the image. With it, labels of a part that 3D Slicer has saved are placed in the image.

    Returns
    -------
    VolumeData
        With a notice for everything in which their places differ.

    Raises
    ------
    UserError
        As `read_labels`, and if the orientation differs by something else.
    """
    volume = read_labels(path, name, time=time, image=series)
    name = name or str(path)
    try:
        array, geometry = turn_onto(volume.array, volume.geometry, image)
    except ValueError:
        raise different_orientation(image_name, image, name, volume.geometry) from None
    notices, is_turned = list(volume.notices), geometry is not volume.geometry
    if shape is not None and array.shape != shape and is_cropped(str(path)):
        placed = place_labels(array, geometry, image, shape)
        if placed is not None:
            notices.append(
                f"{name} has the shape {format_shape(array.shape)}, without empty margins; it is placed at the voxel "
                f"{placed[1]} of its image {image_name}, and other voxels are 0."
            )
            array, geometry = placed[0], image
    notices += grid_notices(image_name, image, name, geometry)
    if is_turned:
        notices.append(
            f"The axes of {name} point to {volume.geometry.orientation}, those of its image {image_name} to "
            f"{image.orientation}; the labels were turned onto the image."
        )
    return VolumeData(np.ascontiguousarray(array), geometry, tuple(notices))
