"""``python -m napari_unet3d`` is the command ``napari-unet3d``."""

from __future__ import annotations

import sys

from napari_unet3d.cli import main

if __name__ == "__main__":
    sys.exit(main())
