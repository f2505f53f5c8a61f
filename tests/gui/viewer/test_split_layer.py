from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.split import Block, Role
from napari_unet3d.widgets.viewer.split_layer import COLOURS, show_blocks

SHAPE = (12, 20, 30)
TRAIN = Block("stack", Role.TRAINING, (0, 0, 14), (12, 20, 30))
VALIDATE = Block("stack", Role.VALIDATION, (0, 0, 0), (12, 20, 6))
SPATIAL = {"scale": (2.0, 0.5, 1.5), "translate": (10.0, -20.0, 30.0), "units": ("um", "um", "um")}


@pytest.fixture
def image(viewer):
    return viewer.add_image(np.zeros(SHAPE, np.uint8), name="stack", **SPATIAL)


def drawn(layer):
    """The outlines that napari draws in the current slice, by their role."""
    shown = layer._data_view._displayed
    return {role: layer.data[n] for n, role in enumerate(layer.features["role"]) if shown[n] and role}


def test_boxes_lie_on_the_image_and_have_all_edges(viewer, image):
    layer = show_blocks(viewer, (TRAIN, VALIDATE))
    assert layer.name == "stack split"
    assert [layer.data_to_world(point) for point in ((0, 0, 0), (3, 4, 5))] == [
        image.data_to_world(point) for point in ((0, 0, 0), (3, 4, 5))
    ]
    train, validate = layer.data[:2]
    edges = {frozenset((tuple(a), tuple(b))) for a, b in itertools.pairwise(train)}
    assert len(edges) == 12
    assert all((np.array(a) != b).sum() == 1 for a, b in map(tuple, edges)), "along an axis each"
    # Between the voxels 13 and 14, and 5 and 6; at the middle of the outer voxels elsewhere.
    assert (train.min(0).tolist(), train.max(0).tolist()) == ([0, 0, 13.5], [11, 19, 29])
    assert (validate.min(0).tolist(), validate.max(0).tolist()) == ([0, 0, 0], [11, 19, 5.5])


def test_the_line_never_goes_straight_back(viewer, image):
    line = show_blocks(viewer, (TRAIN, VALIDATE)).data[0]
    steps = np.diff(line, axis=0)
    assert all((steps[n] != -steps[n + 1]).any() for n in range(len(steps) - 1))


@pytest.mark.parametrize(
    ("order", "slice_number", "roles"),
    [
        ((0, 1, 2), 4, {"training", "validation"}),
        ((1, 0, 2), 9, {"training", "validation"}),
        ((2, 0, 1), 3, {"validation"}),
        ((2, 0, 1), 9, set()),
        ((2, 0, 1), 20, {"training"}),
    ],
    ids=["z", "y", "x validation", "x gap", "x training"],
)
def test_slices_show_the_outlines_of_the_blocks_that_they_cut(viewer, image, order, slice_number, roles):
    layer = show_blocks(viewer, (TRAIN, VALIDATE))
    viewer.dims.order = order
    point = image.data_to_world([slice_number] * 3)
    viewer.dims.set_point(order[0], point[order[0]])
    assert image.world_to_data(viewer.dims.point)[order[0]] == pytest.approx(slice_number), "slices are not moved"
    outlines = drawn(layer)
    assert set(outlines) == roles
    for outline in outlines.values():
        assert np.ptp(outline, axis=0)[order[0]] == 0
        assert len({tuple(corner) for corner in outline}) == 4


def test_colours_tell_the_roles(viewer, image):
    from napari.utils.colormaps.standardize_color import rgb_to_hex

    layer = show_blocks(viewer, (TRAIN, VALIDATE))
    expected = [COLOURS[Role.TRAINING], COLOURS[Role.VALIDATION]] * 2
    assert [str(rgb_to_hex(colour)[0])[:7].lower() for colour in layer.edge_color] == expected
    viewer.dims.set_point(0, 14.0)
    assert [str(rgb_to_hex(colour)[0])[:7].lower() for colour in layer.edge_color] == expected, "in other slices, too"


def test_the_layer_is_updated_in_place_and_leaves_the_selection(viewer, image):
    labels = viewer.add_labels(np.zeros(SHAPE, np.uint8))
    layer = show_blocks(viewer, (TRAIN, VALIDATE))
    assert viewer.layers.selection == {labels}
    image.scale = (4.0, 1.0, 3.0)
    other = Block("stack", Role.TRAINING, (0, 0, 0), (4, 20, 30)), Block("stack", Role.VALIDATION, (9, 0, 0), SHAPE)
    assert show_blocks(viewer, other) is layer
    assert layer.scale.tolist() == [4, 1, 3]
    assert layer.data[0].max(0).tolist() == [3.5, 19, 29]
    viewer.layers.remove(layer)
    viewer.dims.set_point(0, 22.0)
    assert show_blocks(viewer, other) is not layer


def test_pixels_are_coloured_where_the_block_ends(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.zeros(SHAPE, np.uint8), name="stack", **SPATIAL)
    show_blocks(viewer, (TRAIN, VALIDATE))
    for ndisplay in (2, 3):
        viewer.dims.ndisplay = ndisplay
        viewer.reset_view()
        picture = viewer.screenshot(flash=False)[..., :3].astype(int)
        red, green, blue = np.moveaxis(picture, -1, 0)
        turquoise = ((green > red + 60) & (blue > red + 60)).sum()
        grey = ((abs(red - green) < 6) & (abs(blue - green) < 6) & (red > 60) & (red < 160)).sum()
        assert min(turquoise, grey) > 100, ndisplay


@pytest.mark.parametrize("name", ["another", "stack"])
def test_nothing_is_drawn_without_the_image(viewer, name):
    viewer.add_image(np.zeros((12, 20, 29), np.uint8), name=name)
    assert show_blocks(viewer, (TRAIN, VALIDATE)) is None
    assert show_blocks(viewer, ()) is None
    assert len(viewer.layers) == 1


def test_training_on_one_pair_of_layers_draws_its_split(viewer, open_dock, wait_for_end):
    labels = np.zeros((10, 14, 60), np.uint8)
    labels[3:7, 4:9, 5:12] = labels[2:6, 5:10, 45:55] = 1
    image = viewer.add_image(labels * 100.0, name="stack", **SPATIAL)
    viewer.add_labels(labels, **SPATIAL)
    dock = open_dock("Train")
    dock.settings.value = TrainingConfig(epochs=1)
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    layer = viewer.layers["stack split"]
    assert layer.translate.tolist() == image.translate.tolist()
    assert len(dock.run.started.blocks) == 2
    for block, line in zip(dock.run.started.blocks, layer.data, strict=False):
        inner = [line.max(0)[axis] - line.min(0)[axis] for axis in range(3)]
        assert np.allclose(inner, np.subtract(block.stop_zyx, block.start_zyx) - [1, 1, 0.5])
    assert "a training block (grey frame)" in dock.hardware.value
