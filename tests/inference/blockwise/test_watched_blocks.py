"""Blocks that somebody looks at are predicted first, can be seen at once, and make the same result."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_unet3d.configs import PredictionConfig, Task
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.opening import OpenVolume
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.volume_parts import open_arrays
from napari_unet3d.errors import UserError
from napari_unet3d.inference.blockwise.preview import BlocksBegun, Preview
from napari_unet3d.inference.events import BlockDone
from napari_unet3d.model.checkpoint import Checkpoint, save_checkpoint
from napari_unet3d.session.large_prediction import LargePrediction, predict_large

OUT = "noisy_labels.ome.zarr"
CPU = PredictionConfig(device="cpu")


@pytest.fixture
def model(model_for: Callable[..., Checkpoint], tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "model.safetensors", model_for())
    return tmp_path / "model.safetensors"


@pytest.fixture
def volume(noisy_file: Path) -> OpenVolume:
    read = read_volume(noisy_file)
    return open_arrays("noisy", [read.array], read.geometry)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_unet3d.session.large_prediction._BLOCK", (16, 16, 16))


def blocks_of(events: Any) -> list[tuple[int, int, int]]:
    done = [event for event in events if isinstance(event, BlockDone) and event.step == "predicted"]
    z, y, x = zip(*[[side.start for side in event.box] for event in done], strict=True)
    return list(zip(z, y, x, strict=True))


def test_the_block_in_view_is_first_and_panning_changes_the_order(
    model: Path, volume: OpenVolume, tmp_path: Path
) -> None:
    views = iter([(17, 20, 34), (3, -9, 2), (3, -9, 2)])
    events = list(predict_large(model, volume, CPU, tmp_path / OUT, lambda: next(views, None), overwrite=False))
    order = blocks_of(events)
    assert order[:3] == [(16, 16, 32), (0, 0, 0), (16, 0, 0)]  # a block takes the one above it along
    assert sorted(order) == [(z, y, x) for z in (0, 16) for y in (0, 16) for x in (0, 16, 32)]


def test_what_is_seen_meanwhile_is_the_result(
    model: Path, volume: OpenVolume, noisy_file: Path, by_blocks: Callable[..., Any], tmp_path: Path
) -> None:
    seen = []
    with closing(predict_large(model, volume, CPU, tmp_path / OUT, lambda: None, overwrite=False)) as first:  # type: ignore[type-var]
        for event in first:
            if isinstance(event, BlocksBegun):
                preview = event.preview
                assert not preview.done
            elif isinstance(event, BlockDone) and event.step == "predicted":
                seen.append((event.box, preview[event.box].copy()))
                others = preview[:].copy()
                for box in preview.done:
                    others[box] = 0
                assert not others.any()
                if len(seen) == 3:
                    break
    *events, last = predict_large(model, volume, CPU, tmp_path / OUT, lambda: None, overwrite=False)
    (begun,) = (event for event in events if isinstance(event, BlocksBegun))
    assert len(blocks_of(events)) == 12 - 3
    assert isinstance(last, LargePrediction)
    assert last.files == (tmp_path / OUT,)
    whole = by_blocks(model, noisy_file, tmp_path / "as_file.ome.zarr")["labels"]
    assert 0.1 < whole.mean() < 0.9
    np.testing.assert_array_equal(np.asarray(last.levels[0]), whole)
    for box, values in seen:
        np.testing.assert_array_equal(values, whole[box])
    np.testing.assert_array_equal(begun.preview[5], whole[5])  # also after the files were moved


def test_foreground_is_seen_before_objects_are_separated(
    model_for: Callable[..., Checkpoint], volume: OpenVolume, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "objects.safetensors", model_for(Task.INSTANCE))
    config = CPU.model_copy(update={"seed_confidence": 0.0, "threshold": 0.45})
    model = tmp_path / "objects.safetensors"
    events = predict_large(model, volume, config, tmp_path / OUT, lambda: None, overwrite=False)
    seen: Any = None
    for event in events:
        if isinstance(event, BlocksBegun):
            preview = event.preview
        elif isinstance(event, BlockDone) and event.step == "predicted":
            seen = preview[:]
    assert isinstance(event, LargePrediction)
    labels = np.asarray(zarr.open_group(event.files[0], mode="r")["0"][:])
    assert event.files[1] == tmp_path / "noisy_objects.csv"
    assert set(np.unique(seen)) == {0, 1}
    assert labels.max() > 1
    assert not (labels.astype(bool) & ~seen.astype(bool)).any()
    np.testing.assert_array_equal(preview[:], labels)


def test_results_that_exist_are_kept_unless_they_may_be_replaced(
    model: Path, volume: OpenVolume, tmp_path: Path
) -> None:
    (tmp_path / OUT).mkdir()
    arguments = model, volume, CPU, tmp_path / OUT, lambda: None
    with pytest.raises(UserError, match=r"noisy_labels\.ome\.zarr"):
        list(predict_large(*arguments, overwrite=False))
    assert isinstance(list(predict_large(*arguments, overwrite=True))[-1], LargePrediction)


def test_arrays_of_channels_are_read_in_parts() -> None:
    channels = np.random.default_rng(0).integers(0, 99, (2, 6, 7, 8))
    opened = open_arrays("two", list(channels), Geometry((2.0, 1.0, 1.0)), ("a", "b"))
    assert opened.roles.axes == "czyx"
    np.testing.assert_array_equal(opened.read().array, channels)
    np.testing.assert_array_equal(opened.stored.load((1, slice(2, 4), slice(7), slice(3, 8))), channels[1, 2:4, :, 3:])
    assert opened.stored.geometry_of((1, 2, 3)).voxel_size_um == (2.0, 1.0, 1.0)


SIDES = st.tuples(*[st.integers(1, 9)] * 3)
PART = st.one_of(
    st.integers(0, 8),
    st.builds(slice, st.none() | st.integers(-9, 9), st.none() | st.integers(-9, 9), st.none() | st.integers(1, 4)),
)


@given(SIDES, st.tuples(PART, PART, PART), st.sets(st.integers(0, 7)), st.booleans())
def test_a_preview_is_sliced_as_an_array(
    shape: tuple[int, int, int], index: tuple[int | slice, ...], done: set[int], is_probability: bool
) -> None:
    """Blocks of half the volume along each axis, some of which are done."""
    array = np.random.default_rng(0).random(shape) if is_probability else np.arange(np.prod(shape)).reshape(shape)
    halves = [(slice(0, side // 2), slice(side // 2, side)) for side in shape]
    boxes = [(halves[0][n // 4], halves[1][n // 2 % 2], halves[2][n % 2]) for n in sorted(done)]
    preview = Preview(array, 0.5 if is_probability else None)
    expected = np.zeros(shape, int)
    for box in boxes:
        preview.add(box)
        expected[box] = array[box] >= 0.5 if is_probability else array[box]
    index = tuple(part % side if isinstance(part, int) else part for part, side in zip(index, shape, strict=True))
    np.testing.assert_array_equal(preview[index], expected[index])
    np.testing.assert_array_equal(preview[..., index[-1]], expected[..., index[-1]])
    np.testing.assert_array_equal(preview[index[0]], expected[index[0]])


def test_notices_say_what_is_assumed(model: Path, volume: OpenVolume, tmp_path: Path) -> None:
    events = predict_large(model, volume, CPU, tmp_path / OUT, lambda: None, overwrite=False)
    assert any("is predicted in 12 blocks" in event.message for event in events if isinstance(event, Notice))
