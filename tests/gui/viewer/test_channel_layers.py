"""The channels of a volume as layers: shown, found, chosen, and read."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.viewer.channel_layers import (
    fitting_layers,
    image_of_layers,
    names_of,
    siblings_of,
    volume_of,
)
from napari_unet3d.widgets.viewer.from_layers import geometry_of, sample_from_layers
from napari_unet3d.widgets.viewer.layer_metadata import layers_to_tidy
from napari_unet3d.widgets.viewer.layers import hide_own_layers, show_labels, show_sample, spatial_kwargs

SHAPE = (4, 6, 8)
NAMES = ("dapi", "membrane")


def sample(names=NAMES):
    image = np.random.default_rng(0).integers(0, 99, (len(names), *SHAPE)).astype(np.uint8)
    labels = (image[0] > 50).astype(np.uint8)
    return Sample("cell", image, labels, (2.0, 0.5, 0.25), channel_names=names)


def test_a_volume_is_shown_as_a_layer_per_channel_and_read_back():
    viewer = ViewerModel()
    image, labels = show_sample(viewer, sample())

    assert [layer.name for layer in viewer.layers] == ["cell dapi", "cell membrane", "cell labels"]
    assert [layer.colormap.name for layer in viewer.layers[:2]] == ["magenta", "green"]
    assert (image.name, volume_of(image), siblings_of(viewer, image)) == ("cell dapi", "cell", [viewer.layers[1]])
    found = sample_from_layers(image, labels, siblings_of(viewer, image))
    assert (found.name, found.channel_names, found.voxel_size_um) == ("cell", NAMES, (2.0, 0.5, 0.25))
    np.testing.assert_array_equal(found.image, sample().image)
    np.testing.assert_array_equal(found.labels, sample().labels)
    show_sample(viewer, sample())
    assert len(viewer.layers) == 3, "updated in place"


def test_channels_belong_to_their_volume_when_layers_are_tidied():
    viewer = ViewerModel()
    show_sample(viewer, sample())
    hide_own_layers(viewer)
    viewer.layers["cell dapi"].visible = True
    assert layers_to_tidy(viewer) == []
    viewer.layers["cell dapi"].visible = False
    assert len(layers_to_tidy(viewer)) == 3


@pytest.mark.parametrize(
    ("names", "volume", "channels"),
    [
        (["cell dapi", "cell membrane"], "cell", ("dapi", "membrane")),
        (["a_c1", "a_c2"], "a", ("c1", "c2")),
        (["stack [0]", "stack [1]"], "stack", ("0", "1")),
        (["dapi", "membrane"], "dapi", ("dapi", "membrane")),
        (["cell", "cell [1]"], "cell", ("cell", "cell [1]")),
        (["C1-mem", "C1-mem"], "C1", ("mem", "mem 2")),
    ],
)
def test_channels_are_named_after_what_differs(names, volume, channels):
    assert names_of([Image(np.zeros(SHAPE), name=name) for name in names]) == (volume, channels)


def test_only_layers_of_the_same_shape_and_place_fit():
    viewer = ViewerModel()
    place = {"scale": (2.0, 0.5, 0.5), "translate": (1.0, 2.0, 3.0)}
    image = viewer.add_image(np.zeros(SHAPE), name="a", **place)
    fits = viewer.add_image(np.ones(SHAPE), name="b", **place)
    viewer.add_image(np.zeros((4, 6, 9)), name="other shape", **place)
    viewer.add_image(np.zeros(SHAPE), name="other place", scale=(2.0, 0.5, 0.5))
    viewer.add_image(np.zeros(SHAPE), name="other unit", units=("mm",) * 3, **place)
    viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="colour", rgb=True)
    viewer.add_labels(np.zeros(SHAPE, int), **place)

    assert fitting_layers(viewer, image) == [fits]
    assert siblings_of(viewer, image) == [], "nothing says that they show the same volume"
    assert fitting_layers(viewer, None) == []


def test_channels_of_different_shapes_are_explained():
    with pytest.raises(UserError, match=r"'b' has shape \(4, 6, 9\) and 'a' \(4, 6, 8\); channels must be of the same"):
        sample_from_layers(Image(np.zeros(SHAPE), name="a"), None, [Image(np.zeros((4, 6, 9)), name="b")])


@pytest.mark.parametrize(("label", "n_notices"), [("c", 0), ("channel", 0), ("-4", 1)])
def test_a_layer_of_four_axes_is_read_as_channels(label, n_notices):
    layer = Image(
        sample().image,
        name="cell",
        scale=(1, 2.0, 0.5, 0.25),
        translate=(5, 1, 2, 3),
        units=("pixel", "um", "um", "um"),
        axis_labels=(label, "z", "y", "x"),
    )

    found = sample_from_layers(layer, Labels(sample().labels))

    assert (found.n_channels, found.voxel_size_um) == (2, (2.0, 0.5, 0.25))
    assert found.geometry.origin == (3.0, 2.0, 1.0)
    assert len(found.notices) == n_notices
    viewer = ViewerModel()
    viewer.add_layer(layer)
    result = show_labels(viewer, "cell prediction", sample().labels, layer)
    np.testing.assert_allclose(result.data_to_world((1, 2, 3)), layer.data_to_world((0, 1, 2, 3))[1:])
    assert geometry_of(result).voxel_size_um == (2.0, 0.5, 0.25)
    assert len(spatial_kwargs(layer)["scale"]) == 3


def test_time_points_and_long_axes_are_no_channels():
    labels = ("t", "z", "y", "x")
    with pytest.raises(UserError, match="The layer 'film' has 2 time points"):
        sample_from_layers(Image(np.zeros((2, *SHAPE)), name="film", axis_labels=labels))
    with pytest.raises(UserError, match="The layer 'film' has 2 time points"):
        sample_from_layers(Labels(np.zeros((2, *SHAPE), int), name="film"))
    with pytest.raises(UserError, match="20 along the first one are too many for channels"):
        sample_from_layers(Image(np.zeros((20, *SHAPE)), name="film"))


def test_the_image_of_several_layers_is_put_together_when_it_is_read():
    viewer = ViewerModel()
    image, _ = show_sample(viewer, sample())
    found = image_of_layers([image, *siblings_of(viewer, image)])

    assert (found.shape, found.channel_names) == ((2, *SHAPE), NAMES)
    np.testing.assert_array_equal(np.asarray(found), sample().image)
    assert image_of_layers([image]) is image.data
