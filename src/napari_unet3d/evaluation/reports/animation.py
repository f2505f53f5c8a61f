"""Animations as files: all frames share a palette, in which small red and blue errors keep their colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy  # submodules are loaded on first use, not when a dock opens
from numpy.typing import NDArray
from PIL import Image

from napari_unet3d.errors import UserError
from napari_unet3d.files import atomic_write

SUFFIXES = (".gif", ".webp")
"""The formats of animations; GIF can be shown everywhere, WebP has all colours and is smaller."""

_N_COLOURS = 128  # with more, files of noisy volumes grow by a quarter, without a visible difference
_BITS = 5  # per channel, for counting colours
_N_ROUNDS = 3
_WEBP_QUALITY = 85


@dataclass(frozen=True, slots=True)
class FrameReduced:
    """One more frame was reduced to the palette."""

    n_done: int
    n_total: int


@dataclass(frozen=True, slots=True)
class AnimationWritten:
    """The animation is on disk."""

    path: Path


def write_animation(
    path: Path | str, frames: Sequence[NDArray[np.uint8]], seconds: float
) -> Iterator[FrameReduced | AnimationWritten]:
    """Write frames as an animation that loops forever.

    Parameters
    ----------
    path : Path or str
        A file ending in ``.gif`` or ``.webp``.
    frames : sequence of ndarray of uint8, each of shape (y, x, 3)
        Red, green and blue from 0 to 255; at least one frame.
    seconds : float
        Duration of the whole animation. GIF counts time in hundredths of a second.

    Yields
    ------
    FrameReduced
        After each frame.
    AnimationWritten
        Always the last event.

    Raises
    ------
    UserError
        When the file ends otherwise, or cannot be written.
    """
    path = Path(path)
    check_animation_name(path)
    colours = shared_colours(frames) if path.suffix.lower() == ".gif" else None
    pictures = []
    for number, frame in enumerate(frames, start=1):
        picture = Image.fromarray(frame)
        # Dithering would differ from frame to frame: the animation would flicker, and the file would grow.
        pictures.append(picture if colours is None else picture.quantize(palette=colours, dither=Image.Dither.NONE))
        yield FrameReduced(number, len(frames))
    options: dict[str, Any] = {"quality": _WEBP_QUALITY}
    if colours is not None:  # a global palette, so that frames have none of their own
        options = {"palette": bytes(colours.getpalette() or ()), "optimize": False}
    with atomic_write(path) as temporary:
        pictures[0].save(
            temporary,
            save_all=True,
            append_images=pictures[1:],
            duration=_durations_ms(len(frames), seconds),
            loop=0,
            **options,
        )
    yield AnimationWritten(path)


def check_animation_name(path: Path) -> None:
    """Raise a `UserError` if the suffix is not that of an animation."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"An animation cannot be written as '{path.name}'; choose a name that ends in .gif or .webp.")


def shared_colours(frames: Sequence[NDArray[np.uint8]]) -> Image.Image:
    """Choose 128 colours for all frames together.

    Colours are counted in 32 steps per channel. Repeatedly the colour is added that the palette so far represents
    worst: by its squared distance, times the square root of its frequency. Otherwise the many greys of an image would
    take the whole palette, and a small error would lose its red. Finally each colour is moved to the mean of those that
    it represents, a few times (Lloyd's algorithm).

    Parameters
    ----------
    frames : sequence of ndarray of uint8, each of shape (y, x, 3)
        Red, green and blue.

    Returns
    -------
    Image
        An image with a palette, as `Image.quantize` needs it.
    """
    colours, counts = _count_colours(frames)
    weights = np.sqrt(counts)
    chosen = [int(weights.argmax())]
    squares = np.full(len(colours), np.inf)
    while len(chosen) < min(_N_COLOURS, len(colours)):
        squares = np.minimum(squares, np.square(colours - colours[chosen[-1]]).sum(1))
        chosen.append(int((squares * weights).argmax()))
    palette = colours[chosen]
    for _ in range(_N_ROUNDS):
        nearest = scipy.spatial.cKDTree(palette).query(colours)[1]
        sums = [np.bincount(nearest, weights * channel, len(palette)) for channel in colours.T]
        share = np.bincount(nearest, weights, len(palette))
        palette = np.where(share[:, None] > 0, np.stack(sums, 1) / np.maximum(share, 1e-9)[:, None], palette)
    picture = Image.new("P", (1, 1))
    picture.putpalette(np.rint(palette).astype(np.uint8).tobytes())
    return picture


def _count_colours(frames: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the means of similar colours, of shape (colour, 3), and how many pixels have them."""
    n_codes = 2 ** (3 * _BITS)
    sums, counts = np.zeros((n_codes, 3)), np.zeros(n_codes, np.int64)
    for frame in frames:
        pixels = frame.reshape(-1, 3)
        red, green, blue = (pixels >> (8 - _BITS)).astype(np.int64).T
        codes = (red << 2 * _BITS) | (green << _BITS) | blue
        counts += np.bincount(codes, minlength=n_codes)
        for channel in range(3):
            sums[:, channel] += np.bincount(codes, pixels[:, channel], n_codes)
    occurs = counts > 0
    return sums[occurs] / counts[occurs, None], counts[occurs]


def _durations_ms(n_frames: int, seconds: float) -> list[int]:
    """Distribute the time over the frames in whole hundredths of a second, so that the sum is correct."""
    ends = np.rint(np.arange(n_frames + 1) * seconds * 100 / n_frames).astype(int)
    return [int(step) * 10 for step in np.diff(ends)]
