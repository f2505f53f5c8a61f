"""Time prediction in overlapping tiles on the CPU: MONAI's `sliding_window_inference` against ours, interleaved.

Run it on a quiet machine:

    python benchmarks/prediction.py [--side 256] [--preset small] [--window 96] [--repeats 5]

Both run the same weights over the same tiles, two at a time, with an overlap of one half, and blend the probabilities
with the same Gaussian window. Ours differs in the network as it is placed (see `napari_unet3d.model.network`: weights
channels last, norms, activations and sums in place, and fast convolutions for few channels and a single output) and in
the blending (see `napari_unet3d.inference.tiling`). The peaks lie on top of volume and weights.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context

import numpy as np
import psutil
import torch
from monai.inferers.utils import sliding_window_inference
from numpy.typing import NDArray
from table import Row, in_turns, ratio, spread, table

from napari_unet3d.configs import Device, Preset, TrainingConfig
from napari_unet3d.inference.tiling import GaussianBlend, Tiling, gaussian_window, tile_grid
from napari_unet3d.model.devices import choose_device
from napari_unet3d.model.network import build_network, to_device

_OVERLAP, _TILES_PER_BATCH, _WATCH_SECONDS = 0.5, 2, 0.002
Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def make_monai(preset: Preset, window: int) -> Predict:
    """Return MONAI's prediction with its network as it comes."""
    network = build_network(TrainingConfig(preset=preset)).eval()
    side = gaussian_window(window)
    weights = torch.from_numpy(np.multiply.outer(np.multiply.outer(side, side), side).astype(np.float32))

    def predict(volume: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            answer = sliding_window_inference(
                torch.from_numpy(volume)[None, None],
                (window,) * 3,
                _TILES_PER_BATCH,
                lambda tiles: network(tiles).sigmoid(),
                overlap=_OVERLAP,
                mode="gaussian",
                roi_weight_map=weights,
            )
        assert isinstance(answer, torch.Tensor)
        return answer[0, 0].numpy()

    return predict


def make_ours(preset: Preset, window: int) -> Predict:
    """Return ours."""
    hardware = choose_device(Device.CPU)
    network = to_device(build_network(TrainingConfig(preset=preset)).eval(), hardware)

    def predict(volume: NDArray[np.float32]) -> NDArray[np.float32]:
        z, y, x = volume.shape
        result = np.empty(volume.shape, np.float32)

        def take(index: int, answer: NDArray[np.float32]) -> None:
            result[index] = answer[0]

        grid = tile_grid((z, y, x), (window,) * 3, _OVERLAP, (preset.total_stride,) * 3)
        tiling = Tiling(volume, grid, ((),), GaussianBlend(grid, 1, hardware.device), take)
        with torch.inference_mode():
            while tiling.n_done < tiling.n_total:
                tiling.step(lambda tiles: network(tiles).sigmoid(), hardware.device, _TILES_PER_BATCH)
        return result

    return predict


_WAYS = {"MONAI": make_monai, "ours": make_ours}


def measure_peak(words: str, preset: Preset, side: int, window: int) -> int:
    """Predict once in a process of its own, and give how many bytes its memory rises above that before."""
    predict, volume, this = _WAYS[words](preset, window), make_volume(side), psutil.Process()
    before = this.memory_info().rss
    sizes, is_done = [before], threading.Event()

    def watch() -> None:
        while not is_done.wait(_WATCH_SECONDS):
            sizes.append(this.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    predict(volume)
    is_done.set()
    watcher.join()
    return max(sizes) - before


def make_volume(side: int) -> NDArray[np.float32]:
    """Draw the volume that is predicted."""
    return np.random.default_rng(0).standard_normal((side,) * 3, dtype=np.float32)


def rows(side: int = 256, preset: Preset = Preset.SMALL, window: int = 96, repeats: int = 5) -> list[Row]:
    """Measure seconds, peaks and the largest difference."""
    volume = make_volume(side)
    ways = {words: make(preset, window) for words, make in _WAYS.items()}
    answers: dict[str, NDArray[np.float32]] = {}

    def keep(words: str, predict: Predict) -> None:
        answers[words] = predict(volume)

    seconds = in_turns({words: partial(keep, words, predict) for words, predict in ways.items()}, repeats)
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        peaks = {words: pool.apply(measure_peak, (words, preset, side, window)) / 2**20 for words in ways}
    difference = float(abs(answers["MONAI"] - answers["ours"]).max())
    cells = {words: f"{spread(seconds[words])}, {peaks[words]:.0f} MiB" for words in ways}
    times = ratio(seconds["MONAI"], seconds["ours"])
    what = f"predict {side}³ with {preset} in tiles of {window}³, overlap 0.5, largest difference {difference:.1e}"
    is_reached = times >= 1.5 and difference <= 1e-4
    return [Row(what, "MONAI", cells["ours"], cells["MONAI"], times, "≥ 1.5 ×, same to 1e-4", is_reached)]


def main() -> None:
    """Print the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--preset", type=Preset, default=Preset.SMALL, choices=list(Preset))
    parser.add_argument("--window", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    sys.stdout.write(table(rows(given.side, given.preset, given.window, given.repeats)))


if __name__ == "__main__":
    main()
