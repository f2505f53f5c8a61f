"""Screenshots of the canvas in any size, which leave the camera as it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_unet3d.errors import UserError
from napari_unet3d.files import atomic_write
from napari_unet3d.widgets.viewer.compat import canvas_size
from napari_unet3d.widgets.viewer.navigation import camera_of
from napari_unet3d.widgets.viewer.view_state import CameraState

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")

_Vector = tuple[float, float, float]
_MOST_BYTES = 2**30  # of the frames of a turntable


@dataclass(frozen=True, slots=True)
class TurntableSettings:
    """A full turn about the vertical axis of the view.

    Attributes
    ----------
    seconds : float
        Duration in seconds.
    frames_per_second : int
        Frames per second.
    width, height : int
        Size of a frame in pixels.
    """

    seconds: float
    frames_per_second: int
    width: int
    height: int

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return max(1, round(self.seconds * self.frames_per_second))

    @property
    def degrees(self) -> list[float]:
        """The angles of the frames; the one after the last would be the first again."""
        return [360 * number / self.n_frames for number in range(self.n_frames)]

    def check_memory(self) -> None:
        """Raise a `UserError` when the frames are too many to keep until they are written."""
        if self.n_frames * self.width * self.height * 3 > _MOST_BYTES:
            raise UserError(
                f"{self.n_frames} frames of {self.width} × {self.height} pixels are more than a gigabyte. "
                "Choose a smaller size, fewer seconds or fewer frames per second."
            )


def render(viewer: Any, width: int, height: int, degrees: float = 0.0, view: CameraState | None = None) -> NDArray[Any]:
    """Render the canvas in another size; all that is in view is in the picture, too.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer; its camera is left as it is.
    width, height : int
        Size in pixels.
    degrees : float
        Angle of a turn about the vertical axis of the view, in 3D.
    view : CameraState, optional
        The camera to use instead of the present one.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        Red, green and blue.
    """
    camera = camera_of(viewer)
    present = CameraState.of(viewer)
    base = view or present
    canvas_height, canvas_width = canvas_size(viewer)
    try:
        base.restore(viewer)
        # The zoom is in pixels of the canvas per µm.
        camera.zoom = base.zoom * min(width / canvas_width, height / canvas_height)
        if degrees:
            up = camera.up_direction
            camera.set_view_direction(turned(camera.view_direction, up, degrees), up)
        pixels = np.asarray(viewer.screenshot(size=(height, width), flash=False))[..., :3]
    finally:
        present.restore(viewer)
    if pixels.shape[:2] != (height, width):  # screens of high density round
        pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))
    return np.ascontiguousarray(pixels)


def turned(vector: _Vector, about: _Vector, degrees: float) -> _Vector:
    """Rotate a vector about another one by Rodrigues' formula.

    Parameters
    ----------
    vector, about : tuple of float
        Any two directions; `about` has the length 1.
    degrees : float
        The angle.
    """
    v, k, angle = np.asarray(vector, float), np.asarray(about, float), math.radians(degrees)
    rotated = v * math.cos(angle) + np.cross(k, v) * math.sin(angle) + k * (k @ v) * (1 - math.cos(angle))
    x, y, z = rotated.tolist()
    return x, y, z


def write_picture(path: Path, pixels: NDArray[Any]) -> None:
    """Write a picture in the format of the file suffix.

    Raises
    ------
    UserError
        When the suffix is none of `PICTURE_SUFFIXES`, or the file cannot be written.
    """
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise UserError(f"A picture cannot be written as '{path.name}'; choose a name that ends in .png, .jpg or .tif.")
    with atomic_write(path) as beside:
        Image.fromarray(pixels).save(beside)
