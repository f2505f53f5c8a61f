from __future__ import annotations

import multiprocessing
import os
from typing import Any

import numpy as np
import pytest
import torch

from napari_unet3d.configs import Augmentation, Task, TrainingConfig
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.model.network import default_plan
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.training.loading.batches import Batches
from napari_unet3d.training.loading.volumes import prepare_volume

PATCH = (6, 8, 10)


@pytest.fixture
def samples() -> list[Sample]:
    """Five volumes of one shape and two of another."""
    shapes = [(8, 10, 12)] * 5 + [(10, 10, 12)] * 2
    return [
        Sample(str(number), np.full(shape, number, np.float32), np.zeros(shape, np.uint8))
        for number, shape in enumerate(shapes)
    ]


def batches_of(samples: list[Sample], plan: Plan | None = None, n_steps: int = 0, **values: Any) -> Batches:
    config = TrainingConfig(**{"normalisation": "none", "augmentation": "none", **values})
    plan = plan or default_plan(config)
    return Batches([prepare_volume(sample, config, plan) for sample in samples], config, plan, n_steps)


def patch_plan(batch_size: int = 2, **values: Any) -> Plan:
    return Plan(strides=((2, 2, 2),), patch_zyx=PATCH, batch_size=batch_size, **values)


def contents(batches: Batches, epoch: int) -> list[list[int]]:
    return [images.flatten(1)[:, 0].int().tolist() for images, _ in batches.epoch(epoch)]


class TestWholeVolumes:
    def test_each_comes_once_and_batches_hold_one_shape(self, samples: list[Sample]) -> None:
        batches = batches_of(samples, batch_size=2)

        drawn = contents(batches, 1)

        assert len(batches) == len(drawn) == 4
        assert sorted(number for batch in drawn for number in batch) == list(range(7))
        assert sorted(map(len, drawn)) == [1, 2, 2, 2]
        assert all(len({number >= 5 for number in batch}) == 1 for batch in drawn)

    def test_order_depends_on_seed_and_epoch(self, samples: list[Sample]) -> None:
        def order(seed: int, epoch: int) -> list[list[int]]:
            return contents(batches_of(samples, seed=seed), epoch)

        assert order(0, 1) == order(0, 1)
        assert order(0, 1) != order(0, 2)
        assert order(0, 1) != order(1, 1)

    def test_without_shuffling_they_come_as_they_are_listed(self, samples: list[Sample]) -> None:
        assert contents(batches_of(samples, shuffle=False), 3) == [[n] for n in range(7)]

    def test_more_steps_than_volumes_go_through_them_again_in_another_order(self, samples: list[Sample]) -> None:
        drawn = [number for [number] in contents(batches_of(samples, steps_per_epoch=16), 1)]

        assert len(drawn) == 16
        assert sorted(drawn[:7]) == sorted(drawn[7:14]) == list(range(7))
        assert drawn[:7] != drawn[7:14]

    def test_an_epoch_can_go_on_at_any_step(self, samples: list[Sample]) -> None:
        batches = batches_of(samples)
        whole = contents(batches, 2)

        assert [images.flatten(1)[:, 0].int().tolist() for images, _ in batches.epoch(2, first_step=4)] == whole[3:]


