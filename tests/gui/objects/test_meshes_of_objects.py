"""Meshes of objects by clicks: written to files, and shown in place and colour of the labels."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from napari.layers import Surface
from qtpy.QtCore import Qt

from napari_unet3d.configs import MeshFormat
from napari_unet3d.widgets.viewer.label_colours import colour_of


@pytest.fixture
def cells(viewer):
    """Object 2 is a box of 8 × 6 × 6 µm, and object 5 a small one in the corner."""
    labels = np.zeros((6, 10, 16), np.uint8)
    labels[1:5, 2:8, 2:14] = 2
    labels[5, 9, 15] = 5
    return viewer.add_labels(labels, name="cells", scale=(2, 1, 0.5), translate=(10, 20, 30), units=("um",) * 3)


@pytest.fixture
def panel(open_dock, cells):
    return open_dock("Objects").meshes


@pytest.fixture
def finish(panel, qtbot):
    """Click a button, and wait for the job that it starts."""

    def _finish(widget):
        qtbot.mouseClick(widget.native, Qt.MouseButton.LeftButton)
        job = panel._context.jobs.latest("objects-meshes")
        assert job is not None, panel.message.text()
        if job.is_running:
            with qtbot.waitSignal(job.ended, timeout=20_000):
                pass

    return _finish


def test_meshes_are_written(panel, finish, tmp_path):
    panel.folder.value, panel.format.value = tmp_path, MeshFormat.PLY
    finish(panel.job_bar.start_button)
    assert panel.message.text() == f"The meshes of 2 objects, in µm, are in {tmp_path}."
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells_object_2.ply", "cells_object_5.ply"]
    box = trimesh.load_mesh(tmp_path / "cells_object_2.ply")
    assert box.volume == pytest.approx(8 * 6 * 6, rel=0.02)
    np.testing.assert_allclose(box.center_mass, (30 + 7.5 * 0.5, 20 + 4.5, 10 + 2.5 * 2), atol=1e-3)  # x, y, z

    finish(panel.job_bar.start_button)
    assert panel.message.kind == "error"
    assert "exist already" in panel.message.text()


def test_selected_objects_become_one_file_where_the_voxel_size_is_not_known(panel, cells, finish, tmp_path):
    cells.units = ("pixel",) * 3
    panel.only_selected.value = panel.settings.one_file.value = True
    panel.folder.value, panel.format.value = tmp_path, MeshFormat.STL
    panel.job_bar.start_button.native.click()
    assert panel.message.text() == "No object is selected. Click one in the view or in the table."
    panel._session.select([5])
    finish(panel.job_bar.start_button)
    assert panel.message.text().startswith(
        f"The meshes of 1 object, in voxels, are in {tmp_path / 'cells_objects.stl'}."
    )
    assert "The voxel size of 'cells' is not known in µm" in panel.message.text()
    assert len(trimesh.load_mesh(tmp_path / "cells_objects.stl").split()) == 1


def test_meshes_are_shown_in_the_place_and_colours_of_the_labels(panel, cells, finish):
    viewer = panel._context.viewer
    finish(panel.show_button)
    layer = viewer.layers["cells meshes"]
    assert isinstance(layer, Surface)
    assert viewer.dims.ndisplay == 3
    first, last = cells.extent.world
    corner = cells.data_to_world((5, 9, 15))  # of object 5, whose centre is there
    places = np.array([layer.data_to_world(vertex) for vertex in layer.vertices])
    assert (places >= first - 1).all()
    assert (places <= last + 1).all()
    np.testing.assert_allclose(places[-6:].mean(0), corner)
    for vertex, number in ((0, 2), (-1, 5)):
        shade = "#" + "".join(f"{round(255 * float(part)):02x}" for part in layer.vertex_colors[vertex][:3])
        assert shade == colour_of(cells, number)

    panel.only_selected.value = True
    panel._session.select([5])
    finish(panel.show_button)
    (shown,) = (each for each in viewer.layers if isinstance(each, Surface))
    assert len(shown.vertices) == 6
