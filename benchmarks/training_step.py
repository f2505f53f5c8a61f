"""Time training steps: a single volume with plain torch and with ours, and the whole loop compared with bare steps.

Run it on a quiet machine: ``python benchmarks/training_step.py [--side 128] [--repeats 5]``.

A single volume or patch: ours is `napari_unet3d.model.network.to_device`, which splits one volume into halves so that
torch uses oneDNN (see `napari_unet3d.model.cpu.convolutions`) and stores weights channels last. The loop: `train`
samples patches, augments them, steps and reports; a bare step is forward, backward and optimiser of the same network
on batches that were sampled before.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, product
from pathlib import Path

import torch
from table import Row, in_turns, ratio, spread, table

from napari_unet3d import Sample, SyntheticConfig, TrainingConfig, train
from napari_unet3d.configs import Device, Preset
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.split import Split
from napari_unet3d.data.synthetic.generate import generate_volume
from napari_unet3d.model.devices import choose_device
from napari_unet3d.model.network import build_network, default_plan, to_device
from napari_unet3d.training.events import EpochFinished, StepFinished
from napari_unet3d.training.optim.learner import Learner
from napari_unet3d.training.optim.losses import make_loss
from napari_unet3d.training.optim.step import make_optimizer
from napari_unet3d.training.prepare import plan_and_prepare

_N_BATCHES = 8


def single_volume(preset: Preset, side: int, *, ours: bool) -> Callable[[], object]:
    """Return a step of a network on one volume of the given side."""
    config = TrainingConfig(preset=preset, device=Device.CPU)
    network = build_network(config)
    if ours:
        to_device(network, choose_device(Device.CPU))
    loss = make_loss(config, default_plan(config), None)
    optimizer = make_optimizer(network.parameters(), config, 100)
    image = torch.randn(1, 1, side, side, side, generator=torch.Generator().manual_seed(0))
    truth = (image > 1).to(torch.uint8)
    return bare_step(network, loss, optimizer, cycle([(image, truth)]))


def bare_step(
    network: torch.nn.Module,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    optimizer: torch.optim.Optimizer,
    batches: Iterator[tuple[torch.Tensor, torch.Tensor]],
) -> Callable[[], object]:
    """Return forward, backward and optimiser on the next batch."""

    def step() -> float:
        images, targets = next(batches)
        optimizer.zero_grad()
        value = loss(network(images), targets)
        torch.autograd.backward(value)
        optimizer.step()
        return value.item()

    return step


def epochs_of_steps(preset: Preset, side: int, repeats: int, folder: Path) -> tuple[list[float], list[float]]:
    """Time epochs of steps of `train` and as many bare steps, alternating; two patches of the given side per step."""
    samples = [volume(2 * side, seed) for seed in range(4)]
    config = TrainingConfig(
        preset=preset, patch=(side,) * 3, batch_size=2, val_fraction=0, epochs=1_000_000, augmentation="light"
    )
    hardware = choose_device()
    with MemmapStore(folder) as store:
        work = plan_and_prepare(Split(tuple(samples), ()), config, hardware, store)
        sampled = [batch for batch, _ in zip(work.training.epoch(1), range(_N_BATCHES), strict=False)]
    learner = Learner(config, work.plan, hardware, work.statistics)
    step = bare_step(learner.network.train(), learner._loss, learner.optimizer, cycle(sampled))
    events = train(samples, folder / "run", config)
    loop, bare = [], []
    for _ in range(repeats + 1):
        next(event for event in events if isinstance(event, EpochFinished))  # the first epoch warms up
        started = time.perf_counter()
        for _ in range(len(work.training)):
            next(event for event in events if isinstance(event, StepFinished))
        loop.append(time.perf_counter() - started)
        started = time.perf_counter()
        for _ in range(len(work.training)):
            step()
        bare.append(time.perf_counter() - started)
    return loop[1:], bare[1:]


def volume(side: int, seed: int) -> Sample:
    """Generate a volume, with 10 objects in 128³."""
    objects = max(1, 10 * side**3 // 128**3)
    *_, event = generate_volume(SyntheticConfig(shape=(side,) * 3, objects=objects, seed=seed))
    return event.sample


def rows(side: int = 128, repeats: int = 5) -> list[Row]:
    """Measure steps on volumes of the given side and of half of it, and epochs of patches of half of it."""
    found = []
    for preset, length in product((Preset("xxsmall"), Preset("xsmall")), (side, side // 2)):
        ways = {name: single_volume(preset, length, ours=name == "ours") for name in ("torch", "ours")}
        seconds = in_turns(ways, repeats)
        found.append(
            Row(
                f"a step on 1 × {length}³, {preset}",
                "torch",
                spread(seconds["ours"], 1e3, "ms"),
                spread(seconds["torch"], 1e3, "ms"),
                ratio(seconds["torch"], seconds["ours"]),
            )
        )
    most = 1.05 if torch.cuda.is_available() else 1.1
    for preset in (Preset("xsmall"), Preset("small")):
        with tempfile.TemporaryDirectory() as folder:
            loop, bare = epochs_of_steps(preset, side // 2, repeats, Path(folder))
        found.append(
            Row(
                f"an epoch of steps on 2 × {side // 2}³, {preset}, end to end",
                "bare forward, backward and optimiser",
                spread(loop),
                spread(bare),
                ratio(bare, loop),
                f"at most {most - 1:.0%} longer",
                ratio(loop, bare) <= most,
            )
        )
    return found


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    sys.stdout.write(table(rows(arguments.side, arguments.repeats)))


if __name__ == "__main__":
    main()