class TestPatches:
    def test_same_seed_epoch_and_step_give_the_same_patches(self, sample_of: Any) -> None:
        samples = [sample_of(str(number), number) for number in range(2)]

        def images(seed: int, epoch: int, first_step: int = 1) -> list[torch.Tensor]:
            batches = batches_of(samples, patch_plan(), seed=seed, augmentation="light")
            return [image for image, _ in batches.epoch(epoch, first_step)]

        once, again, later, other = images(0, 1), images(0, 1), images(0, 1, first_step=5), images(1, 1)

        assert once[0].shape == (2, 1, *PATCH)
        assert all(map(torch.equal, once, again))
        assert all(map(torch.equal, once[4:], later))
        assert not torch.equal(once[0], other[0])
        assert not torch.equal(once[0], images(0, 2)[0])

    def test_an_epoch_sees_about_as_many_voxels_as_there_are(self, samples: list[Sample]) -> None:
        large = [Sample("a", np.zeros((30, 40, 50)), np.ones((30, 40, 50), np.uint8))]

        assert len(batches_of(large, patch_plan())) == round(30 * 40 * 50 / (2 * 6 * 8 * 10))
        assert len(batches_of(samples[:1], patch_plan())) == 8  # a small volume, and the least of an epoch
        assert len(batches_of(large, patch_plan(), steps_per_epoch=3)) == 3
        assert len(batches_of(large, patch_plan(), n_steps=5)) == 5

    def test_the_share_on_foreground_holds(self) -> None:
        """One voxel of foreground in 27,000: by chance hardly a patch would have it."""
        labels = np.zeros((30, 30, 30), np.uint8)
        labels[3, 20, 11] = 1
        sample = Sample("a", np.zeros(labels.shape, np.uint8), labels)

        def n_with_foreground(share: float) -> int:
            batches = batches_of([sample], patch_plan(4), steps_per_epoch=50, foreground_fraction=share)
            return sum(int(targets.flatten(1).any(1).sum()) for _, targets in batches.epoch(1))

        assert n_with_foreground(1.0) == 200
        assert 75 <= n_with_foreground(0.5) <= 125
        assert n_with_foreground(0.0) < 20

    def test_rare_classes_are_drawn_as_often_as_common_ones(self) -> None:
        labels = np.zeros((30, 30, 30), np.uint8)
        labels[:15] = 2
        labels[25:27, 25:27, 25:27] = 7
        sample = Sample("a", np.zeros(labels.shape, np.uint8), labels)
        plan = patch_plan(4, task=Task.SEMANTIC, classes=tuple(LabelClass(value=v, name=str(v)) for v in (2, 7)))
        batches = batches_of([sample], plan, task="semantic", steps_per_epoch=50, foreground_fraction=1)

        n_rare = sum(int((targets == 2).flatten(1).any(1).sum()) for _, targets in batches.epoch(1))

        assert 75 <= n_rare <= 125

    def test_every_patch_holds_something_annotated(self) -> None:
        labels = np.zeros((30, 34, 38), np.uint8)
        labels[4, 5:9, 6:20] = 1
        labels[4, 9:12, 6:20] = 2
        sample = Sample("a", np.zeros(labels.shape, np.uint8), labels)
        batches = batches_of([sample], patch_plan(), ignore_label=0, foreground_fraction=0)

        for _, targets in batches.epoch(1):
            assert (targets != 255).flatten(1).any(1).all()
            assert set(targets.unique().tolist()) <= {0, 1, 255}

    def test_volumes_are_drawn_by_what_is_annotated_in_them(self) -> None:
        full = Sample("full", np.zeros((20, 20, 20), np.uint8), np.full((20, 20, 20), 2, np.uint8))
        empty = Sample("empty", np.full((20, 20, 20), 9, np.uint8), np.zeros((20, 20, 20), np.uint8))
        batches = batches_of([full, empty], patch_plan(), ignore_label=0)

        assert all((images == 0).all() for images, _ in batches.epoch(1))

    def test_a_volume_smaller_than_the_patch_is_mirrored_with_its_labels(self) -> None:
        ramp = np.arange(4 * 20 * 20, dtype=np.uint16).reshape(4, 20, 20)
        sample = Sample("a", ramp, (ramp % 3 > 0).astype(np.uint8))

        for images, targets in batches_of([sample], patch_plan()).epoch(1):
            assert torch.equal(images.int() % 3 > 0, targets > 0)
            assert torch.equal(images[:, :, 0], images[:, :, 1])  # one voxel is added on both sides


