"""Write the outlines of objects in each slice as a zip file for ImageJ's ROI Manager, with the library roifile."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box
from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.events import Notice
from napari_unet3d.data.formats.registry import volume_name
from napari_unet3d.data.label_reading import read_labels
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.meshes.making import MeshSource, boxes_of
from napari_unet3d.evaluation.rois.outline import outlines
from napari_unet3d.files import atomic_write
from napari_unet3d.formatting import format_count

_LONGEST = 32_767  # side of an image, whose coordinates are 16-bit numbers in the files
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0  # segments of a path in ImageJ
ENDING = "_RoiSet.zip"


@dataclass(frozen=True, slots=True)
class RoisMade:
    """The ROIs of one more object were made: `n_done` of `n_total` objects so far."""

    n_done: int
    n_total: int


@dataclass(frozen=True, slots=True)
class RoisExported:
    """The file is on disk.

    Attributes
    ----------
    file : Path
        The file.
    n_objects, n_rois, n_composite : int
        The number of objects with a ROI, of ROIs, and of those among them that have holes or several parts.
    """

    file: Path
    n_objects: int
    n_rois: int
    n_composite: int

    @property
    def description(self) -> str:
        """The numbers in words."""
        composite = f"; {self.n_composite} with holes or several parts are composite" if self.n_composite else ""
        return f"{format_count(self.n_rois, 'ROI')} of {format_count(self.n_objects, 'object')}{composite}"


RoiEvent = Notice | RoisMade | RoisExported


def export_rois(
    labels: Path | str | MeshSource,
    out: Path | str,
    *,
    objects: Iterable[int] | None = None,
    slices: Iterable[int] | None = None,
    overwrite: bool = False,
) -> Iterator[RoiEvent]:
    """Write a ROI for each object and slice, which ImageJ and Fiji open in the ROI Manager.

    An outline runs along the edges of pixels, so that the mask that ImageJ makes of it is the object in that slice.
    Holes and several parts are kept in a composite ROI. ROIs are called ``object_12_slice_005``, with slices from 1 as
    in ImageJ, and are shown on that slice of a stack with one channel; those of a single slice on all.

    Parameters
    ----------
    labels : Path, str or MeshSource
        A file of labels, such as a prediction, or an array with its geometry.
    out : Path or str
        The folder; the file is called ``NAME_RoiSet.zip``.
    objects : iterable of int, optional
        The numbers of the objects; by default all.
    slices : iterable of int, optional
        The slices along z, from 0 as in napari; by default all.
    overwrite : bool
        Replace a file that exists.

    Yields
    ------
    Notice
        What was assumed about the file of labels, and what is left out.
    RoisMade
        One more object is done.
    RoisExported
        The file; always the last event.

    Raises
    ------
    UserError
        If the package roifile is not installed, the labels cannot be read, have no such object or slice or are too
        large for ImageJ's format, or the file exists or cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from napari_unet3d.data.geometry import UNKNOWN
    >>> cells = MeshSource("cells", np.array([[[0, 1, 0, 7]]]), UNKNOWN)
    >>> with TemporaryDirectory() as folder:
    ...     *_, done = export_rois(cells, folder)
    ...     print(done.file.name, done.description)
    cells_RoiSet.zip 2 ROIs of 2 objects
    """
    if find_spec("roifile") is None:
        raise UserError("Writing ROIs for ImageJ needs the package roifile. Install napari-unet3d[formats].")
    if not isinstance(labels, MeshSource):
        volume = read_labels(labels)
        yield from map(Notice, volume.notices)
        labels = MeshSource(volume_name(labels), volume.array, volume.geometry)
    file = Path(out) / f"{file_name(labels.name)}{ENDING}"
    if os.path.lexists(file) and not overwrite:
        raise UserError(f"{file} exists already. Choose another folder, or allow overwriting.")
    wanted = _checked_slices(labels, slices)
    boxes = boxes_of(labels, objects)
    kept = {number: box for number, box in boxes.items() if any(box[0].start <= z < box[0].stop for z in wanted)}
    yield from map(Notice, _left_out(labels, len(boxes) - len(kept)))
    n_with, n_rois, n_composite = 0, 0, 0
    with (
        atomic_write(file) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for n_done, (number, box) in enumerate(kept.items(), start=1):
            n_before = n_rois
            for name, content, is_composite in _rois_of(labels.labels, number, box, wanted):
                archive.writestr(f"{name}.roi", content)
                n_rois, n_composite = n_rois + 1, n_composite + is_composite
            n_with += n_rois > n_before
            yield RoisMade(n_done, len(kept))
        if not n_rois:
            raise UserError(f"'{labels.name}' has none of these objects in these slices. Choose others.")
    yield RoisExported(file, n_with, n_rois, n_composite)


def _checked_slices(source: MeshSource, slices: Iterable[int] | None) -> frozenset[int]:
    n_slices, *sides = source.labels.shape
    if max(sides) > _LONGEST:
        raise UserError(
            f"'{source.name}' has {max(sides)} pixels along a side, and ROIs of ImageJ hold up to {_LONGEST}. Cut it."
        )
    wanted = frozenset(range(n_slices) if slices is None else slices)
    if outside := sorted(z for z in wanted if not 0 <= z < n_slices):
        raise UserError(f"'{source.name}' has no slice {outside[0]}; it has slices from 0 to {n_slices - 1}.")
    return wanted


def _left_out(source: MeshSource, n_objects: int) -> list[str]:
    notices = []
    if n_objects:
        notices.append(f"{format_count(n_objects, 'object')} of '{source.name}' not in these slices: left out.")
    if source.geometry.is_calibrated:
        notices.append("ROIs are in pixels and slices; the voxel size is left out, and is that of the image in ImageJ.")
    return notices


def _rois_of(labels: NDArray[Any], number: int, box: Box, slices: frozenset[int]) -> Iterator[tuple[str, bytes, bool]]:
    """Yield name, content and whether it is composite for the ROI of an object in each slice."""
    planes, rows, columns = box
    digits = len(str(len(labels)))
    for z in range(planes.start, planes.stop):
        if z not in slices:
            continue
        mask = labels[z, rows, columns] == number
        if mask.any():
            corners = [np.add(outline, (rows.start, columns.start)) for outline in outlines(mask)]
            position = None if len(labels) == 1 else z
            name = f"object_{number}_slice_{z + 1:0{digits}}"
            yield name, roi_bytes(name, corners, position), len(corners) > 1


def roi_bytes(name: str, corners: Sequence[NDArray[Any]], z: int | None) -> bytes:
    """Return the content of a ROI file: a traced outline, or a composite ROI of several.

    Parameters
    ----------
    name : str
        Its name in the ROI Manager.
    corners : sequence of ndarray of int, shape (n, 2)
        The corners (y, x) of each outline, see `outlines`.
    z : int or None
        The slice that it is shown on, from 0; None for all.
    """
    from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

    every = np.concatenate(corners)
    if len(corners) == 1:
        roi = ImagejRoi.frompoints(every[:, ::-1].astype(np.int32), name=name)
        roi.roitype = ROI_TYPE.TRACED
    else:
        roi = ImagejRoi()
        roi.roitype, roi.name = ROI_TYPE.RECT, name
        path = [
            [value for kind, (y, x) in _segments(outline) for value in (kind, x, y)] + [_CLOSE] for outline in corners
        ]
        roi.multi_coordinates = np.concatenate(path).astype(np.float32)
        roi.shape_roi_size = len(roi.multi_coordinates)
    (roi.top, roi.left), (roi.bottom, roi.right) = every.min(0).tolist(), every.max(0).tolist()
    roi.options, roi.position = ROI_OPTIONS(0), 0 if z is None else z + 1
    return bytes(roi.tobytes())


def _segments(outline: NDArray[Any]) -> Iterator[tuple[float, NDArray[Any]]]:
    for number, corner in enumerate(outline):
        yield (_LINE if number else _MOVE), corner
