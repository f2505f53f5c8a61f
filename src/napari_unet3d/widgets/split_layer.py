"""The blocks of a single volume that train and validate, drawn as boxes over its image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Shapes
from numpy.typing import NDArray

from napari_unet3d.data.split import Block, Role
from napari_unet3d.widgets.layers import OWNED, existing, spatial

# Blue and orange of Okabe and Ito (2008), as in the curves.
COLOURS = {Role.TRAINING: "#56b4e9", Role.VALIDATION: "#e69f00"}
# Corners are numbered around one end of the third axis (0 to 3), then around the other (4 to 7). The way goes along
# every edge, along three of them twice, and never straight back, where the line would be drawn as a spike.
_WAY = (0, 1, 2, 3, 0, 4, 5, 6, 7, 4, 5, 1, 2, 6, 7, 3)
_CORNERS = np.array([(a, b, c) for c in (0, 1) for a, b in ((0, 0), (0, 1), (1, 1), (1, 0))])


def show_blocks(viewer: Any, blocks: Sequence[Block]) -> Shapes | None:
    """Draw blocks as boxes in a Shapes layer ``NAME split`` over the Image layer of their volume.

    Each box is one line along all edges, which napari shows in 3D as a box, and in every slice through the block, along
    whatever axis, as its outline.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it; a layer of that name that we made is updated in place.
    blocks : sequence of Block
        Parts of one volume.

    Returns
    -------
    Shapes or None
        None when there are no blocks, or no layer has the name of the volume and room for them.
    """
    image = _image_of(viewer, blocks)
    if image is None:
        return None
    name = f"{image.name} split"
    lines = [_line_around(block) for block in blocks]
    looks = {
        "edge_color": [COLOURS[block.role] for block in blocks],
        "edge_width": max(0.4, max(image.data.shape) / 150),
        "features": {"role": [str(block.role) for block in blocks]},
        "text": {"string": "{role}", "color": "white", "size": 10, "anchor": "upper_left"},
    }
    place = spatial(image)
    layer: Shapes | None = existing(viewer, name, Shapes)
    if layer is not None and layer.nshapes == len(lines):
        layer.data = [(line, "path") for line in lines]
        for key, value in {**place, **looks}.items():
            setattr(layer, key, value)
        return layer
    if layer is not None:
        viewer.layers.remove(layer)
    selected = set(viewer.layers.selection)
    added: Shapes = viewer.add_shapes(lines, shape_type="path", name=name, metadata={OWNED: True}, **place, **looks)
    viewer.layers.selection = selected  # the person goes on with the layer that was at hand, such as to paint labels
    return added


def _image_of(viewer: Any, blocks: Sequence[Block]) -> Image | None:
    for layer in viewer.layers:
        if isinstance(layer, Image) and layer.ndim == 3 and not layer.rgb and not layer.multiscale:
            fits = all((np.array(block.stop_zyx) <= layer.data.shape).all() for block in blocks)
            if blocks and layer.name == blocks[0].name and fits:
                return layer
    return None


def _line_around(block: Block) -> NDArray[np.float64]:
    start, stop = (np.array(corner, dtype=float) - 0.5 for corner in (block.start_zyx, block.stop_zyx))
    corners: NDArray[np.float64] = start + _CORNERS * (stop - start)  # voxels reach half a voxel around their middle
    return corners[list(_WAY)]
