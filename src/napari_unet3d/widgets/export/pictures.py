"""Pictures of the canvas: screenshots in any size, and a turntable of the 3D view."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from qtpy.QtCore import QObject, Signal

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.reports.animation import (
    AnimationWritten,
    FrameReduced,
    check_animation_name,
    write_animation,
)
from napari_unet3d.session.saving import TurntableSettings
from napari_unet3d.widgets.components.containers import single_shot
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.viewer.view_state import CameraState, camera_of, canvas_size

_Vector = tuple[float, float, float]
_REST_MS = 20  # between frames, for clicks and for what else the viewer has to draw


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


class Turntable(QObject):
    """Takes the frames of one turn on the main thread, one at a time, and writes them in a thread.

    The camera is restored after every frame: the user may look elsewhere meanwhile, the turn starts from the
    view at its beginning.

    Parameters
    ----------
    context : Context
        The viewer and its jobs.

    Attributes
    ----------
    progressed : Signal(int, int)
        Steps done and to do: one per frame to take it and one to write it.
    ended : Signal(str, bool)
        A message for the user, and whether it is an error.
    """

    progressed = Signal(int, int)
    ended = Signal(str, bool)

    def __init__(self, context: Context) -> None:
        super().__init__(context.message)
        self._viewer, self._jobs = context.viewer, context.jobs
        self._turn: TurntableSettings | None = None
        self._path = Path()
        self._base: CameraState | None = None
        self._frames: list[NDArray[np.uint8]] = []
        self._job: Job | None = None
        self._timer = single_shot(self, self._take_frame, _REST_MS)

    @property
    def is_running(self) -> bool:
        """Whether a turn is being taken or written."""
        return self._turn is not None

    def start(self, path: Path, turn: TurntableSettings) -> None:
        """Begin a turn about the present view.

        Parameters
        ----------
        path : Path
            A file ending in ``.gif`` or ``.webp``.
        turn : Turn
            How long, how smooth and how large.

        Raises
        ------
        UserError
            In 2D, when nothing is in view, for a name that no animation can have, or when there are too many frames.
        """
        check_animation_name(path)
        self.check(turn)
        self._path, self._turn, self._frames = path, turn, []
        self._base = CameraState.of(self._viewer)
        self._timer.start()

    def check(self, turn: TurntableSettings) -> None:
        """Raise a `UserError` when the present view cannot be turned, or not in so many frames."""
        turn.check_memory()
        if self._viewer.dims.ndisplay != 3:
            raise UserError("A turntable turns the 3D view. Switch the viewer to 3D first.")
        if not len(self._viewer.layers):
            raise UserError("There is nothing in view to turn. Add a layer first.")

    def cancel(self) -> None:
        """End it; no file is written."""
        if self._job is not None:
            self._job.stop()
        elif self._turn is not None:
            self._timer.stop()
            self._end("Cancelled.")

    def _take_frame(self) -> None:
        turn = self._turn
        assert turn is not None
        if self._viewer.dims.ndisplay != 3:
            self._end("The turntable ended when the viewer was switched to 2D; no file was written.", failed=True)
            return
        degrees = turn.degrees[len(self._frames)]
        self._frames.append(render(self._viewer, turn.width, turn.height, degrees, self._base))
        self.progressed.emit(len(self._frames), 2 * turn.n_frames)
        if self._turn is None:  # cancelled by who heard of it
            return
        if len(self._frames) < turn.n_frames:
            self._timer.start()
        else:
            self._write(turn)

    def _write(self, turn: TurntableSettings) -> None:
        frames, self._frames = self._frames, []
        events = partial(write_animation, self._path, frames, turn.seconds)
        try:
            job = self._jobs.start("turntable", f"Writing {self._path.name}", events)
        except UserError as error:  # another dock writes one
            self._end(str(error), failed=True)
            return
        self._job = job
        job.reported.connect(self._on_reported)
        job.ended.connect(self._on_job_ended)

    def _on_reported(self, event: Any) -> None:
        match event:
            case FrameReduced(n_done=n, n_total=total):
                self.progressed.emit(total + n, 2 * total)
            case AnimationWritten(path=path):
                size = path.stat().st_size / 1e6
                self._end(f"The turntable is in {path} ({size:.1f} MB).")

    def _on_job_ended(self) -> None:
        if (job := self._job) is not None and self._turn is not None:
            self._end(job.message or "Cancelled.", failed=job.message is not None)
        self._job = None

    def _end(self, message: str, *, failed: bool = False) -> None:
        self._turn, self._frames = None, []
        self.ended.emit(message, failed)
