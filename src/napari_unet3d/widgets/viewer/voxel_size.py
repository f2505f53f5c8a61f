"""Set the voxel size of layers, and restore the one before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.widgets.viewer.places import geometry_of, world_matrix

_N_AXES = 3


class ScaledLayer(NamedTuple):
    """A layer, and the scale, translation and units that it had."""

    layer: Layer
    scale: NDArray[np.float64]
    translate: NDArray[np.float64]
    units: tuple[Any, ...]

    def restore(self) -> None:
        """Restore scale and units of the layer."""
        self.layer.scale, self.layer.translate, self.layer.units = self.scale, self.translate, self.units


def layers_on(viewer: Any, layer: Layer) -> list[Layer]:
    """Return the layers that show the same volume: those of the same shape that lie where a layer lies, and itself."""
    shape, place = np.shape(layer.data)[-_N_AXES:], world_matrix(layer)
    alike = []
    for other in viewer.layers:
        if other is layer:
            alike.append(other)
        elif _is_volume(other) and np.shape(other.data)[-_N_AXES:] == shape:
            steps, first = world_matrix(other)
            has_same_units = [*map(str, other.units[-_N_AXES:])] == [*map(str, layer.units[-_N_AXES:])]
            if has_same_units and np.allclose(steps, place[0]) and np.allclose(first, place[1]):
                alike.append(other)
    return alike


def _is_volume(layer: Layer) -> bool:
    if not isinstance(layer, Image | Labels) or layer.multiscale:
        return False
    shape = np.shape(layer.data)
    return len(shape) == layer.ndim >= _N_AXES and all(side == 1 for side in shape[:-_N_AXES])


def set_voxel_size(layers: Sequence[Layer], voxel_size_um: VoxelSize) -> list[ScaledLayer]:
    """Set scale and units of the last three axes of layers, so that their voxels have a size in µm.

    Translations keep their number of voxels, so that layers stay where they are relative to each other.

    Parameters
    ----------
    layers : sequence of Layer
        Volumes of at least three dimensions.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.

    Returns
    -------
    list of ScaledLayer
        What they had before.
    """
    before = []
    for layer in layers:
        before.append(ScaledLayer(layer, layer.scale.copy(), layer.translate.copy(), tuple(layer.units)))
        old = np.array(layer.scale[-_N_AXES:], dtype=float)
        new = np.sign(old) * voxel_size_um
        leading = layer.ndim - _N_AXES
        layer.units = (*layer.units[:leading], *("um",) * _N_AXES)
        layer.scale = (*layer.scale[:leading], *new)
        layer.translate = (*layer.translate[:leading], *(layer.translate[leading:] * np.abs(new / old)))
    return before


def voxel_size_to_offer(layer: Layer) -> VoxelSize:
    """Return the voxel size to begin with when somebody sets that of a layer: what is known of it, else 1."""
    z, y, x = (size or 1.0 for size in geometry_of(layer).sizes)
    return z, y, x
