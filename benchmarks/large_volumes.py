"""Memory and time of predicting volumes block by block, beside the prediction in memory, and of training from files.

Run it on a quiet machine:

    python benchmarks/large_volumes.py [--sides 256 512 1024] [--in-memory 256 512] [--fragments 5 6 7]
        [--sparse 1024] [--train 1024]

Volumes are uint8 in OME-Zarr with chunks of 64³, the network is an untrained `xxsmall` with patches of 64³. Each
prediction runs in a separate process, whose peak is that of all its memory, Python and torch included; times are
those of all cores together, which other programs change less. The sparse
volume has one block of 512 voxels per side, or one eighth of its side if that is less, that is not empty.

The training has checks, two epochs of 50 steps with patches of 64³ on one core, and validation, in a process whose
address space is limited so that its volume does not fit; memory is compared with the same training on 128³ voxels.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from table import Row, table

_CHUNK, _MAX_PEAK, _MAX_RATIO = 64, 1.5 * 2**30, 1.15
_MAX_PEAK_OF_JOINING = 2 * 2**30
_MAX_PEAK_OF_TRAINING, _MAX_WAITING, _ADDRESS_SPACE = 2 * 2**30, 0.1, 6 * 2**30


def write_volume(path: Path, side: int, *, sparse: bool = False) -> None:
    """Write a volume of smooth noise, or one that is empty but for a corner, slab by slab."""
    group = zarr.open_group(path, mode="w", zarr_format=3)
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    place = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    datasets = [{"path": "0", "coordinateTransformations": place}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    array: Any = group.create_array("0", shape=(side,) * 3, dtype=np.uint8, chunks=(_CHUNK,) * 3)
    filled = min(512, side // 8) if sparse else side
    rng = np.random.default_rng(0)
    for z in range(0, filled, _CHUNK):
        coarse = rng.integers(0, 200, (_CHUNK // 4, filled // 4, filled // 4), dtype=np.uint8)
        array[z : z + _CHUNK, :filled, :filled] = coarse.repeat(4, 0).repeat(4, 1).repeat(4, 2)


def predict_volume(path: Path, out: Path, *, by_blocks: bool, skip_empty: bool = False) -> tuple[float, int]:
    """Predict in this process; return the seconds of all cores and the peak of its memory in bytes."""
    import torch

    from napari_unet3d.configs import PredictionConfig, TrainingConfig
    from napari_unet3d.configs.blocks import BlockConfig
    from napari_unet3d.inference.predict import predict_files
    from napari_unet3d.model.checkpoint import Checkpoint
    from napari_unet3d.model.network import build_network, default_plan

    torch.manual_seed(0)
    config = TrainingConfig(preset="xxsmall", patch=(64, 64, 64))
    plan = default_plan(config).model_copy(update={"patch_zyx": (64, 64, 64)})
    model = Checkpoint(config, build_network(config, plan).state_dict(), 1, plan=plan)
    blocks = BlockConfig(blocks=by_blocks, skip_empty=skip_empty)
    started = time.process_time()
    for _ in predict_files(model, [path], out, PredictionConfig(device="cpu"), blocks=blocks):
        pass
    return time.process_time() - started, peak()


def write_dataset(folder: Path, side: int) -> None:
    """Write an image of smooth noise and the labels of its bright parts as a dataset."""
    image, labels = (folder / "train" / kind / "volume.ome.zarr" for kind in ("images", "labels"))
    for path in (image, labels):
        path.parent.mkdir(parents=True)
        write_volume(path, side)
    values, truth = zarr.open_array(image / "0"), zarr.open_array(labels / "0")
    for z in range(0, side, _CHUNK):
        truth[z : z + _CHUNK] = (np.asarray(values[z : z + _CHUNK]) > 170).astype(np.uint8)


def train_on(dataset: Path, run: Path, *, is_limited: bool) -> tuple[float, int, float, float, bool]:
    """Train in this process.

    Returns
    -------
    tuple
        Seconds until the first step, peak of memory in bytes, share of the steps that was spent waiting for data, steps
        per second, and whether anything was copied to temporary files.
    """
    if is_limited:
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    os.environ["OMP_NUM_THREADS"] = "1"
    from napari_unet3d import TrainingConfig
    from napari_unet3d.data.events import Notice
    from napari_unet3d.training.events import StepFinished, Throughput
    from napari_unet3d.training.preflight import check_then_train

    config = TrainingConfig(preset="xxsmall", patch=(64, 64, 64), epochs=2, steps_per_epoch=50, device="cpu")
    started, first, reports, is_copied = time.monotonic(), 0.0, [], False
    for event in check_then_train(dataset, run, config):
        match event:
            case StepFinished() if not first:
                first = time.monotonic() - started
            case Throughput():
                reports.append(event)
            case Notice(message=message):
                is_copied |= "temporary files" in message
    waiting = float(np.mean([report.waiting for report in reports]))
    speed = float(np.mean([report.steps_per_second for report in reports]))
    return first, peak(), waiting, speed, is_copied


def peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def join_fragments(n_fragments: int, folder: Path) -> tuple[float, int]:
    """Join made-up fragments, measure and write their objects; return the seconds and the peak of memory in bytes."""
    from napari_unet3d.inference.blockwise.object_csv import write_objects

    from napari_unet3d.data.geometry import Geometry
    from napari_unet3d.inference.blockwise.stitching import (
        ObjectColumns,
        append_pairs,
        join,
        number_objects,
        read_pairs,
    )

    rng, started = np.random.default_rng(0), time.process_time()
    per_block = 10_000
    for start in range(0, n_fragments, per_block):
        first = np.arange(start, min(start + per_block, n_fragments) - 1, 3)
        append_pairs(folder / "pairs", np.stack([first, np.minimum(first + per_block, n_fragments - 1)], axis=1))
    n_objects, objects = join(n_fragments, read_pairs(folder / "pairs"))
    columns = ObjectColumns(folder / "columns", n_objects)
    for start in range(0, n_fragments, per_block):
        part = objects[start : start + per_block]
        places = {
            f"{what}_{axis}": rng.integers(0, 4096, len(part)).astype(np.float64 if what == "sum" else np.int32)
            for axis in "zyx"
            for what in ("sum", "start", "stop")
        }
        n_voxels, touches = rng.integers(1, 999, len(part)), np.zeros(len(part), bool)
        confidence = rng.random(len(part), np.float32)
        measured = {"n_voxels": n_voxels, "touches_border": touches, "confidence": confidence}
        columns.add(part, places | measured | {"intensity_0": n_voxels.astype(np.float64)})
    numbers = number_objects(columns, n_objects, 2, 0.1)
    write_objects(folder / "objects.csv", columns, numbers, Geometry((1.0, 1.0, 1.0)), [""])
    return time.process_time() - started, peak()


def in_process(function: Any, *arguments: Any, **options: Any) -> Any:
    """Call a function in a fresh process, so that its peak of memory is its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(partial(function, *arguments, **options))


