"""An interrupted prediction continues where it was, and only with the same settings."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_unet3d.configs import PredictionConfig, Task
from napari_unet3d.configs.blocks import BlockConfig
from napari_unet3d.errors import UserError
from napari_unet3d.file_lock import lock
from napari_unet3d.inference.blockwise.unfinished import Journal
from napari_unet3d.inference.events import BlockDone, PredictionWritten
from napari_unet3d.inference.predict import predict_files
from napari_unet3d.model.checkpoint import Checkpoint, save_checkpoint

Model = Callable[..., Checkpoint]
BLOCKS = BlockConfig(block_size=(8, 16, 16))
OBJECTS = PredictionConfig(device="cpu", seed_confidence=0.0, seed_prominence=0.002, boundary_weight=0.0)


def stop_after(n_blocks: int, step: str, *arguments: Any, **options: Any) -> list[int]:
    """Predict until a number of blocks went through a step; return how many were done at each event of it."""
    seen = []
    with closing(predict_files(*arguments, **options)) as events:  # type: ignore[type-var]
        for event in events:
            if isinstance(event, BlockDone) and event.step == step:
                seen.append(event.n_done)
                if len(seen) == n_blocks:
                    break
    return seen


@pytest.mark.parametrize("step", ["read", "predicted", "separated", "labelled"])
def test_any_step_continues_and_ends_with_the_same_files(
    step: str, model_for: Model, noisy_file: Path, tmp_path: Path
) -> None:
    model, undisturbed, out = model_for(Task.INSTANCE), tmp_path / "a.ome.zarr", tmp_path / "b.ome.zarr"
    blocks = BlockConfig(block_size=(9, 14, 35))
    list(predict_files(model, [noisy_file], undisturbed, OBJECTS, blocks=blocks))
    assert stop_after(2, step, model, [noisy_file], out, OBJECTS, blocks=blocks) == [1, 2]
    assert not out.exists()
    assert out.with_name("b.ome.zarr.unfinished").is_dir()
    again = stop_after(1000, step, model, [noisy_file], out, OBJECTS, blocks=blocks)
    assert again == ([1, 2, 3, 4] if step == "read" else [3, 4])
    assert not out.with_name("b.ome.zarr.unfinished").exists()
    first, second = (np.asarray(zarr.open_group(path, mode="r")["0"][:]) for path in (undisturbed, out))
    assert np.array_equal(first, second)
    tables = [(tmp_path / f"{name}_objects.csv").read_text() for name in "ab"]
    assert tables[0] == tables[1]


def test_a_killed_process_loses_only_the_block_at_work(model_for: Model, noisy_file: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "model.safetensors", tmp_path / "c.ome.zarr"
    save_checkpoint(model, model_for())
    program = f"""
import os, signal
from napari_unet3d.configs import PredictionConfig
from napari_unet3d.configs.blocks import BlockConfig
from napari_unet3d.inference.predict import predict_files
blocks, config = BlockConfig(block_size=(8, 16, 16)), PredictionConfig(device="cpu")
for event in predict_files({str(model)!r}, [{str(noisy_file)!r}], {str(out)!r}, config, blocks=blocks):
    if getattr(event, "step", "") == "predicted" and event.n_done == 7:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGKILL
    events = list(predict_files(model, [noisy_file], out, PredictionConfig(device="cpu"), blocks=BLOCKS))
    done = [event.n_done for event in events if isinstance(event, BlockDone) and event.step == "predicted"]
    assert done == list(range(8, 19))
    *_, plain = predict_files(
        model, [noisy_file], tmp_path / "d.ome.zarr", PredictionConfig(device="cpu"), blocks=BLOCKS
    )
    assert isinstance(plain, PredictionWritten)
    first, second = (np.asarray(zarr.open_group(path, mode="r")["0"][:]) for path in (out, plain.files[0]))
    assert np.array_equal(first, second)


def test_other_settings_are_refused_by_name_or_begin_anew(model_for: Model, noisy_file: Path, tmp_path: Path) -> None:
    model, config, out = model_for(), PredictionConfig(device="cpu"), tmp_path / "e.ome.zarr"
    stop_after(3, "predicted", model, [noisy_file], out, config, blocks=BLOCKS)
    other = config.model_copy(update={"threshold": 0.25})
    with pytest.raises(UserError, match=r"unfinished result with another threshold: 0\.5 instead of 0\.25"):
        list(predict_files(model, [noisy_file], out, other, blocks=BLOCKS))
    with pytest.raises(UserError, match=r"another block size: 8 16 16 instead of 16 16 16"):
        list(predict_files(model, [noisy_file], out, config, blocks=BlockConfig(block_size=16)))
    with pytest.raises(UserError, match="another model"):
        list(predict_files(model_for(seed=1), [noisy_file], out, config, blocks=BLOCKS))
    again = stop_after(1, "predicted", model, [noisy_file], out, other, blocks=BLOCKS, overwrite=True)
    assert again == [1]


def test_sizes_that_are_chosen_automatically_are_those_of_the_start(
    model_for: Model, noisy_file: Path, tmp_path: Path
) -> None:
    model, config, out = model_for(), PredictionConfig(device="cpu"), tmp_path / "f.ome.zarr"
    stop_after(3, "predicted", model, [noisy_file], out, config, blocks=BLOCKS)
    assert stop_after(1, "predicted", model, [noisy_file], out, config, blocks=BlockConfig(blocks=True)) == [4]


def test_one_process_at_a_time(model_for: Model, noisy_file: Path, tmp_path: Path) -> None:
    model, config, out = model_for(), PredictionConfig(device="cpu"), tmp_path / "g.ome.zarr"
    stop_after(1, "predicted", model, [noisy_file], out, config, blocks=BLOCKS)
    with closing(FileIO(out.with_name("g.ome.zarr.unfinished") / "in_use.lock", "a+")) as file:
        lock(file)
        with pytest.raises(UserError, match="is being written by another process"):
            list(predict_files(model, [noisy_file], out, config, blocks=BLOCKS))


def test_half_a_record_is_no_record(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "done", [("block", "<u4"), ("n", "<u4")])
    journal.add(4, 10)
    journal.add(2, 20)
    with (tmp_path / "done").open("ab") as file:
        file.write(b"\x07\0\0")
    assert journal.done() == {2, 4}
    journal.add(9, 30)
    assert journal.read().tolist() == [(2, 20), (4, 10), (9, 30)]
