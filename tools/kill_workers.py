"""Kill workers of predictions at random moments, and compare the final files with those of one process.

    python tools/kill_workers.py --kills 5
    python tools/kill_workers.py --kills 5 --cluster   # workers of a Dask cluster on this machine

It makes a model and a volume, predicts them undisturbed in one process, and then with workers, one of which is killed
at each of several random moments. It prints what was killed and ends with 1 if a file differs.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import zarr

from napari_unet3d.configs import PredictionConfig, TrainingConfig
from napari_unet3d.configs.blocks import BlockConfig
from napari_unet3d.configs.workers import WorkersConfig
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.inference.events import BlockDone
from napari_unet3d.inference.predict import predict_files
from napari_unet3d.model.checkpoint import Checkpoint, save_checkpoint
from napari_unet3d.model.network import build_network

_BLOCKS = BlockConfig(block_size=(32, 64, 64))
_CONFIG = PredictionConfig(device="cpu")


def main() -> int:
    """Compare, and return 0 if all files are the same."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=5, help="workers to kill")
    options.add_argument("--workers", type=int, default=2, help="worker processes")
    options.add_argument("--side", type=int, default=192, help="side of the volume in voxels")
    options.add_argument("--seed", type=int, default=0, help="seed of the moments")
    options.add_argument("--cluster", action="store_true", help="use a Dask cluster on this machine")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scan, run = _prepare(folder, chosen.side)
        list(predict_files(run, [scan], folder / "alone.ome.zarr", _CONFIG, blocks=_BLOCKS, probability=True))
        with _workers(chosen.workers, cluster=chosen.cluster) as workers:
            n_killed = _predict_and_kill(run, scan, folder / "killed.ome.zarr", workers, chosen.kills, chosen.seed)
        same = [_is_same(folder, kind) for kind in ("", "_probability")]
    sys.stdout.write(f"{n_killed} workers killed; labels {_word(same[0])}, probability {_word(same[1])}\n")
    return 0 if all(same) and n_killed == chosen.kills else 1


def _word(is_same: bool) -> str:
    return "the same" if is_same else "DIFFERENT"


def _prepare(folder: Path, side: int) -> tuple[Path, Path]:
    config = TrainingConfig(preset="xxsmall", patch=(32, 32, 32))
    save_checkpoint(folder / "run" / "model.safetensors", Checkpoint(config, build_network(config).state_dict(), 1))
    image = np.random.default_rng(0).integers(0, 200, (side,) * 3).astype(np.uint8)
    write_volume(folder / "scan.h5", image, (1.0, 0.5, 0.5))
    return folder / "scan.h5", folder / "run"


@contextmanager
def _workers(n_workers: int, *, cluster: bool) -> Iterator[WorkersConfig]:
    if not cluster:
        yield WorkersConfig(workers=n_workers)
        return
    import dask
    from distributed import LocalCluster

    dask.config.set({"distributed.deploy.lost-worker-timeout": "10 minutes"})  # a busy machine starts one in 20 s
    with LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=":0") as local:
        yield WorkersConfig(scheduler=local.scheduler_address)


def _predict_and_kill(run: Path, scan: Path, out: Path, workers: WorkersConfig, n_kills: int, seed: int) -> int:
    moments, killed, is_over = random.Random(seed), 0, threading.Event()
    has_begun = threading.Event()

    def kill() -> None:
        nonlocal killed
        while killed < n_kills:
            has_begun.wait()  # the same part is given up after three deaths without a block in between
            if is_over.wait(moments.uniform(0, 3)):
                return
            if pids := _worker_ids():
                pid = pids[0]  # the oldest one, as each has to get on between two deaths at the same part
                os.kill(pid, signal.SIGKILL)
                killed += 1
                has_begun.clear()
                sys.stdout.write(f"killed worker {pid}\n")

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for event in predict_files(run, [scan], out, _CONFIG, blocks=_BLOCKS, probability=True, workers=workers):
            if isinstance(event, BlockDone) and event.step == "predicted":
                has_begun.set()
                sys.stdout.write(f"block {event.n_done} of {event.n_total}\n")
    finally:
        is_over.set()
        has_begun.set()
        killer.join()
    return killed


def _worker_ids() -> list[int]:
    """Return the processes that predict, the oldest first; helpers of multiprocessing and Dask's nannies are none."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "spawn_main" in " ".join(process.cmdline()):
                found.append((process.create_time(), process.pid))
        except psutil.Error:
            continue  # it has just ended
    return [pid for _, pid in sorted(found)]


def _is_same(folder: Path, kind: str) -> bool:
    one, other = (zarr.open_group(folder / f"{name}{kind}.ome.zarr", mode="r") for name in ("alone", "killed"))
    return all(np.array_equal(one[level][:], other[level][:]) for level in one.array_keys())


if __name__ == "__main__":
    sys.exit(main())
