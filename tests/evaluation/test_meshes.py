"""Meshes of objects: known bodies, closed surfaces, and files that another library reads."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet3d import MeshConfig, UserError, export_meshes, write_volume
from napari_unet3d.cli import main
from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.evaluation.meshes.making import MeshSource, boxes_of
from napari_unet3d.evaluation.meshes.mesh import make_mesh

VOXEL = Geometry((2.0, 1.0, 0.5))


def export(source, folder, to, **options):
    *_, done = export_meshes(source, folder, to, **options)
    return done


def meshed(labels, geometry, smoothing):
    """The mesh of object 1, placed, as the other library takes it: as it is, without merging or mending."""
    source = MeshSource("cells", labels, geometry)
    mesh = make_mesh(labels, 1, boxes_of(source, [1])[1], smoothing).placed(geometry)
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


@pytest.fixture
def cells():
    """Object 3 is a box of 12 × 6 × 5 µm at the border, and object 8 a single voxel."""
    labels = np.zeros((8, 9, 14), np.uint16)
    labels[2:, 3:9, 4:14] = 3
    labels[0, 0, 1] = 8
    return MeshSource("cells", labels, VOXEL)


def test_a_ball_is_as_large_in_micrometres_as_it_should_be():
    grid = np.indices((24, 48, 96)) * np.array(VOXEL.spacing).reshape(3, 1, 1, 1)
    ball = (np.linalg.norm(grid - np.array((24, 24, 24)).reshape(3, 1, 1, 1), axis=0) <= 16).astype(np.uint8)
    smooth, rough = meshed(ball, VOXEL, 10), meshed(ball, VOXEL, 0)
    assert smooth.volume == pytest.approx(4 / 3 * np.pi * 16**3, rel=0.015)
    assert smooth.area == pytest.approx(4 * np.pi * 16**2, rel=0.04)
    assert rough.area > 1.08 * smooth.area  # the steps of voxels
    np.testing.assert_allclose(smooth.center_mass, (24, 24, 24), atol=0.01)


def test_a_box_without_smoothing_has_its_sides():
    labels = np.zeros((8, 9, 12), np.uint8)
    labels[2:5, 3:9, 1:9] = 1  # to the border
    mesh = meshed(labels, VOXEL, 0)
    np.testing.assert_allclose(mesh.bounds, [(0.25, 2.5, 3), (4.25, 8.5, 9)])  # x, y, z, from side to side of voxels
    edges, corners = 4 * (2 + 5 + 7) / 8, 8 * 5 / 48  # are cut off, from centre to centre of the voxels beside them
    assert mesh.volume == pytest.approx(6 * 6 * 4 - edges - corners)
    assert mesh.is_watertight


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95), st.sampled_from([0, 10]))
def test_surfaces_of_any_voxels_are_closed_and_face_outwards(seed, fraction, smoothing):
    labels = (np.random.default_rng(seed).random((4, 5, 6)) < fraction).astype(np.uint8)
    labels[0, 0, 0] = 1
    mesh = meshed(labels, VOXEL, smoothing)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0


def test_meshes_lie_where_the_volume_lies():
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[2, 1, 3] = 1
    mirrored = make_geometry((2.0, 1.0, 0.5), np.diag([-1.0, 1.0, 1.0]), (10.0, 20.0, 30.0), "NIfTI")
    mesh = meshed(labels, mirrored, 0)
    np.testing.assert_allclose(mesh.center_mass, mirrored.position((2, 1, 3)))
    assert mesh.volume > 0  # it faces outwards in a mirrored volume, too
    np.testing.assert_allclose(meshed(labels, Geometry(), 0).center_mass, (3, 1, 2))


@pytest.mark.parametrize("to", ["obj", "ply", "stl"])
def test_another_library_reads_the_files(cells, tmp_path, to):
    done = export(cells, tmp_path / "each", to)
    assert [file.name for file in done.files] == [f"cells_object_3.{to}", f"cells_object_8.{to}"]
    box, voxel = (trimesh.load_mesh(file) for file in done.files)
    assert box.is_watertight
    assert box.volume == pytest.approx(12 * 6 * 5, rel=0.02)
    np.testing.assert_allclose(box.center_mass, (4.25, 5.5, 9), atol=1e-4)
    np.testing.assert_allclose(voxel.center_mass, (0.5, 0, 0), atol=1e-4)

    (file,) = export(cells, tmp_path, to, config=MeshConfig(one_file=True)).files
    assert file.name == f"cells_objects.{to}"
    parts = trimesh.load_mesh(file).split()
    assert sorted(part.volume for part in parts) == pytest.approx(sorted((box.volume, voxel.volume)), rel=1e-4)
    assert b"unit: um" in file.read_bytes()[:200]
    assert not list(tmp_path.rglob(".*"))


def test_objects_keep_their_numbers_in_one_file(cells, tmp_path):
    (obj,) = export(cells, tmp_path, "obj", config=MeshConfig(one_file=True)).files
    assert [line for line in obj.read_text().splitlines() if line.startswith("o ")] == ["o object_3", "o object_8"]
    (ply,) = export(cells, tmp_path, "ply", config=MeshConfig(one_file=True)).files
    numbers = trimesh.load_mesh(ply, process=False).metadata["_ply_raw"]["face"]["data"]["object"]
    assert set(np.ravel(numbers).tolist()) == {3, 8}


def test_what_cannot_be_written_is_said_before_anything_is(cells, tmp_path):
    export(cells, tmp_path, "stl", objects=[8])
    before = (tmp_path / "cells_object_8.stl").stat().st_mtime_ns
    with pytest.raises(UserError, match=r"cells_object_8\.stl in .* exists already\. .* allow overwriting"):
        export(cells, tmp_path, "stl")
    assert [path.name for path in tmp_path.iterdir()] == ["cells_object_8.stl"]
    with pytest.raises(UserError, match="'cells' has no object 5; it has 2 objects, from 3 to 8"):
        export(cells, tmp_path, "stl", objects=[8, 5], overwrite=True)
    assert (tmp_path / "cells_object_8.stl").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="Meshes cannot be written as 'vtk'; choose obj, ply, stl"):
        export(cells, tmp_path, "vtk")
    with pytest.raises(UserError, match="'none' has no objects"):
        export(MeshSource("none", np.zeros((2, 2, 2), int), VOXEL), tmp_path, "stl")
    unannotated = MeshSource("cells", cells.labels, VOXEL, ignore_label=8)
    assert export(unannotated, tmp_path, "obj").n_objects == 1


def test_the_command_writes_meshes_of_a_file_and_says_the_unit(cells, tmp_path, capfd):
    write_volume(tmp_path / "cells.tif", cells.labels, VOXEL.sizes)
    out = tmp_path / "out"
    assert main(["meshes", str(tmp_path / "cells.tif"), "--out", str(out), "--to", "stl", "--objects", "3"]) == 0
    assert capfd.readouterr().out == f"{out / 'cells_object_3.stl'}, in µm\n"
    np.save(tmp_path / "plain.npy", cells.labels)
    assert main(["meshes", str(tmp_path / "plain.npy"), "--out", str(out), "--to", "ply", "--one-file"]) == 0
    told = capfd.readouterr()
    assert told.out == f"{out / 'plain_objects.ply'}, in voxels\n"
    assert "The voxel size of 'plain' is not known in µm; the meshes are in voxels." in told.err