def gib(n_bytes: float) -> str:
    """Format bytes."""
    return f"{n_bytes / 2**30:.2f} GiB"


def training_row(side: int, scratch: Path) -> Row:
    """Measure a training from a volume that does not fit into memory, beside one that does."""
    found = []
    for each, is_limited in ((128, False), (side, True)):
        write_dataset(scratch / f"train {each}", each)
        found.append(in_process(train_on, scratch / f"train {each}", scratch / f"run {each}", is_limited=is_limited))
    (small_first, small, small_waiting, small_speed, _), (first, most, waiting, speed, is_copied) = found
    reached = most - small <= _MAX_PEAK_OF_TRAINING and waiting < _MAX_WAITING and not is_copied
    return Row(
        f"training on {side}³ from its files",
        "128³ in memory",
        f"{speed:.2f} steps/s, {100 * waiting:.0f} % waiting, {gib(most)}, first step after {first:.0f} s",
        f"{small_speed:.2f} steps/s, {100 * small_waiting:.0f} % waiting, {gib(small)}, after {small_first:.0f} s",
        speed / small_speed,
        f"at most {gib(_MAX_PEAK_OF_TRAINING)} more, waiting below {100 * _MAX_WAITING:.0f} %, no copy",
        reached,
    )


def rows(sides: list[int], in_memory: list[int], exponents: list[int], sparse: int, train: int) -> list[Row]:
    """Measure everything."""
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for side in sides:
            path = Path(scratch, f"{side}.ome.zarr")
            write_volume(path, side)
            seconds, most = in_process(predict_volume, path, Path(scratch, "blocks"), by_blocks=True)
            theirs, ratio = "–", None
            if side in in_memory:
                whole, most_whole = in_process(predict_volume, path, Path(scratch, "memory"), by_blocks=False)
                theirs, ratio = f"{whole:.0f} s, {gib(most_whole)}", whole / seconds
            goal = f"at most {gib(_MAX_PEAK)}, at most {_MAX_RATIO} × the time"
            reached = most <= _MAX_PEAK and (ratio is None or 1 / ratio <= _MAX_RATIO)
            ours = f"{seconds:.0f} s, {gib(most)}"
            found.append(Row(f"{side}³ block by block", "in memory", ours, theirs, ratio, goal, reached))
        if sparse:
            path = Path(scratch, "sparse.ome.zarr")
            write_volume(path, sparse, sparse=True)
            out = Path(scratch, "sparse")
            seconds, most = in_process(predict_volume, path, out, by_blocks=True, skip_empty=True)
            what = f"{sparse}³ of which {min(512, sparse // 8)}³ are not empty, empty ones left out"
            ours = f"{seconds:.0f} s, {gib(most)}"
            found.append(Row(what, "–", ours, "–", None, f"at most {gib(_MAX_PEAK)}", most <= _MAX_PEAK))
        if train:
            found.append(training_row(train, Path(scratch)))
        before = None
        for exponent in exponents:
            folder = Path(scratch, f"joined {exponent}")
            folder.mkdir()
            seconds, most = in_process(join_fragments, 10**exponent, folder)
            ours, theirs = f"{seconds:.1f} s, {gib(most)}", "–" if before is None else f"{before:.1f} s"
            ratio = None if before is None else 10 * before / seconds
            goal, reached = f"linear, at most {gib(_MAX_PEAK_OF_JOINING)}", most <= _MAX_PEAK_OF_JOINING
            found.append(Row(f"joining 10^{exponent} fragments", "a tenth", ours, theirs, ratio, goal, reached))
            before = seconds
    return found


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="*", default=[256, 512, 1024])
    parser.add_argument("--in-memory", type=int, nargs="*", default=[256, 512])
    parser.add_argument("--fragments", type=int, nargs="*", default=[5, 6, 7])
    parser.add_argument("--sparse", type=int, default=1024)
    parser.add_argument("--train", type=int, default=1024)
    arguments = parser.parse_args()
    measured = rows(arguments.sides, arguments.in_memory, arguments.fragments, arguments.sparse, arguments.train)
    sys.stdout.write(table(measured))


if __name__ == "__main__":
    main()
