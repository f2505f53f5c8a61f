"""Samples for *File ▸ Open Sample*: small synthetic volumes with their exact labels."""

from __future__ import annotations

from typing import Any

from napari_unet3d.configs import Difficulty, SyntheticConfig
from napari_unet3d.data.events import VolumeGenerated

_SIZE: dict[str, Any] = {
    "shape": (64, 64, 64),
    "object_shape_min": (14, 14, 14),
    "object_shape_max": (20, 20, 20),
    "voxel_size_um": (0.5, 0.5, 0.5),
    "noise_scale": (0.08, 0.16),
}

LayerData = tuple[Any, dict[str, Any], str]


def synthetic_blobs() -> list[LayerData]:
    """Return clean blobs, 64³ voxels of 0.5 µm: an image and its labels."""
    return _layers("Synthetic blobs", SyntheticConfig(objects=30, **_SIZE))


def synthetic_noisy_blobs() -> list[LayerData]:
    """Return noisy, blurred blobs that nearly touch, 64³ voxels of 0.5 µm: an image and its labels."""
    return _layers("Synthetic noisy blobs", SyntheticConfig(objects=30, difficulty=Difficulty.HARD, **_SIZE))


def _layers(name: str, config: SyntheticConfig) -> list[LayerData]:
    from napari_unet3d.data.synthetic.generate import generate_volume

    volume = next(event for event in generate_volume(config, name=name) if isinstance(event, VolumeGenerated))
    sample = volume.sample
    place = {"scale": sample.spacing, "units": ("um", "um", "um"), "axis_labels": ("z", "y", "x")}
    return [
        (sample.image, {"name": name, **place}, "image"),
        (sample.labels, {"name": f"{name} labels", **place}, "labels"),
    ]
