from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from napari_unet3d.configs import Device, Loss, Optimizer, Task, TrainingConfig
from napari_unet3d.model.cpu.norm_activation import SingleSlopePReLU
from napari_unet3d.model.devices import ComputeDevice, choose_device
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.training.optim.learner import DataStatistics, Learner
from napari_unet3d.training.optim.step import OptimizerStep

HARDWARE = choose_device(Device.CPU)
HALF = ComputeDevice(HARDWARE.device, torch.float16, 1, "half precision")
SHAPE = (8, 12, 16)
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "item", "unique2"}


class Reads(TorchDispatchMode):
    """Counts what makes a CPU wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        is_mask = name == "index" and any(index is not None and index.dtype == torch.bool for index in args[1])
        if name in WAITING or is_mask:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


def learner_of(task: Task = Task.BINARY, **values: Any) -> Learner:
    classes = tuple(LabelClass(value=n, name=str(n)) for n in (3, 5)) if task is Task.SEMANTIC else ()
    config = TrainingConfig(task=task, preset="xxsmall", learning_rate=0.01, **values)
    plan = Plan(task=task, strides=((2, 2, 2),), patch_zyx=SHAPE, classes=classes)
    n_weights = 3 if task is Task.SEMANTIC else 2
    facts = DataStatistics((1 / plan.out_channels,) * plan.out_channels, (0.5, 2.0, 1.5)[:n_weights], n_steps=100)
    torch.manual_seed(0)
    return Learner(config, plan, HARDWARE, facts)


def batch(task: Task = Task.BINARY, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    n_channels = 3 if task is Task.INSTANCE else 1
    images = torch.randn((2, 1, *SHAPE), generator=generator)
    return images, torch.randint(0, 2, (2, n_channels, *SHAPE), generator=generator).byte()


def far_too_bright() -> tuple[torch.Tensor, torch.Tensor]:
    images, targets = batch(seed=9)
    return images * 3e38, targets


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_nothing_is_asked_of_the_device_within_a_step(task: Task, loss: Loss, optimizer: Optimizer) -> None:
    learner = learner_of(task, loss=loss, optimizer=optimizer, momentum=0.5, ema_decay=0.9, max_grad_norm=1.0)
    for layer in learner.network.modules():
        if isinstance(layer, SingleSlopePReLU):
            layer.__class__ = torch.nn.PReLU  # as on a GPU: only the way of the CPU reads its slope
    images, targets = batch(task)

    with Reads() as reads:
        made = [learner.step(images, targets) for _ in range(2)]

    # RMSprop has no fused form, so that the scaler itself asks once whether to make a step.
    assert reads.found == ({"_local_scalar_dense": 2} if optimizer is Optimizer.RMSPROP else {})
    assert all(map(math.isfinite, (learner.wait(made[0]), learner.wait(made[1]))))
    assert learner.n_steps == 2


@pytest.mark.parametrize("optimizer", list(Optimizer))
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_step_into_nan_is_as_if_it_had_never_been(optimizer: Optimizer, momentum: float) -> None:
    values = {"optimizer": optimizer, "momentum": momentum, "weight_decay": 0.1}
    tried, spared = learner_of(**values), learner_of(**values)
    before = tried.raw_weights()

    assert not math.isfinite(tried.wait(tried.step(*far_too_bright())))
    assert all(torch.equal(tensor, before[name]) for name, tensor in tried.raw_weights().items())
    for seed in (1, 2):
        assert tried.wait(tried.step(*batch(seed=seed))) == spared.wait(spared.step(*batch(seed=seed)))
    assert not math.isfinite(tried.wait(tried.step(*far_too_bright())))
    assert tried.wait(tried.step(*batch(seed=3))) == spared.wait(spared.step(*batch(seed=3)))

    expected = spared.raw_weights()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in tried.raw_weights().items())
    assert any(not torch.equal(tensor, before[name]) for name, tensor in expected.items())
    assert (tried.n_steps, spared.n_steps) == (3, 3)


@pytest.mark.parametrize("optimizer", list(Optimizer))
@pytest.mark.parametrize("clip", [0.0, 1.0])
@pytest.mark.parametrize(
    ("factor", "extra"),
    [(1.0, math.inf), (1.0, math.nan), (3e38, 0.0)],
    ids=["infinite loss", "loss that is no number", "gradient too long for a number"],
)
def test_finite_gradients_alone_do_not_make_a_step(
    optimizer: Optimizer, clip: float, factor: float, extra: float
) -> None:
    weights = torch.nn.Parameter(torch.zeros(2, 3))
    config = TrainingConfig(optimizer=optimizer, max_grad_norm=clip, weight_decay=0.1)
    descent = OptimizerStep([weights], config, HARDWARE, 100)

    _, length = descent.step((weights * factor).sum() + extra).read()

    assert not math.isfinite(length)
    assert torch.equal(weights, torch.zeros(2, 3))
    assert math.isfinite(descent.step(weights.sum()).read()[1])
    assert torch.isfinite(weights).all()
    assert (weights != 0).all()


@pytest.mark.parametrize("clip", [0.0, 0.25])
@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_half_precision_makes_the_same_step_by_a_larger_loss(clip: float, optimizer: Optimizer) -> None:
    slope = torch.tensor([3.0, -4.0])
    config = TrainingConfig(optimizer=optimizer, max_grad_norm=clip, learning_rate=0.5)
    ends = []
    for hardware in (HARDWARE, HALF):
        weights = torch.nn.Parameter(torch.ones(2))
        made = OptimizerStep([weights], config, hardware, 100).step((weights * slope).sum())
        assert made.read() == (-1.0, 5.0)
        ends.append(weights.detach())
    torch.testing.assert_close(ends[1], ends[0])


def test_half_precision_scales_less_after_an_overflow() -> None:
    weights = torch.nn.Parameter(torch.ones(2))
    descent = OptimizerStep([weights], TrainingConfig(), HALF, 100)

    descent.step((weights * 1e35).sum())

    assert descent.scaler.get_scale() == 2**15
    assert torch.equal(weights, torch.ones(2))


def test_an_overflow_of_the_scaled_gradient_is_nothing_to_be_told() -> None:
    learner = learner_of()
    learner.stepper = OptimizerStep(learner.network.parameters(), TrainingConfig(), HALF, 100)
    learner.stepper.scaler.scale(torch.ones(()))
    learner.stepper.scaler.update(3e38)  # so that any gradient overflows

    assert math.isfinite(learner.wait(learner.step(*batch())))

    assert learner.notice_of_skipped_steps(1, 1) is None
