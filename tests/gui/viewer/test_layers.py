from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points

from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.viewer import layers
from napari_unet3d.widgets.viewer.from_layers import objects_from_layer, positions_from_points, sample_from_layers

SHAPE = (4, 6, 8)
SIZES = st.floats(0.01, 100)


@pytest.fixture
def model():
    return ViewerModel()


def grey(shape=SHAPE):
    return np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)


def in_plane(degrees):
    """Rotation of y and x, which napari can also draw in 2D."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


@pytest.mark.parametrize(
    ("unit", "in_um"),
    [
        ("um", (2.0, 0.5, 0.25)),
        ("nm", (0.002, 0.0005, 0.00025)),
        ("mm", (2000.0, 500.0, 250.0)),
        ("pixel", None),
    ],
)
def test_voxel_size_is_read_in_micrometres(unit, in_um):
    image = Image(grey(), scale=(2.0, 0.5, 0.25), units=(unit,) * 3)
    sample = sample_from_layers(image)
    assert sample.voxel_size_um == (None if in_um is None else pytest.approx(in_um))
    assert np.divide(sample.spacing, sample.spacing[2]).tolist() == pytest.approx([8, 2, 1])


def test_sample_holds_name_image_and_labels():
    image, labels = Image(grey(), name="brain"), Labels(grey() % 3)
    sample = sample_from_layers(image, labels)
    assert sample.name == "brain"
    np.testing.assert_array_equal(sample.image, grey())
    np.testing.assert_array_equal(sample.labels, grey() % 3)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "No image layer"),
        (lambda: Image(np.zeros((6, 8))), "2 dimensions"),
        (lambda: Image(np.zeros((2, 3, 4, 6, 8))), "5 dimensions"),
        (lambda: Image(np.zeros((4, 6, 8, 3), np.uint8), rgb=True), "colour"),
        (lambda: Image([np.zeros((8, 8, 8)), np.zeros((4, 4, 4))], multiscale=True), "several resolutions"),
        (lambda: Image(np.full(SHAPE, np.nan)), "NaN"),
    ],
)
def test_layer_that_is_no_volume_is_explained(image, message):
    with pytest.raises(UserError, match=message):
        sample_from_layers(image() if image else None)


def test_labels_of_another_volume_are_explained():
    with pytest.raises(UserError, match=r"\(4, 6, 9\)"):
        sample_from_layers(Image(grey()), Labels(np.zeros((4, 6, 9), int)))


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scale=st.tuples(SIZES, SIZES, SIZES), translate=st.tuples(SIZES, SIZES, SIZES), angle=st.floats(-90, 90))
def test_result_lies_where_its_source_lies(scale, translate, angle):
    model = ViewerModel()
    source = model.add_image(
        grey(), scale=scale, translate=translate, rotate=in_plane(angle), units=("nm", "um", "um"),
        axis_labels=("z", "y", "x"),
    )  # fmt: skip
    mask = layers.show_labels(model, "result", grey() > 5, source)
    chance = layers.show_image(model, "probability", grey() / 200, source)
    for corner in ((0, 0, 0), (3, 5, 7), (1, 0, 7)):
        expected = source.data_to_world(corner)
        np.testing.assert_allclose(mask.data_to_world(corner), expected)
        np.testing.assert_allclose(chance.data_to_world(corner), expected)
    assert mask.units == source.units
    assert mask.axis_labels == ("z", "y", "x")


def test_update_moves_a_layer_to_its_new_place(model):
    first = model.add_image(grey(), name="a", scale=(3, 2, 1), translate=(10, 20, 30), rotate=in_plane(30))
    second = model.add_image(grey((5, 5, 5)), name="b", scale=(1, 1.5, 2), translate=(-1, -2, -3))
    layers.show_labels(model, "result", grey() > 5, first)
    result = layers.show_labels(model, "result", grey((5, 5, 5)) > 5, second)
    assert len(model.layers) == 3
    np.testing.assert_allclose(result.data_to_world((4, 4, 4)), second.data_to_world((4, 4, 4)))
    again = layers.show_labels(model, "result", grey((5, 5, 5)) > 5, Geometry((4.0, 2.0, 1.0)))
    np.testing.assert_allclose(again.data_to_world((1, 1, 1)), (4, 2, 1))


def test_second_preview_updates_in_place(model):
    dark = Sample("s", np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8), (2.0, 1.0, 0.5))
    bright = Sample("s", grey(), grey() % 4, (2.0, 1.0, 0.5))
    image, labels = layers.show_sample(model, dark, "Preview")
    labels.opacity = 0.3
    same_image, same_labels = layers.show_sample(model, bright, "Preview")
    assert (same_image, same_labels) == (image, labels)
    assert [layer.name for layer in model.layers] == ["Preview", "Preview labels"]
    np.testing.assert_array_equal(image.data, grey())
    assert tuple(image.contrast_limits) == (0, 191)  # those of the new data
    assert labels.opacity == 0.3
    assert tuple(image.scale) == (2, 1, 0.5)
    assert sample_from_layers(image, labels).voxel_size_um == (2, 1, 0.5)


def test_layers_of_the_user_are_never_replaced(model):
    own = model.add_labels(grey().astype(int), name="Preview labels")
    kept = own.data.copy()
    layers.show_labels(model, "Preview labels", grey() % 2, Geometry((1.0, 1.0, 1.0)))
    assert len(model.layers) == 2
    np.testing.assert_array_equal(own.data, kept)


def test_renamed_layer_is_kept(model):
    first = layers.show_labels(model, "Preview labels", grey() % 2, Geometry((1.0, 1.0, 1.0)))
    first.name = "worth keeping"
    layers.show_labels(model, "Preview labels", grey() % 3, Geometry((1.0, 1.0, 1.0)))
    np.testing.assert_array_equal(first.data, grey() % 2)
    assert len(model.layers) == 2


def test_difference_colours(model):
    difference = np.zeros(SHAPE, np.int64)
    difference[0, 0, 0], difference[0, 0, 1] = 1, 2
    layer = layers.show_difference(model, "difference", difference, Geometry((3.0, 1.0, 1.0)))
    extra, missed, agreement = (layer.get_color(i) for i in (1, 2, 0))
    assert extra[0] - max(extra[1], extra[2]) > 0.6, "red"
    assert missed[2] - max(missed[0], missed[1]) > 0.6, "blue"
    assert extra[3] == missed[3] == 1
    assert agreement is None or agreement[3] == 0
    assert layer.data.dtype == np.uint8
    assert tuple(layer.scale) == (3, 1, 1)
    layers.show_difference(model, "difference", difference * 0, Geometry((3.0, 1.0, 1.0)))
    assert len(model.layers) == 1


def test_objects_of_a_labels_layer_are_cut_out_one_by_one():
    data = np.zeros((6, 7, 8), np.int32)
    data[1:3, 1:4, 1:2] = 9
    data[4:6, 0:2, 3:8] = 4
    data[5, 1, 7] = 0
    small, large = sorted(objects_from_layer(Labels(data)), key=np.size)
    assert (small.shape, large.shape) == ((2, 3, 1), (2, 2, 5))
    assert np.count_nonzero(small) == 6
    assert np.count_nonzero(large) == 19


def test_image_layer_is_one_object():
    (whole,) = objects_from_layer(Image(grey()))
    np.testing.assert_array_equal(whole, grey())


def test_layer_without_objects_is_explained():
    with pytest.raises(UserError, match="no objects"):
        objects_from_layer(Labels(np.zeros(SHAPE, int)))


def test_positions_are_voxels_under_the_points_seen():
    points = Points([[4, 3, 2], [0, 6, 1]], scale=(2, 1, 0.5), translate=(0, 1, 0), units=("um", "um", "um"))
    # world: (8, 4, 1) and (0, 7, 0.5) µm
    assert positions_from_points(points, (4.0, 2.0, 0.5)) == [(2, 2, 2), (0, 4, 1)]


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.zeros((2, 2))])
def test_points_that_are_no_positions_are_explained(points):
    with pytest.raises(UserError, match="points layer"):
        positions_from_points(Points(points), (1.0, 1.0, 1.0))


def test_the_controls_are_those_of_a_layer_that_is_seen(viewer):
    shown, other = (
        layers.show_labels(viewer, "a", np.ones(SHAPE, int), Geometry((3.0, 2.0, 1.0))),
        viewer.add_labels(np.ones(SHAPE, int)),
    )
    layers.show_on_top(viewer, shown)
    assert viewer.layers.selection.active is other, "somebody may be painting in it"
    layers.show_on_top(viewer, shown, instead_of=[other])
    assert viewer.layers.selection.active is shown
