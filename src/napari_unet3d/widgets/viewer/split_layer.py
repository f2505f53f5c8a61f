"""The blocks of a single volume that train and validate, drawn as boxes over its image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from napari.layers import Image, Shapes
from numpy.typing import NDArray

from napari_unet3d.data.split import Block, Role
from napari_unet3d.widgets.viewer.channel_layers import volume_of
from napari_unet3d.widgets.viewer.connections import connect_until_removed
from napari_unet3d.widgets.viewer.layer_metadata import OWNED
from napari_unet3d.widgets.viewer.layers import find_layer, spatial_kwargs
from napari_unet3d.widgets.viewer.view_state import kept_selection

# None of the colours that mark errors, which lie within the frames, and visible on black and on white.
COLOURS = {Role.TRAINING: "#8a8a8a", Role.VALIDATION: "#00a8a8"}
# Corners are numbered around one end of the third axis (0 to 3), then around the other (4 to 7). The way goes along
# every edge, along three of them twice, and never straight back, where the line would be drawn as a spike.
_WAY = (0, 1, 2, 3, 0, 4, 5, 6, 7, 4, 5, 1, 2, 6, 7, 3)
_CORNERS = np.array([(a, b, c) for c in (0, 1) for a, b in ((0, 0), (0, 1), (1, 1), (1, 0))])
_ENDS = "ends"  # key of the layer's metadata
_Ends: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]


def show_blocks(viewer: Any, blocks: Sequence[Block]) -> Shapes | None:
    """Draw blocks as boxes in a Shapes layer ``NAME split`` over the Image layer of their volume.

    Each box is one line along all edges, which napari shows in 3D only, and the outline of the block in the slice that
    the viewer shows, along whatever axis, which follows when another slice is shown.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it; a layer of that name that the plugin made is updated in place.
    blocks : sequence of Block
        Parts of one volume.

    Returns
    -------
    Shapes or None
        None when there are no blocks, or no layer has the name of the volume and is large enough.
    """
    image = _image_of(viewer, blocks)
    if image is None:
        return None
    name, place = f"{image.name} split", spatial_kwargs(image)
    layer: Shapes | None = find_layer(viewer, name, Shapes)
    if layer is None:
        with kept_selection(viewer):  # the user continues with the active layer, such as labels to paint
            layer = viewer.add_shapes(ndim=3, name=name, metadata={OWNED: True}, **place)
        _follow_slices(viewer, layer)
    layer.metadata[_ENDS] = [_ends(block, image) for block in blocks]
    for key, value in place.items():
        setattr(layer, key, value)
    _draw(viewer, layer)
    roles = [block.role for block in blocks]
    colours = [COLOURS[role] for role in roles] * 2
    layer.edge_color = colours
    layer.edge_width = max(0.3, max(image.data.shape) / 250)
    layer.features = {"role": [*([""] * len(roles)), *map(str, roles)]}
    layer.text = {"string": "{role}", "color": colours, "size": 10, "anchor": "upper_left"}
    return layer


def _image_of(viewer: Any, blocks: Sequence[Block]) -> Image | None:
    for layer in viewer.layers:
        if isinstance(layer, Image) and layer.ndim == 3 and not layer.rgb and not layer.multiscale:
            fits = all((np.array(block.stop_zyx) <= layer.data.shape).all() for block in blocks)
            if blocks and blocks[0].name in (layer.name, volume_of(layer)) and fits:
                return layer
    return None


def _follow_slices(viewer: Any, layer: Shapes) -> None:
    """Draw the outlines again whenever the viewer shows another slice."""

    def redraw(_: Any = None) -> None:
        _draw(viewer, layer)

    dims = viewer.dims.events
    connect_until_removed(viewer, layer, [dims.point, dims.order, dims.ndisplay], redraw)


def _draw(viewer: Any, layer: Shapes) -> None:
    axis, place = _slice_of(viewer, layer)
    ends: list[_Ends] = layer.metadata[_ENDS]
    lines = [_line_around(each) for each in ends] + [_outline(each, axis, place) for each in ends]
    layer.data = [(line, "path") for line in lines]


def _slice_of(viewer: Any, layer: Shapes) -> tuple[int, float | None]:
    """Return the axis of the layer that the view cuts across and where, in voxels; nowhere in 3D."""
    hidden = [axis - viewer.dims.ndim + 3 for axis in viewer.dims.not_displayed]
    axes = [axis for axis in hidden if axis >= 0]
    if len(axes) != 1:
        return 0, None
    return axes[0], float(layer.world_to_data(viewer.dims.point[-3:])[axes[0]])


def _outline(ends: _Ends, axis: int, place: float | None) -> NDArray[np.float64]:
    """Return the outline of a block in a slice that cuts it; its first side where no slice does."""
    start, stop = ends
    corners: NDArray[np.float64] = np.array([start] * 5)
    first, second = (other for other in range(3) if other != axis)
    corners[1:3, first] = stop[first]
    corners[2:4, second] = stop[second]
    if place is not None and start[axis] <= place <= stop[axis]:
        corners[:, axis] = place
    return corners


def _line_around(ends: _Ends) -> NDArray[np.float64]:
    start, stop = ends
    corners: NDArray[np.float64] = start + _CORNERS * (stop - start)
    return corners[list(_WAY)]


def _ends(block: Block, image: Image) -> _Ends:
    """Return the outer corners of a block: voxels reach half a voxel around their middle.

    Those of the image are left out of account: a layer that reached beyond the middle of the outer voxels would move
    the viewer's slices by half a voxel, for all layers.
    """
    last = np.array(image.data.shape) - 1
    start, stop = (np.clip(np.array(corner) - 0.5, 0, last) for corner in (block.start_zyx, block.stop_zyx))
    return start, stop
