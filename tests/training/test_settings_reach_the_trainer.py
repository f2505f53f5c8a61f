"""Each setting of a training run must change the run; one that is shown and ignored is a lie to the user."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from box_samples import make_sample

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.geometry import UNKNOWN
from napari_unet3d.errors import UserError
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.training.loop import train

# For each field: another value, and what must be set besides for it to matter.
CHANGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "architecture": ("dynunet", {}),
    "preset": ("xsmall", {}),
    "epochs": (3, {}),
    "learning_rate": (2e-2, {}),
    "loss": ("focal", {}),
    "augmentation": ("heavy", {}),
    "batch_size": (2, {}),
    "val_fraction": (0.5, {}),
    "seed": (1, {}),
    "device": ("cuda", {}),
    "dropout": (0.3, {}),
    "kernel_size": (5, {}),
    "up_kernel_size": (5, {}),
    "activation": ("relu", {}),
    "bias": (False, {}),
    "adn_order": ("AND", {}),
    "normalisation": ("percentile", {}),
    "channels": (("2",), {"n_channels": 2}),
    "channel_dropout": (0.5, {"n_channels": 2}),
    "percentiles": ((5.0, 95.0), {"normalisation": "percentile"}),
    "val_volumes": (("3",), {}),
    "best_metric": ("f1", {"task": "instance"}),
    "voxel_size": ((8.0, 1.0, 1.0), {"is_sized": False}),
    "resize_mode": ("crop", {"preset": "small"}),
    "val_augmentation": ("heavy", {"seed": 1}),  # seed 0 happens to draw no change at all
    "shuffle": (False, {}),
    "optimizer": ("adamw", {}),
    "task": ("instance", {}),
    "ignore_label": (0, {}),
    "patch": ((8, 8, 8), {}),
    "foreground_fraction": (0.0, {"patch": 8}),
    "steps_per_epoch": (2, {}),
    "spacing": ((2.0, 2.0, 2.0), {}),
    "class_names": (("a", "b"), {"task": "semantic"}),
    "class_weighting": ("auto", {}),
    "class_weights": ((1.0, 2.0, 3.0), {"task": "semantic"}),
    "max_grad_norm": (0.001, {}),
    "ema_decay": (0.9, {}),
    "patience": (1, {"epochs": 5, "learning_rate": 3.0, "optimizer": "rmsprop"}),  # the second epoch is worse
    "max_minutes": (1e-4, {"epochs": 30}),
    "lr_schedule": ("cosine", {}),
    "weight_decay": (0.1, {}),
    "momentum": (0.9, {"optimizer": "sgd"}),
    "validate_every": (2, {}),
    "precision": ("bf16", {}),
}
BASE = {"epochs": 2, "device": "cpu", "val_fraction": 0.25}


@cache
def outcome(n_channels: int = 1, *, is_sized: bool = True, **changes: Any) -> tuple[Any, ...] | str:
    """Losses and weights of a short run, or the message that refuses it."""
    samples = [make_sample(str(number), number) for number in range(4)]
    if not is_sized:
        samples = [each.at(UNKNOWN) for each in samples]
    if n_channels > 1:
        samples = [replace(each, image=np.stack([each.image, each.image.max() - each.image])) for each in samples]
    try:
        with TemporaryDirectory() as folder:
            list(train(samples, Path(folder), TrainingConfig(**{**BASE, **changes})))
            last = load_checkpoint(Path(folder) / "last.safetensors")
    except UserError as error:
        return str(error)
    return last.history, last.plan, {name: weights.numpy().tobytes() for name, weights in last.weights.items()}


def test_every_field_is_tried() -> None:
    of_series = {"fourth_axis", "split_time_points"}  # tried in tests/data/test_series.py
    others = {"num_workers", "save_snapshots", "checkpoint_minutes", "track", *of_series}
    assert set(CHANGES) | others == set(TrainingConfig.model_fields)


@pytest.mark.parametrize("field", list(CHANGES))
def test_changing_a_setting_changes_the_run(field: str) -> None:
    value, besides = CHANGES[field]

    assert outcome(**{field: value}, **besides) != outcome(**besides)


def test_a_setting_that_is_not_changed_changes_nothing() -> None:
    assert outcome() == outcome.__wrapped__()
