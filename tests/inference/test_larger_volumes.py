"""A network that was trained on whole volumes sees another amount of foreground in volumes of another size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from napari_unet3d.configs import PredictionConfig, TrainingConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.inference.predict import predict
from napari_unet3d.model.checkpoint import Checkpoint, load_checkpoint
from napari_unet3d.training.loop import train


def notices(model: Checkpoint, sample: Sample) -> list[str]:
    return [event.message for event in predict(model, sample, PredictionConfig(device="cpu")) if type(event) is Notice]


def trained_on(model: Checkpoint, **plan: object) -> Checkpoint:
    return replace(model, plan=model.plan.model_copy(update=plan))


@pytest.mark.parametrize("shape", [(16, 24, 80), (12, 24, 40), (20, 30, 51)])
def test_volumes_of_another_size_are_said(
    shape: tuple[int, int, int], untrained: Callable[..., Checkpoint], textured: Callable[..., Sample]
) -> None:
    model, sample = trained_on(untrained(patch="whole"), volume_zyx=(16, 24, 40)), textured(shape=shape)
    (notice,) = notices(model, sample)
    sides = " × ".join(map(str, shape))
    assert notice.startswith(f"'textured' has {sides} voxels, but the network was trained on whole volumes of 16 × 24")
    assert notice.endswith("add volumes of this kind to them.")


@pytest.mark.parametrize("shape", [(16, 24, 40), (14, 24, 32), (16, 30, 48)])
def test_volumes_of_about_the_same_size_are_not(
    shape: tuple[int, int, int], untrained: Callable[..., Checkpoint], textured: Callable[..., Sample]
) -> None:
    assert notices(trained_on(untrained(patch="whole"), volume_zyx=(16, 24, 40)), textured(shape=shape)) == []


def test_patches_and_resampling(untrained: Callable[..., Checkpoint], textured: Callable[..., Sample]) -> None:
    model, sample = untrained(patch="whole"), textured(shape=(16, 48, 80))
    assert notices(trained_on(model, volume_zyx=(16, 24, 40), patch_zyx=(8, 8, 8)), sample) == []
    coarse = trained_on(model, volume_zyx=(16, 24, 40), spacing_um=(2.0, 1.0, 2.0))
    assert notices(coarse, sample) == []  # which has 16 × 24 × 40 voxels of that size


def test_training_on_whole_volumes_notes_their_size(textured: Callable[..., Sample], tmp_path) -> None:
    volumes = [textured("a", (9, 12, 14)), textured("b", (8, 15, 14))]
    for patch, expected in (("whole", (9, 16, 14)), ((8, 8, 8), None)):
        config = TrainingConfig(patch=patch, epochs=1, steps_per_epoch=1, device="cpu", val_fraction=0)
        list(train(volumes, tmp_path / str(expected), config))
        assert load_checkpoint(tmp_path / str(expected)).plan.volume_zyx == expected
