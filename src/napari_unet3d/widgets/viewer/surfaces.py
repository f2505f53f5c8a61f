"""Meshes of objects as one Surface layer, in the place and in the colours of their Labels layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Labels, Surface

from napari_unet3d.evaluation.meshes.mesh import Mesh
from napari_unet3d.widgets.viewer.layer_metadata import OWNED
from napari_unet3d.widgets.viewer.layers import remove_own, spatial_kwargs
from napari_unet3d.widgets.viewer.view_state import kept_selection


def show_surfaces(viewer: Any, name: str, meshes: Sequence[Mesh], like: Labels) -> Surface:
    """Show meshes as a Surface layer; one of this name that the plugin made is replaced.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show them.
    name : str
        Name of the layer.
    meshes : sequence of Mesh
        The meshes, with positions along z, y, x in voxels; at least one.
    like : Labels
        The layer of the objects, whose place and colours are taken.
    """
    sizes = [len(mesh.vertices) for mesh in meshes]
    starts = np.cumsum([0, *sizes[:-1]])
    vertices = np.concatenate([mesh.vertices for mesh in meshes])
    faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)])
    colours = np.array([like.colormap.map(mesh.number) for mesh in meshes], np.float32).reshape(-1, 4)
    colours[:, 3] = 1  # also of objects that the layer does not show at the moment
    with kept_selection(viewer):
        remove_own(viewer, name)
        return viewer.add_surface(
            (vertices, faces),
            vertex_colors=np.repeat(colours, sizes, axis=0),
            name=name,
            shading="smooth",
            metadata={OWNED: True},
            **spatial_kwargs(like),
        )
