"""Compare what may help with tiny objects, which are less than 0.1 % of the voxels: test Dice of several settings.

    python benchmarks/rare_objects.py --seeds 0 1

Each network trains on two generated volumes with five blurred dots each, in noise, and is tested on another one. The
settings differ from the defaults by one thing each. *Check* may only advise what is better here with every seed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import ndimage

from napari_unet3d import Sample, TrainingConfig, predict, train

N_DOTS = 5
WAYS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "class weighting auto": {"class_weighting": "auto"},
    "foreground fraction 0.9": {"foreground_fraction": 0.9},
    "loss bce": {"loss": "bce"},
    "loss dice": {"loss": "dice"},
    "loss focal": {"loss": "focal"},
    "loss focal, class weighting auto": {"loss": "focal", "class_weighting": "auto"},
    "twice the epochs": {"epochs": 2},
}


def volume(edge: int, contrast: float, seed: int) -> Sample:
    """Generate a volume of blurred dots in noise with a standard deviation of 10."""
    random = np.random.default_rng(seed)
    centres = random.integers(4, edge - 4, (N_DOTS, 3))
    radii = random.uniform(1.4, 2.2, N_DOTS)
    grid = np.indices((edge,) * 3).transpose(1, 2, 3, 0)
    inside = [np.linalg.norm(grid - centre, axis=-1) <= radius for centre, radius in zip(centres, radii, strict=True)]
    labels = np.any(inside, axis=0).astype(np.uint8)
    image = ndimage.gaussian_filter(labels * contrast, 0.7) + random.normal(50, 10, labels.shape)
    return Sample(f"dots {seed}", image.clip(0, 255).astype(np.uint8), labels)


def dice(config: TrainingConfig, training: list[Sample], test: Sample) -> float:
    """Train without validation and return the Dice on a test volume."""
    with tempfile.TemporaryDirectory() as run:
        for _ in train(training, run, config):
            pass
        *_, prediction = predict(f"{run}/last.safetensors", test)
    predicted, target = prediction.labels > 0, test.labels > 0
    return float(2 * np.count_nonzero(predicted & target) / max(1, predicted.sum() + target.sum()))


def rows(edge: int, contrast: float, epochs: int, seeds: list[int], task: str) -> Iterator[str]:
    """Yield the lines of the table as they are measured."""
    yield f"| {edge}³, contrast {contrast:g}, {epochs} epochs | {' | '.join(f'seed {seed}' for seed in seeds)} |"
    yield f"| --- |{' --- |' * len(seeds)}"
    volumes = {seed: [volume(edge, contrast, 3 * seed + number) for number in range(3)] for seed in seeds}
    part = np.mean([sample.labels.mean() for each in volumes.values() for sample in each])
    yield f"| foreground | {part:.2%} |{' |' * (len(seeds) - 1)}"
    for name, changes in WAYS.items():
        factor = changes.get("epochs", 1)
        results = []
        for seed, (*training, test) in volumes.items():
            config = TrainingConfig(
                **{"preset": "xxsmall", "patch": (32,) * 3, "val_fraction": 0, "task": task}
                | {"device": "cpu", "seed": seed, **changes, "epochs": factor * epochs}
            )
            results.append(f"{dice(config, training, test):.3f}")
        yield f"| {name} | {' | '.join(results)} |"


def main() -> None:
    """Print a table with a row per setting."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--edge", type=int, default=64)
    arguments.add_argument("--contrast", type=float, nargs="+", default=[60.0, 30.0])
    arguments.add_argument("--epochs", type=int, default=30)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    arguments.add_argument("--task", choices=["binary", "semantic"], default="binary")
    given = arguments.parse_args()
    for contrast in given.contrast:
        for row in rows(given.edge, contrast, given.epochs, given.seeds, given.task):
            print(row, flush=True)


if __name__ == "__main__":
    main()
