from __future__ import annotations

import multiprocessing
from typing import Any

import numpy as np
import pytest
import torch

from napari_unet3d.configs import Augmentation, TrainingConfig
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.training.batches import Batches, make_ready


@pytest.fixture
def volumes() -> list[Sample]:
    """Five volumes of one shape and two of another."""
    shapes = [(8, 10, 12)] * 5 + [(10, 10, 12)] * 2
    return [
        Sample(str(number), np.full(shape, number, np.float32), np.zeros(shape, np.uint8))
        for number, shape in enumerate(shapes)
    ]


def batches_of(volumes: list[Sample], *, shuffle: bool, **values: int) -> Batches:
    config = TrainingConfig(normalisation="none", **values)
    return Batches(volumes, config, Augmentation.NONE, shuffle=shuffle)


def contents(batches: Batches, epoch: int) -> list[list[int]]:
    return [images.flatten(1)[:, 0].int().tolist() for images, _ in batches.epoch(epoch)]


def test_each_volume_comes_once_and_batches_hold_one_shape(volumes: list[Sample]) -> None:
    batches = batches_of(volumes, batch_size=2, shuffle=True)

    drawn = contents(batches, 1)

    assert len(batches) == len(drawn) == 4
    assert sorted(number for batch in drawn for number in batch) == list(range(7))
    assert sorted(map(len, drawn)) == [1, 2, 2, 2]
    assert all(len({number >= 5 for number in batch}) == 1 for batch in drawn)


def test_order_depends_on_seed_and_epoch(volumes: list[Sample]) -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return contents(batches_of(volumes, seed=seed, shuffle=True), epoch)

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_without_shuffling_volumes_come_as_they_are_listed(volumes: list[Sample]) -> None:
    assert contents(batches_of(volumes, shuffle=False), 3) == [[n] for n in range(7)]


def test_a_volume_is_normalised_whole_and_fitted_with_its_labels() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 1000, (7, 9, 12)).astype(np.uint16)
    sample = Sample("a", image, (image > 500).astype(np.int16) * 300)

    volume = make_ready(sample, TrainingConfig(fit="crop"), Augmentation.NONE)

    expected = (image - image.mean()) / image.std()
    assert volume.shape == (6, 8, 12)
    np.testing.assert_allclose(volume.image[0], expected[:6, :8], atol=1e-5)
    np.testing.assert_array_equal(volume.labels[0], image[:6, :8] > 500)
    assert (volume.image.dtype, volume.labels.dtype) == (torch.float32, torch.uint8)


def test_a_resized_volume_has_another_voxel_size() -> None:
    """12 slices of 2 µm, resized to 32, lie 0.75 µm apart, but columns of 16 lie 1 µm apart."""
    ramp = np.arange(12.0, dtype=np.float32)[:, None, None] * np.ones((12, 16, 16), np.float32)
    sample = Sample("a", ramp, np.ones((12, 16, 16), np.uint8), (2.0, 2.0, 2.0))
    volume = make_ready(sample, TrainingConfig(preset="large", fit="resize"), Augmentation.LIGHT)

    assert volume.shape == (32, 32, 32)
    for seed in range(20):
        image, _ = volume.augmenter(volume.image, volume.labels, seed)
        assert (image.amax((2, 3)) - image.amin((2, 3))).max() < 1e-5


def test_labels_are_asked_for() -> None:
    with pytest.raises(UserError, match="'a' has no labels"):
        make_ready(Sample("a", np.zeros((8, 8, 8))), TrainingConfig(), Augmentation.NONE)


def test_worker_processes_load_the_same_batches(sample_of: Any) -> None:
    samples = [sample_of(str(number), number, (8, 10, 12)) for number in range(3)]
    alone, helped = (
        Batches(samples, config, Augmentation.MODERATE, shuffle=True)
        for config in (TrainingConfig(batch_size=2, workers=workers) for workers in (0, 1))
    )

    expected = list(alone.epoch(2))
    events = helped.epoch(2)
    found = [next(events)]
    assert len(multiprocessing.active_children()) == 1
    found += events

    for (image, labels), (same_image, same_labels) in zip(expected, found, strict=True):
        assert torch.equal(image, same_image)
        assert torch.equal(labels, same_labels)


def test_part_that_is_foreground(sample_of: Any) -> None:
    samples = [sample_of("a", 1, (12, 14, 16)), sample_of("b", 2, (16, 18, 20))]
    n_foreground = sum(np.count_nonzero(sample.labels) for sample in samples)

    batches = Batches(samples, TrainingConfig(), Augmentation.NONE, shuffle=True)

    assert batches.foreground_fraction == n_foreground / (12 * 14 * 16 + 16 * 18 * 20)
