from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss, DiceLoss, FocalLoss

from napari_unet3d.configs import Loss, Task, TrainingConfig
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.score import score
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.training.loading.targets import IGNORE_INDEX
from napari_unet3d.training.optim.losses import class_weights, dice_of_counts, make_loss, overlap_counts

# Two voxels with probabilities 0.75 and 0.25, of which the first is foreground.
LOGITS = torch.tensor([math.log(3), -math.log(3)]).reshape(1, 1, 1, 1, 2)
TRUTH = torch.tensor([1, 0], dtype=torch.uint8).reshape(1, 1, 1, 1, 2)
CROSS_ENTROPY = -math.log(0.75)
DICE = 1 - 2 * 0.75 / (1 + 1)  # the sum of probabilities is 1, that of the target is 1
TWO_CLASSES = tuple(LabelClass(value=value, name=str(value)) for value in (3, 5))


def loss_of(loss: Loss | str, task: Task = Task.BINARY, weights: Any = None, patch: Any = None) -> Any:
    classes = TWO_CLASSES if task is Task.SEMANTIC else ()
    plan = Plan(task=task, strides=((2, 2, 2),), patch_zyx=patch, classes=classes)
    return make_loss(TrainingConfig(loss=loss), plan, weights)


def random_case(n_channels: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(2, n_channels, 4, 5, 6)).astype(np.float32) * 2)
    return logits, torch.from_numpy(rng.integers(0, max(2, n_channels), (2, 1, 4, 5, 6)).astype(np.uint8))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (Loss.BCE, CROSS_ENTROPY),
        (Loss.DICE, DICE),
        (Loss.FOCAL, 0.25**2 * CROSS_ENTROPY),
        (Loss.DICE_CE, DICE + CROSS_ENTROPY),
    ],
)
def test_losses_by_hand(loss: Loss, expected: float) -> None:
    assert loss_of(loss)(LOGITS, TRUTH).item() == pytest.approx(expected, abs=1e-5)


def test_dice_and_entropy_are_those_of_monai() -> None:
    logits, truth = random_case(1)
    assert loss_of("dice-ce")(logits, truth).item() == pytest.approx(
        DiceCELoss(sigmoid=True)(logits, truth.float()).item(), abs=1e-6
    )
    assert loss_of("dice-ce", patch=(4, 6, 8))(logits, truth).item() == pytest.approx(
        DiceCELoss(sigmoid=True, batch=True)(logits, truth.float()).item(), abs=1e-6
    )
    logits, classes = random_case(3)
    dice = DiceLoss(softmax=True, to_onehot_y=True, include_background=False)(logits, classes)
    entropy = torch.nn.functional.cross_entropy(logits, classes[:, 0].long())
    assert loss_of("bce", Task.SEMANTIC)(logits, classes).item() == pytest.approx(entropy.item(), abs=1e-6)
    assert loss_of("dice", Task.SEMANTIC)(logits, classes).item() == pytest.approx(dice.item(), abs=1e-6)
    focal = FocalLoss(to_onehot_y=True, use_softmax=True)(logits, classes)
    assert loss_of("focal", Task.SEMANTIC)(logits, classes).item() == pytest.approx(focal.item(), abs=1e-6)


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 1.5)])
def test_what_is_not_annotated_changes_neither_loss_nor_gradient(loss: Loss, task: Task, weights: Any) -> None:
    n_channels = {Task.BINARY: 1, Task.SEMANTIC: 3, Task.INSTANCE: 3}[task]
    logits, truth = random_case(n_channels)
    if task is Task.INSTANCE:
        truth = torch.cat([truth.clamp(max=1), truth.clamp(max=1), truth * 100], dim=1)
    truth[:, 0, :2] = IGNORE_INDEX
    other = logits.clone()
    other[:, :, :2] = torch.randn(other[:, :, :2].shape, generator=torch.Generator().manual_seed(1))
    function = loss_of(loss, task, weights if task is Task.SEMANTIC or weights is None else weights[:2])

    once, again = logits.requires_grad_(), other.requires_grad_()
    assert function(once, truth).item() == pytest.approx(function(again, truth).item(), abs=1e-6)
    function(once, truth).backward()
    assert not once.grad[:, :, :2].any()
    assert once.grad[:, :, 2:].any()


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("task", list(Task))
def test_a_batch_without_annotation_teaches_nothing(loss: Loss, task: Task) -> None:
    n_channels = {Task.BINARY: 1, Task.SEMANTIC: 3, Task.INSTANCE: 3}[task]
    logits = torch.randn(1, n_channels, 4, 4, 4, requires_grad=True)
    truth = torch.full((1, 3 if task is Task.INSTANCE else 1, 4, 4, 4), IGNORE_INDEX, dtype=torch.uint8)

    value = loss_of(loss, task, patch=(4, 4, 4))(logits, truth)
    value.backward()

    assert math.isfinite(value.item())
    assert not logits.grad.any()


