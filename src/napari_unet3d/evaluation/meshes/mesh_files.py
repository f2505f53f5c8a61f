"""Write meshes as OBJ, PLY and STL, each with the unit in its header, since none of them has a place for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs.meshes import MeshFormat
from napari_unet3d.evaluation.meshes.mesh import Mesh

_ROWS = 50_000  # of text at once
_STL_HEADER = 80  # bytes


def write_meshes(path: Path, meshes: Sequence[Mesh], to: MeshFormat, unit: str) -> None:
    """Write meshes into one file.

    In OBJ each is an object ``object_12``. In PLY each triangle has the number of its object. STL has triangles only,
    as 32-bit numbers.

    Parameters
    ----------
    path : Path
        The file.
    meshes : sequence of Mesh
        The meshes, with x, y, z of the world.
    to : MeshFormat
        The format.
    unit : str
        The unit of the positions, in ASCII, such as ``um``.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    _WRITERS[to](path, meshes, unit)


def _write_obj(path: Path, meshes: Sequence[Mesh], unit: str) -> None:
    first = 1  # vertices are counted from 1, through all objects
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write(f"# napari-unet3d\n# unit: {unit}\n")
        for mesh in meshes:
            file.write(f"o object_{mesh.number}\n")
            for start in range(0, len(mesh.vertices), _ROWS):
                rows = mesh.vertices[start : start + _ROWS].tolist()
                file.writelines(f"v {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in rows)
            for start in range(0, len(mesh.faces), _ROWS):
                rows = (mesh.faces[start : start + _ROWS] + first).tolist()
                file.writelines(f"f {a} {b} {c}\n" for a, b, c in rows)
            first += len(mesh.vertices)


def _write_ply(path: Path, meshes: Sequence[Mesh], unit: str) -> None:
    header = (
        f"ply\nformat binary_little_endian 1.0\ncomment napari-unet3d\ncomment unit: {unit}\n"
        f"element vertex {sum(len(mesh.vertices) for mesh in meshes)}\n"
        "property double x\nproperty double y\nproperty double z\n"
        f"element face {sum(len(mesh.faces) for mesh in meshes)}\n"
        "property list uchar int vertex_indices\nproperty int object\nend_header\n"
    )
    row = np.dtype([("n", "u1"), ("vertices", "<i4", 3), ("object", "<i4")])
    first = 0
    with path.open("wb") as file:
        file.write(header.encode("ascii"))
        for mesh in meshes:
            file.write(mesh.vertices.astype("<f8").tobytes())
        for mesh in meshes:
            rows = np.zeros(len(mesh.faces), row)
            rows["n"], rows["vertices"], rows["object"] = 3, mesh.faces + first, mesh.number
            file.write(rows.tobytes())
            first += len(mesh.vertices)


def _write_stl(path: Path, meshes: Sequence[Mesh], unit: str) -> None:
    triangle = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    header = f"napari-unet3d, unit: {unit}".encode("ascii").ljust(_STL_HEADER)
    with path.open("wb") as file:
        file.write(header + np.uint32(sum(len(mesh.faces) for mesh in meshes)).astype("<u4").tobytes())
        for mesh in meshes:
            rows = np.zeros(len(mesh.faces), triangle)
            corners = mesh.vertices[mesh.faces]
            rows["corners"], rows["normal"] = corners, _normals(corners)
            file.write(rows.tobytes())


def _normals(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit vectors that point outwards from triangles of shape (face, 3, 3); 0 for those without area."""
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(across, axis=1, keepdims=True)
    normals: NDArray[np.float64] = np.divide(across, lengths, out=np.zeros_like(across), where=lengths > 0)
    return normals


_WRITERS: dict[MeshFormat, Callable[[Path, Sequence[Mesh], str], None]] = {
    MeshFormat.OBJ: _write_obj,
    MeshFormat.PLY: _write_ply,
    MeshFormat.STL: _write_stl,
}
