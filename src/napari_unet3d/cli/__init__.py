"""The command ``napari-unet3d``: the engine without a viewer, with the same settings as the docks."""

from __future__ import annotations

from napari_unet3d.cli.app import main

__all__ = ["main"]
