"""Settings of meshes: how the surfaces of objects are made, and in which files they are written."""

from __future__ import annotations

from napari_unet3d.configs.base import Config, LabelledEnum, setting


class MeshFormat(LabelledEnum):
    """The file formats of meshes, with their names in menus."""

    OBJ = ("obj", "Wavefront OBJ")
    PLY = ("ply", "PLY")
    STL = ("stl", "STL")


class MeshConfig(Config):
    """How meshes of objects are made and written."""

    smoothing: int = setting(
        10,
        "Steps of Taubin's smoothing, which removes the steps between voxels and keeps the volume; 0 for none.",
        minimum=0,
        maximum=200,
        zero_text="off",
    )
    one_file: bool = setting(False, "Write all objects into one file, instead of one file for each.")
