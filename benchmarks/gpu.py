"""Sweep of a training step on a GPU: presets, patch sides, precisions, layouts and launch modes; then the engine.

    python benchmarks/gpu.py [--device cuda|cpu] [--quick]

Steps are forward, DiceCE, backward and Adam on random patches on the device, two per step. The floor is the theoretical
minimum on a card with 790 TFLOP/s (bf16, dense) and 4.3 TB/s, scaled to the patch; the fraction of it is therefore
comparable only on such a card. The engine is `train` itself: its steps compared with bare ones of the same precision,
the fraction of time spent waiting for data, the time to a validation Dice of 0.97 on the task of the tutorial with our
own volumes, and a large prediction. Without a GPU the same script runs on the CPU with tiny patches, as a test.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path

import numpy as np
import torch
from table import spread
from tutorial import FAST, TARGET_DICE

from napari_unet3d import Sample, SyntheticConfig, TrainingConfig, predict, train
from napari_unet3d.configs import Device, Preset
from napari_unet3d.data.synthetic.generate import generate_volume
from napari_unet3d.model.devices import choose_device
from napari_unet3d.model.network import build_network, default_plan
from napari_unet3d.training.events import EpochFinished, RunStarted, StepFinished, Throughput
from napari_unet3d.training.optim.losses import make_loss

# Theoretical minimum in milliseconds of a step on 1 × 128³ in bf16: max(FLOP time, memory traffic of convolutions).
_FLOOR_MS = {"xxsmall": 0.04, "xsmall": 0.11, "small": 0.38, "medium": 1.5}
_BATCH, _WARM_UP, _STEPS, _ROUNDS = 2, 5, 20, 5
NUMBERS, LAYOUTS, LAUNCHES = ("fp32", "tf32", "bf16"), ("contiguous", "channels last"), ("eager", "compiled", "graph")


@dataclass(frozen=True)
class Case:
    """One configuration of a step."""

    preset: Preset
    side: int
    numbers: str
    layout: str
    launch: str

    @property
    def floor_ms(self) -> float:
        """The floor of a step in milliseconds."""
        return _FLOOR_MS[self.preset.value] * _BATCH * (self.side / 128) ** 3


def make_step(case: Case, device: torch.device) -> Callable[[], None]:
    """Return a step of the case."""
    config = TrainingConfig(preset=case.preset)
    network = build_network(config).to(device)
    shape = (_BATCH, 1, case.side, case.side, case.side)
    images = torch.randn(shape, device=device)
    targets = (images > 1).to(torch.uint8)
    if case.layout == "channels last":
        network = network.to(memory_format=torch.channels_last_3d)
        images = images.to(memory_format=torch.channels_last_3d)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = case.numbers == "tf32"
    torch.backends.cudnn.benchmark = True
    loss = make_loss(config, default_plan(config), None)
    forward = torch.compile(network) if case.launch == "compiled" else network
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, capturable=case.launch == "graph")
    halved = torch.autocast(device.type, torch.bfloat16) if case.numbers == "bf16" else nullcontext()

    def step() -> None:
        optimizer.zero_grad(set_to_none=case.launch != "graph")
        with halved:
            logits = forward(images)
        loss(logits.float(), targets).backward()
        optimizer.step()

    return captured(step) if case.launch == "graph" else step


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """Record a step as a CUDA graph, after warming up on a separate stream."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def time_steps(step: Callable[[], None], device: torch.device, n_steps: int) -> list[float]:
    """Return milliseconds per step of each round."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for _ in range(_WARM_UP if device.type == "cuda" else 1):
        step()
    found = []
    for _ in range(_ROUNDS):
        wait()
        started = time.perf_counter()
        for _ in range(n_steps):
            step()
        wait()
        found.append((time.perf_counter() - started) / n_steps * 1e3)
    return found


def cases(device: torch.device, *, quick: bool) -> Iterator[Case]:
    """Yield the configurations to measure."""
    if device.type != "cuda":
        yield from (
            Case(Preset.XXSMALL, 16, numbers, layout, "eager") for numbers in NUMBERS[::2] for layout in LAYOUTS
        )
        return
    presets = (Preset.XXSMALL, Preset.SMALL, Preset.MEDIUM)
    for preset, side in product(presets, (96,) if quick else (64, 96, 128)):
        for numbers, layout, launch in product(NUMBERS, LAYOUTS, LAUNCHES):
            yield Case(preset, side, numbers, layout, launch)


def sweep(device: torch.device, *, quick: bool) -> Iterator[str]:
    """Yield a row of Markdown per configuration, with the error if it fails."""
    yield "| preset | patch | precision | layout | launch | a step | steps/s | fraction of the floor | peak GiB |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for case in cases(device, quick=quick):
        head = f"| {case.preset} | {_BATCH} × {case.side}³ | {case.numbers} | {case.layout} | {case.launch} |"
        torch.compiler.reset()
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            found = time_steps(make_step(case, device), device, _STEPS if device.type == "cuda" else 2)
        except Exception as error:  # noqa: BLE001 - some configurations fail on some machines, and the sweep continues
            yield f"{head} {type(error).__name__}: {str(error).splitlines()[0][:80]} | | | |"
            continue
        ms = statistics.median(found)
        peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else float("nan")
        yield (f"{head} {spread(found, unit='ms')} | {1e3 / ms:.3g} | {case.floor_ms / ms:.1%} | {peak:.2f} |")


def engine_steps(device: torch.device, *, quick: bool) -> Iterator[str]:
    """Yield a row of Markdown per preset: the throughput that `train` reports, and that of the bare step."""
    is_cuda = device.type == "cuda"
    presets = (Preset.XXSMALL, Preset.SMALL, Preset.MEDIUM) if is_cuda else (Preset.XXSMALL,)
    side, seconds = (96 if is_cuda else 16), (4 if quick or not is_cuda else 20)
    samples = [sample(seed, max(64, 2 * side)) for seed in range(4)]
    numbers = str(choose_device(Device(device.type)).dtype).removeprefix("torch.")
    yield "| preset | patch | precision | steps/s of the engine | steps/s of the bare step | waiting for data |"
    yield "|---|---|---|---|---|---|"
    for preset in presets:
        throughputs = engine_throughput(samples, preset, side, device, seconds)
        case = Case(preset, side, {"bfloat16": "bf16"}.get(numbers, "tf32"), "contiguous", "eager")
        bare = 1e3 / statistics.median(time_steps(make_step(case, device), device, _STEPS))
        engine, waiting = (
            statistics.median(values)
            for values in zip(*[(each.steps_per_second, each.waiting) for each in throughputs], strict=True)
        )
        yield f"| {preset} | {_BATCH} × {side}³ | {numbers} | {engine:.3g} | {bare:.3g} | {waiting:.1%} |"


def engine_throughput(
    samples: list[Sample], preset: Preset, side: int, device: torch.device, seconds: float
) -> list[Throughput]:
    """Train for some seconds and return the throughput of each except the first."""
    config = TrainingConfig(
        preset=preset, patch=(side,) * 3, batch_size=_BATCH, val_fraction=0, epochs=1_000_000, device=device.type
    )
    throughputs: list[Throughput] = []
    with tempfile.TemporaryDirectory() as run:
        events = train(samples, run, config)
        while len(throughputs) <= seconds:  # one comes per second
            event = next(events)
            if isinstance(event, Throughput):
                throughputs.append(event)
        events.close()
    return throughputs[1:]


def whole_tasks(device: torch.device, *, quick: bool) -> Iterator[str]:
    """Train the network of the tutorial to the target Dice, and predict a large volume with it."""
    is_large = device.type == "cuda" and not quick
    side, edge = (128, 512) if is_large else (64, 64)
    samples = [sample(seed, side) for seed in range(5)]
    config = TrainingConfig(
        **{**FAST, "validate_every": 1, "epochs": 20, "lr_schedule": "constant"}, device=device.type
    )
    with tempfile.TemporaryDirectory() as run:
        started, n_steps, reached = time.perf_counter(), 0, 0.0
        for event in train(samples, run, config):
            match event:
                case RunStarted():
                    started = time.perf_counter()
                    yield f"training {config.preset} on {event.device}, {event.plan.description}:"
                case StepFinished():
                    n_steps += 1
                case EpochFinished(val_dice=dice):
                    reached = max(reached, dice or 0)
            if reached >= TARGET_DICE:
                break
        yield f"- validation Dice {reached:.4f} after {time.perf_counter() - started:.1f} s and {n_steps} steps"
        volume = Sample("large", np.random.default_rng(0).integers(0, 255, (edge,) * 3, dtype=np.uint8))
        started = time.perf_counter()
        for _ in predict(Path(run), volume):
            pass
        yield f"predicting {edge}³ with {config.preset}: {time.perf_counter() - started:.1f} s"


def sample(seed: int, side: int) -> Sample:
    """Generate a volume."""
    *_, event = generate_volume(SyntheticConfig(shape=(side,) * 3, objects=5, seed=seed))
    return event.sample


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="one patch size, and small tasks")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    for part in (sweep, engine_steps, whole_tasks):
        for line in chain(part(device, quick=arguments.quick), [""]):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
