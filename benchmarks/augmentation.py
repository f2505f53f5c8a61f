"""Time the augmentation of patches on the CPU: MONAI's dictionary transforms and ours, interleaved.

Run it on a quiet machine: ``python benchmarks/augmentation.py [--sides 64 96 128] [--repeats 5]``.

Both augment an image and its targets at the same levels: the same transforms with the same probabilities and ranges,
with new random parameters each time, so the time is that of an average patch. A row is one patch.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Hashable, Sequence
from itertools import count

import torch
from monai.transforms.compose import Compose
from monai.transforms.intensity.dictionary import RandAdjustContrastd, RandGaussianSmoothd
from monai.transforms.spatial.dictionary import RandAffined, RandFlipd, RandRotate90d
from table import Row, in_turns, ratio, spread, table

from napari_unet3d.configs import Augmentation
from napari_unet3d.transforms.augment import STRENGTHS, Augmenter

_PATCHES = 24  # per measurement
_BOTH = ("image", "labels")
Augment = Callable[[torch.Tensor, torch.Tensor, int], object]


def monai(level: Augmentation, side: int) -> Augment:
    """Return MONAI's augmentation for cubes with isotropic voxels."""
    transforms: list[object] = [
        RandRotate90d(_BOTH, prob=0.75, max_k=3, spatial_axes=plane) for plane in ((0, 1), (0, 2), (1, 2))
    ]
    transforms += [RandFlipd(_BOTH, prob=0.5, spatial_axis=axis) for axis in range(3)]
    if level is not Augmentation.LIGHT:
        strength = STRENGTHS[level]
        blur = (0.0, strength.blur_voxels)
        transforms += [
            RandAffined(
                _BOTH,
                prob=strength.probability,
                rotate_range=[math.radians(strength.rotation_degrees)] * 3,
                shear_range=[strength.shear] * 6,
                translate_range=[strength.translation * side] * 3,
                scale_range=[strength.scale] * 3,
                mode=("bilinear", "nearest"),
                padding_mode="reflection",
            ),
            RandGaussianSmoothd("image", sigma_x=blur, sigma_y=blur, sigma_z=blur, prob=strength.probability / 2),
            RandAdjustContrastd("image", gamma=strength.gamma, prob=strength.probability / 2),
        ]
    compose = Compose(transforms)

    def augment(image: torch.Tensor, labels: torch.Tensor, seed: int) -> object:
        compose.set_random_state(seed=seed)
        both: dict[Hashable, torch.Tensor] = {"image": image, "labels": labels}
        return compose(both)

    return augment


def rows(sides: Sequence[int] = (64, 96, 128), repeats: int = 5) -> list[Row]:
    """Measure each level on cubes of each side."""
    found = []
    for side in sides:
        image = torch.randn(1, *(side,) * 3, generator=torch.Generator().manual_seed(0))
        labels = (image > 1).to(torch.uint8)
        for level in (Augmentation.LIGHT, Augmentation.MODERATE, Augmentation.HEAVY):
            ours = Augmenter(level, (1.0, 1.0, 1.0), (side,) * 3)
            ways = {
                name: _patches(augment, image, labels)
                for name, augment in {"MONAI": monai(level, side), "ours": ours}.items()
            }
            seconds = in_turns(ways, repeats)
            mine, theirs = (spread(seconds[name], 1e3 / _PATCHES, "ms") for name in ("ours", "MONAI"))
            what = f"augment 1 × {side}³, {level}"
            found.append(Row(what, "MONAI's transforms", mine, theirs, ratio(seconds["MONAI"], seconds["ours"])))
    return found


def _patches(augment: Augment, image: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    """Return a function that augments some patches, with new seeds in every call."""
    seeds = count()

    def some() -> None:
        for _ in range(_PATCHES):
            augment(image, labels, next(seeds))

    return some


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 96, 128])
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    sys.stdout.write(table(rows(given.sides, given.repeats)))


if __name__ == "__main__":
    main()
