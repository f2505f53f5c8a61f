"""A network that was trained on whole volumes sees parts of their size in larger ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from napari_unet3d.configs import PredictionConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.inference.predict import predict
from napari_unet3d.model.checkpoint import Checkpoint

CPU = PredictionConfig(device="cpu", overlap=0)


def trained_on(model: Checkpoint, volume: tuple[int, int, int] | None) -> Checkpoint:
    return replace(model, plan=model.plan.model_copy(update={"volume_zyx": volume}))


def test_a_larger_volume_is_predicted_in_tiles_of_the_size_of_training(
    untrained: Callable[..., Checkpoint], textured: Callable[..., Sample]
) -> None:
    model, sample = untrained(patch="whole"), textured(shape=(16, 24, 40))
    *events, tiled = predict(trained_on(model, (16, 12, 20)), sample, CPU)
    (notice,) = [event.message for event in events if isinstance(event, Notice)]
    assert notice == (
        "'textured' has 16 × 24 × 40 voxels, more than the whole volumes that the network was trained on. It is "
        "predicted in overlapping tiles of 16 × 12 × 20 voxels, as large as those."
    )
    *_, by_patches = predict(
        replace(model, plan=model.plan.model_copy(update={"patch_zyx": (16, 12, 20)})), sample, CPU
    )
    np.testing.assert_array_equal(tiled.probability, by_patches.probability)
    *_, whole = predict(trained_on(model, None), sample, CPU)
    assert np.abs(tiled.probability - whole.probability).max() > 1e-4


@pytest.mark.parametrize("shape", [(16, 24, 40), (16, 24, 32), (8, 24, 40), (16, 30, 48)])
def test_volumes_of_about_the_size_of_training_are_predicted_whole(
    shape: tuple[int, int, int], untrained: Callable[..., Checkpoint], textured: Callable[..., Sample]
) -> None:
    model, sample = untrained(patch="whole"), textured(shape=shape)
    *events, found = predict(trained_on(model, (16, 24, 40)), sample, CPU)
    assert not any(isinstance(event, Notice) for event in events)
    *_, whole = predict(trained_on(model, None), sample, CPU)
    np.testing.assert_array_equal(found.probability, whole.probability)
