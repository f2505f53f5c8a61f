"""Layers keep the place of their volume, and labels follow their image where that is exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Labels
from scipy.spatial.transform import Rotation

from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import suffix_for, write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.reader import get_reader
from napari_unet3d.widgets.viewer import layers
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.places import geometry_of, is_turned

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")  # of napari, for oblique layers in 2D
SHAPE = (4, 5, 6)
IMAGE = np.arange(120, dtype=np.uint16).reshape(SHAPE)
LABELS = (IMAGE % 7).astype(np.uint8)
TURNS = [rotation.as_matrix().round() for rotation in Rotation.create_group("O")]
FLIPS = [np.diag(np.array(signs) * 2 - 1) for signs in np.ndindex(2, 2, 2)]
SIZES = st.tuples(*[st.floats(0.05, 20)] * 3)
LENGTHS = st.tuples(*[st.floats(-200, 200)] * 3)
OBLIQUE = Rotation.from_euler("xyz", [20, 5, 3], degrees=True).as_matrix()


def affine(matrix: Any, first: Any = (0, 0, 0)) -> np.ndarray:
    whole = np.eye(4)
    whole[:3, :3], whole[:3, 3] = matrix, first
    return whole


@st.composite
def places(draw: st.DrawFn) -> np.ndarray:
    """Return steps and first voxel along z, y, x as an affine: turned, flipped, oblique or sheared."""
    matrix = draw(st.sampled_from([np.eye(3), OBLIQUE, *TURNS, *FLIPS])) * draw(SIZES)
    shear = np.eye(3)
    shear[0, 2] = draw(st.sampled_from([0, 0, 0.3]))
    return affine(shear @ matrix, draw(LENGTHS))


def turned_labels(place: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels with other axes, and the affine that places them onto the image in the viewer."""
    axes, flips = np.abs(turn).argmax(1), turn.sum(1) < 0  # for each new axis the old one, and whether it is reversed
    array = np.flip(LABELS.transpose(axes), tuple(np.flatnonzero(flips)))
    first = np.zeros(3)
    first[axes[flips]] = np.array(SHAPE)[axes[flips]] - 1
    return array, place @ affine(turn.T, first)


@settings(max_examples=25)
@given(place=places(), turn=st.sampled_from([*TURNS, *FLIPS]), units=st.sampled_from(["um", "pixel", "mm"]))
def test_labels_with_other_axes_are_turned_onto_their_image(place: np.ndarray, turn: np.ndarray, units: str) -> None:
    array, own = turned_labels(place, turn)
    image = Image(IMAGE, affine=place, units=(units,) * 3, name="scan")
    labels = Labels(array, affine=own, units=(units,) * 3, name="painted")
    sample = sample_from_layers(image, labels)
    np.testing.assert_array_equal(sample.labels, LABELS)
    is_other = not np.array_equal(turn, np.eye(3))
    assert len(sample.notices) == is_turned(labels, image) == is_other, sample.notices
    assert not is_other or "'painted' are swapped or flipped against those of 'scan'" in sample.notices[0]


def test_a_negative_scale_is_a_flip() -> None:
    image = Image(IMAGE, scale=(2, 1, 1))
    labels = Labels(LABELS[::-1], scale=(-2, 1, 1), translate=(2 * (SHAPE[0] - 1), 0, 0))
    np.testing.assert_array_equal(sample_from_layers(image, labels).labels, LABELS)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ({}, "voxels of 1 × 1 × 1 pixels from z 0, y 0, x 0 instead of voxels of 2 × 0.5 × 0.5 µm from z 8, y 0, x 0"),
        ({"scale": (2, 0.5, 0.5), "units": "um"}, "from z 0, y 0, x 0 instead of"),
        ({"scale": (2, 0.5, 0.7), "translate": (8, 0, 0), "units": "um"}, "2 × 0.5 × 0.7 µm from z 8"),
        ({"scale": (2, 0.5, 0.5), "translate": (8, 0, 0), "units": "mm"}, "2 × 0.5 × 0.5 mm from"),
        ({"scale": (2, 0.5, 0.5), "translate": (8, 0.3, 0), "units": "um"}, "y 0.3"),
    ],
)
def test_labels_that_lie_elsewhere_are_told_with_both_places(there: dict[str, Any], told: str) -> None:
    image = Image(IMAGE, scale=(2, 0.5, 0.5), translate=(8, 0, 0), units="um", name="scan")
    sample = sample_from_layers(image, Labels(LABELS, name="painted", **there))
    (notice,) = sample.notices
    assert "The layer 'painted' lies elsewhere in the viewer than 'scan'" in notice
    assert told in notice
    np.testing.assert_array_equal(sample.labels, LABELS)


@pytest.mark.parametrize(
    "there",
    [
        {"scale": (2, 0.5, 0.5), "translate": (8, 0, 0), "units": "um"},
        {"scale": (0.002, 0.0005, 0.0005), "translate": (0.008, 0, 0), "units": "mm"},
        {"scale": (2, 0.5, 0.5), "translate": (8, 0, 0)},  # labels of other software often have no unit
        {"scale": (2, 0.5, 0.5), "translate": (8, 0.1, 0), "units": "um"},  # less than half a voxel
    ],
)
def test_labels_in_the_same_place_are_not_mentioned(there: dict[str, Any]) -> None:
    image = Image(IMAGE, scale=(2, 0.5, 0.5), translate=(8, 0, 0), units="um")
    assert sample_from_layers(image, Labels(LABELS, **there)).notices == ()


