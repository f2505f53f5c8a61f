"""Animations: frames in their order and time, and colours that stay what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.reports.animation import AnimationWritten, FrameReduced, _durations_ms, write_animation


def frames_with_a_small_mistake(n_frames: int) -> list[np.ndarray]:
    """Grey and brown noise as of a rendered volume, with 24 red and 24 blue pixels that wander."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(10, 245, 160)[None, :, None] * np.array([1, 0.97, 0.9])
    frames = []
    for number in range(n_frames):
        frame = np.clip(ramp + rng.normal(0, 6, (120, 160, 3)), 0, 255).astype(np.uint8)
        frame[20:24, 10 + number : 16 + number] = (255, 32, 32)
        frame[80:84, 90 - number : 96 - number] = (32, 80, 255)
        frames.append(frame)
    return frames


def read(path: Path) -> list[np.ndarray]:
    with Image.open(path) as picture:
        return [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(picture)]


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_frames_come_back_in_order_and_small_errors_keep_their_colour(suffix: str, tmp_path: Path) -> None:
    frames = frames_with_a_small_mistake(5)
    *reduced, written = write_animation(tmp_path / f"a{suffix}", frames, seconds=1)
    assert reduced == [FrameReduced(number, 5) for number in range(1, 6)]
    assert written == AnimationWritten(tmp_path / f"a{suffix}")
    found = read(tmp_path / f"a{suffix}")
    assert len(found) == 5
    for number, (frame, original) in enumerate(zip(found, frames, strict=True)):
        assert np.abs(frame - original).mean() < 6
        red, blue = frame[21:23, 12 + number : 14 + number], frame[81:83, 92 - number : 94 - number]
        assert (red[..., 0] > 200).all()
        assert (red[..., 1:] < 90).all()
        assert (blue[..., 2] > 200).all()
        assert (blue[..., 0] < 90).all()


def test_a_gif_has_one_palette_and_repeats_for_ever(tmp_path: Path) -> None:
    list(write_animation(tmp_path / "a.gif", frames_with_a_small_mistake(6), seconds=0.5))
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.info["loop"] == 0
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(picture)]
    assert sum(durations) == 500
    content = (tmp_path / "a.gif").read_bytes()
    n_colours = 2 ** (1 + (content[10] & 7))
    assert content[10] & 128, "the file has a palette"
    assert content.count(content[13 : 13 + 3 * n_colours]) == 1, "no frame has one of its own"


@given(n_frames=st.integers(1, 300), seconds=st.floats(0.5, 60))
def test_the_time_is_right_to_a_hundredth_of_a_second(n_frames: int, seconds: float) -> None:
    durations = _durations_ms(n_frames, seconds)
    assert abs(sum(durations) - 1000 * seconds) <= 5.001
    assert max(durations) - min(durations) <= 20


def test_another_suffix_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"as 'a\.mp4'; choose a name that ends in \.gif or \.webp"):
        list(write_animation(tmp_path / "a.mp4", frames_with_a_small_mistake(2), 1))
    assert list(tmp_path.iterdir()) == []


def test_what_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    events = write_animation(tmp_path / "a.gif", frames_with_a_small_mistake(3), 1)
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []
