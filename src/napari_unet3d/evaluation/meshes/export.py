"""Write the meshes of the objects of a volume to files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_unet3d.configs.meshes import MeshConfig, MeshFormat
from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.events import Notice
from napari_unet3d.data.formats.registry import volume_name
from napari_unet3d.data.label_reading import read_labels
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.meshes.making import MeshMade, MeshSource, boxes_of
from napari_unet3d.evaluation.meshes.mesh import Mesh, make_mesh
from napari_unet3d.evaluation.meshes.mesh_files import write_meshes
from napari_unet3d.files import atomic_write
from napari_unet3d.formatting import format_count

_ASCII_UNITS = {"µm": "um", "voxels": "voxels"}
_MOST_NAMES = 3  # of objects, in a message
_LARGEST = 2**31 - 1  # number of an object or a vertex in PLY


@dataclass(frozen=True, slots=True)
class MeshesExported:
    """All meshes are on disk.

    Attributes
    ----------
    files : tuple of Path
        A file for each object, or a single one.
    n_objects : int
        The number of objects.
    unit : str
        The unit of the positions: ``"µm"`` or ``"voxels"``.
    """

    files: tuple[Path, ...]
    n_objects: int
    unit: str


MeshEvent = Notice | MeshMade | MeshesExported


def export_meshes(
    labels: Path | str | MeshSource,
    out: Path | str,
    to: MeshFormat | str,
    config: MeshConfig | None = None,
    *,
    objects: Iterable[int] | None = None,
    overwrite: bool = False,
) -> Iterator[MeshEvent]:
    """Write the surfaces of objects as meshes, in µm, or in voxels where the voxel size is not known.

    Positions are x, y and z of the world, as in the table of objects. Surfaces are closed, also at the border of the
    volume. A file is complete as soon as it has its name; if the iteration is stopped, those that are written stay.

    Parameters
    ----------
    labels : Path, str or MeshSource
        A file of labels, such as a prediction, or an array with its geometry.
    out : Path or str
        The folder; files are called ``NAME_object_12.ply``, or ``NAME_objects.ply`` for a single one.
    to : MeshFormat or str
        The format: ``obj``, ``ply`` or ``stl``.
    config : MeshConfig, optional
        Smoothing, and whether there is one file.
    objects : iterable of int, optional
        The numbers of the objects; by default all.
    overwrite : bool
        Replace files that exist.

    Yields
    ------
    Notice
        What was assumed about the file, or that the positions are in voxels.
    MeshMade
        One more object is done.
    MeshesExported
        The files; always the last event.

    Raises
    ------
    UserError
        If the labels cannot be read or have no such object, or a file exists or cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from napari_unet3d.data.geometry import Geometry
    >>> cells = MeshSource("cells", np.array([[[0, 1, 0, 7]]]), Geometry((2.0, 0.5, 0.5)))
    >>> with TemporaryDirectory() as folder:
    ...     *_, done = export_meshes(cells, folder, "stl")
    ...     print([file.name for file in done.files], done.unit)
    ['cells_object_1.stl', 'cells_object_7.stl'] µm
    """
    to, config = _checked_format(to), config or MeshConfig()
    if not isinstance(labels, MeshSource):
        volume = read_labels(labels)
        yield from map(Notice, volume.notices)
        labels = MeshSource(volume_name(labels), volume.array, volume.geometry)
    if not labels.geometry.is_calibrated:
        yield Notice(f"The voxel size of '{labels.name}' is not known in µm; the meshes are in voxels.")
    boxes = boxes_of(labels, objects)
    files = _file_names(labels.name, list(boxes), Path(out), to, one_file=config.one_file)
    _check_free(list(dict.fromkeys(files.values())), overwrite=overwrite)
    unit, kept = labels.geometry.unit, list[Mesh]()
    for n_done, (number, box) in enumerate(boxes.items(), start=1):
        mesh = make_mesh(labels.labels, number, box, config.smoothing).placed(labels.geometry)
        if config.one_file:
            kept.append(mesh)
        else:
            _write(files[number], [mesh], to, unit)
        yield MeshMade(n_done, len(boxes))
    if config.one_file:
        _write(next(iter(files.values())), kept, to, unit)
    yield MeshesExported(tuple(dict.fromkeys(files.values())), len(boxes), unit)


def _checked_format(to: MeshFormat | str) -> MeshFormat:
    for each in MeshFormat:
        if each == to:
            return each
    raise UserError(f"Meshes cannot be written as '{to}'; choose {', '.join(MeshFormat)}.")


def _file_names(name: str, numbers: Sequence[int], folder: Path, to: MeshFormat, *, one_file: bool) -> dict[int, Path]:
    name = file_name(name)
    if one_file:
        return dict.fromkeys(numbers, folder / f"{name}_objects.{to}")
    return {number: folder / f"{name}_object_{number}.{to}" for number in numbers}


def _check_free(files: Sequence[Path], *, overwrite: bool) -> None:
    """Raise if files exist that may not be replaced, before the first is made."""
    there = [] if overwrite else [file for file in files if os.path.lexists(file)]
    if there:
        names = ", ".join(file.name for file in there[:_MOST_NAMES])
        more = f" and {format_count(len(there) - _MOST_NAMES, 'other')}" if len(there) > _MOST_NAMES else ""
        raise UserError(
            f"{names}{more} in {there[0].parent} {'exists' if len(there) == 1 else 'exist'} already. Choose another "
            "folder, or allow overwriting."
        )


def _write(file: Path, meshes: Sequence[Mesh], to: MeshFormat, unit: str) -> None:
    largest = max(*(mesh.number for mesh in meshes), sum(len(mesh.vertices) for mesh in meshes))
    if to is MeshFormat.PLY and largest > _LARGEST:
        raise UserError(f"PLY holds numbers up to {_LARGEST}. Write OBJ, or a file for each object, or renumber them.")
    with atomic_write(file) as temporary:
        write_meshes(temporary, meshes, to, _ASCII_UNITS[unit])
