from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from box_samples import make_sample

from napari_unet3d.configs import Augmentation, Normalisation, Task, TrainingConfig
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import Split
from napari_unet3d.model.network import training_memory
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.loading.batches import Batches
from napari_unet3d.training.loading.gpu_cache import bytes_for_volumes, bytes_of, cache_on_gpu, fits_on_gpu
from napari_unet3d.training.loading.validation import Validation
from napari_unet3d.training.loading.volumes import PreparedVolume, prepare_volume
from napari_unet3d.training.prepare import make_training_data

CPU, META, CUDA = map(torch.device, ("cpu", "meta", "cuda"))
SHAPE = (9, 10, 13)
PLAN = Plan(strides=((2, 2, 2),), patch_zyx=(4, 6, 8), batch_size=2)


def ready_volumes(plan: Plan = PLAN, **settings: Any) -> tuple[list[PreparedVolume], TrainingConfig]:
    config = TrainingConfig(augmentation="moderate", **settings)
    return [prepare_volume(make_sample(str(seed), seed), config, plan) for seed in range(3)], config


@pytest.mark.parametrize("method", Normalisation)
@pytest.mark.parametrize(
    "dtype", ["?", "u1", "i1", "u2", ">u2", "i2", "u4", "i4", ">i4", "i8", "f2", "f4", ">f4", "f8"]
)
def test_parts_are_the_same_to_the_last_bit(dtype: str, method: Normalisation) -> None:
    noise = np.random.default_rng(0).normal(60, 20, SHAPE)
    image = (noise > 60 if dtype == "?" else noise.clip(0, 120)).astype(dtype)
    sample = Sample("a", image, (noise > 70).astype(np.uint8))
    volume = prepare_volume(sample, TrainingConfig(normalisation=method), PLAN)
    (settled,) = cache_on_gpu([volume], CPU)

    for mine, own in zip(settled.crop((1, 2, 3), (4, 6, 8)), volume.crop((1, 2, 3), (4, 6, 8)), strict=True):
        assert torch.equal(mine, own)
        assert (mine.dtype, mine.shape) == (own.dtype, own.shape)


def test_batches_and_validation_are_the_same() -> None:
    volumes, config = ready_volumes()
    settled = cache_on_gpu(volumes, CPU)

    for mine, own in zip(Batches(settled, config, PLAN).epoch(2), Batches(volumes, config, PLAN).epoch(2), strict=True):
        assert all(map(torch.equal, mine, own))
    validations = (Validation(some, PLAN, config.augmentation) for some in (settled, volumes))
    for mine_batches, own_batches in zip(*validations, strict=True):
        for mine_batch, own_batch in zip(mine_batches, own_batches, strict=True):
            assert torch.equal(mine_batch.images, own_batch.images)
            assert torch.equal(mine_batch.targets, own_batch.targets)


def test_what_is_done_to_a_part_does_not_reach_the_volume() -> None:
    volumes, _ = ready_volumes(normalisation="none")
    (settled,) = cache_on_gpu(volumes[:1], CPU)
    before = settled.crop((0, 0, 0), (4, 6, 8))

    for tensor in settled.crop((0, 0, 0), (4, 6, 8)):
        tensor.fill_(7)

    assert all(map(torch.equal, settled.crop((0, 0, 0), (4, 6, 8)), before))


def test_all_of_a_batch_is_made_on_the_device() -> None:
    """A meta tensor has no values: whatever were computed elsewhere could not go into the batch."""
    volumes, config = ready_volumes(
        Plan(task=Task.INSTANCE, strides=((2, 2, 2),), patch_zyx=(4, 6, 8)), task="instance"
    )

    for batch in Batches(
        cache_on_gpu(volumes, META), config.model_copy(update={"augmentation": Augmentation.LIGHT}), PLAN
    ).epoch(1):
        assert [tensor.device for tensor in batch] == [META, META]


def test_volumes_may_take_half_of_what_the_largest_step_leaves() -> None:
    volumes, config = ready_volumes()
    needed = training_memory(config, PLAN, (4, 6, 8))

    assert bytes_for_volumes(needed + 1000, volumes, config, PLAN) == 500
    assert bytes_for_volumes(needed - 1, volumes, config, PLAN) == 0
    whole = PLAN.model_copy(update={"patch_zyx": None})
    largest = max(training_memory(config, whole, volume.shape) for volume in volumes)
    assert bytes_for_volumes(largest + 1000, volumes, config, whole) == 500


def test_bytes_are_those_of_images_and_all_channels_of_targets() -> None:
    volumes, _ = ready_volumes(Plan(task=Task.INSTANCE, strides=((2, 2, 2),), patch_zyx=(4, 6, 8)), task="instance")

    assert bytes_of(volumes) == sum(4 * volume.image.size for volume in volumes)  # one byte each, three channels


@pytest.mark.parametrize(("device", "workers"), [(CPU, 0), (torch.device("mps"), 0), (CUDA, 2)])
def test_volumes_stay_where_nothing_is_gained(device: torch.device, workers: int) -> None:
    volumes, config = ready_volumes(num_workers=workers)
    assert not fits_on_gpu(volumes, config, PLAN, device)


def test_when_memory_runs_out_volumes_leave_the_device_before_steps_see_less() -> None:
    config = TrainingConfig(normalisation="none")
    split = Split((make_sample("a", 0), make_sample("b", 1)), (make_sample("c", 2),))
    work = make_training_data(split, config, PLAN, CPU)
    volumes = [prepare_volume(sample, config, PLAN) for sample in split.train]
    on_device = replace(work, training=Batches(cache_on_gpu(volumes, META), config, PLAN))

    at_home = on_device.with_less_memory()
    smaller = at_home.with_less_memory()

    assert (at_home.plan, at_home.training.device, len(at_home.training)) == (PLAN, CPU, len(on_device.training))
    assert prod(smaller.plan.patch_zyx) * smaller.plan.batch_size < prod(PLAN.patch_zyx) * PLAN.batch_size
