"""Measure the cost of snapshots: the same run with and without them, alternating.

Run it on a quiet machine: ``python benchmarks/snapshots.py [--side 64] [--epochs 6] [--repeats 3]``.

Both runs train on four volumes of the same size, validate on one after each epoch, and make the same steps. The cost is
the relative difference of the median time of an epoch, with its validation and its files; without a GPU it is processor
time, which other programs affect least. Snapshots are cheap because they need no computation of their own: they
compress the labels that validation has computed anyway.

Measured on 2 cores kept busy by other programs, one thread, 5 volumes of 64³: 740 ms of processor time per epoch with
snapshots and 749 ms without, which is within noise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import torch
from table import ratio, spread

from napari_unet3d.configs import Device, Difficulty, SyntheticConfig, TrainingConfig
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.synthetic.generate import generate_volume
from napari_unet3d.training.events import EpochFinished
from napari_unet3d.training.loop import train

_SEED = 0
_now = time.perf_counter if torch.cuda.is_available() else time.process_time


def seconds_per_epoch(samples: list[Sample], n_epochs: int, *, snapshots: bool) -> list[float]:
    """Train and return the time of each epoch except the first, which warms up and writes the volumes."""
    config = TrainingConfig(epochs=n_epochs, save_snapshots=snapshots, seed=_SEED, device=Device.AUTO, val_fraction=0.2)
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for event in train(samples, Path(folder), config):
            if isinstance(event, EpochFinished):  # the snapshot of the epoch has been written by now
                ends.append(_now())
    return [end - began for began, end in pairwise(ends)]


def main() -> None:
    """Print medians and relative cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    side = given.side
    volume = SyntheticConfig(difficulty=Difficulty.MEDIUM, shape=(side, side, side), objects=max(4, side**3 // 40_000))
    samples = []
    for seed in range(5):
        *_, generated = generate_volume(volume.model_copy(update={"seed": seed}), name=str(seed))
        samples.append(generated.sample)
    times: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(given.repeats):
        for snapshots in times:
            times[snapshots] += seconds_per_epoch(samples, given.epochs, snapshots=snapshots)
    with_them, without = (spread(times[snapshots], 1e3, "ms") for snapshots in (True, False))
    sys.stdout.write(
        f"5 volumes of {side}³, {len(times[True])} epochs each: {with_them} with snapshots, {without} without, "
        f"cost {ratio(times[True], times[False]) - 1:+.1%}\n"
    )


if __name__ == "__main__":
    main()
