"""ROIs for ImageJ are the objects again when they are drawn, on the slice that they are named by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path as Polygon
from numpy.typing import NDArray

from napari_unet3d import UserError, export_rois, write_volume
from napari_unet3d.data.geometry import UNKNOWN, Geometry
from napari_unet3d.evaluation.meshes.making import MeshSource
from napari_unet3d.evaluation.rois.outline import outlines

roifile = pytest.importorskip("roifile")


def drawn(polygons: list[NDArray[np.floating]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill outlines (x, y) by the even-odd rule, with a pixel inside if its centre is."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    centres = np.column_stack([columns.ravel(), rows.ravel()])
    mask = np.zeros(shape, bool)
    for each in polygons:
        mask ^= Polygon(np.vstack([each, each[:1]]), closed=True).contains_points(centres).reshape(shape)
    return mask


def read_back(file: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    labels = np.zeros(shape, np.uint8)
    for roi in roifile.roiread(file):
        polygons = roi.coordinates(multi=True) if roi.composite else [roi.coordinates()]
        _, number, _, slice_number = roi.name.split("_")
        assert roi.position == (int(slice_number) if shape[0] > 1 else 0)
        mask = drawn(polygons, shape[1:])
        assert not labels[int(slice_number) - 1][mask].any()
        labels[int(slice_number) - 1][mask] = int(number)
        assert (roi.left, roi.right) == (mask.any(0).argmax(), shape[2] - mask.any(0)[::-1].argmax())
        assert (roi.top, roi.bottom) == (mask.any(1).argmax(), shape[1] - mask.any(1)[::-1].argmax())
    return labels


@given(arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 8)), elements=st.integers(0, 2)))
@settings(max_examples=60, deadline=None)
def test_the_masks_of_rois_are_the_objects(tmp_path_factory: pytest.TempPathFactory, labels: NDArray[np.uint8]) -> None:
    if not labels.any():
        return
    *_, done = export_rois(MeshSource("cells", labels, UNKNOWN), tmp_path_factory.mktemp("rois"))

    np.testing.assert_array_equal(read_back(done.file, labels.shape), labels)
    assert done.n_rois == sum(len(np.unique(plane[plane > 0])) for plane in labels)


def test_outlines_by_hand() -> None:
    ring = np.ones((3, 4), bool)
    ring[1, 1:3] = False
    outer, hole = sorted((each.tolist() for each in outlines(ring)), key=lambda corners: min(corners))
    assert sorted(outer) == [[0, 0], [0, 4], [3, 0], [3, 4]]
    assert sorted(hole) == [[1, 1], [1, 3], [2, 1], [2, 3]]
    areas = [
        sum(y * b - x * a for (y, x), (a, b) in zip(each, each[1:] + each[:1], strict=True)) for each in (outer, hole)
    ]
    assert [area / 2 for area in areas] in ([12, -2], [-12, 2])  # in opposite directions: non-zero filling keeps holes
    assert len(outlines(np.eye(2, dtype=bool))) == 2  # pixels that touch at a corner


def test_what_is_written_and_left_out_is_said(tmp_path: Path) -> None:
    labels = np.zeros((12, 5, 6), np.uint16)
    labels[2:4, 1:4, 1:4], labels[11, 0, 0] = 300, 7
    labels[3, 2, 2] = 0
    source = MeshSource("cells", labels, Geometry((2.0, 0.5, 0.5)))
    *events, done = export_rois(source, tmp_path, slices=(2, 3))

    messages = [event.message for event in events if hasattr(event, "message")]
    assert messages[0] == "1 object of 'cells' not in these slices: left out."
    assert "the voxel size is left out" in messages[1]
    assert done.description == "2 ROIs of 1 object; 1 with holes or several parts are composite"
    assert [roi.name for roi in roifile.roiread(done.file)] == ["object_300_slice_03", "object_300_slice_04"]
    with pytest.raises(UserError, match="exists already"):
        list(export_rois(source, tmp_path))
    with pytest.raises(UserError, match="no slice 12; it has slices from 0 to 11"):
        list(export_rois(source, tmp_path, slices=(12,), overwrite=True))
    with pytest.raises(UserError, match="no object 8"):
        list(export_rois(source, tmp_path, objects=(8,), overwrite=True))
    with pytest.raises(UserError, match="none of these objects in these slices"):
        list(export_rois(source, tmp_path, objects=(7,), slices=(0,), overwrite=True))
    assert len(roifile.roiread(done.file)) == 2  # what was there is kept
    wide = MeshSource("wide", np.ones((1, 1, 40_000), np.uint8), UNKNOWN)
    with pytest.raises(UserError, match="40000 pixels along a side"):
        list(export_rois(wide, tmp_path))


def test_the_command_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from napari_unet3d.cli.app import main

    labels = np.zeros((2, 5, 6), np.uint8)
    labels[:, 1:3, 2:5] = 4
    write_volume(tmp_path / "scan_labels.tif", labels)

    assert main(["rois", str(tmp_path / "scan_labels.tif"), "--out", str(tmp_path)]) == 0

    file = tmp_path / "scan_labels_RoiSet.zip"
    assert capsys.readouterr().out == f"{file}: 2 ROIs of 1 object\n"
    np.testing.assert_array_equal(read_back(file, labels.shape), labels)
