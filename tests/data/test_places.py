"""Where a volume lies survives writing and reading, is refused where a format cannot hold it, and labels follow it."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_unet3d.data.geometry import UNKNOWN, Geometry, make_geometry, turn_onto
from napari_unet3d.data.label_reading import read_labels_like
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.volumes import suffix_for, write_volume
from napari_unet3d.errors import UserError

SUFFIXES = [".tif", ".ome.tif", ".nii.gz", ".npy", ".ome.zarr", ".h5", ".nrrd", ".mha", ".mrc"]
SIZE = st.floats(0.01, 5000).map(lambda size: float(np.float32(size)))
LENGTH = st.floats(-1e4, 1e4).map(lambda length: float(np.float32(length)))
TURNS = [rotation.as_matrix().round() for rotation in Rotation.create_group("O")]
FLIPS = [np.diag(signs) for signs in np.ndindex(2, 2, 2) for signs in [np.array(signs) * 2 - 1]]
OBLIQUE = Rotation.from_euler("xyz", [20, 5, 3], degrees=True).as_matrix()
ARRAY = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Return voxel sizes with or without unit, complete, in part or unknown, turned, oblique or plain, moved or not."""
    sizes = draw(st.one_of(st.tuples(SIZE, SIZE, SIZE), st.just((None,) * 3), st.tuples(st.none(), SIZE, SIZE)))
    matrix = draw(
        st.sampled_from([None, *TURNS, *FLIPS, Rotation.from_euler("xyz", [20, 5, 3], degrees=True).as_matrix()])
    )
    origin = draw(st.one_of(st.none(), st.tuples(LENGTH, LENGTH, LENGTH)))
    return make_geometry(sizes, matrix, origin, "NIfTI", is_um=draw(st.booleans()) or None in sizes)


def assert_same(found: Geometry, expected: Geometry) -> None:
    for one, other in zip(found.sizes, expected.sizes, strict=True):
        assert one == (None if other is None else pytest.approx(other, rel=1e-5))
    if any(expected.sizes):
        assert found.is_um == expected.is_um
    for name, default in (("directions", np.eye(3)), ("origin", np.zeros(3))):
        one, other = (getattr(each, name) for each in (found, expected))
        np.testing.assert_allclose(*(default if each is None else each for each in (one, other)), rtol=1e-5, atol=1e-4)


def written(path: Path, geometry: Geometry) -> bool:
    """Write a volume; return whether the format took it, else see that nothing was written."""
    refusal = r"cannot keep where the volume lies|without a voxel size"
    try:
        write_volume(path, ARRAY, geometry=geometry)
    except UserError as error:
        return not re.search(refusal, str(error)) or path.exists()
    return True


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=40)
@given(geometry=geometries())
def test_a_place_is_kept_by_a_format_or_refused(suffix: str, geometry: Geometry) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        if written(path, geometry):
            volume = read_volume(path)
            np.testing.assert_array_equal(volume.array, ARRAY)
            assert_same(volume.geometry, geometry)


@settings(max_examples=40)
@given(geometry=geometries(), suffix=st.sampled_from(SUFFIXES))
def test_the_proposed_suffix_keeps_every_place(geometry: Geometry, suffix: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix_for(geometry, suffix)}"
        write_volume(path, ARRAY, geometry=geometry)
        assert_same(read_volume(path).geometry, geometry)


@pytest.mark.parametrize("matrix", [*TURNS, *FLIPS])
def test_labels_with_turned_or_flipped_axes_are_brought_onto_their_image(tmp_path: Path, matrix: np.ndarray) -> None:
    """nibabel is the oracle: it reorients the same file to the axes of the image."""
    image = make_geometry((2, 0.5, 0.25), np.eye(3), (10, 20, 30), "NIfTI")
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix * [1e-3, 2e-3, 3e-3], (4, 5, 6)
    stored = nibabel.Nifti1Image(ARRAY.T, affine)
    stored.header.set_xyzt_units("mm")
    nibabel.save(stored, tmp_path / "labels.nii")
    expected = nibabel.as_closest_canonical(stored)  # right, anterior, superior, as the image
    volume = read_labels_like(tmp_path / "labels.nii", "image", image)
    np.testing.assert_array_equal(volume.array, np.asarray(expected.dataobj).T)
    np.testing.assert_allclose(volume.geometry.origin, expected.affine[:3, 3] * 1e3, rtol=1e-5)
    np.testing.assert_allclose(volume.geometry.sizes, np.diag(expected.affine)[:3][::-1] * 1e3, rtol=1e-5)
    is_turned = not np.array_equal(matrix, np.eye(3))
    assert any("were turned onto the image" in notice for notice in volume.notices) == is_turned


def test_axes_that_cannot_be_turned_are_an_error() -> None:
    oblique = Rotation.from_euler("z", 20, degrees=True).as_matrix()
    own, target = (make_geometry((1, 1, 1), matrix, None, "NIfTI") for matrix in (oblique, np.eye(3)))
    with pytest.raises(ValueError, match="neither the same nor swapped"):
        turn_onto(ARRAY, own, target)


def test_parts_of_a_volume_lie_where_they_were() -> None:
    geometry = make_geometry((2.0, 0.5, 0.25), [[0, -1, 0], [1, 0, 0], [0, 0, 1]], (10, 20, 30), "NIfTI")
    part = geometry.cropped((1, 2, 4), step_zyx=(1, 3, 1))
    # x of the array points to anterior, y to left: 4 voxels of 0.25 along x, 2 of 0.5 along y, 1 of 2 along z
    assert part.origin == (10 - 1.0, 20 + 1.0, 32.0)
    assert part.sizes == (2.0, 1.5, 0.25)
    assert UNKNOWN.cropped((1, 2, 3)) == UNKNOWN


def test_unknown_and_unitless_sizes_count_in_voxels() -> None:
    assert Geometry((4.0, 2.0, 2.0), is_um=False).spacing == (2.0, 1.0, 1.0)
    assert Geometry((None, 0.5, 0.5)).spacing == (1.0, 1.0, 1.0)
    assert [Geometry(sizes).unit for sizes in ((1.0, 1.0, 1.0), (None, 1.0, 1.0))] == ["µm", "voxels"]