class TestReadyVolumes:
    def test_it_is_normalised_whole_and_fitted_with_its_labels(self) -> None:
        rng = np.random.default_rng(0)
        image = rng.integers(0, 1000, (7, 9, 12)).astype(np.uint16)
        sample = Sample("a", image, (image > 500).astype(np.int16) * 300)
        config = TrainingConfig(resize_mode="crop")

        volume = prepare_volume(sample, config, default_plan(config))

        expected = (image - image.mean()) / image.std()
        assert volume.shape == (6, 8, 12)
        cut, targets = volume.crop((1, 2, 3), (4, 5, 6))
        np.testing.assert_allclose(cut[0], expected[1:5, 2:7, 3:9], atol=1e-5)
        np.testing.assert_array_equal(targets[0], image[1:5, 2:7, 3:9] > 500)
        assert (cut.dtype, targets.dtype) == (torch.float32, torch.uint8)

    def test_a_resized_volume_has_another_voxel_size(self) -> None:
        """12 slices of 2 µm, resized to 32, lie 0.75 µm apart, but columns of 16 lie 1 µm apart."""
        sample = Sample("a", np.zeros((12, 16, 16)), np.ones((12, 16, 16), np.uint8), (2.0, 2.0, 2.0))
        config = TrainingConfig(preset="large", resize_mode="resize")

        volume = prepare_volume(sample, config, default_plan(config))

        assert volume.shape == (32, 32, 32)
        assert volume.spacing == (0.75, 1.0, 1.0)

    def test_image_and_labels_come_to_the_voxel_size_of_the_plan(self) -> None:
        labels = np.zeros((6, 20, 24), np.uint8)
        labels[2:4, 4:12, 8:16] = 1  # 4 × 4 × 2 µm
        sample = Sample("a", labels * np.float32(100), labels, (2.0, 0.5, 0.25))
        config = TrainingConfig(normalisation="none")
        plan = Plan(strides=((2, 2, 2),), patch_zyx=(8, 8, 4), spacing_um=(1.0, 1.0, 1.0))

        volume = prepare_volume(sample, config, plan)

        assert volume.shape == (12, 10, 6)
        assert volume.spacing == (1.0, 1.0, 1.0)
        assert np.argwhere(volume.targets[0]).min(0).tolist() == [4, 2, 2]
        assert np.argwhere(volume.targets[0]).max(0).tolist() == [7, 5, 3]
        inside = volume.image[0][volume.targets[0] > 0]
        assert inside.mean() > 70  # anti-aliasing takes some from a box of four voxels
        assert volume.image[0][volume.targets[0] == 0].mean() < 10

    def test_labels_are_asked_for(self) -> None:
        config = TrainingConfig()
        with pytest.raises(UserError, match="'a' has no labels"):
            prepare_volume(Sample("a", np.zeros((8, 8, 8))), config, default_plan(config))


def test_worker_processes_load_the_same_batches(sample_of: Any) -> None:
    samples = [sample_of(str(number), number, (8, 10, 12)) for number in range(3)]
    values = {"batch_size": 2, "augmentation": Augmentation.MODERATE}
    alone, helped = (batches_of(samples, num_workers=workers, **values) for workers in (0, 1))

    expected = list(alone.epoch(2))
    events = helped.epoch(2)
    found = [next(events)]
    assert len(multiprocessing.active_children()) == 1
    found += events

    for (image, targets), (same_image, same_targets) in zip(expected, found, strict=True):
        assert torch.equal(image, same_image)
        assert torch.equal(targets, same_targets)


def _wait_until_told_of_its_death(pid: int) -> None:
    """A handler of signals that torch installed in the main thread would raise in here, far from the batches."""
    if hasattr(os, "waitid"):  # Windows has no such signals
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_worker_process_that_dies_is_explained(sample_of: Any) -> None:
    samples = [sample_of(str(number), number, (8, 10, 12)) for number in range(3)]
    batches = batches_of(samples, num_workers=1, steps_per_epoch=50).epoch(1)
    next(batches)

    for process in multiprocessing.active_children():
        process.kill()
        _wait_until_told_of_its_death(process.pid)

    with pytest.raises(
        UserError, match=r"A worker process that loads data has ended unexpectedly\. Set num_workers to 0"
    ):
        list(batches)
