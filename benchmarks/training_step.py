"""Time one training step of single volumes on the CPU: torch's way against ours, interleaved, median of several.

Run it on a quiet machine: ``python benchmarks/training_step.py [SIDE] [PRESET ...]``.

Ours is `napari_unet3d.model.network.place_network`: channels of zeros that let torch choose oneDNN for one volume
(see `napari_unet3d.model.convolution`), and weights laid out channels last. Measured on 2 cores of an AMD EPYC
(Zen 5), torch 2.13, 1 × 128³, xxsmall: 810 ms torch, 192 ms ours, a ratio of 4.2, the loss equal and gradients to 3e-6.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch

from napari_unet3d.configs import Device, Loss, Preset, TrainingConfig
from napari_unet3d.model.devices import choose_hardware
from napari_unet3d.model.network import build_unet, place_network
from napari_unet3d.training.losses import make_loss, make_optimizer

_REPEATS = 7


def make_step(preset: Preset, side: int, *, ours: bool) -> Callable[[], object]:
    """Give a function that makes one step of a network on a volume of the given side."""
    config = TrainingConfig(preset=preset, device=Device.CPU)
    network = build_unet(config)
    if ours:
        place_network(network, choose_hardware(Device.CPU))
    loss, optimizer = make_loss(Loss.DICE_CE), make_optimizer(network.parameters(), config, 100)
    image = torch.randn(1, 1, side, side, side, generator=torch.Generator().manual_seed(0))
    truth = (image > 1).to(torch.uint8)

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(loss(network(image), truth))
        optimizer.step()

    return step


def main() -> None:
    """Print the medians for each preset."""
    side, *names = sys.argv[1:] or ["128"]
    for preset in map(Preset, names or ["xxsmall", "xsmall"]):
        steps = {words: make_step(preset, int(side), ours=words == "ours") for words in ("torch", "ours")}
        seconds: dict[str, list[float]] = {words: [] for words in steps}
        for _ in range(_REPEATS + 1):
            for words, step in steps.items():
                started = time.perf_counter()
                step()
                seconds[words].append(time.perf_counter() - started)
        torchs, ours = (statistics.median(values[1:]) * 1e3 for values in seconds.values())  # the first warms up
        sys.stdout.write(f"{preset} 1 × {side}³: torch {torchs:.0f} ms, ours {ours:.0f} ms, {torchs / ours:.1f} ×\n")


if __name__ == "__main__":
    main()
