"""What a mask leaves out has no influence: other labels there give the same bits, whatever the task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_unet3d.configs import EvaluationConfig, Loss, Task, TrainingConfig
from napari_unet3d.data.ground_truth import decode_labels
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import Block, Role
from napari_unet3d.evaluation.metrics.differences import difference_labels
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.inference.evaluate import evaluate
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.training.loading.batches import Batches
from napari_unet3d.training.loading.targets import IGNORE_INDEX, make_targets
from napari_unet3d.training.loading.volumes import prepare_volume
from napari_unet3d.training.loop import train
from napari_unet3d.training.optim.losses import make_loss
from napari_unet3d.training.planning import make_plan

SHAPE = (16, 18, 20)
MASK = np.zeros(SHAPE, bool)
MASK[3:12, 2:13, 5:17] = True
EVERY_TASK = [(task, ignore_label) for task in Task for ignore_label in (None, 0)]


def labelled(name: str, seed: int = 1) -> Sample:
    """Two boxes that reach over the rim of the mask, with values that suit both meanings of 0."""
    rng = np.random.default_rng(seed)
    labels = np.ones(SHAPE, np.uint8)
    labels[2:8, 3:9, 4:11] = 2
    labels[8:14, 6:15, 9:18] = 3
    image = (labels * 60 + rng.integers(0, 40, SHAPE)).astype(np.uint8)
    return Sample(name, image, labels, (2.0, 1.0, 0.5), MASK)


def otherwise_outside(sample: Sample) -> Sample:
    """The same volume with other labels where nothing is annotated."""
    labels = np.random.default_rng(7).integers(0, 6, SHAPE).astype(np.uint8)
    labels[sample.label_mask] = sample.labels[sample.label_mask]
    return replace(sample, labels=labels)


def settings(task: Task, ignore_label: int | None, **others) -> TrainingConfig:
    given = {"patch": (8, 8, 8), "epochs": 1, "steps_per_epoch": 3, "device": "cpu", **others}
    return TrainingConfig(task=task, ignore_label=ignore_label, **given)


@pytest.mark.parametrize(("task", "ignore_label"), EVERY_TASK)
def test_a_run_ends_with_the_same_bits(task, ignore_label, tmp_path):
    ends = []
    for vary in (lambda sample: sample, otherwise_outside):
        volumes = [vary(labelled(name, seed)) for seed, name in enumerate("abc")]
        folder = tmp_path / str(len(ends))
        list(train(volumes, folder, settings(task, ignore_label, val_fraction=0.34)))
        model = load_checkpoint(folder)
        assert model.history[0].val_loss is not None
        ends.append((model.weights, model.history, model.plan))
    (one, history, plan), (other, same_history, same_plan) = ends
    assert (history, plan) == (same_history, same_plan)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize(("task", "ignore_label"), EVERY_TASK)
def test_loss_and_gradient_are_blind_outside_of_the_mask(loss, task, ignore_label):
    classes = (LabelClass(value=2, name="a"), LabelClass(value=3, name="b")) if task is Task.SEMANTIC else ()
    plan = Plan(task=task, strides=((2, 2, 2),), classes=classes, ignore_label=ignore_label, patch_zyx=SHAPE)
    results = []
    for sample in (labelled("a"), otherwise_outside(labelled("a"))):
        truth = decode_labels(sample.labels, task, ignore_label, sample.label_mask)
        targets = torch.from_numpy(make_targets(truth, plan, sample.spacing))[None]
        logits = torch.randn(
            1, plan.out_channels, *SHAPE, generator=torch.Generator().manual_seed(0), requires_grad=True
        )
        value = make_loss(settings(task, ignore_label, loss=loss), plan)(logits, targets)
        value.backward()
        results.append((value.item(), logits.grad))
    assert results[0][0] == results[1][0] > 0
    assert torch.equal(results[0][1], results[1][1])
    assert not results[0][1][:, :, ~torch.from_numpy(MASK)].any()
    assert results[0][1][:, :, torch.from_numpy(MASK)].any()


@pytest.mark.parametrize(("task", "ignore_label"), EVERY_TASK)
def test_scores_and_difference_are_blind_outside_of_the_mask(task, ignore_label):
    prediction = np.random.default_rng(5).integers(0, 4, SHAPE).astype(np.uint8)
    sample = labelled("a")
    truths = [decode_labels(each.labels, task, ignore_label, MASK) for each in (sample, otherwise_outside(sample))]
    rules = MetricOptions(task, {2: "a", 3: "b"})
    one, other = (score(prediction, truth, "a", sample.geometry, rules) for truth in truths)
    assert one.numbers() == other.numbers()
    differences = [difference_labels(prediction, truth, task) for truth in truths]
    np.testing.assert_array_equal(*differences)
    assert not differences[0][~MASK].any()
    assert differences[0][MASK].any()


def test_both_the_mask_and_label_0_can_say_that_nothing_is_annotated():
    labels = np.array([[[0, 1, 2, 3]]], np.uint8)
    mask = np.array([[[True, True, False, True]]])
    truth = decode_labels(labels, Task.INSTANCE, 0, mask)
    assert truth.labels.tolist() == [[[0, 0, 0, 3]]]
    assert truth.label_mask.tolist() == [[[False, True, False, True]]]


def test_patches_are_drawn_where_something_is_annotated():
    volume = labelled("a")
    small = np.zeros(SHAPE, bool)
    small[12:15, 13:17, 14:19] = True
    sample = replace(volume, label_mask=small)
    config = settings(Task.BINARY, None, foreground_fraction=0.0, steps_per_epoch=30)
    plan = Plan(task=Task.BINARY, strides=((2, 2, 2),), patch_zyx=(8, 8, 8), batch_size=2)
    batches = Batches([prepare_volume(sample, config, plan)], config, plan)
    assert all((targets[:, 0] != IGNORE_INDEX).flatten(1).any(1).all() for _, targets in batches.epoch(1))


def test_a_mask_keeps_its_place_in_blocks_and_at_another_voxel_size():
    sample = labelled("a")
    block = Block("a", Role.TRAINING, (2, 0, 4), (9, 18, 20)).cut(sample)
    np.testing.assert_array_equal(block.label_mask, MASK[2:9, :, 4:])
    config = settings(Task.BINARY, None, spacing=(1.0, 1.0, 1.0), patch=(8, 8, 8))
    plan = Plan(task=Task.BINARY, strides=((2, 2, 2),), patch_zyx=(8, 8, 8), spacing_um=(1.0, 1.0, 1.0))
    ready = prepare_volume(sample, config, plan)
    assert ready.shape == (32, 18, 10)
    known = ready.targets[0] != IGNORE_INDEX
    np.testing.assert_array_equal(known, MASK.repeat(2, axis=0)[:, :, 1::2])


def test_a_class_that_stands_only_outside_of_the_mask_is_none():
    sample = otherwise_outside(labelled("a"))
    from napari_unet3d.model.devices import choose_device

    config = settings(Task.SEMANTIC, None)
    plan = make_plan([sample], [], config, choose_device(config.device, config.precision))
    assert [each.value for each in plan.classes] == [1, 2, 3]


def test_the_test_set_is_judged_inside_of_the_mask(tmp_path):
    sample = labelled("a")
    list(train([labelled(name) for name in "ab"], tmp_path, settings(Task.BINARY, 0)))
    ends = []
    for each in (sample, otherwise_outside(sample)):
        *_, finished = evaluate(tmp_path, [each], config=EvaluationConfig(device="cpu"))
        ends.append(finished.mean.numbers())
    assert ends[0] == ends[1]