@pytest.mark.parametrize("turn", [{"rotate": OBLIQUE}, {"shear": (0.3, 0, 0)}, {"affine": affine(OBLIQUE)}])
def test_labels_at_other_angles_are_refused(turn: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="orientation of the layer 'painted' differs from that of its image 'scan'"):
        sample_from_layers(Image(IMAGE, name="scan"), Labels(LABELS, name="painted", **turn))


def test_the_mask_is_turned_with_its_labels() -> None:
    image, labels = Image(IMAGE), Labels(LABELS[::-1], scale=(-1, 1, 1), translate=(SHAPE[0] - 1, 0, 0))
    layers.keep_mask(labels, Labels((LABELS[::-1] > 2).astype(np.uint8)))
    np.testing.assert_array_equal(sample_from_layers(image, labels).label_mask, LABELS > 2)


@pytest.mark.parametrize("n_more", [1, 2])
def test_leading_axes_of_length_1_do_not_count(n_more: int) -> None:
    """A (1, z, y, x) layer is a volume; results lie on it."""
    ones = (1.0,) * n_more
    image = Image(
        IMAGE[(None,) * n_more], scale=(*ones, 2, 0.5, 0.25), translate=(*ones, 3, 4, 5), units=["um"] * (3 + n_more)
    )
    sample = sample_from_layers(image, Labels(LABELS, scale=(2, 0.5, 0.25), translate=(3, 4, 5), units="um"))
    assert (sample.shape, sample.voxel_size_um, sample.notices) == (SHAPE, (2, 0.5, 0.25), ())
    assert sample.geometry.origin == (5, 4, 3)
    result = Labels(LABELS, **layers.spatial_kwargs(image))
    for voxel in ((0, 0, 0), (1, 2, 3)):
        np.testing.assert_allclose(result.data_to_world(voxel), image.data_to_world((0,) * n_more + voxel)[n_more:])


@pytest.mark.parametrize("shape", [(4, 1, 5, 6), (4, 5, 6, 1), (2, 3, 4, 5, 6)])
def test_other_axes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="single slice" if len(shape) == 4 else "5 dimensions"):
        sample_from_layers(Image(np.zeros(shape)))


def test_more_axes_than_channels_lie_nowhere() -> None:
    with pytest.raises(UserError, match="5 dimensions"):
        geometry_of(Image(np.zeros((2, 3, 4, 5, 6))))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=places(), is_um=st.booleans())
def test_a_layer_keeps_its_place_through_a_file(tmp_path: Path, place: np.ndarray, is_um: bool) -> None:
    """Layer, volume, file, volume, layer: the same place in the viewer."""
    units = ("um" if is_um else "pixel",) * 3
    geometry = geometry_of(Image(IMAGE, affine=place, units=units))
    path = tmp_path / f"v{suffix_for(geometry)}"
    write_volume(path, IMAGE, geometry=geometry)
    found = layers.spatial_kwargs(read_volume(path).geometry)
    layer = Image(IMAGE, **found)
    for voxel in ((0, 0, 0), (3, 0, 0), (0, 4, 0), (1, 2, 5)):
        expected = (place @ [*voxel, 1])[:3]
        np.testing.assert_allclose(layer.data_to_world(voxel), expected, rtol=1e-5, atol=1e-3)
    assert [str(unit) for unit in layer.units] == ["micrometer" if is_um else "pixel"] * 3


@pytest.mark.parametrize(
    "geometry",
    [
        make_geometry((2.0, 0.5, 0.5), OBLIQUE, (1.0, 2.0, 3.0), "NIfTI", space="scanner"),
        make_geometry((2.0, 0.5, 0.5), np.diag([1, -1, 1]), (1.0, 2.0, 3.0), "ITK"),
        Geometry((None, 0.5, 0.5)),
        Geometry((4.0, 1.0, 1.0), is_um=False),
        Geometry(),
    ],
)
def test_a_volume_that_is_shown_keeps_all_that_is_known(geometry: Geometry) -> None:
    """What a layer has no place for, such as frame and half a voxel size, until somebody moves or scales it."""
    image, _ = layers.show_sample(ViewerModel(), Sample("scan", IMAGE, geometry=geometry))
    assert geometry_of(image) == geometry
    image.scale = (3, 1, 1)
    assert geometry_of(image).frame == "napari"
    assert geometry_of(image).sizes == pytest.approx((3, 1, 1))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".npy"])
def test_a_layer_that_was_opened_keeps_all_that_its_file_says(tmp_path: Path, suffix: str) -> None:
    frame = {".nii.gz": "NIfTI", ".nrrd": "ITK"}.get(suffix, "NIfTI")
    path = tmp_path / f"scan{suffix}"
    write_volume(path, IMAGE, geometry=make_geometry((2.0, 0.5, 0.5), OBLIQUE, (1.0, 2.0, 3.0), frame))
    reader = get_reader(str(path))
    assert reader is not None
    ((data, options, _kind),) = reader(str(path))
    assert geometry_of(Image(data, **options)) == read_volume(path).geometry