@pytest.mark.parametrize("loss", list(Loss))
def test_losses_of_half_precision_are_sums_in_float32(loss: Loss) -> None:
    logits = torch.full((1, 1, 48, 48, 48), 4.0, dtype=torch.float16)
    truth = torch.ones(1, 1, 48, 48, 48, dtype=torch.uint8)  # 110,592 voxels: more than float16 can count

    value = loss_of(loss)(logits, truth)

    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss_of(loss)(logits.double(), truth).item(), abs=1e-4)


def test_a_heavier_class_counts_more() -> None:
    """Entropy of the foreground voxel 0.75, of the background voxel 0.25: both are -log 0.75 and weights cancel."""
    logits = torch.tensor([math.log(3), math.log(3)]).reshape(1, 1, 1, 1, 2)  # the second voxel is wrong
    right, wrong = -math.log(0.75), -math.log(0.25)

    assert loss_of("bce", weights=(1.0, 3.0))(logits, TRUTH).item() == pytest.approx((3 * right + wrong) / 4)


def test_objects_add_boundary_and_distance() -> None:
    logits = torch.zeros(1, 3, 1, 1, 2)
    targets = torch.tensor([[1, 0], [0, 1], [255, 0]], dtype=torch.uint8).reshape(1, 3, 1, 1, 2)

    # all probabilities are one half: twice the entropy of one half, and a mean error of one half
    assert loss_of("bce", Task.INSTANCE)(logits, targets).item() == pytest.approx(2 * math.log(2) + 0.5)


def test_dice_agrees_with_the_evaluation() -> None:
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(size=(1, 1, 4, 5, 6)), rng.integers(0, 2, (1, 1, 4, 5, 6)).astype(np.uint8)
    expected = score((logits[0, 0] >= 0).astype(np.uint8), GroundTruth(truth[0, 0]), "").dice

    counts = overlap_counts(torch.from_numpy(logits), torch.from_numpy(truth), Task.BINARY)

    assert dice_of_counts(counts) == pytest.approx(expected)


def test_dice_of_classes_is_the_mean_of_those_that_are_there() -> None:
    logits = torch.zeros(1, 4, 1, 1, 5)
    logits[0, [1, 1, 0, 2, 0], 0, 0, range(5)] = 1  # predicted: 1 1 0 2 0
    truth = torch.tensor([1, 0, 0, 2, IGNORE_INDEX], dtype=torch.uint8).reshape(1, 1, 1, 1, 5)

    counts = overlap_counts(logits, truth, Task.SEMANTIC)

    assert counts.tolist() == [[1, 1, 0], [2, 1, 0], [1, 1, 0]]  # the third class is nowhere
    assert dice_of_counts(counts) == pytest.approx((2 / 3 + 1) / 2)


def test_nothing_found_where_nothing_is_counts_as_perfect() -> None:
    counts = overlap_counts(torch.full((2, 1, 3, 4, 5), -1.0), torch.zeros(2, 1, 3, 4, 5), Task.BINARY)
    assert dice_of_counts(counts) == 1


class TestClassWeights:
    def test_automatic_ones_let_rare_classes_count_more(self) -> None:
        weights = class_weights(TrainingConfig(class_weighting="auto"), [900, 100, 25])

        # the roots of 100/900, 1 and 100/25 are 1/3, 1 and 2, whose mean is 10/9
        assert weights == pytest.approx((0.3, 0.9, 1.8))
        assert class_weights(TrainingConfig(), [900, 100, 25]) is None

    def test_a_class_without_training_voxels_has_no_weight_and_changes_no_other(self) -> None:
        config = TrainingConfig(class_weighting="auto")

        assert class_weights(config, [900, 100, 0, 25]) == pytest.approx((0.3, 0.9, 0, 1.8))
        assert class_weights(config, [900, 0]) == (1, 0)
        assert class_weights(config, [0, 900, 100, 25, 0]) == pytest.approx((0, 0.3, 0.9, 1.8, 0))

    def test_those_by_hand_must_be_one_per_class(self) -> None:
        config = TrainingConfig(task="semantic", class_weights=(1, 2, 3))

        assert class_weights(config, [5, 5, 5]) == (1, 2, 3)
        with pytest.raises(UserError, match=r"3 class weights are given \(1.0, 2.0, 3.0\), but there are 2 classes"):
            class_weights(config, [5, 5])
