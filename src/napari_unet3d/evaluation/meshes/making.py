"""Make the meshes of the objects of a volume, one object after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.object_edits import object_boxes
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.meshes.mesh import Mesh, make_mesh
from napari_unet3d.formatting import format_count


@dataclass(frozen=True, slots=True, eq=False)
class MeshSource:
    """Labels whose objects become meshes.

    Attributes
    ----------
    name : str
        Name of the volume, which file names begin with.
    labels : ndarray of integers, shape (z, y, x)
        Each value above 0 is an object.
    geometry : Geometry
        Where the volume lies.
    ignore_label : int or None
        The value of voxels that are not annotated, which is no object.
    """

    name: str
    labels: NDArray[Any]
    geometry: Geometry
    ignore_label: int | None = None


@dataclass(frozen=True, slots=True)
class MeshMade:
    """One more mesh was made, and written where each object has a file of its own: `n_done` of `n_total` so far."""

    n_done: int
    n_total: int


@dataclass(frozen=True, slots=True, eq=False)
class MeshesMade:
    """All meshes, with positions in voxels."""

    meshes: tuple[Mesh, ...]


def boxes_of(source: MeshSource, objects: Iterable[int] | None) -> dict[int, Box]:
    """Return the boxes around objects; None for all.

    Raises
    ------
    UserError
        If there are none, or one of them does not exist.
    """
    boxes = object_boxes(source.labels)
    boxes.pop(source.ignore_label or 0, None)
    if not boxes:
        raise UserError(f"'{source.name}' has no objects: all its voxels are 0. Choose other labels.")
    wanted = boxes if objects is None else dict.fromkeys(objects)
    if missing := [number for number in wanted if number not in boxes]:
        raise UserError(
            f"'{source.name}' has no object {missing[0]}; it has {format_count(len(boxes), 'object')}, from "
            f"{min(boxes)} to {max(boxes)}."
        )
    return {number: boxes[number] for number in wanted}


def make_meshes(
    source: MeshSource, objects: Iterable[int] | None = None, smoothing: int = 10
) -> Iterator[MeshMade | MeshesMade]:
    """Make meshes without writing them, as for a viewer.

    Parameters
    ----------
    source : MeshSource
        The labels.
    objects : iterable of int, optional
        The numbers of the objects; by default all.
    smoothing : int
        Number of smoothing steps.

    Yields
    ------
    MeshMade
        One more is done.
    MeshesMade
        All of them; always the last event.

    Raises
    ------
    UserError
        As `boxes_of`.
    """
    boxes, meshes = boxes_of(source, objects), list[Mesh]()
    for number, box in boxes.items():
        meshes.append(make_mesh(source.labels, number, box, smoothing))
        yield MeshMade(len(meshes), len(boxes))
    yield MeshesMade(tuple(meshes))
