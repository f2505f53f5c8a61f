"""Networks that can be trained, one module each, named like its member of `ArchitectureName`."""

from __future__ import annotations

from importlib import import_module

from napari_unet3d.configs import ArchitectureName
from napari_unet3d.model.architectures.base import Architecture


def get_architecture(name: ArchitectureName) -> Architecture:
    """Return the `ARCHITECTURE` of the module with that name; it is imported at first use."""
    architecture: Architecture = import_module(f"{__name__}.{name.value}").ARCHITECTURE
    return architecture
