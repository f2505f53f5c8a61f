"""Measure what watching a run costs: the same run with and without, one after the other, again and again.

Run it on a quiet machine: ``python benchmarks/watching.py [--side 64] [--epochs 6] [--repeats 3]``.

Both runs train on four volumes of one side and validate on one after each epoch, and both make the same steps. The
share is the difference of the medians in the time of an epoch, with its validation and its files; without a GPU it is
the time of the processor, which other programs disturb least. Watching is cheap because it computes nothing of its own:
it packs the labels of the answers that validation has made anyway.

Measured on 2 cores that other programs kept busy, one thread, 5 volumes of 64³: 740 ms of processor time per epoch with
and 749 ms without, no difference that could be told from noise.
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


def seconds_per_epoch(samples: list[Sample], n_epochs: int, *, watch: bool) -> list[float]:
    """Train and give the time of each epoch but the first, which warms up and writes the volumes."""
    config = TrainingConfig(epochs=n_epochs, save_snapshots=watch, seed=_SEED, device=Device.AUTO, val_fraction=0.2)
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for event in train(samples, Path(folder), config):
            if isinstance(event, EpochFinished):  # what is kept of an epoch is written before
                ends.append(_now())
    return [end - began for began, end in pairwise(ends)]


def main() -> None:
    """Print medians and share."""
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
        for watch in times:
            times[watch] += seconds_per_epoch(samples, given.epochs, watch=watch)
    watched, alone = (spread(times[watch], 1e3, "ms") for watch in (True, False))
    sys.stdout.write(
        f"5 volumes of {side}³, {len(times[True])} epochs each: {watched} watched, {alone} alone, "
        f"share {ratio(times[True], times[False]) - 1:+.1%}\n"
    )


if __name__ == "__main__":
    main()
