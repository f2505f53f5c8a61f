"""Train on half of a volume of touching nuclei, test on the other half; compared with a plain MONAI loop.

    python benchmarks/ovule_nuclei.py IMAGE LABELS --minutes 5 --seeds 0 1 2

IMAGE and LABELS are volume files, the labels with an id per object. Slices below ``--train-below`` are for training and
slices from ``--test-from`` on for testing; those in between are not used. Both get the same number of minutes on the
same machine, one after the other: ours with the task *instance*, the other a loop as in MONAI's tutorials (`UNet` with
the same channels, `DiceCELoss`, `RandCropByPosNegLabeld`, flips and rotations, Adam, `sliding_window_inference`), whose
objects are the connected components of its foreground. The table has foreground Dice and object F1 at IoU 0.5 of the
test slices for every seed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from monai.data import CacheDataset, DataLoader
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    NormalizeIntensityd,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandRotate90d,
)
from scipy import ndimage

from napari_unet3d import PredictionConfig, Sample, TrainingConfig, predict, train
from napari_unet3d.data.volumes import read_sample
from napari_unet3d.evaluation.metrics.instances import match_instances

CHANNELS = (32, 64, 128)
PATCH = (48, 64, 64)


@dataclass(frozen=True)
class Outcome:
    """Scores of one training on the test slices."""

    dice: float
    f1: float


def part(sample: Sample, slices: slice) -> Sample:
    """Return some slices (z) of a volume with labels."""
    assert sample.labels is not None
    return Sample(f"{sample.name} {slices.start}", sample.image[slices], sample.labels[slices], sample.voxel_size_um)


def score(ids: np.ndarray, test: Sample) -> Outcome:
    """Score predicted ids against the ground truth, for both in the same way."""
    predicted, target = ids > 0, test.labels > 0
    dice = 2 * np.count_nonzero(predicted & target) / max(1, predicted.sum() + target.sum())
    return Outcome(float(dice), match_instances(ids, test.labels).f1)


def ours(trained_on: Sample, test: Sample, minutes: float, seed: int) -> Outcome:
    """Train with settings that a user would choose for the task instance."""
    settings = TrainingConfig(
        task="instance", preset="small", epochs=1_000_000, max_minutes=minutes, val_fraction=0, seed=seed, **OURS
    )
    with tempfile.TemporaryDirectory() as run:
        for _ in train([trained_on], run, settings):
            pass
        *_, prediction = predict(Path(run) / "last.safetensors", test, PredictionConfig(**OURS_PREDICTION))
    return score(prediction.labels, test)


OURS: dict[str, object] = {"learning_rate": 3e-3, "augmentation": "moderate", "ema_decay": 0.99}
OURS_PREDICTION: dict[str, object] = {"min_volume": 0.5}


def plain_monai(trained_on: Sample, test: Sample, minutes: float, seed: int) -> Outcome:
    """Train for the same number of minutes in a plain loop with MONAI."""
    torch.manual_seed(seed)
    end = time.monotonic() + 60 * minutes
    both = ("image", "label")
    transforms = Compose(
        [
            EnsureChannelFirstd(both, channel_dim="no_channel"),
            NormalizeIntensityd("image"),
            RandCropByPosNegLabeld(both, label_key="label", spatial_size=PATCH, pos=1, neg=1, num_samples=2),
            *(RandFlipd(both, prob=0.5, spatial_axis=axis) for axis in range(3)),
            RandRotate90d(both, prob=0.5, spatial_axes=(1, 2)),
        ]
    )
    transforms.set_random_state(seed)
    volume = {"image": trained_on.image.astype(np.float32), "label": (trained_on.labels > 0).astype(np.float32)}
    loader = DataLoader(CacheDataset([volume], transforms, progress=False), batch_size=1)
    network = UNet(3, 1, 1, channels=CHANNELS, strides=(2,) * (len(CHANNELS) - 1), num_res_units=2)
    optimizer, loss = torch.optim.Adam(network.parameters(), 1e-3), DiceCELoss(sigmoid=True)
    while time.monotonic() < end:
        for batch in loader:
            optimizer.zero_grad()
            loss(network(batch["image"]), batch["label"]).backward()
            optimizer.step()
    network.eval()
    image = torch.from_numpy(test.image.astype(np.float32))[None, None]
    image = (image - image.mean()) / image.std()
    with torch.no_grad():
        logits = sliding_window_inference(image, PATCH, 2, network, overlap=0.5, mode="gaussian")
    ids, _ = ndimage.label(logits[0, 0].numpy() > 0)
    return score(ids, test)


def main() -> None:
    """Run both for every seed and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("image", type=Path)
    arguments.add_argument("labels", type=Path)
    arguments.add_argument("--minutes", type=float, default=5)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments.add_argument("--train-below", type=int, default=50)
    arguments.add_argument("--test-from", type=int, default=56)
    given = arguments.parse_args()
    whole = read_sample(given.image, given.labels)
    trained_on, test = part(whole, slice(0, given.train_below)), part(whole, slice(given.test_from, whole.shape[0]))
    methods: dict[str, Callable[..., Outcome]] = {"plain MONAI": plain_monai, "napari-unet3d": ours}
    print(f"| {given.minutes:g} minutes, CPU {torch.get_num_threads()} threads | seed | Dice | F1 at IoU 0.5 |")
    print("| --- | --- | --- | --- |")
    for name, method in methods.items():
        outcomes = []
        for seed in given.seeds:
            outcomes.append(method(trained_on, test, given.minutes, seed))
            print(f"| {name} | {seed} | {outcomes[-1].dice:.3f} | {outcomes[-1].f1:.3f} |", flush=True)
        mean = Outcome(fmean(each.dice for each in outcomes), fmean(each.f1 for each in outcomes))
        print(f"| {name} | mean | {mean.dice:.3f} | {mean.f1:.3f} |", flush=True)


if __name__ == "__main__":
    main()
