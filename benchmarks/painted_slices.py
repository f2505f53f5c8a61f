"""Compare training on nine painted slices with training on full labels: test Dice of both on synthetic volumes.

    python benchmarks/painted_slices.py --seeds 0 1 2

In one volume, three slices per axis are painted as a person would do it: 1 for background, 2 for objects, 0 elsewhere.
A network trains on them with ``ignore_label=0``, and another one with the same settings on the full labels
of the same volume. Both are tested on another volume.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_unet3d import Sample, SyntheticConfig, TrainingConfig, generate_volume, predict, train


def volume(edge: int, difficulty: str, seed: int) -> Sample:
    """Generate one volume with foreground labels."""
    n_objects = {"easy": 20, "medium": 50, "hard": 100}[difficulty] * edge**3 // 128**3
    settings = SyntheticConfig(
        difficulty=difficulty, shape=(edge,) * 3, objects=max(4, n_objects), label_kind="foreground", seed=seed
    )
    *_, event = generate_volume(settings)
    return event.sample


def painted(sample: Sample) -> Sample:
    """Keep the labels of three slices per axis."""
    labels = np.zeros(sample.shape, np.uint8)
    for axis, side in enumerate(sample.shape):
        for part in (0.25, 0.5, 0.75):
            plane = (slice(None),) * axis + (round(part * side),)
            labels[plane] = 1 + (sample.labels[plane] > 0)
    return replace(sample, labels=labels)


def dice_on(trained_on: Sample, test: Sample, epochs: int, seed: int, ignore_label: int | None) -> float:
    """Train on one volume without validation and return the Dice on another one."""
    settings = TrainingConfig(preset="xsmall", epochs=epochs, val_fraction=0, ignore_label=ignore_label, seed=seed)
    with tempfile.TemporaryDirectory() as run:
        for _ in train([trained_on], run, settings):
            pass
        *_, prediction = predict(Path(run) / "last.safetensors", test)
    predicted, target = prediction.labels > 0, test.labels > 0
    return float(2 * np.count_nonzero(predicted & target) / (predicted.sum() + target.sum()))


def rows(edge: int, difficulty: str, epochs: int, seeds: list[int]) -> Iterator[str]:
    """Yield the lines of the table as they are measured."""
    yield f"| {difficulty} {edge}³, {epochs} epochs | painted | full labels | nine slices | ratio |"
    yield "| --- | --- | --- | --- | --- |"
    for seed in seeds:
        full, test = volume(edge, difficulty, 2 * seed), volume(edge, difficulty, 2 * seed + 1)
        sparse = painted(full)
        of_full = dice_on(full, test, epochs, seed, None)
        of_sparse = dice_on(sparse, test, epochs, seed, 0)
        fraction = np.count_nonzero(sparse.labels) / sparse.labels.size
        yield f"| seed {seed} | {fraction:.1%} | {of_full:.4f} | {of_sparse:.4f} | {of_sparse / of_full:.3f} |"


def main() -> None:
    """Print a table with a row per seed."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--edge", type=int, default=128)
    arguments.add_argument("--difficulty", choices=["easy", "medium", "hard"], default="medium")
    arguments.add_argument("--epochs", type=int, default=30)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = arguments.parse_args()
    for row in rows(given.edge, given.difficulty, given.epochs, given.seeds):
        print(row, flush=True)


if __name__ == "__main__":
    main()
